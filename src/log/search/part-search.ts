import type { QueryFilter } from "../search.ts";
import type { Database } from "../store/database.ts";
import { reversedName } from "../store/reversed-name.ts";
import type { Part } from "../store/schema.ts";
import { busyStretches } from "./busy-minutes.ts";
import { type FilterTests, leastDurationUs } from "./compile.ts";
import { type Chosen, chosenAnswers, chosenClients, chosenKinds, chosenNames, type Lookup } from "./dictionary-sets.ts";
import type { IdRange } from "./parts.ts";
import { allOf, amongIds, eachRow, firstRow, type Sql } from "./rows.ts";

/** What was found in a part. */
export interface Finding {
  /** Highest first. */
  readonly ids: readonly number[];
  /** Of all ids from here on it is known whether they fit. */
  readonly searchedFrom: number;
}

export interface Wanted extends IdRange {
  readonly limit: number;
  /** How many rows are looked at in the first step; in those after it, where nothing is near, five times as many. */
  readonly stepRows: number;
  /** Whether the time for this search is used up; asked after each step, and after each row that is tried by its text. */
  readonly expired: () => boolean;
}

/** An index is used where it leads to no more rows than these; where it leads to more, the newest are found sooner by looking at the newest rows. */
const MAX_INDEX_ROWS = 5000;

/**
 * A filter worked out for one part: texts and patterns are looked up in the dictionaries once, so that rows are tried by comparing numbers. Holds for
 * all records that the part has now; for those added later only if it is made anew.
 */
export class PartSearch {
  readonly #database: Database;
  readonly #part: Part;
  readonly #tests: FilterTests;
  readonly #names: Chosen;
  readonly #clients: Chosen;
  readonly #kinds: Chosen;
  readonly #answers: Chosen;
  readonly #duration: DurationLimits;
  /** As `busyStretches` gives them, once they are needed. */
  #stretches: readonly IdRange[] | null | "unknown" = "unknown";

  constructor(lookup: Lookup) {
    this.#database = lookup.database;
    this.#part = lookup.part;
    this.#tests = lookup.tests;
    this.#kinds = chosenKinds(lookup);
    this.#clients = isNone(this.#kinds) ? NONE : chosenClients(lookup);
    this.#names = isNone(this.#clients) ? NONE : chosenNames(lookup);
    this.#answers = isNone(this.#names) ? NONE : chosenAnswers(lookup);
    this.#duration = durationLimits(lookup.filter);
  }

  /** The newest records that fit. Looks at so much at least that the next call with what is left comes further. */
  find({ from, to, limit, stepRows, expired }: Wanted): Finding {
    if (isNone(this.#answers)) return { ids: [], searchedFrom: from };
    const index = this.#index();
    if (index !== null) return this.#fitting({ from, to, limit, expired }, index);
    const ids: number[] = [];
    let below = to;
    let stretches: readonly IdRange[] | null = null;
    for (let step = 0; below > from; step++) {
      if (step === 1) stretches = this.#knownStretches();
      const range = newestOf(stretches, { from, to: below });
      if (range === null) return { ids, searchedFrom: from };
      const start = this.#stepStart(range, step === 0 ? stepRows : 5 * stepRows);
      const finding = this.#fitting({ from: start, to: range.to, limit: limit - ids.length, expired }, null);
      ids.push(...finding.ids);
      below = finding.searchedFrom;
      if (ids.length === limit || expired()) break;
    }
    return { ids, searchedFrom: below };
  }

  /** The index that leads to few rows, those of the other conditions included; null where walking over the rows is better. */
  #index(): "name" | "client" | null {
    if (this.#part.state !== "indexed") return null;
    const counts = [
      { column: "name" as const, rows: this.#countRows("name", this.#names) },
      { column: "client" as const, rows: this.#countRows("client", this.#clients) },
    ];
    const [least] = counts.filter(({ rows }) => rows <= MAX_INDEX_ROWS).sort((a, b) => a.rows - b.rows);
    return least?.column ?? null;
  }

  #countRows(column: "name" | "client", chosen: Chosen): number {
    if (chosen.kind !== "ids") return Number.POSITIVE_INFINITY;
    const { key } = this.#part;
    const { text, values } = amongIds(column, chosen.ids);
    const counted = `SELECT 1 FROM q_${key} INDEXED BY q_${key}_${column} WHERE ${text} LIMIT ${MAX_INDEX_ROWS + 1}`;
    return (
      firstRow<{ readonly rows: number }>(this.#database, { text: `SELECT count(*) AS "rows" FROM (${counted})`, values })
        ?.rows ?? 0
    );
  }

  #knownStretches(): readonly IdRange[] | null {
    if (this.#stretches !== "unknown") return this.#stretches;
    this.#stretches = busyStretches(this.#database, this.#part, {
      kinds: this.#kinds.kind === "ids" ? this.#kinds.ids : null,
      clients: this.#clients.kind === "ids" ? this.#clients.ids : null,
      leastUs: this.#duration.leastUs,
    });
    return this.#stretches;
  }

  /** Where a step over so many rows ends, or the range does. */
  #stepStart({ from, to }: IdRange, rows: number): number {
    const text = `SELECT id FROM q_${this.#part.key} WHERE id >= ? AND id < ? ORDER BY id DESC LIMIT 1 OFFSET ${rows - 1}`;
    return firstRow<{ readonly id: number }>(this.#database, { text, values: [from, to] })?.id ?? from;
  }

  /** The newest ids of a range that fit, by way of an index or of the rows as they stand. */
  #fitting({ from, to, limit, expired }: Omit<Wanted, "stepRows">, index: "name" | "client" | null): Finding {
    const { key } = this.#part;
    const byName = this.#names.kind === "many";
    const byAnswers = this.#answers.kind === "many";
    const byText = byName || byAnswers;
    const { text, values } = allOf([{ text: "q.id >= ? AND q.id < ?", values: [from, to] }, ...this.#conditions()]);
    const statement = [
      `SELECT q.id${byName ? ", names.text AS name" : ""}${byAnswers ? ", answers.text AS answers" : ""} FROM q_${key} AS q`,
      index === null ? "NOT INDEXED" : `INDEXED BY q_${key}_${index}`,
      // Words between tables keep their order: first the rows, then their texts.
      byName ? `CROSS JOIN names_${key} AS names ON names.id = q.name` : "",
      byAnswers ? `LEFT JOIN answers_${key} AS answers ON answers.id = q.answers` : "",
      `WHERE ${text} ORDER BY q.id DESC ${byText ? "" : `LIMIT ${limit}`}`,
    ].join(" ");
    const ids: number[] = [];
    for (const row of eachRow<FoundRow>(this.#database, { text: statement, values })) {
      if (this.#textsFit(row)) ids.push(row.id);
      if (ids.length === limit || (byText && expired())) return { ids, searchedFrom: row.id };
    }
    return { ids, searchedFrom: from };
  }

  #conditions(): Sql[] {
    const { leastUs, belowUs } = this.#duration;
    return [
      ...this.#among("q.kind", this.#kinds),
      ...this.#among("q.client", this.#clients),
      ...this.#among("q.name", this.#names),
      ...this.#among("q.answers", this.#answers),
      ...(leastUs === null ? [] : [{ text: "q.duration_us >= ?", values: [leastUs] }]),
      ...(belowUs === null ? [] : [{ text: "q.duration_us < ?", values: [belowUs] }]),
    ];
  }

  #among(column: string, chosen: Chosen): Sql[] {
    return chosen.kind === "ids" ? [amongIds(column, chosen.ids)] : [];
  }

  #textsFit({ name, answers }: FoundRow): boolean {
    if (name !== undefined && this.#tests.name?.(reversedName(name)) === false) return false;
    return answers === undefined || this.#tests.answers?.(answers === null ? [] : answers.split("\n")) !== false;
  }
}

/** The texts are there where rows are to be tried by them. */
interface FoundRow {
  readonly id: number;
  readonly name?: string;
  readonly answers?: string | null;
}

/** In microseconds. */
interface DurationLimits {
  readonly leastUs: number | null;
  readonly belowUs: number | null;
}

const NONE: Chosen = { kind: "ids", ids: [] };

function isNone(chosen: Chosen): boolean {
  return chosen.kind === "ids" && chosen.ids.length === 0;
}

function durationLimits({ conditions }: QueryFilter): DurationLimits {
  const durations = conditions.filter(({ field }) => field === "minMs");
  const least = durations.find(({ negated }) => !negated);
  const below = durations.find(({ negated }) => negated);
  return {
    leastUs: least === undefined ? null : leastDurationUs(least),
    belowUs: below === undefined ? null : leastDurationUs(below),
  };
}

/** The newest stretch within a range, cut to it; the range itself where there are no stretches to go by. null = there is none. */
function newestOf(stretches: readonly IdRange[] | null, { from, to }: IdRange): IdRange | null {
  if (stretches === null) return { from, to };
  const stretch = stretches.find((stretch) => stretch.from < to);
  if (stretch === undefined || stretch.to <= from) return null;
  return { from: Math.max(from, stretch.from), to: Math.min(to, stretch.to) };
}
