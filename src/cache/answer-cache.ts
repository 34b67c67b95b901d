/**
 * The answer cache; the door of `cache/`. `resolve/` looks answers up and puts them in, `server/` owns the cache and its file, `control/` inspects it.
 *
 * - `answer-cache.ts`: the laws of what replaces what, and the index of names
 * - `key.ts`: what an answer is held under; `entry.ts`: what is noted about it; `lifetime.ts`: how long it is fresh, stale, to be renewed
 * - `eviction.ts`: which entry makes room; `blocks.ts`: the memory of the bytes; `cache-file.ts`: the file across restarts
 */

import { type Answer, type AnswerOutcome, outcomeOf } from "../dns/answer.ts";
import { HashedMap } from "../dns/hashed-map.ts";
import { isWithin, type Name } from "../dns/name.ts";
import type { Clock } from "../lib/clock.ts";
import { BlockStore } from "./blocks.ts";
import {
  type CacheEntry,
  type CacheStats,
  type EntryCopies,
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
 * Answers as upstream gave them, by key. Three laws hold, whatever is put and in whatever order:
 * - A name that exists in any type has no NXDOMAIN. While existence is proven an NXDOMAIN is refused; a proof drops an NXDOMAIN that is held.
 * - A negative never replaces a positive within its TTL. After the TTL it does, and an NXDOMAIN then replaces all positives of the name.
 * - A failure, or a tentative negative, never replaces a positive or a fresh negative.
 *
 * How fresh an answer is depends on the rule of the query: callers ask `freshness` at each hit.
 */
export class AnswerCache {
  /** Told of what becomes of entries; null = nobody repeats answers. */
  copies: EntryCopies | null = null;
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

  /** Applies other options. Entries beyond a smaller budget are evicted; the others keep the stale life that they were put with. */
  configure({ sizeBytes, stale }: CacheOptions): void {
    this.#stale = stale;
    this.#negative.budgetBytes = Math.floor(sizeBytes * NEGATIVE_SHARE);
    this.#positive.budgetBytes = sizeBytes - this.#negative.budgetBytes;
    for (const segment of [this.#positive, this.#negative]) this.#makeRoom(segment, 0, this.#clock.now());
  }

  /** The answer to a question, fresh or not: the entry of the key, else the NXDOMAIN of the name. Counts as use. */
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

  /** The same as `get` for look-ups that no client caused: nothing is counted. */
  peek(key: CacheKey): Held | null {
    const entry = this.#find(key);
    return entry === null ? null : this.#held(entry);
  }

  /** Whether this is still what the cache holds: `Held.entry`. */
  isHeld(entry: CacheEntry): boolean {
    return this.#byKey.get(entry.key) === entry;
  }

  /** Counts uses of an entry that the cache was not asked for. */
  noteUses(entry: CacheEntry, uses: number): void {
    entry.visited = true;
    entry.hits += uses;
    this.#segmentOf(entry.outcome).hits += uses;
  }

  /**
   * Stores the answer to the question of `key` in place of the entry there. An NXDOMAIN is stored for the whole name; an NXDOMAIN at the end of
   * an alias, for the question alone.
   */
  put(key: CacheKey, answer: Answer, options: PutOptions): "taken" | Refusal {
    if (!key.startsWith(answer.name)) throw new Error("an answer is put under the key of another name");
    const nowMs = this.#clock.now();
    const outcome = outcomeOf(answer);
    const incoming: IncomingAnswer = {
      key,
      answer,
      outcome,
      isWeak: outcome === "failure" || options.tentative === true,
      limits: options.limits,
      synthesized: options.synthesized ?? false,
      volatile: options.volatile ?? false,
      filterFingerprint: options.filterFingerprint ?? null,
      nowMs,
      storedAtMs: nowMs - (options.ageMs ?? 0),
    };
    // Of most names nothing is held: then nothing refuses the answer, and nothing is replaced by it.
    const isAlone = answer.chainEnd === answer.name && this.#names.about(answer.name).length === 0;
    if (isAlone && !answer.truncated) return this.#store(incoming, NO_INHERITANCE);
    const scope = scopeOfKey(key);
    const refusal = this.#refusal(incoming, scope);
    if (refusal !== null) {
      if (incoming.isWeak) this.noteRefreshFailure(key);
      return refusal;
    }
    return this.#store(incoming, this.#supersede(incoming, scope));
  }

  /**
   * Whether the name is proven to exist: by a positive answer within its TTL, or by a fresh NODATA with SOA from upstream, for the name itself or
   * for an alias that ends at it. In a CNAME chain ask for the last name.
   */
  provesExistence(name: Name, place: NameScope, limits: LifetimeLimits): boolean {
    return this.#isProven(name, scopeOf(place.class, place.route), limits);
  }

  /** Whether a positive answer within its TTL is held for any type of the name. */
  holdsPositive(name: Name, place: NameScope, limits: LifetimeLimits): boolean {
    const nowMs = this.#clock.now();
    return this.#about(name, scopeOf(place.class, place.route)).some(
      (entry) => entry.answer.name === name && entry.outcome === "positive" && isFresh(entry, limits, nowMs),
    );
  }

  /** Notes that a refresh failed or was slow. `put` itself notes this for a failure that it refuses. */
  noteRefreshFailure(key: CacheKey): void {
    const entry = this.#find(key);
    if (entry !== null) entry.lastRefreshFailureAtMs = this.#clock.now();
  }

  /** Notes that clients were told a TTL that ends at `untilMs`. No effect if an answer of another outcome is held by now. */
  extendAdvertised(key: CacheKey, given: AnswerOutcome, untilMs: number): void {
    const entry = this.#find(key);
    if (entry?.outcome !== given) return;
    entry.advertisedUntilMs = Math.max(entry.advertisedUntilMs, untilMs);
    entry.uselessAtMs = Math.max(entry.uselessAtMs, untilMs);
  }

  /** Notes that a renewal begins. The answer that it brings may still be refused. */
  noteRenewal(key: CacheKey): void {
    const entry = this.#find(key);
    if (entry !== null) entry.renewalAtMs = this.#clock.now();
  }

  /** Notes which filters the answer passed that `get` has just given. To be called before any other call to the cache. */
  noteFiltered(key: CacheKey, filterFingerprint: string): void {
    // Not by `#find`: if the entry has become useless since, `#find` would drop it and return the NXDOMAIN of the name, which was not filtered.
    const entry = this.#byKey.get(key) ?? this.#byKey.get(nxdomainKey(key));
    if (entry !== undefined) entry.filterFingerprint = filterFingerprint;
  }

  /** For a route that has recovered: drops its failures, and forgets the failed refreshes of its other answers. */
  forgetFailures(route: string): void {
    for (const entry of this.#byKey.values()) {
      if (entry.outcome !== "failure" && entry.lastRefreshFailureAtMs === null) continue;
      if (readKey(entry.key).route !== route) continue;
      if (entry.outcome === "failure") this.#drop(entry);
      else entry.lastRefreshFailureAtMs = null;
    }
  }

  /** Drops the entry of the key, and the NXDOMAIN of its name. */
  delete(key: CacheKey): void {
    for (const each of [key, nxdomainKey(key)]) {
      const entry = this.#byKey.get(each);
      if (entry !== undefined) this.#drop(entry);
    }
  }

  /** Drops all entries of the name, on every route; with `subtree` also those of the names below. @returns how many. */
  flush(name: Name, subtree: boolean): number {
    const candidates = subtree ? [...this.#byKey.values()] : this.#names.about(name);
    const gone = candidates.filter(({ answer }) => (subtree ? isWithin(answer.name, name) : answer.name === name));
    for (const entry of gone) this.#drop(entry);
    return gone.length;
  }

  /** Drops all entries of a route. */
  dropRoute(route: string): void {
    for (const entry of this.#byKey.values()) if (readKey(entry.key).route === route) this.#drop(entry);
  }

  /** The useful entries of the name, the oldest first. */
  inspect(name: Name): Inspected[] {
    const nowMs = this.#clock.now();
    return this.#names
      .about(name)
      .filter((entry) => entry.answer.name === name && nowMs < entry.uselessAtMs)
      .map((entry) => this.#inspected(entry, nowMs));
  }

  /** All useful entries, in no particular order. The cache may be changed between two of them. */
  *entries(): Generator<Inspected, void, undefined> {
    for (const entry of this.#byKey.values()) {
      const nowMs = this.#clock.now();
      if (nowMs < entry.uselessAtMs) yield this.#inspected(entry, nowMs);
    }
  }

  stats(): CacheStats {
    this.copies?.settleAll();
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

  #refusal(incoming: IncomingAnswer, scope: string): Refusal | null {
    const { key, answer, outcome, limits, nowMs } = incoming;
    if (answer.truncated) return "truncated";
    const entry = this.#find(key);
    if (entry !== null && incoming.storedAtMs < nowMs) return "older";
    if (outcome === "positive") return null;
    const fresh = entry !== null && holds(entry, limits, nowMs);
    if (incoming.isWeak) {
      if (entry === null || entry.outcome === "failure") return null;
      if (entry.outcome === "positive") return "positive";
      return fresh ? "negative" : null;
    }
    if (fresh && entry.outcome === "positive") return "positive";
    return outcome === "nxdomain" && this.#isProven(answer.chainEnd, scope, limits) ? "exists" : null;
  }

  /** Drops the entries that the new answer replaces or contradicts. */
  #supersede({ key, answer, outcome, synthesized }: IncomingAnswer, scope: string): Inheritance {
    const replaced = this.#byKey.get(key);
    let visited = replaced?.visited ?? false;
    const isRenewal = outcome === "positive" && replaced?.outcome === "positive";
    const advertisedUntilMs = isRenewal ? replaced.advertisedUntilMs : Number.NEGATIVE_INFINITY;
    if (replaced !== undefined) this.#drop(replaced);
    if (outcome === "nxdomain") {
      // RFC 8767 §4: an NXDOMAIN ends the stale life of all other answers of the name.
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
    return { visited, advertisedUntilMs };
  }

  #endNxdomain(name: Name, scope: string): void {
    for (const entry of this.#about(name, scope)) {
      if (entry.outcome === "nxdomain" && entry.answer.chainEnd === name) this.#drop(entry);
    }
  }

  #store(incoming: IncomingAnswer, { visited, advertisedUntilMs: inheritedUntilMs }: Inheritance): "taken" | Refusal {
    const { answer, outcome, limits, nowMs, storedAtMs } = incoming;
    const lifeSeconds = lifetimeSeconds(answer, limits);
    const keepMs = staleKeepMs(incoming, this.#stale);
    // Clients with longer limits were told more than the client that this answer was fetched for.
    const expiresAtMs = storedAtMs + lifeSeconds * 1000;
    const advertisedUntilMs = Math.max(expiresAtMs, inheritedUntilMs);
    const uselessAtMs = Math.max(expiresAtMs + keepMs, advertisedUntilMs);
    if (lifeSeconds <= 0 || uselessAtMs <= nowMs) return "momentary";
    const key = outcome === "nxdomain" && answer.chainEnd === answer.name ? nxdomainKey(incoming.key) : incoming.key;
    const bytes = entryBytes(key, answer);
    const segment = this.#segmentOf(outcome);
    if (bytes > segment.budgetBytes) return "large";
    this.#thinOut(answer.name, segment);
    this.#makeRoom(segment, bytes, nowMs);
    const entry: CacheEntry = {
      key,
      answer: withoutBytes(answer),
      outcome,
      synthesized: incoming.synthesized,
      volatile: incoming.volatile,
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
      filterFingerprint: incoming.filterFingerprint,
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
      const victim = segment.victim(nowMs, this.copies);
      if (victim === null) return;
      if (nowMs < victim.uselessAtMs) segment.evictions++;
      this.#drop(victim);
    }
  }

  /** Bounds the entries of one name: a client that asks for type after type must not make every walk over them slow. */
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

  /** The entries about a name in one scope. A copy: callers drop entries while they walk over it. */
  #about(name: Name, scope: string): CacheEntry[] {
    return this.#names.about(name).filter(({ key }) => scopeOfKey(key) === scope);
  }

  #drop(entry: CacheEntry): void {
    this.copies?.withdraw(entry);
    this.#byKey.delete(entry.key);
    this.#names.remove(entry);
    this.#segmentOf(entry.outcome).remove(entry);
    this.#blocks.free(entry.firstBlock);
  }

  #segmentOf(outcome: AnswerOutcome): Segment {
    return outcome === "positive" ? this.#positive : this.#negative;
  }

  #held(entry: CacheEntry): Held {
    this.copies?.settle(entry);
    const { storedAtMs, advertisedUntilMs, hits, volatile, synthesized, lastRefreshFailureAtMs, renewalAtMs, filterFingerprint } =
      entry;
    const answer = readAnswer(this.#blocks, entry);
    return {
      entry,
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

/** An answer that is being put. */
interface IncomingAnswer extends Pick<CacheEntry, "key" | "outcome" | "synthesized" | "volatile"> {
  readonly answer: Answer;
  /** Whether it is a failure or tentative. */
  readonly isWeak: boolean;
  readonly limits: LifetimeLimits;
  readonly filterFingerprint: string | null;
  readonly nowMs: number;
  /** Earlier than now for an answer from the file. */
  readonly storedAtMs: number;
}

/** What an entry takes over from those that it replaces. */
interface Inheritance {
  /** Whether one of them was in use. */
  readonly visited: boolean;
  /** See `CacheEntry`: of a positive answer in whose place another comes. */
  readonly advertisedUntilMs: number;
}

const NO_INHERITANCE: Inheritance = { visited: false, advertisedUntilMs: Number.NEGATIVE_INFINITY };

/** The share of the budget for negatives: a flood of random names evicts no positive answer. */
const NEGATIVE_SHARE = 1 / 8;

/** Entries of one name in one segment, over all types, routes, subnets, DO and CD. */
const MAX_ENTRIES_PER_NAME = 256;

/** Whether the entry is within its TTL under these limits, or under those of any client that was given the answer. */
function holds(entry: CacheEntry, limits: LifetimeLimits, nowMs: number): boolean {
  return nowMs < entry.advertisedUntilMs || isFresh(entry, limits, nowMs);
}

function statsOf({ entries, bytes, budgetBytes, hits, evictions }: Segment): SegmentStats {
  return { entries, bytes, budgetBytes, hits, evictions };
}

/** The entries about a name: those stored under it, and those whose aliases end at it (RFC 2308 §2.1). The oldest come first. */
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

  // Every list is a new array of its exact length: an array that grows by `push` or a spread reserves sixteen more slots.
  #put(name: Name, list: readonly CacheEntry[]): void {
    if (list.length === 0) this.#byName.delete(name);
    else this.#byName.set(name, list);
  }
}

/**
 * Entries of other names that are indexed at the name where their aliases end. The aliases of thousands of names may end at one server of a
 * CDN, and a few of them prove its existence as well as all.
 */
const MAX_ALIASED = 64;

const NO_ENTRIES: readonly CacheEntry[] = [];

function withRoom(list: readonly CacheEntry[], name: Name): readonly CacheEntry[] {
  if (list.length < MAX_ALIASED) return list;
  const oldest = list.findIndex(({ answer }) => answer.name !== name);
  return list.filter((_, index) => index !== oldest);
}
