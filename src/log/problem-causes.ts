import type { Details, Row } from "./rows.ts";

/** Who or what a problem comes from. */
export interface Culprit {
  readonly kind: "rule" | "group" | "client" | "fenliu";
  /** Of the rule, group or client; empty for `fenliu`, a fault of ours. */
  readonly name: string;
  /** Where the rule matched, if it did by a list. */
  readonly list: string | null;
  readonly line: number | null;
}

/** Why a query went wrong, as one record tells. */
export interface RowCause {
  readonly cause: string;
  readonly culprit: Culprit;
}

/** What is to be looked at in a row besides its kind, or that nothing is. */
export type RowClass = "failing" | "blocked" | "nxdomain" | "answered" | "nothing";

const ACTIONS: ReadonlySet<string> = new Set(["never", "loop", "rate", "access", "fault"]);

/** By the kind of a row, of which there are few: most queries are of a kind that nobody needs to look at. */
export function classOf({ values, blocked }: Row["kind"]): RowClass {
  const { action, source, rcode, type } = values;
  if (action === "malformed" || action === "unsupported") return "nothing";
  if (ACTIONS.has(action ?? "") || source === "failure" || rcode === "SERVFAIL") return "failing";
  if (action === "compare:unproven") return "failing";
  if (action === "nxdomain:guarded") return type === "A" ? "failing" : "nothing";
  if (blocked) return "blocked";
  if (source === "hosts" || source === "special" || source === "rule") return "nothing";
  if (rcode === "NXDOMAIN") return "nxdomain";
  return rcode === "NOERROR" ? "answered" : "nothing";
}

/** The cause of a row of class `failing`, of which the first that fits counts. */
export function causeOf({ kind: { values }, client, details }: Row): RowCause {
  const { action, rule, route } = values;
  const group = culprit("group", route ?? "");
  switch (action) {
    case "rate":
    case "access":
      return { cause: action, culprit: culprit("client", client.clientId ?? client.address) };
    case "never":
    case "loop":
      return { cause: action, culprit: group };
    case "fault":
      return { cause: action, culprit: culprit("fenliu", "") };
    case "compare:unproven":
      return { cause: "unproven", culprit: culprit("rule", rule ?? "") };
    case "nxdomain:guarded":
      return { cause: "emptied", culprit: group };
    default:
      return { cause: `upstream:${failureOf(details) ?? "servfail"}`, culprit: group };
  }
}

export function culprit(kind: Culprit["kind"], name: string): Culprit {
  return { kind, name, list: null, line: null };
}

/** Of the last attempt that we did not give up ourselves; null = there was none, or a server did answer: that says more than the silence of another one. */
function failureOf(details: string | null): string | null {
  if (details === null) return null;
  const [, attempts] = JSON.parse(details) as Details;
  if (attempts.some(({ rcode }) => rcode !== null)) return null;
  return attempts.findLast(({ failure }) => failure !== "aborted")?.failure ?? null;
}

/** Second labels under which people register names, in countries that have them. */
const SECOND_LEVELS: ReadonlySet<string> = new Set(
  "ac co com edu go gob gov id in ltd me mil mod ne net nhs nom or org plc police sch web".split(" "),
);

/** The name under which others are somebody's own, as far as its shape tells: two labels, or three as in `example.co.uk`. In reverse order, as is the name. */
export function suffixOf(reversed: string): string {
  const labels = reversed.split(".", 3);
  const [top = "", second = ""] = labels;
  return labels.slice(0, top.length === 2 && SECOND_LEVELS.has(second) ? 3 : 2).join(".");
}
