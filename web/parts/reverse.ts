import type { DiffLine } from "../api/calls.ts";

/** Lines that stand together in a difference: what an edit took out and what it put in. */
interface Change {
  readonly removed: readonly string[];
  readonly added: readonly string[];
  /** The line before, in both texts; null = the change is at the beginning. */
  readonly before: string | null;
  /** Where the change began in the text after the edit, from 0. */
  readonly index: number;
}

/**
 * Takes an edit back out of a text that others have changed since, and leaves the rest as it is.
 * @param lines the difference that the edit made. @returns null where what the edit wrote is not there any more.
 */
export function withoutEdit(lines: readonly DiffLine[], text: string): string | null {
  let now = text.split("\n");
  // From the end on, so that the places before stay where they are.
  for (const change of changesOf(lines).reverse()) {
    const at = placeOf(change, now);
    if (at === null) return null;
    now = [...now.slice(0, at), ...change.removed, ...now.slice(at + change.added.length)];
  }
  return now.join("\n");
}

function changesOf(lines: readonly DiffLine[]): Change[] {
  const changes: Change[] = [];
  let open: { removed: string[]; added: string[]; before: string | null; index: number } | null = null;
  let last: DiffLine | null = null;
  for (const line of lines) {
    if (line.kind === "same") open = null;
    else {
      if (open === null) {
        open = { removed: [], added: [], before: last?.text ?? null, index: last?.after ?? 0 };
        changes.push(open);
      }
      open[line.kind].push(line.text);
    }
    last = line;
  }
  return changes;
}

/** The place of what the edit wrote, nearest to where that stood; where the edit only took lines out, behind the line before them. */
function placeOf({ added, before, index }: Change, now: readonly string[]): number | null {
  if (added.length === 0 && before === null) return 0;
  const wanted = added.length === 0 ? [before] : added;
  const places = now.flatMap((_, at) => (wanted.every((line, offset) => now[at + offset] === line) ? [at] : []));
  const at = places.sort((a, b) => Math.abs(a - index) - Math.abs(b - index))[0];
  if (at === undefined) return null;
  return added.length === 0 ? at + 1 : at;
}
