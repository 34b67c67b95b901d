import { unreachable } from "../lib/unreachable.ts";
import type { Entry } from "../lists/domain-set.ts";
import type { ListConflict } from "../rules/conflicts.ts";

/** Entries shown of each conflict; scripts get them all. */
const CONFLICT_EXAMPLES = 3;

/** What a person should know of lists that disagree: how often, where such names go and why, and a few of them. Ends in a newline unless empty. */
export function conflictNotes(conflicts: readonly ListConflict[]): string {
  return conflicts.map(conflictNote).join("");
}

function conflictNote(conflict: ListConflict): string {
  const { group, count, entries } = conflict;
  const shown = entries.slice(0, CONFLICT_EXAMPLES).map(({ inner, outer }) => `    ${placed(inner)}; ${placed(outer)}\n`);
  const rest = count - shown.length;
  const more = rest > 0 ? `    and ${rest} more: --json shows them\n` : "";
  return `note: ${meeting(conflict)}: to ${group}, ${reason(conflict)}\n${shown.join("")}${more}`;
}

function meeting({ kind, inner, outer, count }: ListConflict): string {
  const [entries, verbEnding] = count === 1 ? ["1 entry", "s"] : [`${count} entries`, ""];
  switch (kind) {
    case "tie":
      return `${entries} of ${inner.list} stand${verbEnding} in ${outer.list} as well`;
    case "split":
      return `${entries} of ${inner.list} stand${verbEnding} in ${outer.list} with all names below`;
    case "inside":
      return `${entries} of ${inner.list} ${count === 1 ? "lies" : "lie"} inside suffixes of ${outer.list}`;
    default:
      return unreachable(kind);
  }
}

function reason({ kind, inner, outer, group }: ListConflict): string {
  if (inner.rule !== outer.rule) return `as rule ${inner.group === group ? inner.rule : outer.rule} comes first`;
  return kind === "tie" ? `as rule ${inner.rule} names ${inner.list} first` : `as rule ${inner.rule} goes by the longest match`;
}

function placed({ pattern, source, line }: Entry): string {
  return `${pattern} (${source}:${line})`;
}
