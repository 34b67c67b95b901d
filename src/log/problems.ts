import { type Culprit, causeOf, classOf, culprit, type RowClass, suffixOf } from "./problem-causes.ts";
import type { Row, RowClient, RowKind } from "./rows.ts";
import { reversedName, wallMsOf } from "./schema.ts";

/** What goes wrong again and again, as the log's thread finds it in the rows that it stores. */
export interface FoundProblem {
  /** `v1|cause|culprit|suffix`; the suffix is empty for a storm: many names, one culprit. */
  readonly id: string;
  readonly cause: string;
  readonly culprit: Culprit;
  /** The longest name that all its names are below. */
  readonly suffix: string;
  readonly state: "open" | "quiet" | "muted" | "fixed" | "cameBack";
  readonly mutedUntilMs: number | null;
  /** null = nobody says that it is fixed. */
  readonly fixedAtMs: number | null;
  readonly firstMs: number;
  readonly lastMs: number;
  readonly queries: number;
  readonly names: readonly ProblemCount[];
  readonly nameCount: number;
  readonly clients: readonly ProblemCount[];
  readonly clientCount: number;
  /** Queries of each of the last 24 hours, the present one last. */
  readonly series: readonly number[];
  readonly shared: readonly SharedField[];
  /** Id of the newest query. */
  readonly newest: number;
  /** The type asked for by the newest query, and the group it went to. */
  readonly type: string;
  readonly route: string | null;
}

export interface ProblemCount {
  readonly key: string;
  readonly count: number;
}

/** A value that its queries have far more often than queries usually do. Shares are from 0 to 1. */
export interface SharedField {
  readonly field: string;
  readonly value: string;
  readonly share: number;
  readonly usual: number;
}

/** A person's word about a problem. */
export type ProblemChange =
  | { readonly state: "muted"; readonly untilMs: number }
  | { readonly state: "open" }
  | { readonly state: "fixed"; readonly atMs: number };

const MINUTE_MS = 60_000;
const HOUR_MS = 3_600_000;
const SERIES_HOURS = 24;

const LIMITS = {
  problems: 500,
  /** Names and clients that one problem counts apart. */
  keys: 100,
  /** Names of which it is known that they had an answer. */
  answered: 50_000,
  /** Clients with blocked names that are watched for asking again. */
  insisting: 5_000,
} as const;

/** A problem is told of from so many queries, or names, on. */
const OPENS = { queries: 3, names: 2 } as const;

const QUIET_MS = 30 * MINUTE_MS;
const CLOSED_MS = 24 * HOUR_MS;
const STORM = { suffixes: 5, withinMs: 5 * MINUTE_MS } as const;
const INSISTS = { queries: 10, withinMs: 5 * MINUTE_MS } as const;
const WEEK_MS = 7 * 24 * HOUR_MS;

/** From this difference of shares on a value is told. */
const TELLING = 0.3;
const MAX_SHARED = 3;

interface Problem {
  readonly id: string;
  readonly cause: string;
  culprit: Culprit;
  readonly suffix: string;
  mutedUntilMs: number;
  fixedAtMs: number;
  cameBack: boolean;
  firstMs: number;
  lastMs: number;
  queries: number;
  readonly names: Map<string, number>;
  readonly clients: Map<string, number>;
  /** By the hour since 1970, of the last 24. */
  readonly hours: Map<number, number>;
  readonly kinds: Map<string, number>;
  newest: number;
  type: string;
  route: string | null;
}

/** Finds problems in rows, groups them by cause, culprit and suffix, and keeps at most 500 of them. */
export class ProblemTracker {
  readonly #problems = new Map<string, Problem>();
  /** What rows of a kind or a client share: most rows are like some before, and cost two look-ups. */
  #kinds = new WeakMap<RowKind, { readonly rowClass: RowClass; readonly usual: UsualCount }>();
  #clients = new WeakMap<RowClient, UsualCount>();
  /** When each suffix of a cause and culprit was last in trouble. */
  readonly #storms = new Map<string, Map<string, number>>();
  /** Names that had an answer, and when; the oldest are forgotten first. */
  readonly #answered = new Map<string, number>();
  /** Times of blocked queries, by client and name. */
  readonly #insisting = new Map<string, number[]>();
  /** All queries by kind and by client, for what is usual. */
  readonly #usualKinds = new Map<string, UsualCount>();
  readonly #usualClients = new Map<string, UsualCount>();
  #usualQueries = 0;
  /** Goes up with every change. */
  revision = 0;

  /** @param saved what `save` gave; what cannot be read of it is left out. */
  constructor(saved: string | null = null) {
    for (const problem of saved === null ? [] : parsed(saved)) this.#problems.set(problem.id, problem);
  }

  add(row: Row): void {
    const found = this.#countUsual(row.kind, row.client);
    if (found === "answered") this.#noteAnswer(row);
    else if (found === "failing") this.#note(row, causeOf(row), 1);
    else if (found === "blocked") this.#noteBlocked(row);
    else if (found === "nxdomain") this.#noteMissing(row);
  }

  /** As `add` for the row of a repeated reply that has answers. */
  addRepeated(kind: RowKind, client: RowClient, reversed: string, id: number): void {
    this.#countUsual(kind, client);
    this.#remember(reversed, id);
  }

  /** The problems that are told of, those that hurt now first. */
  list(nowMs: number): FoundProblem[] {
    for (const [id, { lastMs, mutedUntilMs }] of this.#problems)
      if (lastMs < nowMs - CLOSED_MS && mutedUntilMs < nowMs) this.#problems.delete(id);
    const told = [...this.#problems.values()].filter(
      ({ queries, names }) => queries >= OPENS.queries || names.size >= OPENS.names,
    );
    return told.map((problem) => this.#view(problem, nowMs)).sort(byUrgency);
  }

  /** @returns whether there is such a problem. */
  change(id: string, change: ProblemChange): boolean {
    const problem = this.#problems.get(id);
    if (problem === undefined) return false;
    problem.mutedUntilMs = change.state === "muted" ? change.untilMs : 0;
    problem.fixedAtMs = change.state === "fixed" ? change.atMs : 0;
    problem.cameBack = false;
    this.revision++;
    return true;
  }

  save(): string {
    const problems = [...this.#problems.values()].map((problem) => ({
      ...problem,
      names: [...problem.names],
      clients: [...problem.clients],
      hours: [...problem.hours],
      kinds: [...problem.kinds],
    }));
    return JSON.stringify({ format: FORMAT, problems });
  }

  #noteAnswer(row: Row): void {
    const { kind, reversed, answers } = row;
    if (answers === null) {
      if (kind.values.type === "A") this.#note(row, { cause: "emptied", culprit: culprit("group", kind.values.route ?? "") }, 1);
      return;
    }
    this.#remember(reversed, row.id);
  }

  /** Notes that a name had an answer. */
  #remember(reversed: string, id: number): void {
    const atMs = wallMsOf(id);
    const before = this.#answered.get(reversed) ?? 0;
    if (atMs - before < HOUR_MS) return;
    this.#answered.delete(reversed);
    this.#answered.set(reversed, atMs);
    forgetOldest(this.#answered, LIMITS.answered);
  }

  #noteMissing(row: Row): void {
    const answeredMs = this.#answered.get(row.reversed);
    if (answeredMs === undefined || wallMsOf(row.id) - answeredMs > WEEK_MS) return;
    this.#note(row, { cause: "vanished", culprit: culprit("group", row.kind.values.route ?? "") }, 1);
  }

  #noteBlocked(row: Row): void {
    const key = `${row.client.key} ${row.reversed}`;
    const atMs = wallMsOf(row.id);
    const times = (this.#insisting.get(key) ?? []).filter((ms) => ms > atMs - INSISTS.withinMs);
    times.push(atMs);
    this.#insisting.delete(key);
    this.#insisting.set(key, times.slice(-INSISTS.queries));
    forgetOldest(this.#insisting, LIMITS.insisting);
    if (times.length < INSISTS.queries) return;
    const { rule, list } = row.kind.values;
    const place = { list, line: list === null || row.line < 0 ? null : row.line };
    const found = { cause: "insisted", culprit: { ...culprit("rule", rule ?? ""), ...place } };
    // The queries before have led to this one.
    this.#note(row, found, times.length === INSISTS.queries && !this.#isKnown(found, row) ? INSISTS.queries : 1);
  }

  #isKnown(found: { readonly cause: string; readonly culprit: Culprit }, { reversed }: Row): boolean {
    const group = groupKey(found);
    const problem = this.#problems.get(`${group}|`) ?? this.#problems.get(`${group}|${reversedName(suffixOf(reversed))}`);
    return problem?.names.has(reversed) === true;
  }

  #note(row: Row, found: { readonly cause: string; readonly culprit: Culprit }, count: number): void {
    const group = groupKey(found);
    const atMs = wallMsOf(row.id);
    const suffix = reversedName(suffixOf(row.reversed));
    const storm = this.#problems.get(`${group}|`);
    const isStormy = storm !== undefined && atMs - storm.lastMs < QUIET_MS;
    const problem = isStormy ? storm : this.#problemOf({ ...found, id: `${group}|${suffix}`, suffix, row });
    countRow(problem, row, count);
    problem.culprit = found.culprit;
    this.revision++;
    if (!isStormy) this.#watchStorm(group, { ...found, suffix, atMs, row });
  }

  #problemOf({
    id,
    cause,
    culprit,
    suffix,
    row,
  }: {
    id: string;
    cause: string;
    culprit: Culprit;
    suffix: string;
    row: Row;
  }): Problem {
    const known = this.#problems.get(id);
    if (known !== undefined) return known;
    const atMs = wallMsOf(row.id);
    const made: Problem = {
      id,
      cause,
      culprit,
      suffix,
      mutedUntilMs: 0,
      fixedAtMs: 0,
      cameBack: false,
      firstMs: atMs,
      lastMs: atMs,
      queries: 0,
      names: new Map(),
      clients: new Map(),
      hours: new Map(),
      kinds: new Map(),
      newest: row.id,
      type: "",
      route: null,
    };
    this.#problems.set(id, made);
    if (this.#problems.size > LIMITS.problems) this.#dropOne(id);
    return made;
  }

  /** The problem that was quiet longest goes; one that a person has muted goes last. */
  #dropOne(newest: string): void {
    let oldest: Problem | null = null;
    const rank = ({ lastMs, mutedUntilMs }: Problem) => Math.max(lastMs, mutedUntilMs);
    for (const problem of this.#problems.values())
      if (problem.id !== newest && (oldest === null || rank(problem) < rank(oldest))) oldest = problem;
    if (oldest !== null) this.#problems.delete(oldest.id);
  }

  /** Many suffixes in little time with one culprit are one problem. */
  #watchStorm(
    group: string,
    { cause, culprit, suffix, atMs, row }: { cause: string; culprit: Culprit; suffix: string; atMs: number; row: Row },
  ): void {
    const suffixes = this.#storms.get(group) ?? new Map<string, number>();
    this.#storms.delete(group);
    this.#storms.set(group, suffixes);
    forgetOldest(this.#storms, LIMITS.problems);
    suffixes.delete(suffix);
    suffixes.set(suffix, atMs);
    for (const [each, ms] of suffixes) if (ms < atMs - STORM.withinMs) suffixes.delete(each);
    if (suffixes.size < STORM.suffixes) return;
    const storm = this.#problemOf({ id: `${group}|`, cause, culprit, suffix: "", row });
    for (const each of suffixes.keys()) {
      const id = `${group}|${each}`;
      const part = this.#problems.get(id);
      if (part === undefined || part === storm) continue;
      merge(storm, part);
      this.#problems.delete(id);
    }
    this.#storms.delete(group);
  }

  /** @returns the class of the row. */
  #countUsual(kind: RowKind, client: RowClient): RowClass {
    let ofKind = this.#kinds.get(kind);
    if (ofKind === undefined) {
      ofKind = { rowClass: classOf(kind), usual: usualCount(this.#usualKinds, kind.key) };
      this.#kinds.set(kind, ofKind);
    }
    let ofClient = this.#clients.get(client);
    if (ofClient === undefined) {
      ofClient = usualCount(this.#usualClients, client.clientId ?? client.address);
      this.#clients.set(client, ofClient);
    }
    ofKind.usual.count++;
    ofClient.count++;
    this.#usualQueries++;
    if (this.#usualQueries >= USUAL_QUERIES) this.#halveUsual();
    return ofKind.rowClass;
  }

  /** What lies far back counts less and less. */
  #halveUsual(): void {
    this.#usualQueries /= 2;
    halve(this.#usualKinds);
    halve(this.#usualClients);
    // They hold counts that are gone.
    this.#kinds = new WeakMap();
    this.#clients = new WeakMap();
  }

  #view(problem: Problem, nowMs: number): FoundProblem {
    const { id, cause, culprit, firstMs, lastMs, queries, names, clients, newest, type, route } = problem;
    return {
      id,
      cause,
      culprit,
      suffix: commonSuffix([...names.keys()]),
      state: stateOf(problem, nowMs),
      mutedUntilMs: problem.mutedUntilMs > nowMs ? problem.mutedUntilMs : null,
      fixedAtMs: problem.fixedAtMs > 0 ? problem.fixedAtMs : null,
      firstMs,
      lastMs,
      queries,
      names: top(names).map(({ key, count }) => ({ key: reversedName(key), count })),
      nameCount: names.size,
      clients: top(clients),
      clientCount: clients.size,
      series: seriesOf(problem, nowMs),
      shared: this.#shared(problem),
      newest,
      type,
      route,
    };
  }

  #shared({ culprit, clients, kinds, queries }: Problem): SharedField[] {
    const fields = new Map<string, { readonly field: string; readonly value: string; count: number; usual: number }>();
    const add = (field: string, value: string | null, count: number, usual: number): void => {
      if (value === null || value === "" || (field === culprit.kind && value === culprit.name)) return;
      const key = `${field} ${value}`;
      const known = fields.get(key) ?? { field, value, count: 0, usual: 0 };
      known.count += count;
      known.usual += usual;
      fields.set(key, known);
    };
    for (const [client, count] of clients) add("client", client, count, this.#usualClients.get(client)?.count ?? 0);
    for (const [key, count] of kinds) eachField(key, (field, value) => add(field, value, count, 0));
    for (const [key, { count }] of this.#usualKinds) eachField(key, (field, value) => add(field, value, 0, count));
    const shares = [...fields.values()].map(({ field, value, count, usual }) => ({
      field,
      value,
      share: round(Math.min(1, count / queries)),
      usual: round(this.#usualQueries === 0 ? 0 : Math.min(1, usual / this.#usualQueries)),
    }));
    const telling = shares.filter(({ share, usual }) => share - usual >= TELLING);
    return telling.sort((a, b) => b.share - b.usual - (a.share - a.usual)).slice(0, MAX_SHARED);
  }
}

/** Queries after which the usual shares are halved. */
const USUAL_QUERIES = 200_000;

/** Columns of a kind whose values are compared, by their places in its key (`KIND_COLUMNS`). */
const SHARED_COLUMNS = [
  ["transport", 0],
  ["type", 3],
  ["rule", 7],
  ["group", 9],
  ["upstream", 10],
] as const;

function eachField(kindKey: string, tell: (field: string, value: string | null) => void): void {
  const values = kindKey.split("\x01");
  for (const [field, index] of SHARED_COLUMNS) {
    const value = values[index] ?? "\0";
    tell(field, value === "\0" ? null : value);
  }
}

/** How many of all queries have a value, of late. */
interface UsualCount {
  count: number;
}

function usualCount(counts: Map<string, UsualCount>, key: string): UsualCount {
  const known = counts.get(key) ?? { count: 0 };
  counts.set(key, known);
  return known;
}

function halve(counts: Map<string, UsualCount>): void {
  for (const [key, counted] of counts) {
    if (counted.count < 2) counts.delete(key);
    else counted.count /= 2;
  }
}

function groupKey({ cause, culprit }: { readonly cause: string; readonly culprit: Culprit }): string {
  return `v1|${cause}|${culprit.kind}:${culprit.name}`;
}

function countRow(problem: Problem, row: Row, count: number): void {
  const atMs = wallMsOf(row.id);
  // A query that was under way when it was mended says nothing against it.
  if (problem.fixedAtMs > 0 && atMs > problem.fixedAtMs) {
    problem.fixedAtMs = 0;
    problem.cameBack = true;
  }
  problem.queries += count;
  problem.firstMs = Math.min(problem.firstMs, atMs);
  problem.lastMs = Math.max(problem.lastMs, atMs);
  if (row.id >= problem.newest) {
    problem.newest = row.id;
    problem.type = row.kind.values.type ?? "";
    problem.route = row.kind.values.route;
  }
  countKey(problem.names, row.reversed, count);
  countKey(problem.clients, row.client.clientId ?? row.client.address, count);
  countKey(problem.kinds, row.kind.key, count);
  const hour = Math.floor(atMs / HOUR_MS);
  problem.hours.set(hour, (problem.hours.get(hour) ?? 0) + count);
  for (const each of problem.hours.keys()) if (each <= hour - SERIES_HOURS) problem.hours.delete(each);
}

function merge(storm: Problem, part: Problem): void {
  storm.queries += part.queries;
  storm.firstMs = Math.min(storm.firstMs, part.firstMs);
  storm.lastMs = Math.max(storm.lastMs, part.lastMs);
  if (part.newest >= storm.newest) Object.assign(storm, { newest: part.newest, type: part.type, route: part.route });
  for (const field of ["names", "clients", "kinds"] as const)
    for (const [key, count] of part[field]) countKey(storm[field], key, count);
  for (const [hour, count] of part.hours) storm.hours.set(hour, (storm.hours.get(hour) ?? 0) + count);
}

/** What finds no room is in the sum of queries alone. */
function countKey(counts: Map<string, number>, key: string, count: number): void {
  const before = counts.get(key);
  if (before === undefined && counts.size >= LIMITS.keys) return;
  counts.set(key, (before ?? 0) + count);
}

function stateOf({ mutedUntilMs, fixedAtMs, cameBack, lastMs }: Problem, nowMs: number): FoundProblem["state"] {
  if (mutedUntilMs > nowMs) return "muted";
  if (fixedAtMs > 0) return "fixed";
  if (lastMs < nowMs - QUIET_MS) return "quiet";
  return cameBack ? "cameBack" : "open";
}

const URGENCY: readonly FoundProblem["state"][] = ["cameBack", "open", "quiet", "fixed", "muted"];

function byUrgency(one: FoundProblem, other: FoundProblem): number {
  return URGENCY.indexOf(one.state) - URGENCY.indexOf(other.state) || other.queries - one.queries || (one.id < other.id ? -1 : 1);
}

function seriesOf({ hours }: Problem, nowMs: number): number[] {
  const now = Math.floor(nowMs / HOUR_MS);
  return Array.from({ length: SERIES_HOURS }, (_, index) => hours.get(now - SERIES_HOURS + 1 + index) ?? 0);
}

function top(counts: ReadonlyMap<string, number>): ProblemCount[] {
  const sorted = [...counts].sort(([keyA, a], [keyB, b]) => b - a || (keyA < keyB ? -1 : 1));
  return sorted.slice(0, 10).map(([key, count]) => ({ key, count }));
}

/** The longest name that all of these are, or are below. @param names in reverse order */
function commonSuffix(names: readonly string[]): string {
  const [first = [], ...others] = names.map((name) => name.split("."));
  const differs = others.map((labels) => first.findIndex((label, index) => labels[index] !== label));
  const length = Math.min(first.length, ...differs.filter((index) => index !== -1));
  return reversedName(first.slice(0, length).join("."));
}

function round(share: number): number {
  return Math.round(share * 1000) / 1000;
}

function forgetOldest<Value>(map: Map<string, Value>, most: number): void {
  for (const key of map.keys()) {
    if (map.size <= most) return;
    map.delete(key);
  }
}

const FORMAT = 1;

/** The file is ours; one of another format, or damaged, is of no use. */
function parsed(saved: string): Problem[] {
  try {
    const { format, problems } = JSON.parse(saved) as { readonly format: number; readonly problems: readonly SavedProblem[] };
    if (format !== FORMAT) return [];
    return problems.map((problem) => ({
      ...problem,
      names: new Map(problem.names),
      clients: new Map(problem.clients),
      hours: new Map(problem.hours),
      kinds: new Map(problem.kinds),
    }));
  } catch {
    return [];
  }
}

type SavedProblem = Omit<Problem, "names" | "clients" | "hours" | "kinds"> & {
  readonly [Field in "names" | "clients" | "kinds"]: readonly [string, number][];
} & { readonly hours: readonly [number, number][] };

/**
 * Rows that are being stored: a tracker is told of them once they are. Of repeated replies with answers only what it asks of them is kept, so
 * that most rows need not stay in memory until then.
 */
export class SeenRows {
  readonly #kinds: RowKind[] = [];
  readonly #clients: RowClient[] = [];
  readonly #names: string[] = [];
  readonly #ids: number[] = [];
  /** null = of the row there is no more than the above. */
  readonly #whole: (Row | null)[] = [];

  get count(): number {
    return this.#ids.length;
  }

  add(row: Row): void {
    this.#kinds.push(row.kind);
    this.#clients.push(row.client);
    this.#names.push(row.reversed);
    this.#ids.push(row.id);
    this.#whole.push(row.repeat !== null && row.answers !== null ? null : row);
  }

  tell(tracker: ProblemTracker): void {
    for (const [place, id] of this.#ids.entries()) {
      const row = this.#whole[place];
      const [kind, client, name] = [this.#kinds[place], this.#clients[place], this.#names[place]];
      if (row != null) tracker.add(row);
      else if (kind !== undefined && client !== undefined && name !== undefined) tracker.addRepeated(kind, client, name, id);
    }
  }
}
