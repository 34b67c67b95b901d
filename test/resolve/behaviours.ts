import { typeNumber } from "../../src/dns/types.ts";
import { zone } from "../dns/zone.ts";
import { bare, deny, empty, honest, respond, silent, withRcode } from "../support/zone-script.ts";
import type { Action, Asked, Script } from "../upstreams/scripted-server.ts";

const records = [
  "page.example 100 A 192.0.2.7",
  "page.example 100 AAAA 2001:db8::7",
  "page.example 100 HTTPS 1 . alpn=h2",
  "page.example 100 SVCB 1 . alpn=h2",
  "page.example 100 MX 10 mail.example.",
  'page.example 100 TXT "here"',
];

/** What an upstream may do, for tables. Names ask for page.example; negatives have an SOA of `example` that holds for 30 s. */
const behaviours: Readonly<Record<string, Script>> = {
  has: honest(...records),
  has0: honest(...records.map((line) => line.replace("100", "0"))),
  hasLong: honest(...records.map((line) => line.replace("100", "604800"))),
  /** A TTL with its highest bit set counts as zero (RFC 2181 §8). */
  hasNegativeTtl: async (asked) => withTtl(await honest(...records)(asked), 0x8000_0000),
  hasLate200: (asked) => ({ kind: "after", delayMs: 200, action: respond(asked, { answers: recordsFor(asked) }) }),
  hasLate400: (asked) => ({ kind: "after", delayMs: 400, action: respond(asked, { answers: recordsFor(asked) }) }),
  hasLate2000: (asked) => ({ kind: "after", delayMs: 2000, action: respond(asked, { answers: recordsFor(asked) }) }),
  hasAlias: honest("page.example 50 CNAME host.example", ...records.map((line) => line.replace("page", "host"))),
  hasFakeIp: honest("page.example 100 A 198.18.0.7"),
  empty,
  denies: deny,
  bare,
  empty_3600_3600: withSoa(0, 3600, 3600),
  empty_3600_20: withSoa(0, 3600, 20),
  empty_20_3600: withSoa(0, 20, 3600),
  empty_0_0: withSoa(0, 0, 0),
  denies_3600_3600: withSoa(3, 3600, 3600),
  denies_3600_20: withSoa(3, 3600, 20),
  denies_20_3600: withSoa(3, 20, 3600),
  denies_0_0: withSoa(3, 0, 0),
  deniesBare: (asked) => respond(asked, { rcode: 3 }),
  emptyAlias5: (asked) => respond(asked, { answers: zone("page.example 5 CNAME host.example"), authority: soa(30, 30) }),
  bareAlias5: (asked) => respond(asked, { answers: zone("page.example 5 CNAME host.example") }),
  bareAlias300: (asked) => respond(asked, { answers: zone("page.example 300 CNAME host.example") }),
  deniesAlias: (asked) =>
    asked.name === "page.example"
      ? respond(asked, { rcode: 3, answers: zone("page.example 50 CNAME host.example"), authority: soa(30, 30) })
      : deny(asked),
  referral: (asked) =>
    respond(asked, { authority: zone("example 300 NS ns.example"), additional: zone("ns.example A 192.0.2.53") }),
  signedEmpty_3600_1800: signed(0, 3600, 1800),
  signedEmpty_20_3600: signed(0, 20, 3600),
  signedEmpty_0_0: signed(0, 0, 0),
  signedDenies_3600_1800: signed(3, 3600, 1800),
  signedDenies_20_3600: signed(3, 20, 3600),
  signedDenies3: signed(
    3,
    3600,
    1800,
    "0p9mhaveqvm6t7vbl5lop2u3t2rp3tom.example 3600 NSEC3 1 0 0 - 2t7b4g4vsa5smi47k61mv5bv1a22bojr NS SOA",
  ),
  /** Signatures without proof that the name is not there. */
  signedNoProof: (asked) => respond(asked, { rcode: 3, authority: [...soa(30, 30), ...rrsig("SOA")] }),
  servfail: (asked) => withRcode(asked, 2),
  refused: (asked) => withRcode(asked, 5),
  formerr: (asked) => withRcode(asked, 1),
  notimp: (asked) => withRcode(asked, 4),
  notauth: (asked) => withRcode(asked, 9),
  broken: () => ({ kind: "close" }),
  garbage: () => ({ kind: "reply", message: Buffer.from("no message at all") }),
  silent: () => silent,
};

/**
 * Behaviours of a group's members from a cell of a table: members by "&", each a behaviour, then those for single types: "denies A:has & silent".
 */
export function membersOf(cell: string): Script[] {
  return cell.split("&").map((member) => {
    const [first = "", ...exceptions] = member.trim().split(/ +/);
    const byType = new Map(exceptions.map((each) => [typeNumber(each.split(":")[0] ?? ""), behaviour(each.split(":")[1] ?? "")]));
    const otherwise = behaviour(first);
    return (asked) => (byType.get(asked.type) ?? otherwise)(asked);
  });
}

function behaviour(name: string): Script {
  const script = behaviours[name];
  if (script === undefined) throw new Error(`${name} is no behaviour`);
  return script;
}

function recordsFor({ type, name }: Asked) {
  return zone(...records.map((line) => line.replace("page.example", name))).filter((record) => record.type === type);
}

function soa(ttl: number, minimum: number) {
  return zone(`example ${ttl} SOA ns.example hostmaster.example 1 2 3 4 ${minimum}`);
}

function rrsig(covered: string, ttl = 3600) {
  return zone(`example ${ttl} RRSIG ${covered} 13 1 3600 20270101000000 20260101000000 1 example. AAAA`);
}

function withSoa(rcode: number, ttl: number, minimum: number): Script {
  return (asked) => respond(asked, { rcode, authority: soa(ttl, minimum) });
}

function signed(rcode: number, ttl: number, minimum: number, proof = "example 3600 NSEC a.example. A NS SOA RRSIG NSEC"): Script {
  const authority = [
    ...soa(ttl, minimum),
    ...rrsig("SOA", ttl),
    ...zone(proof),
    ...rrsig(proof.includes("NSEC3") ? "NSEC3" : "NSEC"),
  ];
  return (asked) => respond(asked, { rcode, authority });
}

function withTtl(action: Action, ttl: number): Action {
  if (action.kind !== "reply") return action;
  // The question is followed by an answer whose owner is a pointer: its TTL stands six bytes on.
  const message = Buffer.from(action.message);
  message.writeUInt32BE(ttl, 12 + "page.example".length + 2 + 4 + 6);
  return { kind: "reply", message };
}
