import assert from "node:assert/strict";
import fc from "fast-check";
import type { Message } from "../../src/dns/message.ts";
import { nameText } from "../../src/dns/name.ts";
import { RCODE, TYPE } from "../../src/dns/types.ts";
import { zone } from "../dns/zone.ts";
import { queryWire } from "../support/message.ts";
import { bare, deny, respond, withRcode } from "../support/zone-script.ts";
import type { Action, Asked } from "../upstreams/scripted-server.ts";
import { UDP, type Way, World } from "./world.ts";

/** Files of the two worlds; a reload takes any of them. */
const FILES = [
  "rules: []",
  "rules: [{ name: kid, clients: 192.168.1.3, domains: n0.example, answer: nxdomain }]",
  "rules: [{ name: kid, clients: [192.168.1.3, 'fd00::3'], upstream: other }, { name: all, upstream: main }]",
  "rules: [{ name: long, domains: n1.example, ttl: { min: 15s } }, { name: short, domains: n0.example, ttl: { max: 2s } }]",
  "rules: [{ name: tv, clients: tv, domains: n0.example, answer: nodata }, { name: rest, upstream: other }]",
  "rules: [{ name: secret, domains: n2.example, log: false }, { name: kid, clients: 192.168.1.3, log: false }]",
  "hosts: { records: { n0.example: 192.0.2.200, www.n1.example: { cname: n2.example } } }",
  "answers: { ipv6: prefer-ipv4, https: [strip-ech, strip-ipv6hint], rebinding: nodata }",
  "bogus: [192.0.2.0/25]",
  "access: { clients: [192.168.1.0/24], rateLimit: { perSecond: 1, burst: 2, exempt: [192.168.1.3] } }\nlog: { queries: { clients: prefix } }",
  "cache: { prefetch: false, stale: false }",
  "rules: [{ name: tv, clients: tv, answer: nodata }, { name: box, clients: 'aa:bb:cc:dd:ee:02', upstream: other }]",
  `answers: { ttl: { min: 10m } }
rules:
  - { name: first, when: { from: "00:01", to: "00:02", zone: UTC }, domains: example, answer: nodata }
  - { name: second, when: { from: "00:02", to: "00:04", zone: UTC }, upstream: other }
  - { name: third, when: { from: "00:05", to: "00:00", days: thu, zone: UTC }, log: false }`,
  `answers: { ttl: { min: 10m } }
rules:
  - { name: odd, when: { from: "00:01", to: "00:02", zone: UTC }, log: false }
  - { name: kid, clients: 192.168.1.2, when: { from: "00:02", to: "00:03", zone: UTC }, upstream: other }`,
  "rules: [{ name: tv, clients: tv, log: false }]\nlog: { queries: { clients: none } }",
];

/** What a router tells of its devices. */
const DEVICES = [
  [],
  [{ address: "192.168.1.2", mac: "AA:BB:CC:DD:EE:01", name: "tv" }],
  [
    { address: "192.168.1.3", mac: "AA:BB:CC:DD:EE:01", name: "TV" },
    { address: "fd00::2", mac: "AA:BB:CC:DD:EE:01", name: "" },
    { address: "192.168.1.2", mac: "AA:BB:CC:DD:EE:02", name: "" },
  ],
];

const CLIENTS = ["192.168.1.2", "192.168.1.3", "fd00::2", "fd00::3", "fe80::1%eth0", "203.0.113.5"];
const NAMES = [
  "n0.example",
  "n1.example",
  "n2.example",
  "www.n0.example",
  "www.n1.example",
  "example",
  "lan",
  "a.very.long.name.that.nobody.has.example",
];
const TYPES = ["A", "AAAA", "HTTPS", "TXT", "SOA"];

/** What upstreams say, from question to question and from time to time. */
function answerOf({ query }: Asked, era: number): Partial<Message> | "nxdomain" | "bare" | "servfail" {
  const pick = (query.name.length * 7 + query.type * 3 + (query.dnssecOk ? 5 : 0) + era) % 11;
  if (pick === 0) return "nxdomain";
  if (pick === 1) return "bare";
  if (pick === 2) return "servfail";
  const owner = nameText(query.name);
  const ttlSeconds = [2, 10, 20][(query.type + era) % 3] ?? 2;
  const authority = zone(`${owner} ${ttlSeconds} SOA ns.example hostmaster.example ${era} 1 1 1 4`);
  const lines: Readonly<Record<number, readonly string[]>> = {
    [TYPE.A]: [`A 192.0.2.${pick * 20}`, ...(pick > 7 ? ["A 10.0.0.1"] : [])],
    [TYPE.AAAA]: [`AAAA 2001:db8::${pick}`],
    [TYPE.TXT]: [`TXT "${"a".repeat(pick * 20)}"`, `TXT "${"b".repeat(pick * 20)}"`],
  };
  const answers = (lines[query.type] ?? []).flatMap((line, index) => zone(`${owner} ${ttlSeconds + index * 5} ${line}`));
  // The alias has less time than what it leads to is known not to exist.
  if (pick === 4) return { answers: zone(`${owner} 1 CNAME nowhere.example`), authority };
  if (pick === 3 || answers.length === 0) return { authority };
  return { answers, authenticData: pick % 2 === 0 };
}

const PLAIN = { http: null, method: null, clientId: null } as const;
const WAYS: readonly Way[] = [
  { transport: "tcp", ...PLAIN },
  { transport: "dot", ...PLAIN },
  { transport: "dot", ...PLAIN, clientId: "tv" },
  ...(["1.0", "1.1", "2"] as const).flatMap((http) =>
    (["GET", "POST"] as const).map((method) => ({ transport: "doh", http, method, clientId: null }) as const),
  ),
  { transport: "doh", http: "2", method: "GET", clientId: "tv" },
];

const question = fc.record({
  way: fc.oneof({ weight: 1, arbitrary: fc.constant(UDP) }, { weight: 1, arbitrary: fc.constantFrom(...WAYS) }),
  name: fc.constantFrom(...NAMES, ...NAMES.slice(0, 3), ...NAMES.slice(0, 3)),
  type: fc.constantFrom(...TYPES, "A", "A", "AAAA"),
  client: fc.constantFrom(...CLIENTS, ...CLIENTS.slice(0, 2)),
  upper: fc.nat(7),
  rd: fc.boolean(),
  ad: fc.boolean(),
  cd: fc.constantFrom(false, false, false, true),
  do: fc.constantFrom(false, false, true),
  edns: fc.constantFrom(null, 1232, 1232, 512, 100, 4096),
  subnet: fc.constantFrom(undefined, undefined, undefined, undefined, "203.0.113.0/24"),
  /** Bytes that are not as they were sent, from the beginning or from the end. */
  flaws: fc.oneof(
    { weight: 6, arbitrary: fc.constant([]) },
    { weight: 1, arbitrary: fc.array(fc.tuple(fc.integer({ min: -11, max: 80 }), fc.nat(255)), { maxLength: 3 }) },
  ),
});

type Step = typeof step extends fc.Arbitrary<infer T> ? T : never;
type Asking = typeof question extends fc.Arbitrary<infer T> ? T : never;

/** One of the few questions of a history, as it is or a little different. */
const ask = fc.record({
  kind: fc.constant("ask" as const),
  question: fc.nat(3),
  other: fc.oneof(
    { weight: 4, arbitrary: fc.constant({}) },
    {
      weight: 3,
      arbitrary: fc.record({ ad: fc.boolean(), do: fc.boolean(), rd: fc.boolean(), cd: fc.boolean() }, { requiredKeys: [] }),
    },
    { weight: 2, arbitrary: question.map(({ client, edns, upper, way }) => ({ client, edns, upper, way })) },
    { weight: 2, arbitrary: fc.record({ way: fc.constantFrom(...WAYS.filter(({ transport }) => transport === "dot")) }) },
    { weight: 1, arbitrary: question.map(({ flaws, type, subnet }) => ({ flaws, type, subnet })) },
  ),
});

const step = fc.oneof(
  { weight: 20, arbitrary: ask },
  {
    weight: 4,
    arbitrary: fc.record({
      kind: fc.constant("wait" as const),
      ms: fc.constantFrom(1, 250, 999, 1000, 2000, 8999, 9000, 18_000, 60_000),
    }),
  },
  { weight: 2, arbitrary: fc.record({ kind: fc.constant("flush" as const), question: fc.nat(3), subtree: fc.boolean() }) },
  { weight: 3, arbitrary: fc.record({ kind: fc.constant("reload" as const), file: fc.nat(FILES.length - 1) }) },
  { weight: 2, arbitrary: fc.record({ kind: fc.constant("era" as const) }) },
  { weight: 1, arbitrary: fc.record({ kind: fc.constant("devices" as const), set: fc.nat(DEVICES.length - 1) }) },
);

/**
 * Holds a server that repeats replies against one that does not, through random histories.
 * @returns how many replies were repeated. @throws Error with the seed and the path of a history in which they differ.
 */
export async function checkHistories(parameters: { readonly numRuns: number; readonly seed?: number }): Promise<number> {
  let repeated = 0;
  await fc.assert(
    fc.asyncProperty(
      fc.nat(FILES.length - 1),
      fc.constantFrom(8_000, 20_000, 4_000_000),
      fc.array(question, { minLength: 4, maxLength: 4 }),
      fc.array(step, { minLength: 10, maxLength: 80 }),
      async (file, cacheBytes, questions, steps) => {
        repeated += await live({ file, cacheBytes, questions, steps });
      },
    ),
    parameters,
  );
  return repeated;
}

interface History {
  readonly file: number;
  readonly cacheBytes: number;
  readonly questions: readonly Asking[];
  readonly steps: readonly Step[];
}

/** @returns how many replies were repeated. */
async function live({ file, cacheBytes, questions, steps }: History): Promise<number> {
  let era = 0;
  const script = (asked: Asked): Action => {
    const said = answerOf(asked, era);
    if (said === "nxdomain") return deny(asked);
    if (said === "bare") return bare(asked);
    return said === "servfail" ? withRcode(asked, RCODE.SERVFAIL) : respond(asked, said);
  };
  const setup = { yaml: FILES[file] ?? "", script, cacheBytes };
  const worlds = [await World.open({ ...setup, repeats: true }), await World.open({ ...setup, repeats: false })] as const;
  const [repeating, plain] = worlds;
  try {
    for (const each of steps) {
      if (each.kind === "era") era++;
      else if (each.kind === "wait") for (const world of worlds) await world.clock.advance(each.ms);
      else if (each.kind === "reload") for (const world of worlds) await world.reload(FILES[each.file] ?? "");
      else if (each.kind === "devices") for (const world of worlds) await world.know(DEVICES[each.set] ?? []);
      else if (each.kind === "flush") {
        const name = questions[each.question]?.name ?? "";
        assert.equal(repeating.flush(name, each.subtree), plain.flush(name, each.subtree));
      } else {
        const asked = questions[each.question];
        assert.ok(asked !== undefined);
        const asking = { ...asked, ...each.other };
        const message = messageOf(asking);
        // What was answered from the cache once is repeated from then on, over this way in.
        for (const sent of [message, message, message]) {
          assert.equal(await repeating.ask(sent, asking.client, asking.way), await plain.ask(sent, asking.client, asking.way));
          assert.deepEqual(repeating.records(), plain.records());
          assert.deepEqual(repeating.asked, plain.asked);
        }
      }
    }
    assert.deepEqual(repeating.counts(), plain.counts());
    return repeating.repeated;
  } finally {
    for (const world of worlds) await world.close();
  }
}

function messageOf({ name, type, upper, subnet, flaws, client: _client, way: _way, ...options }: Asking): Uint8Array {
  const spelled = Array.from(name, (letter, index) => ((upper >> (index % 3)) & 1 ? letter.toUpperCase() : letter)).join("");
  const message = queryWire(spelled, type, { ...options, id: 0x1234, ...(subnet === undefined ? {} : { subnet }) });
  for (const [place, value] of flaws) if (place < message.length) message[place < 0 ? message.length + place : place] = value;
  return message;
}
