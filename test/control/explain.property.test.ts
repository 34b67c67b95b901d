import fc from "fast-check";
import { expect, test } from "vitest";
import type { Explained } from "../../src/admin/schemas/record.ts";
import { Explainer } from "../../src/control/explain.ts";

import { file } from "../support/files.ts";
import { siteWith, type TestSite } from "../support/site.ts";
import { honest } from "../support/zone-script.ts";

const NAMES = [
  "near.example",
  "www.near.example",
  "far.example",
  "www.far.example",
  "six.example",
  "secret.example",
  "else.example",
];
const LOCAL = [
  "ads.example",
  "nas.lan",
  "www.lan",
  "ring.lan",
  "printer.local",
  "single",
  "hush.example",
  "10.in-addr.arpa",
  ".",
];

/** Every name has addresses of both families, except six.example, which has no IPv4. */
const records = NAMES.flatMap((name) => [
  ...(name === "six.example" ? [] : [`${name} 100 A 192.0.2.7`]),
  `${name} 100 AAAA 2001:db8::7`,
  `${name} 100 HTTPS 1 . alpn=h2 ech=AAAA`,
]);

function anySite(): Promise<TestSite> {
  const cn = file("cn.txt", ["near.example"]);
  const addresses = file("cn-ip.txt", ["192.0.2.0/24"]);
  const yaml = `lists: { cn: { domains: ["${cn}"] }, cn-ip: { addresses: ["${addresses}"] } }
hosts: { records: { nas.lan: 10.0.0.5, www.lan: { cname: www.near.example }, ring.lan: { cname: ring2.lan }, ring2.lan: { cname: ring.lan } } }
answers: { https: [strip-ech] }
cache: { prefetch: false }
rules:
  - { name: tv, clients: [tv], ipv6: nodata, https: nodata }
  - { name: four, domains: [six.example, far.example], ipv6: prefer-ipv4 }
  - { name: ads, domains: [ads.example], answer: nxdomain }
  - { name: hush, domains: [hush.example], answer: drop }
  - { name: secret, domains: [secret.example], upstream: overseas }
  - { name: split, longest: { "list:cn": domestic } }
  - { name: far, domains: [far.example], types: [A, AAAA], upstream: overseas }
  - { name: others, domains: [example], compare: { near: domestic, far: overseas, keepNearIf: "list:cn-ip", within: 800ms, verdict: 1d } }`;
  const overseas = { servers: [honest(...records)], keys: "never: { domains: [secret.example] }" };
  return siteWith({ yaml, upstreams: { domestic: honest(...records), overseas } });
}

const question = fc.record({
  name: fc.constantFrom(...NAMES, ...NAMES, ...LOCAL),
  type: fc.constantFrom("A", "A", "AAAA", "HTTPS", "MX", "ANY", "PTR"),
  clientId: fc.constantFrom(null, null, "tv"),
  advanceMs: fc.constantFrom(0, 0, 1000, 90_000),
});

/** The end of the aliases of the hosts table: the name that is resolved. */
function lastOf(explained: Explained): Explained {
  return explained.target === null ? explained : lastOf(explained.target);
}

/** The groups that were asked since. */
function groupsAsked(site: TestSite, before: ReadonlyMap<string, number>): string[] {
  return [...before].filter(([group, count]) => site.asked(group).length > count).map(([group]) => group);
}

/** The first answers of a far group are held for a moment, in case a better one comes. */
async function whileTimePasses<Result>(site: TestSite, promise: Promise<Result>): Promise<Result> {
  let settled = false;
  const settling = promise.finally(() => {
    settled = true;
  });
  await site.clock.advance(0);
  while (!settled) await site.clock.advance(10);
  return await settling;
}

/** After a comparison the query to the other side is still pending: an equal query would join it and reach no server. */
async function untilNobodyIsAsked(site: TestSite): Promise<void> {
  while (site.app.upstreams().some(({ inFlight }) => inFlight > 0)) await site.clock.advance(10);
  await site.clock.advance(0);
}

test("the prediction comes true, whatever queries came before", async () => {
  await fc.assert(
    fc.asyncProperty(fc.array(question, { minLength: 4, maxLength: 16 }), async (questions) => {
      const site = await anySite();
      const explainer = new Explainer({
        server: site.app,
        versions: () => null,
        drafts: { use: () => expect.fail("no draft is used"), check: () => expect.fail("no draft is used") },
        queries: { read: () => expect.fail("nothing is read of the log") },
      });
      for (const { advanceMs, ...asked } of questions) {
        await site.clock.advance(advanceMs);
        await untilNobodyIsAsked(site);
        const before = new Map(["domestic", "overseas"].map((group) => [group, site.asked(group).length]));
        const explained = await whileTimePasses(
          site,
          explainer.explain({ ...asked, client: null, resolve: true, version: null }),
        );
        const { decision, cache, question: last } = lastOf(explained);
        const { outcome } = explained;
        const groups = groupsAsked(site, before);
        if (outcome === null) throw new Error("it was not asked");
        if (decision.answer !== null || decision.action === "never") expect(groups).toEqual([]);
        if (explained.target === null && decision.answer !== null) expect(outcome.action).toBe(decision.action);
        if (decision.answer === "nodata")
          expect({ rcode: outcome.rcode, records: outcome.answers.filter((text) => !text.includes("CNAME")) }).toEqual({
            rcode: "NOERROR",
            records: [],
          });
        if (decision.action === "never") expect(outcome).toMatchObject({ rcode: "SERVFAIL", action: "never" });
        const isKnown = decision.route !== null && !decision.action.includes("prefer");
        const isHeld =
          isKnown &&
          cache.some(
            ({ route, type, remainingSeconds }) =>
              route === decision.route && (type === last.type || type === "ANY") && remainingSeconds > 0,
          );
        if (isHeld)
          expect({ groups, answered: outcome.source === "cache" || explained.target !== null }).toEqual({
            groups: [],
            answered: true,
          });
        else if (isKnown && decision.action !== "never") expect(groups).toEqual([decision.route]);
        if (decision.kind === "compare" && isKnown && !isHeld) expect(groups).toEqual([decision.route]);
      }
      await site.close();
    }),
    { numRuns: 25 },
  );
});

test("every name and type has an explanation or is refused as invalid", async () => {
  const site = await anySite();
  const anyName = fc
    .array(fc.stringMatching(/^[a-z0-9_*-]{1,10}$/), { minLength: 1, maxLength: 6 })
    .map((labels) => labels.join("."));
  const explainer = new Explainer({
    server: site.app,
    versions: () => null,
    drafts: { use: () => expect.fail("no draft is used"), check: () => expect.fail("no draft is used") },
    queries: { read: () => expect.fail("nothing is read of the log") },
  });
  await fc.assert(
    fc.asyncProperty(anyName, fc.integer({ min: 1, max: 0xffff }), async (name, type) => {
      const request = { name, type: `TYPE${type}`, client: null, clientId: null, resolve: false, version: null };
      const explained = await explainer.explain(request).catch((error: unknown) => error);
      if (explained instanceof Error) expect(explained).toMatchObject({ kind: "invalid" });
      else
        expect(explained).toMatchObject({
          summary: expect.arrayContaining([
            { code: expect.any(String), values: expect.any(Object), text: expect.stringMatching(/\.$/) },
          ]),
          outcome: null,
        });
    }),
  );
});
