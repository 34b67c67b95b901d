import { describe, expect, test } from "vitest";
import { type Answering, CachingForwarder } from "../support/caching-forwarder.ts";
import { type FakeClock, fakeClock } from "../support/fake-clock.ts";
import { queryWire, readReply } from "../support/message.ts";
import { openAsker, siteWith } from "../support/site.ts";
import { deny, honest } from "../support/zone-script.ts";
import { type Script, scriptedServer } from "../upstreams/scripted-server.ts";

const house = ["page.example A 192.0.2.7", "page.example AAAA 2001:db8::7", "sub.page.example A 192.0.2.8"];

/** The bundle that brought the incident about: every TYPE65 question is denied, with an SOA that it made up. */
const denyingHttps: Script = (asked) => (asked.type === 65 ? deny(asked) : honest(...house)(asked));

const questions = ["page.example HTTPS", "page.example A", "page.example AAAA", "sub.page.example A", "sub.page.example HTTPS"];

/** Every order of the questions. */
function ordersOf(items: readonly string[]): string[][] {
  if (items.length <= 1) return [[...items]];
  return items.flatMap((first) => ordersOf(items.filter((item) => item !== first)).map((rest) => [first, ...rest]));
}
const orders = ordersOf(questions);

const addresses: Readonly<Record<string, string>> = {
  "page.example A": "192.0.2.7",
  "page.example AAAA": "2001:db8::7",
  "sub.page.example A": "192.0.2.8",
};

/** Which of the addresses were lost on whoever asked in this order, twice at once and then over and past every TTL. */
async function lostBy(answering: Answering, order: readonly string[], clock: FakeClock): Promise<string[]> {
  const lost: string[] = [];
  for (const passMs of [0, 0, 20_000, 45_000, 400_000]) {
    await clock.advance(passMs);
    for (const question of order) {
      const [name = "", type = ""] = question.split(" ");
      const { answers } = await answering.ask(name, type);
      const wanted = addresses[question];
      if (wanted !== undefined && !answers.includes(wanted)) lost.push(question);
    }
  }
  return lost;
}

describe("the incident: an upstream denies TYPE65 of names that have addresses", () => {
  test("no client of ours loses an address, in any order of questions, cold or warm, before and after expiry", async () => {
    const site = await siteWith({ upstreams: { main: denyingHttps } });
    for (const order of orders) {
      expect(await lostBy(site, order, site.clock)).toEqual([]);
      // Past the stale life, so that each order begins with nothing held.
      await site.clock.advance(60_000);
    }
  });

  test("no address is lost behind a forwarder that caches NXDOMAIN for the whole name", async () => {
    const site = await siteWith({ upstreams: { main: denyingHttps }, yaml: "cache: { file: null, stale: { keep: 1s } }" });
    for (const order of orders) expect(await lostBy(new CachingForwarder(site, site.clock), order, site.clock)).toEqual([]);
  });

  test.each([
    "answers: { https: nodata }",
    "rules: [{ name: no-https, types: [HTTPS, SVCB], answer: nodata }]",
    "rules: [{ name: no-https, domains: [page.example], https: nodata }]",
  ])("nor where we filter TYPE65 ourselves: %s", async (yaml) => {
    const site = await siteWith({ upstreams: { main: honest(...house) }, yaml });
    for (const order of orders.slice(0, 24)) {
      expect(await lostBy(new CachingForwarder(site, site.clock), order, site.clock)).toEqual([]);
    }
  });

  test("the same forwarder loses addresses when it asks that upstream directly: the test above can fail", async () => {
    const clock = fakeClock();
    const upstream = await scriptedServer("dns", denyingHttps);
    const requester = await openAsker({ dns: [{ address: "127.0.0.1", port: upstream.port }] }, "udp");
    const direct = { ask: async (name: string, type: string) => readReply(await requester.ask(queryWire(name, type))) };
    const first = ["page.example HTTPS", "page.example A", "sub.page.example A"];
    expect(await lostBy(new CachingForwarder(direct, clock), first, clock)).toContain("page.example A");
    await requester.close();
    await upstream.close();
  });
});
