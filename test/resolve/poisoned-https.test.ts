import { describe, expect, test } from "vitest";
import { workbenchWith } from "../support/workbench.ts";
import { honest } from "../support/zone-script.ts";
import { behaviour, comparing } from "./comparing.ts";

const nodata = { action: "void:nodata", reply: { rcode: "NOERROR", records: [], soa: { owner: "page.example" } } };

describe.each(["poison", "bogus", "partlyPoison", "wrongType"])("a near answer to HTTPS of kind %s", (cell) => {
  test("gives way to the far answer, whose hints go, and A stays near", async () => {
    const site = await comparing({ near: "honest", far: "far" });
    expect(await site.ask("A")).toMatchObject({ comparison: { group: "near" } });
    site.follow("near", cell);
    expect(await site.ask("HTTPS")).toMatchObject({
      reply: { rcode: "NOERROR", answers: ["1 . alpn=h2"] },
      comparison: { side: "far", near: "void" },
      toWhom: ["near HTTPS", "far HTTPS"],
    });
    expect(await site.ask("HTTPS")).toMatchObject({ reply: { answers: ["1 . alpn=h2"] }, toWhom: [] });
    expect(await site.ask("A")).toMatchObject({ source: "cache", reply: { answers: ["192.0.2.7"] }, toWhom: [] });
  });

  test("is NODATA where far fails, and A stays alive", async () => {
    const site = await comparing({ near: "honest", far: "servfail" });
    await site.ask("A");
    site.follow("near", cell);
    expect(await site.ask("HTTPS")).toMatchObject(nodata);
    expect(await site.ask("A")).toMatchObject({ source: "cache", reply: { answers: ["192.0.2.7"] } });
  });
});

test("a near answer with hints outside the list gives way to the far answer", async () => {
  const site = await comparing({ near: "honest", far: "far" });
  await site.ask("A");
  site.follow("near", "foreign");
  expect(await site.ask("HTTPS")).toMatchObject({
    reply: { answers: ["1 . alpn=h2"] },
    comparison: { side: "far", near: "foreign" },
  });
});

test("without a comparison an A record in answer to HTTPS is no answer either: another member is asked, else NODATA", async () => {
  const real = honest("page.example 100 HTTPS 1 . alpn=h2", "page.example 100 A 192.0.2.7");
  const two = await workbenchWith({ upstreams: { main: [behaviour("wrongType"), real] } });
  expect(await two.ask("page.example", "HTTPS")).toMatchObject({ reply: { answers: ["1 . alpn=h2"] } });
  const one = await workbenchWith({ upstreams: { main: [behaviour("wrongType")] } });
  expect(await one.ask("page.example", "HTTPS")).toMatchObject(nodata);
  expect((await one.ask("page.example", "HTTPS")).reply.edeTexts).toEqual([
    "void answer: main answered with records of another type",
  ]);
});

test("an extended error of an upstream that speaks of a void answer is a failure, not a forged answer", async () => {
  const site = await comparing({ near: "edeVoid", far: "far" });
  expect(await site.ask("A")).toMatchObject({ comparison: { side: "far", near: "failed" } });
});
