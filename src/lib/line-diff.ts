/** A line of the difference between two texts. Line numbers are from 1; null = the text does not have the line. */
export interface DiffLine {
  readonly kind: "same" | "removed" | "added";
  readonly before: number | null;
  readonly after: number | null;
  readonly text: string;
}

/** Lines that are shown around a change. */
const CONTEXT = 3;

/** Beyond so many different lines the middle is told as removed and added whole. */
const MAX_EDITS = 2000;

/** The lines that differ, each with some lines around it; empty where nothing does. By Myers' O(ND) algorithm. */
export function diffLines(before: string, after: string): DiffLine[] {
  const [old, made] = [linesOf(before), linesOf(after)];
  let start = 0;
  while (start < old.length && start < made.length && old[start] === made[start]) start++;
  let end = 0;
  while (end < old.length - start && end < made.length - start && old.at(-1 - end) === made.at(-1 - end)) end++;
  const same = (index: number, offset: number): DiffLine => ({
    kind: "same",
    before: index + 1,
    after: index + offset + 1,
    text: old[index] ?? "",
  });
  const middle = editsOf(old.slice(start, old.length - end), made.slice(start, made.length - end), start);
  const all = [
    ...Array.from({ length: start }, (_, index) => same(index, 0)),
    ...middle,
    ...Array.from({ length: end }, (_, index) => same(old.length - end + index, made.length - old.length)),
  ];
  return withContext(all);
}

/** How many lines were removed or added. */
export function countChangedLines(before: string, after: string): number {
  return diffLines(before, after).filter(({ kind }) => kind !== "same").length;
}

function linesOf(text: string): string[] {
  const lines = text.split("\n");
  if (lines.at(-1) === "") lines.pop();
  return lines;
}

function withContext(lines: readonly DiffLine[]): DiffLine[] {
  const shown = new Set<number>();
  for (const [index, { kind }] of lines.entries())
    if (kind !== "same") for (let near = index - CONTEXT; near <= index + CONTEXT; near++) shown.add(near);
  return lines.filter((_, index) => shown.has(index));
}

function editsOf(old: readonly string[], made: readonly string[], offset: number): DiffLine[] {
  const trace: Map<number, number>[] = [];
  const most = Math.min(MAX_EDITS, old.length + made.length);
  // How far into `old` each diagonal reaches.
  const reach = new Map([[1, 0]]);
  for (let edits = 0; edits <= most; edits++) {
    trace.push(new Map(reach));
    for (let diagonal = -edits; diagonal <= edits; diagonal += 2) {
      let x = comesDown(reach, diagonal, edits) ? at(reach, diagonal + 1) : at(reach, diagonal - 1) + 1;
      while (x < old.length && x - diagonal < made.length && old[x] === made[x - diagonal]) x++;
      reach.set(diagonal, x);
      if (x >= old.length && x - diagonal >= made.length) return walkBack(trace, { old, made, offset });
    }
  }
  return [
    ...old.map((text, index): DiffLine => ({ kind: "removed", before: offset + index + 1, after: null, text })),
    ...made.map((text, index): DiffLine => ({ kind: "added", before: null, after: offset + index + 1, text })),
  ];
}

function walkBack(
  trace: readonly ReadonlyMap<number, number>[],
  { old, made, offset }: { readonly old: readonly string[]; readonly made: readonly string[]; readonly offset: number },
): DiffLine[] {
  const lines: DiffLine[] = [];
  let [x, y] = [old.length, made.length];
  for (let edits = trace.length - 1; edits >= 0; edits--) {
    const reach = trace[edits] ?? new Map();
    const diagonal = x - y;
    const previous = comesDown(reach, diagonal, edits) ? diagonal + 1 : diagonal - 1;
    const fromX = at(reach, previous);
    const fromY = fromX - previous;
    while (x > fromX && y > fromY && x > 0 && y > 0) {
      x--;
      y--;
      lines.push({ kind: "same", before: offset + x + 1, after: offset + y + 1, text: old[x] ?? "" });
    }
    if (edits === 0) break;
    if (x === fromX) lines.push({ kind: "added", before: null, after: offset + --y + 1, text: made[y] ?? "" });
    else lines.push({ kind: "removed", before: offset + --x + 1, after: null, text: old[x] ?? "" });
  }
  return lines.reverse();
}

function comesDown(reach: ReadonlyMap<number, number>, diagonal: number, edits: number): boolean {
  return diagonal === -edits || (diagonal !== edits && at(reach, diagonal - 1) < at(reach, diagonal + 1));
}

function at(reach: ReadonlyMap<number, number>, diagonal: number): number {
  return reach.get(diagonal) ?? 0;
}
