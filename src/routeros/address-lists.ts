import { hostname } from "node:os";
import { LRUCache } from "lru-cache";
import { AddressSet, addressText, privateAddresses } from "../dns/address.ts";
import { type Answer, addressesOf } from "../dns/answer.ts";
import { nameText } from "../dns/name.ts";
import type { Clock, Timer } from "../lib/clock.ts";
import { awaitWithin } from "../lib/deadline.ts";
import { type OperationsLog, throttle } from "../log/operations.ts";
import type { AddressListOptions } from "./options.ts";
import { RouterRefusal, type RouterRest, textIn } from "./rest.ts";

/** An answer that is about to be sent. */
interface SeenAnswer {
  /** The rule that decided. */
  readonly rule: string;
  readonly answer: Answer;
  /** The lowest TTL that is sent. */
  readonly ttlSeconds: number;
  /** Until when the reply may wait, on the scale of `Clock.now`; null = it goes at once. */
  readonly untilMs: number | null;
}

interface FeederOptions {
  readonly addressLists: readonly AddressListOptions[];
  readonly holdMs: number;
  /** Whether the router is told nothing. */
  readonly dryRun: boolean;
}

interface FeederParts {
  readonly clock: Clock;
  readonly log: OperationsLog;
  /** Is told that the router does not have entries that it had. Must not throw. */
  readonly onLoss: () => void;
  readonly rest: Pick<RouterRest, "call" | "close">;
}

/** How an entry fared, and how many did. `late`: replies that were sent before their entries were there; `held`: those that waited. */
const RESULTS = ["added", "refreshed", "present", "failed", "dropped", "held", "late"] as const;

export type FeederCounts = Readonly<Record<(typeof RESULTS)[number], number>>;

export interface FeederStatus {
  readonly dryRun: boolean;
  /** Why the router takes no entries; null = it takes them. */
  readonly problem: string | null;
  readonly queued: number;
  readonly counts: FeederCounts;
  readonly lists: readonly { readonly list: string; readonly rules: readonly string[]; readonly entries: number }[];
}

/** One address in one list. */
interface Entry {
  readonly list: string;
  readonly address: string;
  readonly name: string;
  /** The router's id; null = not known, or somebody else's. */
  id: string | null;
  /** Until when the router has the entry, as far as is known; 0 = it has not. */
  endsMs: number;
  /** For how long it is wanted from the last sight on. */
  timeoutMs: number;
  seenMs: number;
  pushedMs: number;
  readonly waiting: (() => void)[];
}

/** Entries of one list; of more the one not seen for longest is left to expire. The hAP lite is in trouble from here on. */
const MAX_ENTRIES = 5000;

const MAX_QUEUED = 2000;

/** What the router's cache may do: it shows a name again only when the TTL is over. */
const MIN_TTL_SECONDS = 60;
const MAX_TTL_SECONDS = 86_400;
const MARGIN_MS = 15 * 60_000;

/** How long before the end of an entry its address is last given without being noted. Entries that are asked for are renewed by then: at a third of 16 minutes or more. */
const REPEAT_MARGIN_MS = 5 * 60_000;

const TICK_MS = 5_000;

/** An entry that is asked for so shortly before its end is renewed at once, not at the next tick: the router may count a second less than we do. */
const ENDING_MS = 2 * TICK_MS;

const UPTIME_MS = 60_000;
const VERIFY_MS = 600_000;

/** The router counts in seconds, by a clock of its own. */
const CLOCK_TOLERANCE_MS = 5_000;

/** Entries that are put back, as after a reboot: 20 a second. */
const AGAIN_MS = 50;

/** Ids in one call. */
const MAX_IDS = 100;

const RETRY_MS = { first: 5_000, most: 60_000 };

/** Addresses that are in no list: private ones, none, fake-ip ranges, multicast. */
const NEVER = new AddressSet([
  ...privateAddresses.ranges(),
  ...AddressSet.of("0.0.0.0/8", "::", "198.18.0.0/15", "28.0.0.0/8", "224.0.0.0/3", "ff00::/8").ranges(),
]);

/**
 * Puts the addresses of answers into address lists of the router, before the reply is sent where that takes no longer than `holdMs`. Entries end by
 * themselves; what is still asked for is renewed at two thirds of its time. After a reboot of the router the living entries are put back.
 */
export class AddressListFeeder {
  readonly #options: FeederOptions;
  readonly #parts: FeederParts;
  readonly #lists: ReadonlyMap<string, readonly string[]>;
  readonly #entries: ReadonlyMap<string, LRUCache<string, Entry>>;
  /** First sights; they go before `#renewals`. */
  readonly #firsts = new Set<Entry>();
  readonly #renewals = new Set<Entry>();
  readonly #counts: Record<keyof FeederCounts, number>;
  readonly #warn: (kind: string, details: object) => void;
  readonly #owner = `fenliu;${hostname().replace(/[^\x21-\x7e]|;/g, "-")};`;
  /** null = the router takes entries. At the start nothing is known. */
  #problem: string | null = "it has not been asked yet";
  /** Whether the last entry was refused or not taken: only another try of that tells more. */
  #isWriteRefused = false;
  #retryMs = RETRY_MS.first;
  #retryAtMs = 0;
  /** When the router was started at the latest, on the scale of `Clock.now`; null = it has not been asked. */
  #startedMs: number | null = null;
  #uptimeDueMs = 0;
  #verifyDueMs = 0;
  #verified = 0;
  /** When the next entry may be put back. */
  #againAtMs = 0;
  #timer: Timer | null = null;
  #running: Promise<void> | null = null;
  /** Whether something was queued since the work last looked. */
  #hasMore = false;
  #isClosed = false;

  constructor(options: FeederOptions, parts: FeederParts) {
    this.#options = options;
    this.#parts = parts;
    this.#warn = throttle(parts.clock.now, (kind, details) => parts.log.warn(details, kind));
    this.#lists = Map.groupBy(options.addressLists, ({ rule }) => rule)
      .entries()
      .reduce((lists, [rule, each]) => lists.set(rule, [...new Set(each.map(({ list }) => list))]), new Map<string, string[]>());
    this.#entries = new Map(options.addressLists.map(({ list }) => [list, new LRUCache<string, Entry>({ max: MAX_ENTRIES })]));
    this.#counts = Object.fromEntries(RESULTS.map((result) => [result, 0])) as Record<keyof FeederCounts, number>;
    this.#tick();
  }

  /**
   * Notes an answer. Entries that the router does not have yet are queued.
   * @returns null = the reply goes at once; else whether the router has all the addresses, as soon as it has or the time is over. Never rejects.
   */
  see({ rule, answer, ttlSeconds, untilMs }: SeenAnswer): Promise<boolean> | null {
    const lists = this.#lists.get(rule);
    if (lists === undefined) return null;
    const nowMs = this.#parts.clock.now();
    const timeoutMs = Math.min(Math.max(ttlSeconds, MIN_TTL_SECONDS), MAX_TTL_SECONDS) * 1000 + MARGIN_MS;
    const missing: Entry[] = [];
    for (const bytes of addressesOf(answer)) {
      if (NEVER.has(bytes)) continue;
      const address = addressText(bytes);
      for (const list of lists) {
        const entry = this.#note(list, address, answer, { nowMs, timeoutMs });
        if (entry.endsMs <= nowMs && this.#firsts.has(entry)) missing.push(entry);
      }
    }
    if (this.#firsts.size > 0) this.#run();
    if (missing.length === 0) return null;
    if (untilMs === null || this.#problem !== null) return null;
    const waitMs = Math.min(this.#options.holdMs, untilMs - nowMs);
    return waitMs <= 0 ? null : this.#hold(missing, waitMs);
  }

  /**
   * Until when an answer that was just noted may be given again without being noted, on the scale of `Clock.now`: the router has all its addresses until
   * later than that, and keeps them for as long as the answer lives. In the past or now = it must be noted each time.
   */
  repeatableUntilMs(rule: string, answer: Answer): number {
    let untilMs = Number.POSITIVE_INFINITY;
    for (const bytes of addressesOf(answer)) {
      if (NEVER.has(bytes)) continue;
      const address = addressText(bytes);
      for (const list of this.#lists.get(rule) ?? []) {
        const endsMs = this.#entries.get(list)?.peek(address)?.endsMs ?? 0;
        untilMs = Math.min(untilMs, endsMs - REPEAT_MARGIN_MS);
      }
    }
    return untilMs;
  }

  status(): FeederStatus {
    const rulesOf = (wanted: string) => [...this.#lists].flatMap(([rule, lists]) => (lists.includes(wanted) ? [rule] : []));
    return {
      dryRun: this.#options.dryRun,
      problem: this.#problem,
      queued: this.#firsts.size + this.#renewals.size,
      counts: { ...this.#counts },
      lists: [...this.#entries].map(([list, entries]) => ({ list, rules: rulesOf(list), entries: entries.size })),
    };
  }

  /** Entries are left to expire. May be called again. */
  async close(): Promise<void> {
    this.#isClosed = true;
    this.#timer?.cancel();
    for (const entry of this.#firsts) release(entry);
    this.#parts.rest.close();
    await this.#running;
  }

  #note(
    list: string,
    address: string,
    { name }: Pick<Answer, "name">,
    { nowMs, timeoutMs }: { readonly nowMs: number; readonly timeoutMs: number },
  ): Entry {
    const entries = this.#entries.get(list);
    const known = entries?.get(address);
    if (known !== undefined) {
      // An earlier sight with a longer TTL may last longer than this one.
      if (nowMs + timeoutMs >= known.seenMs + known.timeoutMs) {
        known.seenMs = nowMs;
        known.timeoutMs = timeoutMs;
      }
      if (known.endsMs <= nowMs + ENDING_MS) this.#queueFirst(known);
      return known;
    }
    const entry = {
      list,
      address,
      name: asciiOf(nameText(name)),
      id: null,
      endsMs: 0,
      timeoutMs,
      seenMs: nowMs,
      pushedMs: 0,
      waiting: [],
    };
    entries?.set(address, entry);
    this.#queueFirst(entry);
    return entry;
  }

  /** Where the queue is full a renewal gives way, else the entry: its next sight tries again. */
  #queueFirst(entry: Entry): void {
    if (this.#firsts.has(entry)) return;
    this.#renewals.delete(entry);
    const [renewal] = this.#renewals;
    if (this.#firsts.size + this.#renewals.size >= MAX_QUEUED) {
      this.#counts.dropped++;
      if (renewal === undefined) return;
      this.#renewals.delete(renewal);
    }
    this.#firsts.add(entry);
  }

  async #hold(missing: readonly Entry[], waitMs: number): Promise<boolean> {
    const { clock } = this.#parts;
    this.#counts.held++;
    const arrivals = missing.map((entry) => new Promise<void>((resolve) => void entry.waiting.push(resolve)));
    await awaitWithin(clock, waitMs, Promise.all(arrivals));
    const nowMs = clock.now();
    const isThere = missing.every(({ endsMs }) => endsMs > nowMs);
    if (!isThere) this.#counts.late++;
    return isThere;
  }

  /** Queues what is to be renewed or put back, forgets what is over, and goes on working. */
  readonly #tick = (): void => {
    if (this.#isClosed) return;
    const nowMs = this.#parts.clock.now();
    for (const entries of this.#entries.values()) {
      for (const [address, entry] of entries.entries()) {
        const isWanted = entry.seenMs + entry.timeoutMs > nowMs;
        if (!isWanted && entry.endsMs <= nowMs) entries.delete(address);
        else if (this.#isDue(entry, nowMs) && this.#firsts.size + this.#renewals.size < MAX_QUEUED && !this.#firsts.has(entry))
          this.#renewals.add(entry);
      }
    }
    this.#run();
    this.#timer = this.#parts.clock.setTimer(this.#tick, TICK_MS);
  };

  #isDue({ endsMs, timeoutMs, seenMs, pushedMs }: Entry, nowMs: number): boolean {
    if (endsMs <= nowMs) return true;
    return seenMs > pushedMs && endsMs - nowMs < timeoutMs / 3;
  }

  #run(): void {
    this.#hasMore = true;
    this.#running ??= this.#work().finally(() => {
      this.#running = null;
      if (this.#hasMore && !this.#isClosed) this.#run();
    });
  }

  /** One call after the other until nothing is left to do, or the router takes no calls. */
  async #work(): Promise<void> {
    const { clock } = this.#parts;
    while (!this.#isClosed) {
      this.#hasMore = false;
      if (this.#problem !== null && clock.now() < this.#retryAtMs) return;
      const task = this.#nextTask();
      if (task === null) return;
      try {
        await task.run();
        if (this.#problem !== null) this.#close();
      } catch (error) {
        if (!(error instanceof RouterRefusal)) throw error;
        if (error.isOutage) this.#open(error.message, task.writes);
        else this.#warn("routeros: the router refuses to show its lists", { reason: error.message });
      }
    }
  }

  /** What comes next: first sights, then checks, then renewals. While the router is away, only what tells whether it is back. */
  #nextTask(): { readonly run: () => Promise<void>; readonly writes: boolean } | null {
    const nowMs = this.#parts.clock.now();
    const [first] = this.#firsts;
    if (first !== undefined) return { run: () => this.#add(first), writes: true };
    const looksAtAll = !this.#options.dryRun && !this.#isWriteRefused;
    if (looksAtAll && this.#uptimeDueMs <= nowMs) return { run: () => this.#readUptime(), writes: false };
    if (looksAtAll && this.#verifyDueMs <= nowMs) return { run: () => this.#verifyNext(), writes: false };
    const [renewal] = this.#renewals;
    if (renewal === undefined) return null;
    if (renewal.id !== null) return { run: () => this.#renew(renewal), writes: true };
    if (nowMs < this.#againAtMs) {
      this.#parts.clock.setTimer(() => this.#run(), this.#againAtMs - nowMs);
      return null;
    }
    this.#againAtMs = nowMs + AGAIN_MS;
    return { run: () => this.#add(renewal), writes: true };
  }

  /** No reply waits for the router any more. */
  #open(problem: string, isWrite: boolean): void {
    const { clock } = this.#parts;
    this.#warn("routeros: the router takes no entries; answers go on without them", { reason: problem });
    this.#problem = problem;
    this.#isWriteRefused = isWrite;
    this.#retryAtMs = clock.now() + this.#retryMs;
    this.#retryMs = Math.min(this.#retryMs * 2, RETRY_MS.most);
    for (const entry of this.#firsts) release(entry);
  }

  #close(): void {
    this.#parts.log.info({ dryRun: this.#options.dryRun }, "routeros: the router takes entries");
    this.#problem = null;
    this.#isWriteRefused = false;
    this.#retryMs = RETRY_MS.first;
  }

  async #write(path: string, body: Readonly<Record<string, unknown>>): Promise<unknown> {
    if (!this.#options.dryRun) return await this.#parts.rest.call("POST", path, body);
    this.#parts.log.debug({ path, ...body }, "routeros: dry run");
    return null;
  }

  async #add(entry: Entry, mayTryAgain = true): Promise<void> {
    const { list, address, name, timeoutMs } = entry;
    const body = { list, address: writtenAddress(address), timeout: timeoutText(timeoutMs), comment: this.#owner + name };
    try {
      const reply = await this.#write(`${menuOf(address)}/add`, body);
      this.#counts.added++;
      this.#confirm(entry, textIn(reply, "ret"), timeoutMs);
    } catch (error) {
      if (!(error instanceof RouterRefusal) || error.isOutage) throw error;
      if (/already have such entry/.test(error.message)) await this.#adopt(entry, mayTryAgain);
      else this.#fail(entry, error.message);
    }
  }

  /**
   * The list has the address already: our own entry is renewed, and that of somebody else is left as it is. One that has gone since then, by its end or
   * by a restart, is added.
   */
  async #adopt(entry: Entry, mayTryAgain: boolean): Promise<void> {
    const query = [`list=${entry.list}`, `address=${writtenAddress(entry.address)}`];
    const [row] = await this.#print(menuOf(entry.address), query);
    if (row !== undefined && !row.comment.startsWith(this.#owner)) {
      this.#counts.present++;
      // Tried again when it ends; an entry without an end, when ours would have been renewed.
      this.#confirm(entry, null, row.timeoutMs ?? entry.timeoutMs);
      return;
    }
    if (row !== undefined) {
      entry.id = row.id;
      if (await this.#extend([entry])) return;
    }
    if (mayTryAgain) await this.#add(entry, false);
    else this.#fail(entry, "the router says that it has the entry, and neither shows nor renews it");
  }

  #fail(entry: Entry, reason: string): void {
    this.#counts.failed++;
    this.#warn("routeros: the router refuses an entry", { list: entry.list, address: entry.address, reason });
    this.#entries.get(entry.list)?.delete(entry.address);
    this.#leaveQueue(entry);
  }

  #confirm(entry: Entry, id: string | null, lifeMs: number): void {
    const nowMs = this.#parts.clock.now();
    entry.id = id;
    entry.pushedMs = nowMs;
    entry.endsMs = nowMs + lifeMs;
    this.#leaveQueue(entry);
  }

  #leaveQueue(entry: Entry): void {
    this.#firsts.delete(entry);
    this.#renewals.delete(entry);
    release(entry);
  }

  /** Renews this entry, and with it others that are due for as long. */
  async #renew(first: Entry): Promise<void> {
    const isAlike = (entry: Entry) =>
      entry.id !== null && entry.timeoutMs === first.timeoutMs && menuOf(entry.address) === menuOf(first.address);
    const others = [...this.#renewals].filter((entry) => entry !== first && isAlike(entry));
    const batch = [first, ...others.slice(0, MAX_IDS - 1)] as const;
    if (await this.#extend(batch)) return;
    // One of them is gone, and perhaps none was changed: each is added again, and those that are there are found by that.
    for (const entry of batch) entry.id = null;
  }

  /** @returns false = the router refused. */
  async #extend(batch: readonly [Entry, ...Entry[]]): Promise<boolean> {
    const [first] = batch;
    const ids = batch.map(({ id }) => id).join(",");
    const timeout = timeoutText(first.timeoutMs);
    try {
      await this.#write(`${menuOf(first.address)}/set`, { ".id": ids, timeout });
    } catch (error) {
      if (!(error instanceof RouterRefusal) || error.isOutage) throw error;
      return false;
    }
    for (const entry of batch) {
      this.#counts.refreshed++;
      this.#confirm(entry, entry.id, entry.timeoutMs);
    }
    return true;
  }

  /** After a reboot all entries with an end are gone. */
  async #readUptime(): Promise<void> {
    const { clock, log, rest } = this.#parts;
    const askedMs = clock.now();
    this.#uptimeDueMs = askedMs + UPTIME_MS;
    const reply = await rest.call("GET", "system/resource");
    const uptimeMs = parseTime(textIn(reply, "uptime") ?? "");
    if (uptimeMs === null) return;
    const hasRebooted = this.#startedMs !== null && askedMs - uptimeMs > this.#startedMs + CLOCK_TOLERANCE_MS;
    this.#startedMs = clock.now() - uptimeMs;
    if (!hasRebooted) return;
    const entries = [...this.#entries.values()].flatMap((each) => [...each.values()]);
    this.#lose(entries);
    log.info({ entries: entries.length }, "routeros: the router was restarted; the living entries are put back");
    this.#timer?.cancel();
    this.#tick();
  }

  /** Compares one list with the router. At the start this finds what an earlier run has left. */
  async #verifyNext(): Promise<void> {
    const { clock } = this.#parts;
    const lists = [...this.#entries.keys()].flatMap((list) => [IPV4_MENU, IPV6_MENU].map((menu) => ({ list, menu })));
    const turn = lists[this.#verified % lists.length];
    this.#verified++;
    // At first each is looked at once.
    this.#verifyDueMs = this.#verified < lists.length ? 0 : clock.now() + VERIFY_MS;
    try {
      if (turn !== undefined) await this.#verify(turn.list, turn.menu);
    } catch (error) {
      if (error instanceof RouterRefusal && error.isOutage) {
        // The list keeps its turn: it is looked at when the router is back.
        this.#verified--;
        this.#verifyDueMs = 0;
      }
      throw error;
    }
  }

  async #verify(list: string, menu: string): Promise<void> {
    const entries = this.#entries.get(list);
    const askedMs = this.#parts.clock.now();
    const rows = new Map((await this.#print(menu, [`list=${list}`])).map((row) => [row.address, row]));
    const nowMs = this.#parts.clock.now();
    const isMissing = ({ address, endsMs, pushedMs }: Entry) =>
      menuOf(address) === menu && endsMs > nowMs && pushedMs < askedMs && !rows.has(address);
    this.#lose([...(entries?.values() ?? [])].filter(isMissing));
    for (const [address, { id, comment, timeoutMs }] of rows) {
      if (!comment.startsWith(this.#owner) || timeoutMs === null || entries === undefined) continue;
      const known = entries.get(address);
      if (known === undefined && entries.size >= MAX_ENTRIES) continue;
      const entry: Entry = known ?? {
        ...{
          list,
          address,
          name: comment.slice(this.#owner.length),
          timeoutMs,
          seenMs: nowMs - timeoutMs,
          pushedMs: nowMs,
          waiting: [],
        },
        ...{ id, endsMs: 0 },
      };
      const endsMs = nowMs + timeoutMs;
      // Somebody has given it less time.
      if (endsMs < entry.endsMs - CLOCK_TOLERANCE_MS) this.#lose([entry]);
      entry.id = id;
      entry.endsMs = endsMs;
      entries.set(address, entry);
    }
  }

  #lose(entries: readonly Entry[]): void {
    if (entries.length === 0) return;
    for (const entry of entries) {
      entry.id = null;
      entry.endsMs = 0;
    }
    this.#parts.onLoss();
  }

  async #print(menu: string, query: readonly string[]): Promise<readonly Row[]> {
    const proplist = [".id", "address", "comment", "timeout"];
    const reply = await this.#parts.rest.call("POST", `${menu}/print`, { ".query": query, ".proplist": proplist });
    return Array.isArray(reply) ? reply.flatMap((row: unknown) => rowOf(row) ?? []) : [];
  }
}

interface Row {
  readonly id: string;
  /** Without `/128`. */
  readonly address: string;
  readonly comment: string;
  /** What is left; null = it never ends. */
  readonly timeoutMs: number | null;
}

function rowOf(row: unknown): Row | null {
  const id = textIn(row, ".id");
  const address = textIn(row, "address");
  if (id === null || address === null) return null;
  const timeout = textIn(row, "timeout");
  return {
    id,
    address: address.replace(/\/128$/, ""),
    comment: textIn(row, "comment") ?? "",
    timeoutMs: timeout === null ? null : parseTime(timeout),
  };
}

function release({ waiting }: Entry): void {
  for (const resolve of waiting.splice(0)) resolve();
}

const IPV4_MENU = "ip/firewall/address-list";
const IPV6_MENU = "ipv6/firewall/address-list";

function menuOf(address: string): string {
  return address.includes(":") ? IPV6_MENU : IPV4_MENU;
}

/** The router keeps single IPv6 addresses so, and finds them in no other form. */
function writtenAddress(address: string): string {
  return address.includes(":") ? `${address}/128` : address;
}

/** The menu takes ASCII, and a name is shown by it alone. */
function asciiOf(name: string): string {
  return name.replace(/[^\x21-\x7e]/g, "?").slice(0, 200);
}

function timeoutText(ms: number): string {
  return `${Math.round(ms / 1000)}s`;
}

const UNIT_MS: Readonly<Record<string, number>> = { w: 604_800_000, d: 86_400_000, h: 3_600_000, m: 60_000, s: 1000 };

/** Reads `1w2d3h4m5s`; null for any other text. */
function parseTime(text: string): number | null {
  if (!/^(\d+[wdhms])+$/.test(text)) return null;
  return [...text.matchAll(/(\d+)([wdhms])/g)].reduce(
    (sum, [, count, unit = ""]) => sum + Number(count) * (UNIT_MS[unit] ?? 0),
    0,
  );
}
