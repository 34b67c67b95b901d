import type { Host, Modifiers, Names, OwnAnswer, Place, ResponseTest, ServerGroup } from "../model.ts";

/** What the sequences of mosdns come to, of all versions alike. */

export type Step =
  | { readonly kind: "if"; readonly test: Test; readonly yes: Steps; readonly no: Steps; readonly place: Place }
  /**
   * Another sequence: `run` comes back however it ends; `jump` comes back where it runs out or returns, and what it accepts is final; `goto` never
   * comes back.
   */
  | { readonly kind: "call"; readonly mode: "run" | "jump" | "goto"; readonly steps: () => Steps; readonly place: Place }
  /** `accept` ends this sequence and those that jumped here; `return` this one alone. */
  | { readonly kind: "accept" | "return" | "drop-response"; readonly place: Place }
  | {
      readonly kind: "forward";
      readonly group: ServerGroup | { readonly why: string };
      readonly tag: string;
      readonly place: Place;
    }
  | { readonly kind: "answer"; readonly answer: OwnAnswer; readonly place: Place }
  /** Another answer takes the place of the one that came. */
  | { readonly kind: "addresses"; readonly addresses: readonly string[]; readonly place: Place }
  | {
      readonly kind: "fallback";
      readonly first: Steps;
      readonly second: Steps;
      readonly afterMs: number | null;
      readonly place: Place;
    }
  /** null takes it away; `forced` where another that is there gives way. */
  | { readonly kind: "ecs"; readonly ecs: string | null; readonly forced: boolean; readonly place: Place }
  | { readonly kind: "prefer"; readonly modifiers: Modifiers; readonly place: Place }
  /** Changes the answer that is there. */
  | { readonly kind: "ttl"; readonly ttl: NonNullable<Modifiers["ttl"]>; readonly place: Place }
  /** Names that are answered here: `ends` where a hit ends the whole run. */
  | { readonly kind: "hosts"; readonly hosts: readonly Host[]; readonly ends: boolean; readonly place: Place }
  /** Names that the rest of this sequence asks by other names: the aliases. */
  | { readonly kind: "redirect"; readonly hosts: readonly Host[]; readonly place: Place }
  | { readonly kind: "mark"; readonly mark: string; readonly place: Place }
  | { readonly kind: "unknown"; readonly why: string; readonly place: Place };

export type Steps = readonly Step[];

export type Test =
  | { readonly kind: "all" | "any"; readonly of: readonly Test[] }
  | { readonly kind: "not"; readonly of: Test }
  | Atom;

export type Atom =
  | { readonly kind: "names"; readonly names: Names }
  | { readonly kind: "types"; readonly types: readonly number[] }
  | { readonly kind: "clients"; readonly clients: readonly string[] }
  | { readonly kind: "response"; readonly test: ResponseTest }
  | { readonly kind: "has-response" }
  | { readonly kind: "mark"; readonly mark: string }
  /** The client subnet that the question carries by now. */
  | { readonly kind: "ecs"; readonly networks: readonly string[] }
  | { readonly kind: "constant"; readonly value: boolean }
  | { readonly kind: "unknown"; readonly why: string };
