import { unreachable } from "../lib/unreachable.ts";
import type { ImportLists } from "./lists.ts";
import {
  type Ask,
  type Findings,
  type Modifiers,
  meaningKey,
  type Networks,
  type Outcome,
  type OwnAnswer,
  type Place,
  type ResponseTest,
  type ServerGroup,
} from "./model.ts";
import { sideOfAll } from "./servers.ts";

/** Puts an outcome of the model into what a rule can do today; what it cannot is closed, and reported at its line. */

export type Action =
  | { readonly kind: "upstream"; readonly group: AskedGroup }
  | {
      readonly kind: "compare";
      readonly near: AskedGroup;
      readonly far: AskedGroup;
      readonly keepNearIf: Networks;
      readonly first: "near" | "far";
      readonly withinMs: number | null;
    }
  | { readonly kind: "answer"; readonly answer: OwnAnswer };

/** A group as one rule asks it. */
export interface AskedGroup extends Pick<Ask, "group" | "ecs"> {
  readonly fallback: AskedGroup | null;
  /** When the fallback is asked too; null = after every server has failed. */
  readonly afterMs: number | null;
}

export interface Lowered {
  readonly action: Action;
  readonly modifiers: Modifiers;
  /** Addresses of forged answers that the outcome knows of. */
  readonly poison: readonly Networks[];
  /** Why the rule only keeps its names from going elsewhere; null = it does what it should. */
  readonly closed: string | null;
}

/** What an answer may be, as tests tell them apart. */
type Case = "home" | "foreign" | "poisoned" | "empty" | "failed";
const CASES: readonly Case[] = ["home", "foreign", "poisoned", "empty", "failed"];

type Judge = Extract<Outcome, { kind: "judge" }>;

export class Lowering {
  readonly #lists: ImportLists;
  readonly #findings: Findings;
  #poison: Networks[] = [];
  #closed = "";

  constructor(lists: ImportLists, findings: Findings) {
    this.#lists = lists;
    this.#findings = findings;
  }

  lower(outcome: Outcome): Lowered {
    this.#poison = [];
    const action = this.#action(outcome);
    if (action === null)
      return { action: { kind: "answer", answer: "refused" }, modifiers: {}, poison: [], closed: this.#closed };
    return { action, modifiers: this.#modifiers(outcome, action), poison: this.#poison, closed: null };
  }

  /** null = it cannot be said, which has been reported. */
  #action(outcome: Outcome): Action | null {
    switch (outcome.kind) {
      case "ask":
        return { kind: "upstream", group: asked(outcome) };
      case "answer":
        return { kind: "answer", answer: outcome.answer };
      case "nothing":
        return { kind: "answer", answer: "refused" };
      case "replace":
        this.#reportReplaced(outcome.place);
        return this.#action(outcome.of);
      case "judge":
        return this.#judge(outcome, null, null);
      case "fallback":
        return this.#fallback(outcome);
      case "unknown":
        return this.#close(outcome.place, outcome.why);
      default:
        return unreachable(outcome);
    }
  }

  #fallback(outcome: Extract<Outcome, { kind: "fallback" }>): Action | null {
    const { first, second, afterMs, place } = outcome;
    if (first.kind === "judge") return this.#judge(first, second, afterMs);
    if (first.kind === "answer") return this.#action(first);
    const group = this.#group(outcome);
    return group === null ? this.#close(place, "a fallback between parts that are no groups") : { kind: "upstream", group };
  }

  /** @param instead what is asked where the answer is dropped. */
  #judge(outcome: Judge, instead: Outcome | null, afterMs: number | null): Action | null {
    const { place } = outcome;
    const of = this.#group(outcome.of);
    if (of === null) return this.#close(place, "an answer is judged that no group gave");
    const leaves = this.#leaves(outcome, instead);
    if (typeof leaves === "string") return this.#close(place, leaves);
    const { home, foreign, poisoned, empty, failed } = leaves;
    const self = askedKey(outcome.of);
    const isSelf = (leaf: Outcome) => askedKey(leaf) === self;
    if (isSelf(home) && !isSelf(foreign)) {
      const far = this.#group(foreign);
      const keepNearIf = testsOf(outcome).find((networks) => this.#lists.isHome(networks));
      if (far === null || keepNearIf === undefined) return this.#close(place, "answers are dropped, and nobody else is asked");
      if (!isSelf(poisoned)) this.#addPoison(outcome, place);
      const away = [empty, failed].filter((leaf) => !isSelf(leaf) && askedKey(leaf) !== askedKey(foreign));
      if (away.length > 0)
        this.#findings.add("changed", place, "what comes after an empty or failed answer: `far` is asked then");
      if (isSelf(empty))
        this.#findings.add(
          "changed",
          place,
          `an empty answer of \`${of.group.name}\` counted; here \`${far.group.name}\` decides`,
        );
      this.#findings.add(
        "changed",
        place,
        `all addresses of an answer must be in the list, also behind an alias; one was enough for an answer of \`${of.group.name}\`. HTTPS records go the way of the addresses; they were always those of \`${far.group.name}\``,
      );
      return { kind: "compare", near: of, far, keepNearIf, first: "near", withinMs: afterMs };
    }
    if (isSelf(foreign) && isSelf(home)) {
      if (isSelf(poisoned) && isSelf(empty) && isSelf(failed)) return { kind: "upstream", group: of };
      const other = [poisoned, failed, empty].find((leaf) => !isSelf(leaf));
      const group = other === undefined ? null : this.#group(other);
      if (!isSelf(poisoned)) this.#addPoison(outcome, place);
      if (!isSelf(empty))
        this.#findings.add("changed", place, `an empty answer of \`${of.group.name}\` is believed; another group was asked then`);
      if (group !== null) this.#reportFallback(of.group, group.group, { afterMs: null, place });
      return { kind: "upstream", group: !isSelf(poisoned) || !isSelf(failed) ? { ...of, fallback: group } : of };
    }
    if (isSelf(foreign)) {
      const near = this.#group(home);
      const keepNearIf = testsOf(outcome).find((networks) => this.#lists.isHome(networks));
      const group = instead === null ? null : this.#group(instead);
      if (near !== null && keepNearIf !== undefined) {
        this.#findings.add(
          "changed",
          place,
          `all addresses of an answer of \`${of.group.name}\`, and then of \`${near.group.name}\`, must be in the list; one of the first was enough`,
        );
        if (!isSelf(poisoned)) this.#addPoison(outcome, place);
        const away = [empty, failed].filter((leaf) => !isSelf(leaf) && (group === null || leaf !== instead));
        if (away.length > 0)
          this.#findings.add(
            "changed",
            place,
            `what comes after an empty or failed answer of \`${of.group.name}\`: nobody else is asked`,
          );
        if (group !== null) this.#reportFallback(of.group, group.group, { afterMs, place });
        const far = group === null ? of : { ...of, fallback: { ...group, fallback: null }, afterMs };
        return { kind: "compare", near, far, keepNearIf, first: "far", withinMs: null };
      }
      this.#findings.add(
        "changed",
        place,
        `\`${of.group.name}\` was asked first, and something else for names whose addresses are in the list; here \`${of.group.name}\` answers alone, so those names get addresses as seen from there`,
      );
      if (group !== null) this.#reportFallback(of.group, group.group, { afterMs, place });
      return { kind: "upstream", group: group === null ? of : { ...of, fallback: { ...group, fallback: null }, afterMs } };
    }
    return this.#close(place, "an answer is asked for and never used");
  }

  /** What becomes of each kind of answer; a text says why that is not known. */
  #leaves(outcome: Judge, instead: Outcome | null): Record<Case, Outcome> | string {
    const found = CASES.map((each): readonly [Case, Outcome] | string => {
      let leaf: Outcome = outcome;
      while (leaf.kind === "judge" && askedKey(leaf.of) === askedKey(outcome.of)) {
        const truth = this.#truth(leaf.test, each);
        if (typeof truth === "string") return truth;
        leaf = truth ? leaf.yes : leaf.no;
      }
      if (leaf.kind === "replace" && askedKey(leaf.of) === askedKey(outcome.of)) {
        this.#reportReplaced(leaf.place);
        leaf = leaf.of;
      }
      if (leaf.kind === "unknown") return leaf.why;
      return [each, leaf.kind === "nothing" && instead !== null ? instead : leaf];
    });
    const wrong = found.find((each) => typeof each === "string");
    if (wrong !== undefined) return wrong;
    return Object.fromEntries(found.filter((each) => typeof each !== "string")) as Record<Case, Outcome>;
  }

  #truth(test: ResponseTest, answer: Case): boolean | string {
    switch (test.kind) {
      case "addresses":
        return answer === (this.#lists.isHome(test.networks) ? "home" : "poisoned");
      case "valid":
        return answer !== "empty" && answer !== "failed";
      case "rcode":
        if (test.codes.every((code) => code === 2 || code === 5)) return answer === "failed";
        return `a condition on rcode ${test.codes.join(", ")}`;
      case "unknown":
        return test.why;
      default:
        return unreachable(test);
    }
  }

  /** Groups of the same side or fewer: what cannot be a group is left out, never put in. */
  #group(outcome: Outcome): AskedGroup | null {
    switch (outcome.kind) {
      case "ask":
        return asked(outcome);
      case "replace":
        this.#reportReplaced(outcome.place);
        return this.#group(outcome.of);
      case "judge": {
        const leaves = this.#leaves(outcome, null);
        if (typeof leaves === "string" || outcome.of.kind !== "ask") return null;
        const isKept = askedKey(leaves.foreign) === askedKey(outcome.of);
        const group = this.#group(leaves.foreign);
        if (group !== null)
          this.#findings.add(
            "changed",
            outcome.place,
            `of these two \`${group.group.name}\` alone is asked${isKept ? "" : `, not \`${outcome.of.group.name}\` before it`}`,
          );
        return group;
      }
      case "fallback": {
        const [first, second] = [this.#group(outcome.first), this.#group(outcome.second)];
        if (first === null) return null;
        if (second === null || first.fallback !== null) {
          this.#findings.add("changed", outcome.place, `when \`${first.group.name}\` fails, no other group is asked`);
          return first;
        }
        this.#reportFallback(first.group, second.group, outcome);
        return { ...first, fallback: second, afterMs: outcome.afterMs };
      }
      case "answer":
      case "nothing":
      case "unknown":
        return null;
      default:
        return unreachable(outcome);
    }
  }

  #reportFallback(
    first: ServerGroup,
    second: ServerGroup,
    { afterMs, place }: { readonly afterMs: number | null; readonly place: Place },
  ): void {
    const [a, b] = [sideOfAll(first.servers), sideOfAll(second.servers)];
    const when = `\`${second.name}\` is asked when every server of \`${first.name}\` has failed${afterMs === null ? "" : `, or after ${afterMs} ms`}`;
    if (b === "near" && a !== "near")
      this.#findings.add(
        "risk",
        place,
        `${when}: foreign names are shown to domestic resolvers then, and their forged answers believed, as before; \`never\` on \`${second.name}\` prevents it`,
      );
    else if (a === "near" && b === "far")
      this.#findings.add(
        "risk",
        place,
        `${when}: a quick answer of \`${first.name}\` wins whatever it holds, as before; \`compare\` would judge it`,
      );
    else this.#findings.add(afterMs === null ? "changed" : "carried", place, when);
  }

  #addPoison(outcome: Judge, place: Place): void {
    const poison = testsOf(outcome).filter((networks) => !this.#lists.isHome(networks));
    this.#poison.push(...poison);
    if (poison.length > 0)
      this.#findings.add("changed", place, "addresses of forged answers are void for every group: see `poison`");
  }

  #reportReplaced(place: Place): void {
    this.#findings.add("changed", place, "addresses of a CDN were replaced by chosen ones: they are passed as they come");
  }

  /** Of the settings of its branches those hold that all branches have. */
  #modifiers(outcome: Outcome, action: Action): Modifiers {
    const asks = asksOf(outcome);
    const [first] = asks;
    if (first === undefined || action.kind === "answer") return {};
    // One group that others only stand in for decides; of two that are compared what both say holds.
    const isCompared = action.kind === "compare";
    const has = ({ modifiers }: Ask, key: string, value: unknown) =>
      meaningKey(new Map(Object.entries(modifiers)).get(key)) === meaningKey(value);
    const kept = Object.entries(first.modifiers).filter(
      ([key, value]) => !isCompared || asks.every((ask) => has(ask, key, value)),
    );
    for (const { modifiers, group, place } of asks)
      for (const [key, value] of Object.entries(modifiers))
        if (!kept.some(([own]) => own === key) || !has(first, key, value))
          this.#findings.add(
            "changed",
            place,
            `\`${key}\` for answers of \`${group.name}\` alone is left out: the rule asks another group too`,
          );
    return Object.fromEntries(kept);
  }

  #close(place: Place, why: string): null {
    this.#closed = why;
    this.#findings.add("blank", place, `${why}: its names are refused, so that they go nowhere else`);
    return null;
  }
}

/** Equal for what asks the same groups: settings of the answer do not count. */
function askedKey(outcome: Outcome): string {
  return JSON.stringify(outcome, (key, part: unknown) => (["place", "tag", "modifiers"].includes(key) ? undefined : part));
}

function asked({ group, ecs }: Ask): AskedGroup {
  const fallback = group.fallback === null ? null : { group: group.fallback, ecs, fallback: null, afterMs: null };
  return { group, ecs, fallback, afterMs: null };
}

/** The address tests of a tree, the outer first. */
function testsOf(outcome: Outcome): readonly Networks[] {
  if (outcome.kind !== "judge") return [];
  const own = outcome.test.kind === "addresses" ? [outcome.test.networks] : [];
  return [...own, ...testsOf(outcome.yes), ...testsOf(outcome.no)];
}

export function asksOf(outcome: Outcome): readonly Ask[] {
  switch (outcome.kind) {
    case "ask":
      return [outcome];
    case "judge": {
      // What was done to an answer after it was judged stands with the answer that was kept.
      const leaves = [...asksOf(outcome.yes), ...asksOf(outcome.no)];
      const kept = leaves.filter((leaf) => askedKey(leaf) === askedKey(outcome.of));
      return [...(kept.length === 0 ? asksOf(outcome.of) : kept), ...leaves.filter((leaf) => !kept.includes(leaf))];
    }
    case "fallback":
      return [...asksOf(outcome.first), ...asksOf(outcome.second)];
    case "replace":
      return asksOf(outcome.of);
    case "answer":
    case "nothing":
    case "unknown":
      return [];
    default:
      return unreachable(outcome);
  }
}
