import { expect, test } from "vitest";
import { RCODE } from "../../src/dns/types.ts";
import { file } from "../support/files.ts";
import { siteWith } from "../support/site.ts";
import { honest, silent, withRcode } from "../support/zone-script.ts";
import type { Script } from "../upstreams/scripted-server.ts";
import { attempt, page, plain } from "./endings.ts";
import { recorder } from "./recorder.ts";

test.each([
  { what: "slow", down: silent, attempts: [{ ...attempt, ms: 1800, rcode: null, failure: "timeout" }], durationUs: 1_800_000 },
  { what: "failing", down: null, attempts: Array(2).fill({ ...attempt, rcode: "SERVFAIL" }), durationUs: 0 },
])("a stale answer, because upstream is $what, leaves a record", async ({ down, attempts, durationUs }) => {
  let isDown = false;
  const main: Script = (question) => (isDown ? (down ?? withRcode(question, RCODE.SERVFAIL)) : page(question));
  const site = await siteWith({ upstreams: { main } });
  const records = recorder(site);
  await site.ask("page.example");
  const server = records()[0]?.upstream ?? "";
  isDown = true;
  await site.clock.advance(301_000);
  const asking = site.ask("page.example");
  await site.until(() => site.asked().length > 1);
  if (down !== null) await site.clock.advance(1800);
  expect(await asking).toMatchObject({ ttl: 30 });
  expect(records()).toMatchObject([
    {
      ...plain,
      source: "stale",
      route: "main",
      attempts: attempts.map((each) => ({ ...each, server })),
      answers: ["30 A 192.0.2.7"],
      ede: ["3 (Stale Answer)"],
      edits: ["set the TTL to 30 s"],
      time: "2026-01-01T00:05:01.000Z",
      durationUs,
    },
  ]);
});

test("equal concurrent queries leave one record each, with the shared attempts", async () => {
  const site = await siteWith({ upstreams: { main: page } });
  const records = recorder(site);
  await Promise.all(Array.from({ length: 5 }, () => site.ask("page.example")));
  const made = records();
  expect(made).toHaveLength(5);
  expect(new Set(made.map(({ id }) => id)).size).toBe(5);
  for (const { source, attempts } of made)
    expect([source, attempts.length]).toEqual(source === "cache" ? ["cache", 0] : ["upstream", 1]);
});

test("a comparison leaves a record with the attempts of both sides and the reason for the far side; the next query follows the verdict", async () => {
  const list = file("cn-ip.txt", ["192.0.2.0/24"]);
  const yaml = `lists: { cn-ip: { addresses: [${JSON.stringify(list)}] } }
rules: [{ name: others, compare: { near: domestic, far: overseas, keepNearIf: "list:cn-ip" } }]`;
  const near = honest("page.example 300 A 198.51.100.7", "www.page.example 300 A 192.0.2.7");
  const far = honest("page.example 300 A 198.51.100.9");
  const site = await siteWith({ yaml, upstreams: { domestic: near, overseas: { servers: [far], transport: "tls" } } });
  const records = recorder(site);
  await site.ask("page.example");
  await site.ask("page.example");
  await site.ask("www.page.example");
  const [domestic = "", overseas = ""] = site.app.upstreams().map(({ members }) => members[0]?.label ?? "");
  const rule = { kind: "rule", rule: "others", outcome: "decides", match: null } as const;
  const [compared, held, kept] = records();
  expect(compared).toMatchObject({
    ...plain,
    rule: "others",
    route: "overseas",
    upstream: overseas,
    answers: ["300 A 198.51.100.9"],
    attempts: [
      { ...attempt, group: "domestic", server: domestic },
      { ...attempt, group: "overseas", server: overseas, transport: "tls" },
    ],
    trace: [rule, { kind: "compared", side: "far", near: "foreign", by: "comparison" }],
  });
  expect(held).toMatchObject({
    source: "cache",
    route: "overseas",
    upstream: null,
    trace: [rule, { kind: "compared", side: "far", near: "foreign", by: "verdict" }],
  });
  expect(kept).toMatchObject({
    route: "domestic",
    upstream: domestic,
    trace: [rule, { kind: "compared", side: "near", near: "kept", by: "comparison" }],
  });
});
