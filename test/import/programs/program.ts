import fc from "fast-check";

/**
 * Random configurations of other servers, and what those servers do with a question: one file a format, each with a generator and an interpreter.
 * `../programs.test.ts` imports them and compares; `../lab/programs.ts` holds the interpreters against the servers themselves.
 */
export interface Format<Program> {
  /** As `fenliu import` names it. */
  readonly kind: string;
  readonly program: fc.Arbitrary<Program>;
  readonly question: fc.Arbitrary<Question>;
  readonly make: (program: Program, setting: Setting) => Made;
}

export interface Setting {
  /** Where the server of each group is asked. */
  readonly servers: Readonly<Record<Group, Endpoint>>;
  /** Where the program listens. */
  readonly listen: Endpoint;
}

export interface Endpoint {
  readonly address: string;
  readonly port: number;
}

export interface Made {
  /** The first is the main file. */
  readonly files: Readonly<Record<string, string | Uint8Array>>;
  readonly run: (question: Question) => Ran;
}

export interface Ran {
  /** Any one of these may answer. */
  readonly answers: readonly Answerer[];
  /** Every group that is asked, or may be. */
  readonly asked: ReadonlySet<Group>;
  /** Lines of the main file that have a say in the answer. */
  readonly lines: ReadonlySet<number>;
}

export const GROUPS = ["near", "far", "third"] as const;
export type Group = (typeof GROUPS)[number];

/** What a group answers. */
export const KINDS = ["home", "foreign", "banned", "empty", "nxdomain", "servfail"] as const;
export type Kind = (typeof KINDS)[number];

export interface Question {
  readonly name: string;
  readonly type: string;
  readonly answers: Readonly<Record<Group, Kind>>;
  /** The address that asks. */
  readonly client?: string;
}

/** Who answers: a group, an address that stands in the file, or the program, without any record, with 0.0.0.0 and ::, or with an address of its own. */
export type Answerer = Group | `=${string}` | "!fake" | "!nxdomain" | "!nodata" | "!refused" | "!zero" | "!made" | "!servfail";

/** Addresses of the country as the importer knows them, and some that are in no list of it. */
export const HOME = ["223.5.5.0/24", "119.29.29.0/24", "114.114.114.0/24", "180.76.76.0/24", "61.135.0.0/16", "2400:3200::/32"];
export const BANNED = ["203.0.113.0/24", "2001:db8:113::/48"];

/** @param kinds what servers may answer. */
export function questionOf(names: readonly string[], types: readonly string[], kinds: readonly Kind[]): fc.Arbitrary<Question> {
  const kind = fc.constantFrom(...kinds);
  return fc.record({
    name: fc.constantFrom(...names),
    type: fc.constantFrom(...types),
    answers: fc.record({ near: kind, far: kind, third: kind }),
  });
}

/** The group's own answer, as its client sees it. */
export function answerOf(group: Group, { answers }: Question): Answerer {
  return answers[group] === "servfail" ? "!servfail" : group;
}

export function familyOf(address: string): "A" | "AAAA" | null {
  return address.includes(":") ? "AAAA" : address.includes(".") ? "A" : null;
}

/** `a.b.c`, `b.c`, `c`: the name and the domains it lies in, the longest first. */
export function domainsOf(name: string): readonly string[] {
  return name.split(".").map((_, index, labels) => labels.slice(index).join("."));
}

/** Rows that know their numbers, from 1. */
export class Rows {
  readonly #rows: string[] = [];

  /** @returns the number of the last row of `text`. */
  add(text: string): number {
    this.#rows.push(...text.split("\n"));
    return this.#rows.length;
  }

  get text(): string {
    return `${this.#rows.join("\n")}\n`;
  }
}
