import type { Matcher, QueryFilter } from "../search.ts";
import type { Database } from "../store/database.ts";
import { reversedBelow, reversedName } from "../store/reversed-name.ts";
import type { Part } from "../store/schema.ts";
import type { FilterTests, KindFields } from "./compile.ts";
import { globLiteral } from "./glob.ts";
import { allRows, eachRow, type Sql, type SqlValue } from "./rows.ts";

/**
 * Which entries of a dictionary the filter leaves. `all`: no condition concerns it. `ids`: these. `many`: more than are worth counting; rows are to be
 * tried by their text.
 */
export type Chosen = { readonly kind: "all" | "many" } | { readonly kind: "ids"; readonly ids: readonly number[] };

/** With more names or answers than these, so many rows fit, most likely, that the newest are found at once. */
const MAX_IDS = 2000;

export function chosenKinds(database: Database, { key }: Part, { kind: test }: FilterTests): Chosen {
  if (test === null) return { kind: "all" };
  const text = `SELECT id, type, rcode, rule, upstream, route, source, action FROM kinds_${key} WHERE id > 0`;
  const kinds = allRows<KindFields & { readonly id: number }>(database, { text, values: [] });
  return { kind: "ids", ids: kinds.filter(test).map(({ id }) => id) };
}

export function chosenClients(database: Database, { key }: Part, { client: test }: FilterTests): Chosen {
  if (test === null) return { kind: "all" };
  const text = `SELECT id, address AS client, client_id AS clientId FROM clients_${key} WHERE id > 0`;
  const clients = allRows<{ readonly id: number; readonly client: string; readonly clientId: string | null }>(database, {
    text,
    values: [],
  });
  return { kind: "ids", ids: clients.filter(test).map(({ id }) => id) };
}

/** Looks through the dictionary, or with the index of a part that has one, through a stretch of it, until there are too many. */
export function chosenNames(database: Database, { key }: Part, filter: QueryFilter, { name: test }: FilterTests): Chosen {
  if (test === null) return { kind: "all" };
  const wanted = wantedOf(filter, "name");
  if (wanted === null) return { kind: "many" };
  const { text, values } = eitherOf(wanted.map(nameCandidates));
  const candidates = { text: `SELECT id, text FROM names_${key} WHERE id > 0 AND (${text})`, values };
  return idsOf(eachRow<Entry>(database, candidates), (name) => test(reversedName(name)));
}

export function chosenAnswers(database: Database, { key }: Part, filter: QueryFilter, { answers: test }: FilterTests): Chosen {
  if (test === null) return { kind: "all" };
  const wanted = wantedOf(filter, "answer");
  if (wanted === null) return { kind: "many" };
  const { text, values } = eitherOf(wanted.map(answerCandidates));
  const candidates = { text: `SELECT id, text FROM answers_${key} WHERE ${text}`, values };
  return idsOf(eachRow<Entry>(database, candidates), (answers) => test(answers.split("\n")));
}

interface Entry {
  readonly id: number;
  readonly text: string;
}

/** What must be found for a record to fit; null where it is only said what must not. */
function wantedOf({ conditions }: QueryFilter, field: "name" | "answer"): readonly Matcher[] | null {
  return conditions.find((condition) => condition.field === field && !condition.negated)?.anyOf ?? null;
}

function idsOf(candidates: Iterable<Entry>, test: (text: string) => boolean): Chosen {
  const ids: number[] = [];
  for (const { id, text } of candidates) {
    if (!test(text)) continue;
    if (ids.length === MAX_IDS) return { kind: "many" };
    ids.push(id);
  }
  return { kind: "ids", ids };
}

/** All names that may fit, and perhaps others. In the dictionary their labels are in reverse order. */
function nameCandidates(matcher: Matcher): Sql {
  switch (matcher.kind) {
    case "equals":
      return { text: "text = ?", values: [reversedName(matcher.text)] };
    case "within": {
      const { from, to } = reversedBelow(matcher.text);
      return { text: "(text = ? OR (text >= ? AND text < ?))", values: [reversedName(matcher.text), from, to] };
    }
    case "glob": {
      // A stretch without a dot stands within one label, and there the same in reverse order of the labels.
      const literal = globLiteral(matcher.text.replaceAll(".", "*"));
      return { text: "instr(text, ?)", values: [literal] };
    }
    case "regexp":
    case "prefix":
    case "atLeast":
      return ANYTHING;
  }
}

const ANYTHING: Sql = { text: "TRUE", values: [] };

/** LIKE takes capital letters of the alphabet for small ones, and no others. */
function answerCandidates(matcher: Matcher): Sql {
  if (!("text" in matcher) || !/^[\0-\x7f]*$/.test(matcher.text)) return ANYTHING;
  const literal = matcher.kind === "glob" ? globLiteral(matcher.text) : matcher.text;
  return { text: "text LIKE ? ESCAPE '\\'", values: [`%${literal.replace(/[\\%_]/g, "\\$&")}%`] };
}

function eitherOf(sources: readonly Sql[]): { readonly text: string; readonly values: readonly SqlValue[] } {
  return { text: sources.map(({ text }) => text).join(" OR "), values: sources.flatMap(({ values }) => values) };
}
