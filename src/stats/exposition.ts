import type { RisingCounts } from "./rising-counts.ts";

/** The labels of a sample; those that are absent are left out. */
export type Labels = Readonly<Record<string, string | number>>;

export type Sample = readonly [labels: Labels, value: number];

/** Text in Prometheus's exposition format 0.0.4, metric by metric. */
export class Exposition {
  readonly #lines: string[] = [];
  readonly #counts: RisingCounts;

  constructor(counts: RisingCounts) {
    this.#counts = counts;
  }

  counter(name: string, help: string, samples: Iterable<Sample>): void {
    this.#head(name, { help, type: "counter" });
    for (const [labels, value] of samples) {
      const key = keyOf(name, labels);
      this.#lines.push(`${key} ${numberText(this.#counts.read(key, value))}`);
    }
  }

  gauge(name: string, help: string, samples: Iterable<Sample>): void {
    this.#head(name, { help, type: "gauge" });
    for (const [labels, value] of samples) this.#sample(name, labels, value);
  }

  /** @param endsSeconds of the buckets but for the last, whose count is that of all values. */
  histogram(name: string, { help, endsSeconds }: HistogramShape, samples: Iterable<HistogramSample>): void {
    this.#head(name, { help, type: "histogram" });
    for (const [labels, { cumulative, sumSeconds }] of samples) {
      for (const [index, count] of cumulative.entries()) {
        const end = endsSeconds[index];
        this.#sample(`${name}_bucket`, { ...labels, le: end === undefined ? "+Inf" : end }, count);
      }
      this.#sample(`${name}_sum`, labels, sumSeconds);
      this.#sample(`${name}_count`, labels, cumulative.at(-1) ?? 0);
    }
  }

  text(): string {
    return `${this.#lines.join("\n")}\n`;
  }

  #head(name: string, { help, type }: About): void {
    this.#lines.push(`# HELP ${name} ${help.replace(/\\/g, "\\\\").replace(/\n/g, "\\n")}`, `# TYPE ${name} ${type}`);
  }

  #sample(name: string, labels: Labels, value: number): void {
    this.#lines.push(`${keyOf(name, labels)} ${numberText(value)}`);
  }
}

function keyOf(name: string, labels: Labels): string {
  const pairs = Object.entries(labels).map(([label, text]) => `${label}="${escaped(String(text))}"`);
  return pairs.length === 0 ? name : `${name}{${pairs.join(",")}}`;
}

export interface HistogramShape {
  readonly help: string;
  readonly endsSeconds: readonly number[];
}

export type HistogramSample = readonly [
  labels: Labels,
  histogram: { readonly cumulative: readonly number[]; readonly sumSeconds: number },
];

interface About {
  readonly help: string;
  readonly type: "counter" | "gauge" | "histogram";
}

function escaped(text: string): string {
  return text.replace(/[\\"\n]/g, (character) => (character === "\n" ? "\\n" : `\\${character}`));
}

function numberText(value: number): string {
  if (Number.isFinite(value)) return String(value);
  return Number.isNaN(value) ? "NaN" : value > 0 ? "+Inf" : "-Inf";
}
