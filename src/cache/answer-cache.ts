import { type Answer, type AnswerOutcome, outcomeOf } from "../dns/answer.ts";
import { HashedMap } from "../dns/hashed-map.ts";
import { isWithin, type Name } from "../dns/name.ts";
import type { Clock } from "../lib/clock.ts";
import { BlockStore } from "./blocks.ts";
import {
  type CacheEntry,
  type CacheStats,
  entryBytes,
  type Held,
  type Inspected,
  type NameScope,
  type PutOptions,
  type Refusal,
  readAnswer,
  type SegmentStats,
  withoutBytes,
  writeAnswer,
} from "./entry.ts";
import { Segment } from "./eviction.ts";
import { type CacheKey, nxdomainKey, readKey, scopeOf, scopeOfKey } from "./key.ts";
import { isFresh, type LifetimeLimits, lifetimeSeconds, staleKeepMs } from "./lifetime.ts";
import type { CacheOptions, StaleOptions } from "./options.ts";

/**
 * Answers as upstream gave them, by key. It holds to three laws whoever puts what, and in whatever order:
 * - a name that exists in any type has no NXDOMAIN: one is refused while the name is proven to exist, and ended by such proof;
 * - a negative never replaces a positive within its TTL; afterwards it does, and an NXDOMAIN all of the name's;
 * - a failure, or a guess, never replaces a positive, nor a negative that still holds.
 *
 * How fresh an answer is depends on the rule at hand: callers ask `freshness` at each hit.
 */
export class AnswerCache {
  #stale: StaleOptions | null;
  readonly #clock: Clock;
  readonly #blocks = new BlockStore();
  readonly #byKey = new HashedMap<CacheKey, CacheEntry>();
  readonly #names = new NameIndex();
  readonly #positive = new Segment();
  readonly #negative = new Segment();
  #misses = 0;

  constructor(options: CacheOptions, clock: Clock) {
    this.#clock = clock;
    this.#stale = options.stale;
    this.configure(options);
  }

  /** Goes on under other options; entries beyond a smaller budget are evicted. What is held keeps the stale life it was put with. */
  configure({ sizeBytes, stale }: CacheOptions): void {
    this.#stale = stale;
    this.#negative.budgetBytes = Math.floor(sizeBytes * NEGATIVE_SHARE);
    this.#positive.budgetBytes = sizeBytes - this.#negative.budgetBytes;
    for (const segment of [this.#positive, this.#negative]) this.#makeRoom(segment, 0, this.#clock.now());
  }

  /** What is held for the question, be it fresh or not: first under its own key, then the NXDOMAIN of its name. Counts as use. */
  get(key: CacheKey): Held | null {
    const entry = this.#find(key);
    if (entry === null) {
      this.#misses++;
      return null;
    }
    entry.visited = true;
    entry.hits++;
    this.#segmentOf(entry.outcome).hits++;
    return this.#held(entry);
  }

  /** As `get`, for looks that no client asked for: nothing is counted. */
  peek(key: CacheKey): Held | null {
    const entry = this.#find(key);
    return entry === null ? null : this.#held(entry);
  }

  /**
   * Holds the answer to the question of `key`, which takes the place of what is held there. An NXDOMAIN is held for the whole
   * name; one at the end of an alias, for the question alone.
   */
  put(key: CacheKey, answer: Answer, options: PutOptions): "taken" | Refusal {
    if (!key.startsWith(answer.name)) throw new Error("an answer is put under the key of another name");
    const nowMs = this.#clock.now();
    const outcome = outcomeOf(answer);
    const coming: Coming = {
      key,
      answer,
      outcome,
      isWeak: outcome === "failure" || options.tentative === true,
      scope: scopeOfKey(key),
      limits: options.limits,
      synthesized: options.synthesized ?? false,
      volatile: options.volatile ?? false,
      filterFingerprint: options.filterFingerprint ?? null,
      nowMs,
      storedAtMs: nowMs - (options.ageMs ?? 0),
    };
    const refusal = this.#refusal(coming);
    if (refusal !== null) {
      if (coming.isWeak) this.noteRefreshFailure(key);
      return refusal;
    }
    const visited = this.#supersede(coming);
    return this.#store(coming, visited);
  }

  /**
   * Whether the name is proven to exist: by a positive answer within its TTL, or a NODATA with SOA from upstream that still
   * holds, for the name itself or at the end of an alias. In a CNAME chain ask for its last name.
   */
  provesExistence(name: Name, place: NameScope, limits: LifetimeLimits): boolean {
    return this.#isProven(name, scopeOf(place.class, place.route), limits);
  }

  /** Whether any type of the name is held by a positive answer within its TTL. */
  holdsPositive(name: Name, place: NameScope, limits: LifetimeLimits): boolean {
    const nowMs = this.#clock.now();
    return this.#about(name, scopeOf(place.class, place.route)).some(
      (entry) => entry.answer.name === name && entry.outcome === "positive" && isFresh(entry, limits, nowMs),
    );
  }

  /** Notes on what is held that a refresh of it failed or was slow. A failure that is put and refused does so by itself. */
  noteRefreshFailure(key: CacheKey): void {
    const entry = this.#find(key);
    if (entry !== null) entry.lastRefreshFailureAtMs = this.#clock.now();
  }

  /** Notes on what is held that it was given under limits that let it live until then. Without effect where what was given is not what is held. */
  extendAdvertised(key: CacheKey, given: AnswerOutcome, untilMs: number): void {
    const entry = this.#find(key);
    if (entry?.outcome !== given) return;
    entry.advertisedUntilMs = Math.max(entry.advertisedUntilMs, untilMs);
    entry.uselessAtMs = Math.max(entry.uselessAtMs, untilMs);
  }

  /** Notes on what is held that its renewal begins. What comes of that may be refused, whatever it is. */
  noteRenewal(key: CacheKey): void {
    const entry = this.#find(key);
    if (entry !== null) entry.renewalAtMs = this.#clock.now();
  }

  /** Marks what `get` has just given for the key; to be called before anything else is done with the cache. */
  noteFiltered(key: CacheKey, filterFingerprint: string): void {
    // By the keys alone: what has become useless since would give way to another entry, which nobody judged.
    const entry = this.#byKey.get(key) ?? this.#byKey.get(nxdomainKey(key));
    if (entry !== undefined) entry.filterFingerprint = filterFingerprint;
  }

  /** For a route that has become well again: its failures are dropped, its troubles forgotten. @returns how many entries that were. */
  forgetFailures(route: string): number {
    let count = 0;
    for (const entry of this.#byKey.values()) {
      if (entry.outcome !== "failure" && entry.lastRefreshFailureAtMs === null) continue;
      if (readKey(entry.key).route !== route) continue;
      count++;
      if (entry.outcome === "failure") this.#drop(entry);
      else entry.lastRefreshFailureAtMs = null;
    }
    return count;
  }

  /** Drops what the key itself holds, and the NXDOMAIN of its name. */
  delete(key: CacheKey): void {
    for (const each of [key, nxdomainKey(key)]) {
      const entry = this.#byKey.get(each);
      if (entry !== undefined) this.#drop(entry);
    }
  }

  /** Drops all that is held for the name, on every route; with `subtree`, for the names below it too. @returns how many. */
  flush(name: Name, subtree: boolean): number {
    const candidates = subtree ? [...this.#byKey.values()] : this.#names.about(name);
    const gone = candidates.filter(({ answer }) => (subtree ? isWithin(answer.name, name) : answer.name === name));
    for (const entry of gone) this.#drop(entry);
    return gone.length;
  }

  /** Drops everything that came by this route. */
  dropRoute(route: string): void {
    for (const entry of this.#byKey.values()) if (readKey(entry.key).route === route) this.#drop(entry);
  }

  /** All that is held for the name and may still be used, the oldest first. */
  inspect(name: Name): Inspected[] {
    const nowMs = this.#clock.now();
    return this.#names
      .about(name)
      .filter((entry) => entry.answer.name === name && nowMs < entry.uselessAtMs)
      .map((entry) => this.#inspected(entry, nowMs));
  }

  /** All that may still be used, in no particular order. The cache may be changed meanwhile. */
  *entries(): Generator<Inspected, void, undefined> {
    for (const entry of this.#byKey.values()) {
      const nowMs = this.#clock.now();
      if (nowMs < entry.uselessAtMs) yield this.#inspected(entry, nowMs);
    }
  }

  stats(): CacheStats {
    return {
      hits: this.#positive.hits + this.#negative.hits,
      misses: this.#misses,
      positive: statsOf(this.#positive),
      negative: statsOf(this.#negative),
    };
  }

  #find(key: CacheKey): CacheEntry | null {
    const nowMs = this.#clock.now();
    return this.#useful(key, nowMs) ?? this.#useful(nxdomainKey(key), nowMs);
  }

  #useful(key: CacheKey, nowMs: number): CacheEntry | null {
    const entry = this.#byKey.get(key);
    if (entry === undefined) return null;
    if (nowMs < entry.uselessAtMs) return entry;
    this.#drop(entry);
    return null;
  }

  #refusal(coming: Coming): Refusal | null {
    const { key, answer, outcome, scope, limits, nowMs } = coming;
    if (answer.truncated) return "truncated";
    const entry = this.#find(key);
    if (entry !== null && coming.storedAtMs < nowMs) return "older";
    if (outcome === "positive") return null;
    const fresh = entry !== null && holds(entry, limits, nowMs);
    if (coming.isWeak) {
      if (entry === null || entry.outcome === "failure") return null;
      if (entry.outcome === "positive") return "positive";
      return fresh ? "negative" : null;
    }
    if (fresh && entry.outcome === "positive") return "positive";
    return outcome === "nxdomain" && this.#isProven(answer.chainEnd, scope, limits) ? "exists" : null;
  }

  /** Drops what the coming answer replaces or contradicts. @returns whether what it replaces was in use. */
  #supersede({ key, answer, outcome, scope, synthesized }: Coming): boolean {
    const replaced = this.#byKey.get(key);
    let visited = replaced?.visited ?? false;
    if (replaced !== undefined) this.#drop(replaced);
    if (outcome === "nxdomain") {
      // RFC 8767 §4: it ends the stale life of whatever else the name had.
      for (const entry of this.#about(answer.chainEnd, scope)) if (entry.outcome !== "nxdomain") this.#drop(entry);
    }
    if (outcome === "nxdomain" && answer.chainEnd === answer.name) {
      const held = this.#byKey.get(nxdomainKey(key));
      visited ||= held?.visited ?? false;
      if (held !== undefined) this.#drop(held);
    }
    if (outcome === "positive" || (outcome === "nodata" && !synthesized)) {
      this.#endNxdomain(answer.name, scope);
      if (answer.chainEnd !== answer.name) this.#endNxdomain(answer.chainEnd, scope);
    }
    return visited;
  }

  #endNxdomain(name: Name, scope: string): void {
    for (const entry of this.#about(name, scope)) {
      if (entry.outcome === "nxdomain" && entry.answer.chainEnd === name) this.#drop(entry);
    }
  }

  #store(coming: Coming, visited: boolean): "taken" | Refusal {
    const { answer, outcome, limits, nowMs, storedAtMs } = coming;
    const lifeSeconds = lifetimeSeconds(answer, limits);
    const keepMs = staleKeepMs(coming, this.#stale);
    const advertisedUntilMs = storedAtMs + lifeSeconds * 1000;
    const uselessAtMs = advertisedUntilMs + keepMs;
    if (lifeSeconds <= 0 || uselessAtMs <= nowMs) return "momentary";
    const key = outcome === "nxdomain" && answer.chainEnd === answer.name ? nxdomainKey(coming.key) : coming.key;
    const bytes = entryBytes(key, answer);
    const segment = this.#segmentOf(outcome);
    if (bytes > segment.budgetBytes) return "large";
    this.#thinOut(answer.name, segment);
    this.#makeRoom(segment, bytes, nowMs);
    const entry: CacheEntry = {
      key,
      answer: withoutBytes(answer),
      outcome,
      synthesized: coming.synthesized,
      volatile: coming.volatile,
      storedAtMs,
      advertisedUntilMs,
      uselessAtMs,
      firstBlock: writeAnswer(this.#blocks, answer),
      wireBytes: answer.wire.length,
      ttlCount: answer.ttlOffsets.length,
      bytes,
      hits: 0,
      lastRefreshFailureAtMs: null,
      renewalAtMs: null,
      filterFingerprint: coming.filterFingerprint,
      visited,
      older: null,
      newer: null,
    };
    this.#byKey.set(key, entry);
    this.#names.add(entry);
    segment.add(entry);
    return "taken";
  }

  #makeRoom(segment: Segment, bytes: number, nowMs: number): void {
    while (segment.bytes + bytes > segment.budgetBytes) {
      const victim = segment.victim(nowMs);
      if (victim === null) return;
      if (nowMs < victim.uselessAtMs) segment.evictions++;
      this.#drop(victim);
    }
  }

  /** Keeps the entries of one name few, so that a client asking for type after type cannot make looking at them long. */
  #thinOut(name: Name, segment: Segment): void {
    if (this.#names.about(name).length < MAX_ENTRIES_PER_NAME) return;
    const own = this.#names
      .about(name)
      .filter((entry) => entry.answer.name === name && this.#segmentOf(entry.outcome) === segment);
    const [oldest] = own;
    if (oldest === undefined || own.length < MAX_ENTRIES_PER_NAME) return;
    segment.evictions++;
    this.#drop(oldest);
  }

  #isProven(name: Name, scope: string, limits: LifetimeLimits): boolean {
    const nowMs = this.#clock.now();
    return this.#about(name, scope).some(
      (entry) =>
        (entry.outcome === "positive" || (entry.outcome === "nodata" && !entry.synthesized)) && holds(entry, limits, nowMs),
    );
  }

  /** A copy, so that its entries may be dropped one by one. */
  #about(name: Name, scope: string): CacheEntry[] {
    return this.#names.about(name).filter(({ key }) => scopeOfKey(key) === scope);
  }

  #drop(entry: CacheEntry): void {
    this.#byKey.delete(entry.key);
    this.#names.remove(entry);
    this.#segmentOf(entry.outcome).remove(entry);
    this.#blocks.free(entry.firstBlock);
  }

  #segmentOf(outcome: AnswerOutcome): Segment {
    return outcome === "positive" ? this.#positive : this.#negative;
  }

  #held(entry: CacheEntry): Held {
    const { storedAtMs, advertisedUntilMs, hits, volatile, synthesized, lastRefreshFailureAtMs, renewalAtMs, filterFingerprint } =
      entry;
    const answer = readAnswer(this.#blocks, entry);
    return {
      answer,
      storedAtMs,
      advertisedUntilMs,
      hits,
      volatile,
      synthesized,
      lastRefreshFailureAtMs,
      renewalAtMs,
      filterFingerprint,
    };
  }

  #inspected(entry: CacheEntry, nowMs: number): Inspected {
    return {
      key: entry.key,
      parts: readKey(entry.key),
      outcome: entry.outcome,
      held: this.#held(entry),
      storedWallMs: this.#clock.wallMs() - (nowMs - entry.storedAtMs),
      bytes: entry.bytes,
    };
  }
}

/** An answer on its way in. */
interface Coming {
  readonly key: CacheKey;
  readonly answer: Answer;
  readonly outcome: AnswerOutcome;
  /** A failure, or a guess. */
  readonly isWeak: boolean;
  readonly scope: string;
  readonly limits: LifetimeLimits;
  readonly synthesized: boolean;
  readonly volatile: boolean;
  readonly filterFingerprint: string | null;
  readonly nowMs: number;
  /** Earlier than now where the answer was kept elsewhere. */
  readonly storedAtMs: number;
}

/** The part of the budget that negatives have, and never more: a flood of random names displaces no positive answer. */
const NEGATIVE_SHARE = 1 / 8;

/** Entries of one name in one segment; types, routes, DO, CD and subnets all count. */
const MAX_ENTRIES_PER_NAME = 256;

/** Whether it is within its TTL for whoever asks now, or for anybody it was given to under other limits. */
function holds(entry: CacheEntry, limits: LifetimeLimits, nowMs: number): boolean {
  return nowMs < entry.advertisedUntilMs || isFresh(entry, limits, nowMs);
}

function statsOf({ entries, bytes, budgetBytes, hits, evictions }: Segment): SegmentStats {
  return { entries, bytes, budgetBytes, hits, evictions };
}

/**
 * Which entries speak of a name: those held under it, and those whose aliases end at it (RFC 2308 §2.1). The oldest come first.
 */
class NameIndex {
  readonly #byName = new Map<Name, readonly CacheEntry[]>();

  about(name: Name): readonly CacheEntry[] {
    return this.#byName.get(name) ?? NO_ENTRIES;
  }

  add(entry: CacheEntry): void {
    const { name, chainEnd } = entry.answer;
    this.#put(name, this.about(name).concat(entry));
    if (chainEnd !== name) this.#put(chainEnd, withRoom(this.about(chainEnd), chainEnd).concat(entry));
  }

  remove(entry: CacheEntry): void {
    const { name, chainEnd } = entry.answer;
    this.#take(name, entry);
    if (chainEnd !== name) this.#take(chainEnd, entry);
  }

  #take(name: Name, entry: CacheEntry): void {
    this.#put(
      name,
      this.about(name).filter((each) => each !== entry),
    );
  }

  // Lists are made anew, at their exact length: one that grows by `push` or a spread has room for sixteen more, which few will need.
  #put(name: Name, list: readonly CacheEntry[]): void {
    if (list.length === 0) this.#byName.delete(name);
    else this.#byName.set(name, list);
  }
}

/**
 * How many entries of other names are remembered at the name where their aliases end. Thousands of names may end at one server
 * of a CDN, and each of the first few proves its existence as well as all of them.
 */
const MAX_ALIASED = 64;

const NO_ENTRIES: readonly CacheEntry[] = [];

function withRoom(list: readonly CacheEntry[], name: Name): readonly CacheEntry[] {
  if (list.length < MAX_ALIASED) return list;
  const oldest = list.findIndex(({ answer }) => answer.name !== name);
  return list.filter((_, index) => index !== oldest);
}
