/** A line of the bundle that is read. */
export interface FindingPlace {
  readonly file: string;
  /** From 1. */
  readonly line: number;
}

/** What became of one thing that the bundle says. */
interface Finding extends FindingPlace {
  /** `left` = not carried over. */
  readonly kind: "carried" | "changed" | "left";
  readonly what: string;
}

/** Why nothing can be made of the bundle. */
export class ImportError extends Error {
  readonly place: FindingPlace;

  constructor(place: FindingPlace, message: string) {
    super(message);
    this.name = "ImportError";
    this.place = place;
  }
}

/** Collects what is told to the user, each thing once. */
export class Findings {
  readonly #all = new Map<string, Finding>();

  carried(place: FindingPlace, what: string): void {
    this.#add("carried", place, what);
  }

  changed(place: FindingPlace, what: string): void {
    this.#add("changed", place, what);
  }

  left(place: FindingPlace, what: string): void {
    this.#add("left", place, what);
  }

  get all(): readonly Finding[] {
    return [...this.#all.values()];
  }

  #add(kind: Finding["kind"], { file, line }: FindingPlace, what: string): void {
    this.#all.set(JSON.stringify([kind, file, line, what]), { kind, file, line, what });
  }
}

const HEADINGS = { carried: "Carried over", changed: "Carried over, and different", left: "Not carried over" } as const;

/** The report as a person reads it; ends in a newline. */
export function reportText(findings: readonly Finding[]): string {
  const parts = (["carried", "changed", "left"] as const).map((kind) => {
    const lines = findings
      .filter((finding) => finding.kind === kind)
      .map(({ file, line, what }) => `  ${file}:${line}: ${what}\n`);
    return `${HEADINGS[kind]}:${lines.length === 0 ? " nothing\n" : `\n${lines.join("")}`}`;
  });
  return printableText(parts.join("\n"));
}

/** No escape sequence of a file that somebody else wrote reaches the terminal. */
export function printableText(text: string): string {
  return text.replace(/[^\P{Cc}\n]/gu, " ");
}
