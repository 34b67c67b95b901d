import type { Message } from "../../src/dns/message.ts";
import { TYPE } from "../../src/dns/types.ts";
import { zone } from "../dns/zone.ts";
import { respond, silent } from "../support/zone-script.ts";
import { type Action, type Asked, type Script, type ScriptedServer, scriptedServer } from "../upstreams/scripted-server.ts";

/** What an upstream does about TYPE65 of a name that has addresses: what it sends behind the aliases, or nothing at all. */
const FAULTS = {
  /** Returns the existing record. */
  none: (name) => ({ answers: zone(`${name} 1 HTTPS ${RECORD}`) }),
  /** As easymosdns does: the SOA is made for the occasion. */
  nxdomain: (name) => ({ rcode: 3, authority: soa(name, 60) }),
  drop: () => null,
  servfail: () => ({ rcode: 2 }),
  refused: () => ({ rcode: 5 }),
  /** NOERROR without any record. */
  bare: () => ({}),
  /** An honest NODATA. */
  nodata: () => ({ authority: soa("example.net", NEGATIVE_SECONDS) }),
} as const satisfies Record<string, (name: string) => Partial<Message> | null>;

export type Fault = keyof typeof FAULTS;
export const faults = ["none", "nxdomain", "drop", "servfail", "refused", "bare", "nodata"] as const satisfies readonly Fault[];

/** Of every name. Their TTLs are 1 and 2 s. */
export const ADDRESSES = { A: "192.0.2.7", AAAA: "2001:db8::7" } as const;

const ECH = `ech=${Buffer.from("0045fe0d0041c80020002093f8a2b1", "hex").toString("base64")}`;
const HINT4 = `ipv4hint=${ADDRESSES.A}`;
const HINT6 = `ipv6hint=${ADDRESSES.AAAA}`;
const RECORD = `1 . alpn=h3,h2 ${HINT4} ${ECH} ${HINT6}`;

/** What Fenliu is told to do about TYPE65, as in YAML, and what is left of the record; null = no record. */
export const MODES = {
  pass: { https: "pass", left: RECORD },
  nodata: { https: "nodata", left: null },
  ech: { https: "[strip-ech]", left: `1 . alpn=h3,h2 ${HINT4} ${HINT6}` },
  hints: { https: "[strip-hints]", left: `1 . alpn=h3,h2 ${ECH}` },
  ipv6hint: { https: "[strip-ipv6hint]", left: `1 . alpn=h3,h2 ${HINT4} ${ECH}` },
  h3: { https: "[strip-h3]", left: `1 . alpn=h2 ${HINT4} ${ECH} ${HINT6}` },
  strips: { https: "[strip-ech, strip-hints, strip-ipv6hint, strip-h3]", left: "1 . alpn=h2" },
} as const;

export type Mode = keyof typeof MODES;
export const modes = ["pass", "nodata", "ech", "hints", "ipv6hint", "h3", "strips"] as const satisfies readonly Mode[];

/** Long enough to be held from one question to the next by programs that count whole seconds, and soon over. */
export const NEGATIVE_SECONDS = 4;

/** The zone of a fault. Below it stands one for each mode. */
export function zoneOf(fault: Fault): string {
  return `${fault}.example.net`;
}

/**
 * A server for each fault, to which every name in its zone has A, AAAA, and of HTTPS what the fault makes of it. Names that begin with the
 * label `alias` are aliases of the name above; those with a label `gone` are not there.
 */
export class FaultyUpstreams {
  readonly #servers: ReadonlyMap<Fault, ScriptedServer>;

  private constructor(servers: ReadonlyMap<Fault, ScriptedServer>) {
    this.#servers = servers;
  }

  static async open(): Promise<FaultyUpstreams> {
    const opened = faults.map(async (fault) => [fault, await scriptedServer("dns", scriptFor(fault))] as const);
    return new FaultyUpstreams(new Map(await Promise.all(opened)));
  }

  /** The ports by the zones that are served there. */
  get zones(): Readonly<Record<string, number>> {
    return Object.fromEntries([...this.#servers].map(([fault, { port }]) => [zoneOf(fault), port]));
  }

  /** How often each name that is there was asked for A, be it through its alias. */
  askedForA(): ReadonlyMap<string, number> {
    const counts = new Map<string, number>();
    const asked = [...this.#servers.values()].flatMap((server) => server.asked.filter(({ type }) => type === TYPE.A));
    for (const { name } of asked) {
      const target = aliased(name) ?? name;
      if (!isGone(name)) counts.set(target, (counts.get(target) ?? 0) + 1);
    }
    return counts;
  }

  /** The configuration of a Fenliu before these. No negative answer outlives `NEGATIVE_SECONDS`. */
  config(): string {
    const groups = [...this.#servers].map(([fault, { port }]) => `  ${fault}: { servers: ["127.0.0.1:${port}"] }\n`);
    const rule = (fault: Fault, mode: Mode) => {
      // One mode is the general one, the others come by rules.
      const https = mode === "nodata" ? "" : `, https: ${MODES[mode].https}`;
      return `  - { name: ${fault}-${mode}, domains: [${mode}.${zoneOf(fault)}], upstream: ${fault}${https} }\n`;
    };
    const rules = faults.flatMap((fault) => modes.map((mode) => rule(fault, mode)));
    // A lost datagram is sent again after 1 s, and pdns-recursor takes a server for silent after 1.5 s.
    return `listen: { dns: ["127.0.0.1:0"], http: [], admin: null }
upstreams:
${groups.join("")}rules:
${rules.join("")}answers:
  https: ${MODES.nodata.https}
  deadline: 1400ms
  negative: { min: 2s, max: ${NEGATIVE_SECONDS}s, block: 2s, bare: 2s, failure: 1s }
`;
  }

  async close(): Promise<void> {
    await Promise.all([...this.#servers.values()].map((server) => server.close()));
  }
}

function scriptFor(fault: Fault): Script {
  return (asked) => {
    if (isGone(asked.name)) return respond(asked, { rcode: 3, authority: soa("example.net", NEGATIVE_SECONDS) });
    const target = aliased(asked.name);
    if (target === null) return send(asked, partsFor(asked.type, asked.name, fault), []);
    return send(asked, partsFor(asked.type, target, fault), [`${asked.name} 1 CNAME ${target}`]);
  };
}

function isGone(name: string): boolean {
  return name.split(".").includes("gone");
}

/** The target of an alias; null = the name is no alias. */
function aliased(name: string): string | null {
  return name.startsWith("alias.") ? name.slice("alias.".length) : null;
}

function partsFor(type: number, name: string, fault: Fault): Partial<Message> | null {
  switch (type) {
    case TYPE.A:
      return { answers: zone(`${name} 1 A ${ADDRESSES.A}`) };
    case TYPE.AAAA:
      return { answers: zone(`${name} 2 AAAA ${ADDRESSES.AAAA}`) };
    case TYPE.HTTPS:
      return FAULTS[fault](name);
    default:
      return { authority: soa("example.net", NEGATIVE_SECONDS) };
  }
}

function send(asked: Asked, parts: Partial<Message> | null, aliases: readonly string[]): Action {
  if (parts === null) return silent;
  return respond(asked, { ...parts, answers: [...zone(...aliases), ...(parts.answers ?? [])] });
}

function soa(owner: string, seconds: number) {
  return zone(`${owner} ${seconds} SOA fake.invalid. nobody.invalid. 1 1800 900 604800 ${seconds}`);
}
