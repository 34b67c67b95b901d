import type { AttemptRecord, QueryRecord, TraceStep } from "../../src/log/record.ts";
import { seeded, zipf } from "../random.ts";

export interface Household {
  /** Different names that are asked for, by a Zipf law. */
  readonly names: number;
  readonly clients: number;
  readonly seed: number;
}

/**
 * Queries as a house makes them: forty devices that ask for names by a Zipf law, three types each, half of it answered from the cache with TTLs
 * that count down, a tenth blocked, the rest asked of one of two groups; several answers behind an alias, whose order and members change
 * when they are fetched anew.
 */
export class QuerySource {
  readonly #household: Household;
  readonly #random: () => number;
  readonly #rank: (uniform: number) => number;
  readonly #names: readonly NameMade[];
  /** When an answer was fetched last, by rank and type. */
  readonly #fetchedMs = new Map<number, number>();

  constructor(household: Household) {
    this.#household = household;
    this.#random = seeded(household.seed);
    this.#rank = zipf(household.names, 0.95);
    this.#names = Array.from({ length: household.names }, (_, rank) => nameMade(rank));
  }

  /** The name of a rank, 0 being the most asked for. */
  nameOf(rank: number): string {
    return this.#names[rank]?.name ?? "";
  }

  /** @param id of the record, whose time is that of the query. */
  next(id: number): QueryRecord {
    const random = this.#random;
    const wallMs = Math.floor(id / 1024);
    const rank = this.#rank(random());
    const made = this.#names[rank] ?? nameMade(rank);
    const chance = random();
    const type = chance < 0.5 ? 0 : chance < 0.78 ? 1 : chance < 0.97 ? 2 : 3;
    const doh = random() < 0.3;
    const key = rank * 4 + type;
    const ttlMs = made.ttlSeconds * 1000;
    const fetchedMs = this.#fetchedMs.get(key) ?? Number.NEGATIVE_INFINITY;
    const cached = !made.blocked && wallMs - fetchedMs < ttlMs;
    if (!cached) this.#fetchedMs.set(key, wallMs);
    const ageSeconds = cached ? Math.floor((wallMs - fetchedMs) / 1000) : 0;
    const epoch = cached ? fetchedMs : wallMs;
    const answers = made.blocked ? [] : answersOf(made, type, { ttlSeconds: made.ttlSeconds - ageSeconds, epoch });
    const attempt = attemptOf(made, cached, random());
    return {
      id,
      time: new Date(wallMs).toISOString(),
      client: `192.168.88.${10 + Math.floor(this.#household.clients * random() ** 2)}`,
      clientId: null,
      transport: doh ? "doh" : "udp",
      http: doh ? "2" : null,
      method: doh ? "POST" : null,
      name: made.name,
      type: TYPES[type] ?? "A",
      rcode: made.missing ? "NXDOMAIN" : "NOERROR",
      answers,
      source: made.blocked ? "rule" : cached ? "cache" : "upstream",
      action: made.blocked ? "block" : "none",
      rule: made.blocked ? "ads" : made.domestic ? "split" : "others",
      list: made.blocked ? "ads" : made.domestic ? "cn" : null,
      line: made.blocked || made.domestic ? made.line : null,
      route: made.blocked ? null : made.domestic ? "domestic" : "overseas",
      upstream: made.blocked ? null : made.domestic ? "udp://223.5.5.5" : "https://1.1.1.1/dns-query",
      attempts: cached || made.blocked ? [] : [attempt],
      negativeTtl: answers.length === 0 ? Math.max(1, 60 - ageSeconds) : null,
      durationUs: cached || made.blocked ? 40 + Math.floor(60 * random()) : attempt.ms * 1000 + 250,
      size: 60 + answers.length * 18,
      ede: made.blocked ? ["15 blocked: rule ads"] : [],
      edits: [],
      trace: traceOf(made),
      version: `c${Math.floor(wallMs / 86_400_000)}`,
    };
  }
}

interface NameMade {
  readonly rank: number;
  readonly name: string;
  readonly site: string;
  readonly line: number;
  readonly domestic: boolean;
  readonly blocked: boolean;
  readonly missing: boolean;
  readonly ttlSeconds: number;
}

const TYPES = ["A", "AAAA", "HTTPS", "PTR"];
const WORDS = [
  "cloud",
  "media",
  "shop",
  "news",
  "game",
  "pay",
  "map",
  "music",
  "photo",
  "video",
  "mail",
  "data",
  "home",
  "live",
  "push",
  "apps",
];
const HOSTS = ["www", "api", "img", "static", "cdn", "login", "m", "edge-3.eu", "telemetry.events", "a1.g"];
const ENDINGS = ["com", "com", "com", "net", "cn", "com.cn", "org", "io"];
const TTLS_SECONDS = [60, 60, 120, 300, 300, 600, 3600];

function nameMade(rank: number): NameMade {
  // A scattering of ranks over sites, so that both frequent and seldom names share sites.
  const mixed = Math.imul(rank + 1, 2_654_435_761) >>> 0;
  const site = `${WORDS[mixed % 16]}${WORDS[(mixed >>> 4) % 16]}${(mixed >>> 8) % 40}.${ENDINGS[(mixed >>> 14) % 8]}`;
  const host = `${HOSTS[(mixed >>> 17) % 10]}${rank % 7 === 0 ? rank : ""}`;
  return {
    rank,
    name: `${host}.${site}`,
    site,
    line: (mixed >>> 8) % 110_000,
    domestic: (mixed >>> 21) % 10 < 6,
    blocked: (mixed >>> 11) % 10 === 0,
    missing: (mixed >>> 19) % 40 === 0,
    ttlSeconds: TTLS_SECONDS[(mixed >>> 24) % 7] ?? 60,
  };
}

function answersOf(made: NameMade, type: number, { ttlSeconds, epoch }: { ttlSeconds: number; epoch: number }): string[] {
  if (made.missing || type === 3 || (type === 2 && made.rank % 3 !== 0) || (type === 1 && made.rank % 2 === 0)) return [];
  if (type === 2) return [`${ttlSeconds} HTTPS 1 . alpn=h3,h2`];
  const alias = made.rank % 5 < 2 ? [`${ttlSeconds + (made.rank % 900)} CNAME ${made.site}.cdn${made.rank % 30}.example`] : [];
  const count = 1 + (made.rank % 4);
  // A third of all names move about in a pool of sixteen addresses; the others turn theirs round.
  const turn = Math.imul(Math.floor(epoch / 60_000) + made.rank, 0x9e3779b1) >>> 16;
  const pool = made.rank % 3 === 0 ? 16 : count;
  const addresses = Array.from({ length: count }, (_, index) => {
    const host = (turn + index) % pool;
    return type === 0
      ? `${ttlSeconds} A 198.51.${made.rank % 256}.${host + 16 * ((made.rank >> 8) % 16)}`
      : `${ttlSeconds} AAAA 2001:db8:${(made.rank % 65_536).toString(16)}::${(host + 1).toString(16)}`;
  });
  return [...alias, ...addresses];
}

function attemptOf({ domestic, missing }: NameMade, _cached: boolean, uniform: number): AttemptRecord {
  const rcode = missing ? "NXDOMAIN" : "NOERROR";
  const ms = Math.round((domestic ? 6 : 45) * (1 + 3 * uniform ** 4));
  return domestic
    ? { group: "domestic", server: "udp://223.5.5.5", transport: "udp", startMs: 0, ms, rcode, failure: null }
    : { group: "overseas", server: "https://1.1.1.1/dns-query", transport: "https", startMs: 0, ms, rcode, failure: null };
}

function traceOf({ blocked, domestic, line, site }: NameMade): TraceStep[] {
  const miss = (rule: string, outcome: "clients" | "domains" | "longest"): TraceStep => ({
    kind: "rule",
    rule,
    outcome,
    match: null,
  });
  const hit = (rule: string, list: string, source: string): TraceStep => {
    return { kind: "rule", rule, outcome: "decides", match: { list, source, line, pattern: site } };
  };
  const before = [miss("quiet", "clients"), miss("lan", "domains")];
  if (blocked) return [...before, hit("ads", "ads", "rules/ads.txt")];
  before.push(miss("ads", "domains"), miss("tv", "clients"));
  if (domestic) return [...before, hit("split", "cn", "rules/cn-domains.txt")];
  return [...before, miss("split", "longest"), { kind: "rule", rule: "others", outcome: "decides", match: null }];
}
