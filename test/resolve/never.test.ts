import { writeFileSync } from "node:fs";
import { describe, expect, test } from "vitest";
import { RCODE, TYPE } from "../../src/dns/types.ts";
import { file } from "../support/files.ts";
import { siteWith, type TestSite } from "../support/site.ts";
import { honest } from "../support/zone-script.ts";

const zone = ["page.example A 192.0.2.1", "shop.cn A 192.0.2.2"];

const split = `rules:
  - { name: home, domains: [cn], upstream: domestic }
  - { name: others, upstream: overseas }`;

const wrong = `rules: [{ name: all, upstream: overseas }]`;

function siteOf(yaml: string, never = "{ domains: [cn], types: [PTR] }", keys = ""): Promise<TestSite> {
  return siteWith({
    upstreams: {
      domestic: honest(...zone),
      overseas: { servers: [honest(...zone), honest(...zone)], keys: `never: ${never}${keys}` },
    },
    yaml,
  });
}

function violations(site: TestSite): number[] {
  return site.app.upstreams().map((group) => group.violations);
}

describe("a question that a group must never get", () => {
  test("is refused with SERVFAIL and a reason, never with an empty answer, and no packet leaves", async () => {
    const site = await siteOf(wrong);
    const reply = await site.ask("shop.cn");
    expect(reply).toMatchObject({ rcode: "SERVFAIL", answers: [], ede: [0], edeTexts: ["overseas: never gets cn"] });
    expect(await site.ask("page.example", "PTR")).toMatchObject({ rcode: "SERVFAIL", ede: [0] });
    expect(site.asked()).toEqual([]);
    expect(violations(site)).toEqual([0, 2]);
  });

  test("is not asked of the fallback either", async () => {
    const site = await siteOf(wrong, "{ domains: [cn] }", ", fallback: domestic");
    expect(await site.ask("shop.cn")).toMatchObject({ rcode: "SERVFAIL" });
    expect(site.asked()).toEqual([]);
  });

  test("is reported once in ten minutes for each name, and counted each time", async () => {
    const site = await siteOf(wrong);
    for (const name of ["shop.cn", "shop.cn", "other.cn", "shop.cn"]) await site.ask(name);
    const told = () => site.log.filter((line) => line.includes("must never go")).map((line) => JSON.parse(line).name);
    expect(told()).toEqual(["shop.cn", "other.cn"]);
    expect(violations(site)).toEqual([0, 4]);
    await site.clock.advance(600_000);
    await site.ask("shop.cn");
    expect(told()).toEqual(["shop.cn", "other.cn", "shop.cn"]);
  });

  test("of a forbidden client is refused to that client only, also while an equal question is pending", async () => {
    const site = await siteWith({
      upstreams: { overseas: { servers: [() => ({ kind: "silence" })], keys: 'never: { clients: [10.0.9.0/24, "kids"] }' } },
    });
    const waiting = site.ask("page.example", "A", { client: "10.0.8.1" });
    await site.until(() => site.asked().length === 1);
    const refused = { rcode: "SERVFAIL", edeTexts: ["overseas: never gets client 10.0.9.1"] };
    expect(await site.ask("page.example", "A", { client: "10.0.9.1" })).toMatchObject(refused);
    expect(await site.ask("other.example", "A", { clientId: "kids" })).toMatchObject({ rcode: "SERVFAIL", ede: [0] });
    expect(site.asked()).toEqual(["page.example A"]);
    await site.clock.advance(4000);
    await waiting;
  });
});

test("with correct rules nothing is refused, and nothing is counted", async () => {
  const site = await siteOf(split);
  expect(await site.ask("shop.cn")).toMatchObject({ answers: ["192.0.2.2"] });
  expect(await site.ask("page.example")).toMatchObject({ answers: ["192.0.2.1"] });
  expect(violations(site)).toEqual([0, 0]);
});

test("a changed list in `never` applies at once, without new connections", async () => {
  const path = file("home.txt", ["shop.cn"]);
  const yaml = `lists: { home: { domains: [${JSON.stringify(path)}] } }\n${wrong}`;
  const site = await siteOf(yaml, '{ domains: "list:home" }');
  const answersOf = async () => [(await site.ask("shop.cn")).rcode, (await site.ask("page.example")).rcode];
  expect(await answersOf()).toEqual(["SERVFAIL", "NOERROR"]);
  writeFileSync(path, "page.example\n");
  await site.reload(yaml);
  // page.example is held, and nothing has to be sent for it.
  expect(await answersOf()).toEqual(["NOERROR", "NOERROR"]);
  expect(await site.ask("page.example", "MX")).toMatchObject({ rcode: "SERVFAIL" });
  expect(violations(site)).toEqual([0, 2]);
});

test("the NXDOMAIN guard does not ask for A of an alias target that `never` forbids", async () => {
  const site = await siteWith({
    upstreams: {
      overseas: {
        servers: [
          async (asked) => {
            const action = await honest("www.example CNAME edge.cn", "edge.cn A 192.0.2.9")(asked);
            if (asked.type !== TYPE.AAAA || action.kind !== "reply") return action;
            const denial = Buffer.from(action.message);
            denial[3] = (denial[3] ?? 0) | RCODE.NXDOMAIN;
            return { kind: "reply", message: denial };
          },
        ],
        keys: "never: { domains: [cn] }",
      },
    },
    yaml: wrong,
  });
  expect(await site.ask("www.example", "AAAA")).toMatchObject({ rcode: "NOERROR", answers: [] });
  expect(site.asked()).toEqual(["www.example AAAA", "www.example A"]);
  expect(violations(site)).toEqual([0]);
});
