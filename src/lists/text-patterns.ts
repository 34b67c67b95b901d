import { type RegexpHints, regexpHints } from "./regexp-hints.ts";

/** A keyword or regular expression. */
export interface TextPattern {
  readonly kind: "keyword" | "regexp";
  readonly text: string;
  readonly matches: (nameText: string) => boolean;
  readonly source: string;
  readonly line: number;
}

/** Keywords and regular expressions, of which each name is tried with few: those that its last label and its letters allow. */
export class TextPatterns {
  readonly #anywhere: readonly Candidate[];
  /** By last label: those that can fit only there, with those that can fit anywhere. */
  readonly #byLabel: ReadonlyMap<string, readonly Candidate[]>;

  constructor(patterns: readonly TextPattern[]) {
    const all = patterns.map(candidateOf);
    this.#anywhere = all.filter(({ lastLabels }) => lastLabels === null);
    const labels = new Set(all.flatMap(({ lastLabels }) => lastLabels ?? []));
    this.#byLabel = new Map([...labels].map((label) => [label, all.filter((each) => each.lastLabels?.includes(label) ?? true)]));
  }

  /** The place of the first that fits a name in presentation format; -1 = none. */
  find(nameText: string): number {
    const candidates = this.#byLabel.get(nameText.slice(nameText.lastIndexOf(".") + 1)) ?? this.#anywhere;
    for (const { literal, matches, place } of candidates) if (nameText.includes(literal) && matches(nameText)) return place;
    return -1;
  }
}

interface Candidate extends RegexpHints {
  readonly matches: TextPattern["matches"];
  readonly place: number;
}

function candidateOf({ kind, text, matches }: TextPattern, place: number): Candidate {
  const hints = kind === "regexp" ? regexpHints(text) : { lastLabels: null, literal: "" };
  return { ...hints, matches, place };
}
