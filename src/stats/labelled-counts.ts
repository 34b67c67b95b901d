/** Labels at most; what the configuration has beyond them counts as `other`. */
const MAX_LABELS = 1000;

const OTHER_LABEL = "other";

/** Counts by names that the configuration gives, and by no others: what clients send must not make more of them. */
export class LabelledCounts {
  #indices: ReadonlyMap<string, number> = new Map();
  #counts = new Float64Array(1);

  /** From now on these are told apart. What was counted for those that stay is kept. */
  use(labels: Iterable<string>): void {
    const before = new Map(this.entries());
    const kept = [...new Set(labels)].filter((label) => label !== OTHER_LABEL).slice(0, MAX_LABELS);
    this.#indices = new Map(kept.map((label, index) => [label, index + 1]));
    this.#counts = Float64Array.from([OTHER_LABEL, ...kept], (label) => before.get(label) ?? 0);
  }

  add(label: string): void {
    const index = this.#indices.get(label) ?? 0;
    this.#counts[index] = (this.#counts[index] ?? 0) + 1;
  }

  /** All labels in use, and `other` where something counts as that. */
  *entries(): Generator<readonly [label: string, count: number]> {
    for (const [label, index] of this.#indices) yield [label, this.#counts[index] ?? 0];
    const other = this.#counts[0] ?? 0;
    if (other > 0) yield [OTHER_LABEL, other];
  }
}
