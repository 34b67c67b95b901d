import { expect, test } from "vitest";
import { RCODE } from "../../src/dns/types.ts";
import type { QueryRecord } from "../../src/log/record.ts";
import { zone } from "../dns/zone.ts";
import { file } from "../files.ts";
import { queryWire } from "../message.ts";
import { type SiteSetup, siteWith, type TestSite } from "../site.ts";
import type { Script } from "../upstreams/scripted-server.ts";
import { bare, deny, honest, respond, silent, withRcode } from "../zone-script.ts";
import { recorder } from "./recorder.ts";

/** What a query that nothing happened to has in common with all others. */
const plain = {
  client: "127.0.0.1",
  clientId: null,
  transport: "udp",
  http: null,
  method: null,
  name: "page.example",
  type: "A",
  rcode: "NOERROR",
  answers: [],
  source: "upstream",
  action: "none",
  rule: null,
  list: null,
  line: null,
  route: null,
  upstream: null,
  attempts: [],
  negativeTtl: null,
  ede: [],
  edits: [],
} as const satisfies Partial<QueryRecord>;

const refused = { ...plain, source: "refused", rcode: "REFUSED" } as const;

const page = honest("page.example 300 A 192.0.2.7", "page.example 300 HTTPS 1 . alpn=h2 ipv4hint=192.0.2.7");

interface Ending {
  readonly what: string;
  readonly yaml?: string;
  readonly upstreams?: SiteSetup["upstreams"];
  /** Everything but the last query, which is the one that is looked at. */
  readonly before?: (site: TestSite) => Promise<unknown>;
  readonly ask: (site: TestSite) => Promise<unknown>;
  /** `SERVER` stands for the server of the first group. */
  readonly record: Partial<QueryRecord>;
}

const attempt = { group: "main", server: "SERVER", transport: "udp", ms: 0, rcode: "NOERROR", failure: null } as const;
const asked = { ...plain, route: "main", upstream: "SERVER", attempts: [attempt] } as const;
const answers = ["300 A 192.0.2.7"];

const endings: readonly Ending[] = [
  { what: "an answer from upstream", ask: (site) => site.ask("page.example"), record: { ...asked, answers, size: 57 } },
  {
    what: "one from the cache, with letters in another case",
    before: (site) => site.ask("page.example"),
    ask: (site) => site.ask("Page.EXAMPLE"),
    record: { ...plain, source: "cache", route: "main", answers },
  },
  {
    what: "NODATA from upstream, its TTL clamped",
    yaml: "answers: { negative: { max: 20s } }",
    ask: (site) => site.ask("page.example", "AAAA"),
    record: { ...asked, type: "AAAA", negativeTtl: 20, edits: ["lowered the negative TTL from 30 s to 20 s"] },
  },
  {
    what: "NXDOMAIN",
    ask: (site) => site.ask("nowhere.test2"),
    record: {
      ...asked,
      name: "nowhere.test2",
      rcode: "NXDOMAIN",
      attempts: [{ ...attempt, rcode: "NXDOMAIN" }],
      negativeTtl: 30,
    },
  },
  {
    what: "an empty answer without SOA, which we make",
    upstreams: { main: bare },
    ask: (site) => site.ask("page.example", "TXT"),
    record: { ...asked, type: "TXT", negativeTtl: 10, edits: ["made an SOA"] },
  },
  {
    what: "TTLs raised",
    yaml: "answers: { ttl: { min: 10m } }",
    ask: (site) => site.ask("page.example"),
    record: { ...asked, answers: ["600 A 192.0.2.7"], edits: ["raised TTLs to 600 s"] },
  },
  {
    what: "an NXDOMAIN for TYPE65 that is not believed",
    upstreams: { main: (question) => (question.type === 65 ? deny(question) : page(question)) },
    ask: (site) => site.ask("page.example", "HTTPS"),
    record: {
      ...asked,
      type: "HTTPS",
      action: "nxdomain:guarded",
      attempts: [{ ...attempt, rcode: "NXDOMAIN" }],
      negativeTtl: 30,
      ede: ["0 (Other Error): NXDOMAIN not believed: A says that the name exists"],
      edits: ["made NXDOMAIN NODATA"],
    },
  },
  {
    what: "parameters of TYPE65 left out",
    yaml: "answers: { https: [strip-hints] }",
    ask: (site) => site.ask("page.example", "HTTPS"),
    record: {
      ...asked,
      type: "HTTPS",
      action: "type65:strip-hints",
      answers: ["300 HTTPS 1 . alpn=h2"],
      edits: ["strip-hints"],
    },
  },
  {
    what: "a type that is switched off",
    yaml: "rules: [{ name: plain, domains: [page.example], https: nodata }]",
    ask: (site) => site.ask("page.example", "HTTPS"),
    record: {
      ...plain,
      type: "HTTPS",
      source: "rule",
      action: "type65:nodata",
      negativeTtl: 60,
      ede: ["17 (Filtered): type65:nodata"],
    },
  },
  {
    what: "an address at home for a public name",
    yaml: "answers: { rebinding: nodata }",
    upstreams: { main: honest("page.example 300 A 10.0.0.1") },
    ask: (site) => site.ask("page.example"),
    record: {
      ...asked,
      source: "rule",
      action: "rebinding:nodata",
      negativeTtl: 60,
      ede: ["15 (Blocked): rebinding:nodata"],
      edits: ["left out addresses at home"],
    },
  },
  {
    what: "a failure",
    upstreams: { main: (question) => withRcode(question, RCODE.REFUSED) },
    ask: (site) => site.ask("page.example"),
    record: {
      ...asked,
      rcode: "SERVFAIL",
      source: "failure",
      attempts: [{ ...attempt, rcode: "REFUSED" }],
      ede: ["22 (No Reachable Authority): main answered REFUSED"],
    },
  },
  {
    what: "the same failure, held",
    upstreams: { main: (question) => withRcode(question, RCODE.REFUSED) },
    before: (site) => site.ask("page.example"),
    ask: (site) => site.ask("page.example"),
    record: {
      ...plain,
      rcode: "SERVFAIL",
      source: "cache",
      route: "main",
      ede: ["22 (No Reachable Authority): main answered REFUSED"],
    },
  },
  {
    what: "a blocked name",
    yaml: "rules: [{ name: ads, domains: [ads.example], answer: nxdomain }]",
    ask: (site) => site.ask("www.ads.example"),
    record: {
      ...plain,
      name: "www.ads.example",
      source: "rule",
      action: "block",
      rule: "ads",
      rcode: "NXDOMAIN",
      negativeTtl: 60,
      ede: ["15 (Blocked): rule ads"],
      trace: [
        { kind: "rule", rule: "ads", outcome: "decides", match: { list: null, source: "", line: 1, pattern: "ads.example" } },
      ],
    },
  },
  {
    what: "silence by a rule, on a stream",
    yaml: "rules: [{ name: gone, domains: [gone.example], answer: drop }]",
    ask: (site) => site.ask("gone.example", "A", { transport: "tcp" }),
    record: {
      ...plain,
      transport: "tcp",
      name: "gone.example",
      source: "rule",
      action: "drop",
      rule: "gone",
      rcode: "REFUSED",
      ede: ["15 (Blocked)"],
    },
  },
  {
    what: "a name of the hosts table",
    yaml: "hosts: { records: { nas.lan: [10.0.0.5, 10.0.0.6] } }",
    ask: (site) => site.ask("nas.lan"),
    record: {
      ...plain,
      name: "nas.lan",
      source: "hosts",
      answers: ["60 A 10.0.0.5", "60 A 10.0.0.6"],
      trace: [{ kind: "hosts", pattern: "nas.lan", source: "hosts.records", line: 1 }],
    },
  },
  {
    what: "an alias of the hosts table to a name outside",
    yaml: "hosts: { records: { photos.lan: { cname: page.example } } }",
    ask: (site) => site.ask("photos.lan"),
    record: {
      ...asked,
      name: "photos.lan",
      source: "hosts",
      answers: ["60 CNAME page.example.", "300 A 192.0.2.7"],
      edits: ["put the alias before it"],
      trace: [
        { kind: "hosts", pattern: "photos.lan", source: "hosts.records", line: 1 },
        { kind: "alias", target: "page.example" },
        { kind: "first-group", group: "main" },
      ],
    },
  },
  {
    what: "a special name",
    ask: (site) => site.ask("printer.home.arpa"),
    record: {
      ...plain,
      name: "printer.home.arpa",
      source: "special",
      rcode: "NXDOMAIN",
      negativeTtl: 60,
      trace: [{ kind: "special", zone: "home.arpa" }],
    },
  },
  {
    what: "a question that a group must never get",
    yaml: "rules: [{ name: all, upstream: second }]",
    upstreams: { main: page, second: { servers: [page], keys: "never: { types: [TXT] }" } },
    ask: (site) => site.ask("page.example", "TXT"),
    record: {
      ...plain,
      type: "TXT",
      source: "failure",
      action: "never",
      rule: "all",
      route: "second",
      rcode: "SERVFAIL",
      ede: ["0 (Other Error): second: never gets type TXT"],
    },
  },
  {
    what: "a client from outside",
    ask: (site) => site.ask("page.example", "A", { client: "203.0.113.9" }),
    record: {
      ...refused,
      client: "203.0.113.9",
      transport: "doh",
      http: "1.1",
      method: "POST",
      action: "access",
      ede: ["18 (Prohibited)"],
      trace: [],
    },
  },
  {
    what: "a client over its rate, on a stream",
    yaml: "access: { rateLimit: { perSecond: 1, burst: 1, exempt: [] } }",
    before: (site) => site.ask("page.example"),
    ask: (site) => site.ask("page.example", "A", { transport: "tcp" }),
    record: { ...refused, transport: "tcp", action: "rate", ede: ["18 (Prohibited): over the rate limit"] },
  },
  {
    what: "a client over its rate, over UDP",
    yaml: "access: { rateLimit: { perSecond: 1, burst: 1, exempt: [] } }",
    before: (site) => site.ask("page.example"),
    ask: (site) => site.ask("page.example"),
    record: { ...refused, rcode: "NOERROR", action: "rate" },
  },
  {
    what: "octets that are no question",
    ask: (site) => site.send(Buffer.from("000701000002000000000000", "hex")),
    record: { ...refused, name: "", type: "", rcode: "FORMERR", action: "malformed", size: 12, trace: [] },
  },
  {
    what: "another opcode",
    ask: (site) => site.send(queryWire("page.example", "SOA", { edns: null }).fill(0x20, 2, 3)),
    record: { ...refused, type: "SOA", rcode: "NOTIMP", action: "unsupported" },
  },
  {
    what: "a version of EDNS that is not there",
    ask: async (site) => {
      const message = queryWire("page.example", "A");
      // The version is the second octet of the TTL of OPT, which ends in two octets of flags and two of length.
      message[message.length - 5] = 1;
      await site.send(message);
    },
    record: { ...refused, rcode: "BADVERS", action: "unsupported" },
  },
  {
    what: "a zone transfer",
    ask: (site) => site.ask("page.example", "AXFR", { transport: "tcp" }),
    record: { ...refused, transport: "tcp", type: "AXFR", action: "unsupported" },
  },
  {
    what: "a client id over DoH",
    ask: (site) => site.ask("page.example", "A", { clientId: "tv" }),
    record: { ...asked, answers, transport: "doh", http: "1.1", method: "POST", clientId: "tv" },
  },
  {
    what: "JSON over DoH",
    ask: (site) => fetch(`http://127.0.0.1:${site.app.bound.http[0]?.port}/dns-query?name=page.example&type=A`),
    record: { ...asked, answers, transport: "doh", http: "1.1", method: "GET" },
  },
  {
    what: "an answer that is too long for UDP",
    upstreams: { main: many(200) },
    ask: (site) => site.ask("page.example"),
    record: {
      ...asked,
      edits: ["truncated"],
      size: 41,
    },
  },
];

function many(count: number): Script {
  const records = zone(...Array.from({ length: count }, (_, index) => `page.example 300 A 192.0.2.${index}`));
  return (question) => respond(question, { answers: records });
}

test.each(endings)("$what leaves one record", async ({ yaml = "", upstreams = { main: page }, before, ask, record }) => {
  const site = await siteWith({ yaml, upstreams });
  const records = recorder(site);
  await before?.(site);
  records();
  await ask(site);
  const made = records();
  expect(made).toHaveLength(1);
  const server = site.app.upstreams()[0]?.members[0]?.label ?? "";
  const expected: unknown = JSON.parse(JSON.stringify(record).replaceAll("SERVER", server));
  expect(made[0]).toMatchObject(Object(expected));
  expect(made[0]).toMatchObject({ time: "2026-01-01T00:00:00.000Z", durationUs: 0, version: site.app.site.version });
});

test("silence by a rule over UDP leaves a record without an rcode", async () => {
  const site = await siteWith({ yaml: "rules: [{ name: gone, domains: [gone.example], answer: drop }]" });
  const records = recorder(site);
  expect(await site.isSilentTo(queryWire("gone.example", "A"), "udp")).toBe(true);
  expect(records()).toMatchObject([
    { ...plain, name: "gone.example", source: "rule", action: "drop", rule: "gone", rcode: null, size: 0 },
    { name: "localhost" },
  ]);
});

test.each([
  { what: "slow", down: silent, attempts: [], durationUs: 1_800_000 },
  { what: "failing", down: null, attempts: [{ ...attempt, rcode: "SERVFAIL" }], durationUs: 0 },
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

test("equal questions in flight leave a record each, with the attempts they shared", async () => {
  const site = await siteWith({ upstreams: { main: page } });
  const records = recorder(site);
  await Promise.all(Array.from({ length: 5 }, () => site.ask("page.example")));
  const made = records();
  expect(made).toHaveLength(5);
  expect(new Set(made.map(({ id }) => id)).size).toBe(5);
  for (const { source, attempts } of made)
    expect([source, attempts.length]).toEqual(source === "cache" ? ["cache", 0] : ["upstream", 1]);
});

test("a comparison leaves a record with both sides' attempts, and why the far one answers; the next goes by the verdict", async () => {
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

test("a name in a list leaves a record with list and line, through the whole server", async () => {
  const list = file("ads.txt", ["# ads", "other.example", "ads.example"]);
  const yaml = `lists: { ads: { domains: [${JSON.stringify(list)}] } }
rules: [{ name: block, domains: "list:ads", answer: nodata }]`;
  const site = await siteWith({ yaml, upstreams: { main: page } });
  const records = recorder(site);
  await site.ask("x.ads.example");
  const match = { list: "ads", source: list, line: 3, pattern: "ads.example" };
  expect(records()).toMatchObject([
    { rule: "block", list: "ads", line: 3, trace: [{ kind: "rule", rule: "block", outcome: "decides", match }] },
  ]);
});
