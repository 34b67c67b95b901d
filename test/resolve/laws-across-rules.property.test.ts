import fc from "fast-check";
import { expect, test } from "vitest";
import { TYPE, typeNumber } from "../../src/dns/types.ts";
import { zone } from "../dns/zone.ts";
import type { Reply } from "../support/message.ts";
import { runs } from "../support/properties.ts";
import { type Outcome, workbenchWith } from "../support/workbench.ts";
import { bare, deny, empty, respond, silent, withRcode } from "../support/zone-script.ts";
import type { Action, Asked } from "../upstreams/scripted-server.ts";

const NAMES = ["page.example", "www.example", "host.example"] as const;
const TYPES = ["A", "AAAA", "HTTPS", "MX", "TXT"] as const;
const data: Readonly<Record<number, string>> = {
  [TYPE.A]: "A 192.0.2.7",
  [TYPE.AAAA]: "AAAA 2001:db8::7",
  [TYPE.HTTPS]: "HTTPS 1 . alpn=h2",
  [TYPE.MX]: "MX 10 mail.example",
  [TYPE.TXT]: 'TXT "here"',
};

/** By rules of their own: the first may hold nothing for long, the second holds everything for long and gets nothing stale. */
const CLIENTS = ["10.0.0.9", "10.0.0.8", "127.0.0.1"] as const;
const RULES = `rules:
  - { name: brief, clients: [10.0.0.9], ttl: { max: 3s }, negative: { max: 2s } }
  - { name: long, clients: [10.0.0.8], ttl: { min: 60s }, stale: false }
`;
const HOSTS = "hosts: { records: { host.example: { address: 10.0.0.7, others: forward } } }";

/** What upstream does with a question until it is told otherwise. */
const sayings = {
  has,
  hasBriefly: (asked: Asked) => respond(asked, { answers: zone(`${asked.name} 5 ${data[asked.type]}`) }),
  hasForLong: (asked: Asked) => respond(asked, { answers: zone(`${asked.name} 600 ${data[asked.type]}`) }),
  hasAlias: (asked: Asked) => aliased(asked, { rcode: 0, answers: zone(`host.example 40 ${data[asked.type]}`) }),
  deniesAlias: (asked: Asked) => aliased(asked, { rcode: 3, authority: soa }),
  emptiesAlias: (asked: Asked) => aliased(asked, { rcode: 0, authority: soa }),
  hasLate: (asked: Asked) => ({ kind: "after", delayMs: 300, action: has(asked) }) as const,
  deniesLate: (asked: Asked) => ({ kind: "after", delayMs: 700, action: respond(asked, { rcode: 3, authority: soa }) }) as const,
  empty,
  bare,
  deny,
  fails: (asked: Asked) => withRcode(asked, 2),
  silent: () => silent,
} satisfies Record<string, (asked: Asked) => Action | Promise<Action>>;

const soa = zone("example 30 SOA ns.example hostmaster.example 1 2 3 4 30");

function has(asked: Asked): Action {
  return respond(asked, { answers: zone(`${asked.name} 40 ${data[asked.type]}`) });
}

function aliased(asked: Asked, { answers = [], ...rest }: Parameters<typeof respond>[1]): Action {
  const alias = asked.name === "host.example" ? [] : zone(`${asked.name} 40 CNAME host.example`);
  return respond(asked, { ...rest, answers: [...alias, ...answers] });
}

type Saying = keyof typeof sayings;
const saying = fc.constantFrom<Saying>(
  ...(["has", "hasBriefly", "hasForLong", "hasAlias", "deniesAlias", "emptiesAlias", "hasLate", "deniesLate"] as const),
  ...(["empty", "bare", "deny", "fails", "silent"] as const),
);
const about = { name: fc.constantFrom(...NAMES), type: fc.constantFrom(...TYPES) };
const question = fc.record({ ...about, client: fc.constantFrom(...CLIENTS) });
const step = fc.oneof(
  { weight: 6, arbitrary: fc.record({ kind: fc.constant("ask"), together: fc.array(question, { minLength: 1, maxLength: 4 }) }) },
  {
    weight: 2,
    arbitrary: fc.record({ kind: fc.constant("pass"), ms: fc.constantFrom(500, 2500, 4500, 11_000, 36_500, 61_000) }),
  },
  { weight: 3, arbitrary: fc.record({ kind: fc.constant("say"), ...about, now: saying }) },
  { weight: 1, arbitrary: fc.record({ kind: fc.constant("say all"), now: saying }) },
  { weight: 1, arbitrary: fc.record({ kind: fc.constant("reload"), withHosts: fc.boolean() }) },
);

/** What clients have been told, and may hold: until when, by a text. */
class Told {
  readonly #untilMs = new Map<string, number>();

  note(what: string, untilMs: number): void {
    this.#untilMs.set(what, Math.max(this.#untilMs.get(what) ?? 0, untilMs));
  }

  holds(what: string, nowMs: number): boolean {
    return nowMs < (this.#untilMs.get(what) ?? 0);
  }
}

interface Reckoned extends Outcome {
  readonly name: string;
  readonly type: string;
  readonly client: string;
  readonly atMs: number;
}

test("for any upstream, rules and reloads: no client is denied an address that another client may still hold", async () => {
  await fc.assert(
    fc.asyncProperty(fc.array(step, { minLength: 10, maxLength: 40 }), async (steps) => {
      const says = new Map<string, Saying>();
      let otherwise: Saying = "has";
      let hasHosts = false;
      const script = (asked: Asked) => {
        if (data[asked.type] === undefined) return silent;
        return sayings[says.get(`${asked.name} ${asked.type}`) ?? otherwise](asked);
      };
      const { clock, ...bench } = await workbenchWith({ yaml: RULES, upstreams: { main: [script] } });
      const told = new Told();
      const ask = async ({ name, type, client }: Pick<Reckoned, "name" | "type" | "client">): Promise<Reckoned> => {
        const outcome = await bench.ask(name, type, { address: client });
        return { ...outcome, name, type, client, atMs: clock.now() };
      };
      for (const each of steps) {
        if (each.kind === "pass") await clock.advance(each.ms);
        else if (each.kind === "say") says.set(`${each.name} ${typeNumber(each.type)}`, each.now);
        else if (each.kind === "say all") {
          says.clear();
          otherwise = each.now;
        } else if (each.kind === "reload") {
          hasHosts = each.withHosts;
          await bench.reload(hasHosts ? RULES + HOSTS : RULES);
        } else {
          const outcomes = await Promise.all(each.together.map(ask));
          for (const outcome of outcomes) check(outcome, told, hasHosts);
          // What was asked at the same time may have been answered in any order, so it proves something from now on only.
          for (const outcome of outcomes) note(outcome, told);
        }
      }
    }),
    { numRuns: runs(60), endOnFailure: true },
  );
});

function check({ reply, source, name, type, client, atMs }: Reckoned, told: Told, hasHosts: boolean): void {
  const end = chainEnd(name, reply);
  if (reply.rcode === "NXDOMAIN") {
    expect(told.holds(end, atMs)).toBe(false);
    if (hasHosts) expect(end).not.toBe("host.example");
  }
  if (told.holds(`${client} ${name} ${type}`, atMs)) expect(reply.answers).not.toEqual([]);
  if (source === "stale") expect([client === "10.0.0.8", reply.answers.length > 0]).toEqual([false, true]);
  if (reply.answers.length === 0 && reply.rcode !== "SERVFAIL")
    expect(reply.soa?.ttl).toBeLessThanOrEqual(client === "10.0.0.9" ? 2 : 60);
}

/** A positive, or upstream's own NODATA with SOA, that is neither stale nor made nor held back. */
function note({ reply, source, action, name, type, client, atMs }: Reckoned, told: Told): void {
  if ((source !== "upstream" && source !== "cache") || action !== "none" || reply.rcode !== "NOERROR") return;
  const isPositive = reply.answers.length > 0;
  const seconds = isPositive ? (reply.ttl ?? 0) : reply.soa?.owner === "example" ? reply.soa.ttl : 0;
  // TTLs are full seconds, of which one has begun.
  const untilMs = atMs + (seconds - 1) * 1000;
  for (const proven of [name, chainEnd(name, reply)]) told.note(proven, untilMs);
  if (isPositive) told.note(`${client} ${name} ${type}`, untilMs);
}

function chainEnd(name: string, { records }: Reply): string {
  return records.some((record) => record.includes(" CNAME host.example.")) ? "host.example" : name;
}
