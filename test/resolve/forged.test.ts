import { expect, test } from "vitest";
import { addressClassifier } from "../../src/resolve/classify.ts";
import { zone } from "../dns/zone.ts";
import { siteWith } from "../support/site.ts";
import { workbenchWith } from "../support/workbench.ts";
import { honest, respond } from "../support/zone-script.ts";
import type { Script } from "../upstreams/scripted-server.ts";
import { behaviour } from "./comparing.ts";

const yaml = "poison: [203.0.113.1]\nbogus: [203.0.113.2]\ncache: { prefetch: false }";

test.each(["poison", "bogus", "partlyPoison"])(
  "an answer of kind %s is never sent, whoever gave it, nor taken for word that the name does not exist",
  async (cell) => {
    const bench = await workbenchWith({ yaml, upstreams: { main: [behaviour(cell)] } });
    const { reply, source } = await bench.ask("page.example");
    expect({ source, rcode: reply.rcode, answers: reply.answers }).toEqual({ source: "failure", rcode: "SERVFAIL", answers: [] });
    expect(reply.edeTexts).toEqual(["void answer: main gave an address of poison or bogus"]);
    expect((await bench.ask("page.example")).asked).toEqual([]);
  },
);

test.each(["failover", "fastest", "race"])("under strategy %s the answer of another member is sent", async (strategy) => {
  const bench = await workbenchWith({
    yaml,
    upstreams: { main: [behaviour("poison"), behaviour("honest@50")] },
    keys: `strategy: ${strategy}`,
  });
  expect(await bench.ask("page.example")).toMatchObject({ reply: { answers: ["192.0.2.7"] }, elapsedMs: 50 });
});

test.each([
  ["as a hint", "page.example 100 HTTPS 1 . alpn=h2 ipv4hint=203.0.113.1", "page.example 100 A 192.0.2.7"],
  ["beside the record", "page.example 100 HTTPS 1 . alpn=h2", "page.example 100 A 203.0.113.1"],
])("an HTTPS answer with a forged address %s is never sent: NODATA, now and from the cache", async (_, answer, additional) => {
  const liar: Script = (asked) => respond(asked, { answers: zone(answer), additional: zone(additional) });
  const bench = await workbenchWith({ yaml, upstreams: { main: [liar] } });
  const nodata = {
    action: "void:nodata",
    reply: { rcode: "NOERROR", records: [], additional: [], soa: { owner: "page.example" } },
  };
  expect(await bench.ask("page.example", "HTTPS")).toMatchObject({ source: "failure", ...nodata });
  expect(await bench.ask("page.example", "HTTPS")).toMatchObject({ source: "cache", asked: [], ...nodata });
});

test("records that do not belong to the name in the question are left out, and the trace says so", async () => {
  const liar: Script = (asked) =>
    respond(asked, {
      answers: zone("page.example 100 A 192.0.2.7", "bank.example 100 A 192.0.2.66"),
      authority: zone("bank.example NS ns.evil.example"),
    });
  const bench = await workbenchWith({ yaml, upstreams: { main: [liar] } });
  const { reply, edits } = await bench.ask("page.example");
  expect(reply.records).toEqual(["page.example. 100 IN A 192.0.2.7"]);
  expect(edits).toEqual(["left out 2 records that do not belong to the name"]);
});

test("an address of another name is no answer: another member is asked", async () => {
  const liar: Script = (asked) => respond(asked, { answers: zone("bank.example 100 A 192.0.2.66") });
  const bench = await workbenchWith({ yaml, upstreams: { main: [liar, behaviour("honest")] } });
  expect(await bench.ask("page.example")).toMatchObject({ reply: { answers: ["192.0.2.7"] } });
});

test("a stale answer survives forged answers", async () => {
  const bench = await workbenchWith({ yaml, upstreams: { main: [behaviour("honest")] } });
  await bench.ask("page.example");
  bench.follow("main", [behaviour("poison")]);
  await bench.clock.advance(101_000);
  expect(await bench.ask("page.example")).toMatchObject({ source: "stale", reply: { answers: ["192.0.2.7"] } });
});

test("a cached answer is not sent any more after a reload adds its address to the forged set", async () => {
  const site = await siteWith({ upstreams: { main: honest("page.example 100 A 203.0.113.1") } });
  expect(await site.ask("page.example")).toMatchObject({ answers: ["203.0.113.1"] });
  await site.reload("poison: [203.0.113.0/24]");
  expect(await site.ask("page.example")).toMatchObject({ rcode: "SERVFAIL", answers: [] });
});

test("an answer fetched during such a reload is checked again at its first cache hit", async () => {
  const { clock, ...bench } = await workbenchWith({
    yaml: "cache: { stale: { after: 100ms } }",
    upstreams: { main: [behaviour("honest")] },
  });
  await bench.ask("page.example");
  await clock.advance(101_000);
  bench.follow("main", [behaviour("poison@400")]);
  expect(await bench.ask("page.example")).toMatchObject({ source: "stale", elapsedMs: 100 });
  await bench.reload("poison: [203.0.113.1]");
  await clock.advance(400);
  expect(await bench.ask("page.example")).toMatchObject({ source: "failure", reply: { rcode: "SERVFAIL", answers: [] } });
});

test("a question after such a reload does not join a fetch from before it", async () => {
  const forged = zone("page.example 100 A 203.0.113.1");
  const { promise: gate, resolve: open } = Promise.withResolvers<void>();
  const site = await siteWith({ upstreams: { main: (asked) => gate.then(() => respond(asked, { answers: forged })) } });
  const before = site.ask("page.example");
  await site.until(() => site.asked().length > 0);
  await site.reload("poison: [203.0.113.1]");
  const after = site.ask("page.example");
  // Over the same socket, so that the question before it has begun to wait.
  await site.ask("localhost");
  open();
  expect(await before).toMatchObject({ answers: ["203.0.113.1"] });
  expect(await after).toMatchObject({ rcode: "SERVFAIL", answers: [] });
});

test("an answer is checked once for each set of forged addresses, however the set is written", async () => {
  const bench = await workbenchWith({ yaml, upstreams: { main: [behaviour("honest")] } });
  const marks = () => [...bench.cache.entries()].map(({ held }) => held.filterFingerprint);
  await bench.ask("page.example");
  const [first] = marks();
  await bench.reload("bogus: [203.0.113.2/32, 203.0.113.1]");
  expect(await bench.ask("page.example")).toMatchObject({ source: "cache" });
  expect(marks()).toEqual([first]);
  await bench.reload("poison: [203.0.113.0/24]");
  expect(await bench.ask("page.example")).toMatchObject({ source: "cache" });
  expect(marks()).not.toEqual([first]);
  await bench.reload(yaml);
  expect(await bench.ask("page.example")).toMatchObject({ source: "cache" });
  expect(marks()).toEqual([first]);
});

test("an answer with the fingerprint of the current set is sent without a check", async () => {
  const bench = await workbenchWith({ yaml: "", upstreams: { main: [behaviour("poison")] } });
  await bench.ask("page.example");
  await bench.reload(yaml);
  const [held] = [...bench.cache.entries()];
  if (held === undefined) throw new Error("nothing is held");
  bench.cache.noteFiltered(held.key, forgedMark());
  expect(await bench.ask("page.example")).toMatchObject({ source: "cache", reply: { answers: ["203.0.113.1"] } });
});

function forgedMark(): string {
  const parts = { rules: [], groups: [], poison: ["203.0.113.1"], bogus: ["203.0.113.2"], addresses: () => null };
  return addressClassifier(parts).fingerprintFor("main");
}
