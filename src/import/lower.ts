import { unreachable } from "../lib/unreachable.ts";
import { AT_HOME, type ImportLists } from "./lists.ts";
import {
  type Ask,
  type Findings,
  type ListFile,
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
  /** Addresses that are taken out of its answers. */
  readonly drop: readonly Networks[];
  readonly fallback: AskedGroup | null;
  /** When the fallback is asked too; null = after every server has failed. */
  readonly afterMs: number | null;
}

export interface Lowered {
  readonly action: Action;
  readonly modifiers: Modifiers;
  /** Addresses that give way to chosen ones. */
  readonly replace: readonly ChosenAddresses[];
  /** Addresses of forged answers that the outcome knows of. */
  readonly poison: readonly Networks[];
  /** Why the rule only keeps its names from going elsewhere, and where; null = it does what it should. */
  readonly closed: { readonly why: string; readonly place: Place } | null;
}

export interface ChosenAddresses {
  readonly networks: Networks;
  readonly addresses: readonly string[];
}

/** What an answer may be, as tests tell them apart: addresses in some of the lists that are tested, or in none of them. */
type Answer =
  | { readonly kind: "addresses"; readonly within: ReadonlySet<string> }
  | { readonly kind: "empty" | "denied" | "failed" };

/** What becomes of each kind of answer. */
interface Leaves {
  /** The list that decides whether an answer is kept: that of the country, or another that alone keeps it. null = there is none. */
  readonly own: Networks | null;
  /** Addresses in that list. */
  readonly home: Outcome;
  /** Addresses in no list. */
  readonly foreign: Outcome;
  readonly empty: Outcome;
  /** NXDOMAIN, where something else becomes of it. */
  readonly denied: Outcome;
  readonly failed: Outcome;
  /** Addresses in one other list, and in it and the country's. */
  readonly listed: readonly { readonly networks: Networks; readonly alone: Outcome; readonly atHome: Outcome }[];
}

type Judge = Extract<Outcome, { kind: "judge" }>;
type Unknown = Extract<Outcome, { kind: "unknown" }>;

export class Lowering {
  readonly #lists: ImportLists;
  readonly #findings: Findings;
  #poison: Networks[] = [];
  #replace: ChosenAddresses[] = [];
  /** Outcomes share their branches: each without its steps that replace addresses. */
  #stripped = new Map<Outcome, Outcome>();
  #closed: Lowered["closed"] = null;

  constructor(lists: ImportLists, findings: Findings) {
    this.#lists = lists;
    this.#findings = findings;
  }

  lower(given: Outcome): Lowered {
    this.#poison = [];
    this.#replace = [];
    this.#stripped = new Map();
    const outcome = this.#withoutReplaced(given);
    const action = this.#action(outcome);
    if (action === null)
      return { action: { kind: "answer", answer: "refused" }, modifiers: {}, replace: [], poison: [], closed: this.#closed };
    const isAlone = action.kind === "upstream" && action.group.fallback === null;
    if (!isAlone && this.#replace.length > 0) this.#reportReplaced(outcome.place);
    const replace = isAlone ? this.#replace : [];
    return { action, modifiers: this.#modifiers(outcome, action), replace, poison: this.#poison, closed: null };
  }

  /**
   * Takes out the steps that replace the addresses of an answer: those of one list become a setting of the rule, others pass as they come. A condition
   * that is not known and that only such steps or an empty answer hang on sends no name to another group.
   */
  #withoutReplaced(outcome: Outcome): Outcome {
    const known = this.#stripped.get(outcome);
    if (known !== undefined) return known;
    const stripped = this.#strip(outcome);
    this.#stripped.set(outcome, stripped);
    return stripped;
  }

  #strip(outcome: Outcome): Outcome {
    if (outcome.kind === "replace") {
      this.#reportReplaced(outcome.place);
      return this.#withoutReplaced(outcome.of);
    }
    if (outcome.kind === "fallback")
      return { ...outcome, first: this.#withoutReplaced(outcome.first), second: this.#withoutReplaced(outcome.second) };
    if (outcome.kind !== "judge") return outcome;
    const { test, place } = outcome;
    const of = this.#withoutReplaced(outcome.of);
    const isOwn = outcome.yes.kind === "replace" && askedKey(outcome.yes.of) === askedKey(outcome.of);
    let { yes } = outcome;
    if (isOwn && yes.kind === "replace" && test.kind === "addresses" && !this.#lists.isHome(test.networks)) {
      this.#replace.push({ networks: test.networks, addresses: yes.addresses });
      this.#findings.add(
        "changed",
        place,
        `addresses of this list give way to ${yes.addresses.join(" ")}; one of them was enough to replace the whole answer`,
      );
      yes = this.#withoutReplaced(yes.of);
    } else yes = this.#withoutReplaced(yes);
    const no = this.#withoutReplaced(outcome.no);
    if (askedKey(yes) === askedKey(no)) return no;
    if (test.kind === "unknown")
      for (const [one, other] of [
        [yes, no],
        [no, yes],
      ] as const)
        if (one.kind === "answer" && askedKey(other) === askedKey(of)) {
          this.#findings.add("risk", place, `${test.why}: what was answered \`${one.answer}\` under it is passed as it comes`);
          return other;
        }
    return { ...outcome, of, yes, no };
  }

  /** null = it cannot be said, which has been reported. */
  #action(outcome: Outcome): Action | null {
    switch (outcome.kind) {
      case "ask":
        return { kind: "upstream", group: this.#asked(outcome) };
      case "answer":
        return { kind: "answer", answer: outcome.answer };
      case "nothing":
        return { kind: "answer", answer: "refused" };
      case "replace":
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

  #asked({ group, ecs }: Ask): AskedGroup {
    const spare = group.fallback;
    if (spare === null) return { group, ecs, drop: [], fallback: null, afterMs: null };
    // Where the source names it beside the servers, it is asked when they are silent.
    this.#reportFallback(group, spare, { afterMs: null, place: spare.place });
    this.#findings.add(
      "changed",
      spare.place,
      `an answer SERVFAIL or REFUSED of \`${group.name}\` may have counted; here \`${spare.name}\` is asked then`,
    );
    return { group, ecs, drop: [], fallback: { group: spare, ecs, drop: [], fallback: null, afterMs: null }, afterMs: null };
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
    if ("why" in leaves) return this.#close(leaves.place, leaves.why);
    const { home, foreign, empty, denied, failed, listed } = leaves;
    if (askedKey(denied) !== askedKey(empty)) {
      const then = [...new Set(asksOf(denied).map(({ group }) => `\`${group.name}\``))];
      this.#findings.add(
        "changed",
        place,
        `NXDOMAIN of \`${of.group.name}\` counts here as an answer without addresses: what became of it was ${then[0] === undefined ? "another answer" : `an answer of ${then.join(" or ")}`}`,
      );
    }
    const self = askedKey(outcome.of);
    const isSelf = (leaf: Outcome) => askedKey(leaf) === self;
    const isForeign = (leaf: Outcome) => askedKey(leaf) === askedKey(foreign);
    if (isSelf(home) && !isSelf(foreign)) {
      const far = this.#group(foreign);
      const kept = listed.filter(({ alone }) => isSelf(alone));
      const keepNearIf = joinedOf(leaves.own, kept);
      if (far === null || keepNearIf === null)
        return this.#close(
          place,
          `an answer of \`${of.group.name}\` that is dropped is followed by no group that can be asked here`,
        );
      const near = this.#dropping(
        of,
        listed.filter(({ alone, atHome }) => !isSelf(atHome) || !(isSelf(alone) || isForeign(alone))),
        place,
      );
      const away = [empty, failed].filter((leaf) => !isSelf(leaf) && !isForeign(leaf));
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
        `all addresses of an answer must be in the list, also behind an alias; AAAA and HTTPS go the way of A, and other types where it is known. ${
          outcome.differs ??
          `One address was enough for an answer of \`${of.group.name}\`, and records of types without addresses, HTTPS too, were always those of \`${far.group.name}\``
        }. Where \`${far.group.name}\` fails, an address of \`${of.group.name}\` that is not in the list is given: see \`compare:unproven\``,
      );
      if (outcome.differs === undefined)
        this.#findings.add(
          "changed",
          place,
          `\`${far.group.name}\` is asked together with \`${of.group.name}\`, ${
            instead === null
              ? "not after it, and answers when that fails or is slow: see `compare.within`"
              : "for every name, also where it did not stand by"
          }`,
        );
      return { kind: "compare", near, far, keepNearIf, first: "near", withinMs: afterMs };
    }
    if (isSelf(foreign) && isSelf(home)) {
      const dropped = listed.filter(({ alone, atHome }) => !isSelf(alone) || !isSelf(atHome));
      if (dropped.length === 0 && isSelf(empty) && isSelf(failed)) return { kind: "upstream", group: of };
      // Where nobody answered the second part of a fallback was asked, whatever comes after SERVFAIL.
      const spare = instead === null || failed === instead || dropped.length > 0 || !isSelf(empty) ? null : this.#group(instead);
      if (spare !== null) {
        const name = this.#group(failed)?.group.name;
        this.#findings.add(
          "changed",
          place,
          `after SERVFAIL of \`${of.group.name}\` ${name === undefined ? "something else was answered" : `\`${name}\` was asked`}; here \`${spare.group.name}\` is, as where nobody answers`,
        );
        this.#reportFallback(of.group, spare.group, { afterMs, place });
        return { kind: "upstream", group: { ...of, fallback: { ...spare, fallback: null }, afterMs } };
      }
      const other = [...dropped.flatMap(({ alone, atHome }) => [alone, atHome]), failed, empty].find((leaf) => !isSelf(leaf));
      const group = other === undefined ? null : this.#group(other);
      const first = this.#dropping(of, dropped, place);
      if (!isSelf(empty))
        this.#findings.add("changed", place, `an empty answer of \`${of.group.name}\` is believed; another group was asked then`);
      if (group !== null) this.#reportFallback(of.group, group.group, { afterMs: null, place });
      else if (!isSelf(failed))
        this.#findings.add(
          "changed",
          place,
          `where \`${of.group.name}\` failed something else was answered; here it is SERVFAIL`,
        );
      return { kind: "upstream", group: this.#withSpare(first, group, place) };
    }
    if (isSelf(foreign)) {
      const near = this.#group(this.#keptNear(home, self) ?? home);
      const isNear = (leaf: Outcome) => askedKey(leaf) === askedKey(home);
      const keepNearIf = joinedOf(
        leaves.own,
        listed.filter(({ alone }) => isNear(alone)),
      );
      const dropped = listed.filter(({ alone }) => !isNear(alone) && !isSelf(alone));
      const isDropped = instead !== null && this.#keptNear(instead, self) !== null;
      const group = instead === null || isDropped ? null : this.#group(instead);
      // The same servers are asked again, whatever they said.
      if (near !== null && meaningKey([near.group, near.ecs, near.drop]) === meaningKey([of.group, of.ecs, of.drop]))
        return { kind: "upstream", group: of.fallback === null ? near : of };
      if (near !== null && keepNearIf !== null) {
        this.#findings.add(
          "changed",
          place,
          `all addresses of an answer of \`${of.group.name}\`, and then of \`${near.group.name}\`, must be in the list; one of the first was enough. AAAA and HTTPS go the way of A, and other types where it is known: records of types without addresses were always those of \`${of.group.name}\``,
        );
        const away = [empty, failed].filter((leaf) => !isSelf(leaf) && (group === null || leaf !== instead));
        if (away.length > 0 || isDropped)
          this.#findings.add(
            "changed",
            place,
            `what comes after an empty or failed answer of \`${of.group.name}\`: ${group === null ? "nobody else is" : `\`${group.group.name}\` alone is`} asked`,
          );
        if (group !== null) this.#reportFallback(of.group, group.group, { afterMs, place });
        const first = this.#dropping(of, dropped, place);
        const far = group === null ? first : { ...first, fallback: { ...group, fallback: null }, afterMs };
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
    const leavesOf = [home, foreign, empty, failed, ...listed.flatMap(({ alone, atHome }) => [alone, atHome])];
    if (new Set(leavesOf.map((leaf) => askedKey(leaf, "ecs"))).size === 1) {
      this.#findings.add(
        "changed",
        place,
        `\`${of.group.name}\` was asked first, and the same groups in the end whatever it answered, at most with another client subnet: it is not asked here`,
      );
      return this.#action(foreign);
    }
    return this.#closeUnused(outcome, of);
  }

  /** A group stands in for this one in place of its own that does; without any its own stays, and is asked for what is dropped. */
  #withSpare(group: AskedGroup, spare: AskedGroup | null, place: Place): AskedGroup {
    const own = group.fallback;
    if (own === null) return { ...group, fallback: spare };
    if (spare !== null) {
      this.#findings.add("changed", place, `when \`${group.group.name}\` fails, \`${own.group.name}\` is not asked`);
      return { ...group, fallback: spare, afterMs: null };
    }
    if (group.drop.length > 0)
      this.#findings.add(
        sideOfAll(own.group.servers) === sideOfAll(group.group.servers) ? "changed" : "leak",
        place,
        `where no address of an answer of \`${group.group.name}\` is left, \`${own.group.name}\` is asked here: something else was answered`,
      );
    return group;
  }

  /** What hangs on a list is followed for that of the country, and where the list alone keeps an answer. */
  #closeUnused(outcome: Judge, { group }: AskedGroup): null {
    const tests = testsOf(outcome);
    const [networks] = tests;
    if (networks === undefined || tests.some((each) => this.#lists.isHome(each)))
      return this.#close(
        outcome.place,
        `\`${group.name}\` is asked only to find out whom to ask then: its own answer is used for no address`,
      );
    const [list] = networks.lists;
    const [shown, held] =
      list === undefined
        ? [networks.networks.join(" "), "they do not hold"]
        : [`the list \`${list.tag}\``, `${list.path} is not called \`cn\` or \`china\`, and does not hold`];
    return this.#close(
      list?.place ?? outcome.place,
      `who is asked after \`${group.name}\` hangs on whether the answer is in ${shown}: that is followed for the addresses of the home country alone, and they are not known as such: ${held} most of ${AT_HOME.join(", ")}`,
    );
  }

  /** Whom `home` asks, where it believes addresses of the country alone and else goes back to the group that was asked first: so does `first: far`. */
  #keptNear(home: Outcome, first: string): Outcome | null {
    if (home.kind !== "judge") return null;
    const leaves = this.#leaves(home, null);
    if ("why" in leaves || askedKey(leaves.home) !== askedKey(home.of)) return null;
    const { foreign, empty, failed, listed } = leaves;
    const isBack = (leaf: Outcome) => askedKey(leaf) === first;
    const others = [empty, failed, ...listed.flatMap(({ alone, atHome }) => [alone, atHome])];
    return isBack(foreign) && others.every((leaf) => isBack(leaf) || askedKey(leaf) === askedKey(home.of)) ? home.of : null;
  }

  /** Addresses that another group is asked about are taken out of the answers of this one; those that its list calls forged are void everywhere. */
  #dropping(group: AskedGroup, dropped: Leaves["listed"], place: Place): AskedGroup {
    if (dropped.length === 0) return group;
    const all = dropped.map(({ networks }) => networks);
    const forged = all.filter((networks) => this.#lists.isForged(networks));
    this.#poison.push(...forged);
    if (forged.length > 0)
      this.#findings.add("changed", place, "addresses of forged answers are void for every group: see `poison`");
    const drop = all.filter((networks) => !forged.includes(networks));
    if (drop.length > 0)
      this.#findings.add(
        "changed",
        place,
        `addresses of this list are taken out of answers of \`${group.group.name}\`: see \`drop\`; one of them was enough to drop the whole answer`,
      );
    return { ...group, drop };
  }

  /** What is not known stands for all of them. */
  #leaves(outcome: Judge, instead: Outcome | null): Leaves | Unknown {
    const follow = (answer: Answer): Outcome => {
      let leaf: Outcome = outcome;
      while (leaf.kind === "judge" && askedKey(leaf.of) === askedKey(outcome.of)) {
        const truth = truthOf(leaf.test, answer);
        if (typeof truth === "string") return { kind: "unknown", why: truth, place: leaf.place };
        leaf = truth ? leaf.yes : leaf.no;
      }
      return leaf.kind === "nothing" && instead !== null ? instead : leaf;
    };
    const within = (...all: readonly (Networks | undefined)[]) =>
      follow({ kind: "addresses", within: new Set(all.flatMap((each) => (each === undefined ? [] : [meaningKey(each)]))) });
    const tests = [...new Map(testsOf(outcome).map((networks) => [meaningKey(networks), networks])).values()];
    const own =
      tests.find((networks) => this.#lists.isHome(networks)) ?? tests.find((networks) => this.#keeps(outcome, within, networks));
    const found = {
      own: own ?? null,
      home: within(own),
      foreign: within(),
      empty: follow({ kind: "empty" }),
      denied: follow({ kind: "denied" }),
      failed: follow({ kind: "failed" }),
    };
    const listed = tests
      .filter((networks) => networks !== own)
      .map((networks) => ({ networks, alone: within(networks), atHome: within(networks, own) }));
    const { home, foreign, empty, denied, failed } = found;
    const leaves = [home, foreign, empty, denied, failed, ...listed.flatMap(({ alone, atHome }) => [alone, atHome])];
    return leaves.find((leaf) => leaf.kind === "unknown") ?? { ...found, listed };
  }

  /** Whether the first answer is kept for addresses of this list and another group asked for others, to which no new side is shown more names. */
  #keeps(outcome: Judge, leafOf: (...within: readonly Networks[]) => Outcome, networks: Networks): boolean {
    const self = askedKey(outcome.of);
    const foreign = leafOf();
    if (askedKey(leafOf(networks)) !== self || askedKey(foreign) === self) return false;
    const sides = [outcome.of, foreign].map((each) => sideOfAll(asksOf(each).flatMap(({ group }) => group.servers)));
    return sides[0] !== "far" || sides[1] === "far";
  }

  /** Groups of the same side or fewer: what cannot be a group is left out, never put in. */
  #group(outcome: Outcome): AskedGroup | null {
    switch (outcome.kind) {
      case "ask":
        return this.#asked(outcome);
      case "replace":
        return this.#group(outcome.of);
      case "judge": {
        const leaves = this.#leaves(outcome, null);
        const of = "why" in leaves ? null : this.#group(outcome.of);
        if ("why" in leaves || of === null) return null;
        const isKept = askedKey(leaves.foreign) === askedKey(outcome.of);
        const group = this.#group(leaves.foreign);
        if (group !== null)
          this.#findings.add(
            "changed",
            outcome.place,
            `of these two \`${group.group.name}\` alone is asked${isKept ? "" : `, not \`${of.group.name}\` before it`}`,
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
    if ((b === "near" || b === "mixed") && a !== b)
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
    if (afterMs !== null)
      this.#findings.add(
        "changed",
        place,
        `an answer SERVFAIL or REFUSED of \`${first.name}\` counted; here \`${second.name}\` is asked then`,
      );
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
    for (const [key, value] of kept)
      for (const ask of asks)
        if (!has(ask, key, value) && askedKey(ask) !== askedKey(first))
          this.#findings.add(
            "changed",
            ask.place,
            `\`${key}\` for answers of \`${first.group.name}\` holds for those of \`${ask.group.name}\` too, which stands in for it`,
          );
    return Object.fromEntries(kept);
  }

  #close(place: Place, why: string): null {
    this.#closed = { why, place };
    this.#findings.add("blank", place, `${why}: its names are refused, so that they go nowhere else`);
    return null;
  }
}

/** The list with others that mean the same; null = there is no list. */
function joinedOf(own: Networks | null, same: Leaves["listed"]): Networks | null {
  if (own === null) return null;
  const all = [own, ...same.map(({ networks }) => networks)];
  return { networks: [...new Set(all.flatMap(({ networks }) => networks))], lists: all.flatMap(({ lists }) => lists) };
}

/** Equal for what asks the same groups: settings of the answer do not count. @param ignored further keys that do not. */
function askedKey(outcome: Outcome, ...ignored: readonly string[]): string {
  const left = ["place", "tag", "modifiers", ...ignored];
  return JSON.stringify(outcome, (key, part: unknown) => (left.includes(key) ? undefined : part));
}

/** A text says why it is not known. */
function truthOf(test: ResponseTest, answer: Answer): boolean | string {
  switch (test.kind) {
    case "addresses": {
      const families = wholeFamilies(test.networks);
      if (families === 1) return "a condition on all addresses of one family is not followed";
      return answer.kind === "addresses" && (families === 2 || answer.within.has(meaningKey(test.networks)));
    }
    case "valid":
      return answer.kind === "addresses";
    case "rcode":
      if (!test.codes.every((code) => [0, 2, 3, 5].includes(code)))
        return `a condition on rcode ${test.codes.join(", ")} is not followed`;
      if (answer.kind === "failed") return test.codes.includes(2) || test.codes.includes(5);
      return test.codes.includes(answer.kind === "denied" ? 3 : 0);
    case "unknown":
      return test.why;
    default:
      return unreachable(test);
  }
}

/** Of how many families the networks hold every address: such a test only asks whether there is one. */
function wholeFamilies({ networks }: Networks): number {
  return new Set(networks.filter((network) => network.endsWith("/0")).map((network) => network.includes(":"))).size;
}

/** The address tests of a tree that tell addresses apart, the outer first. */
function testsOf(outcome: Outcome): readonly Networks[] {
  if (outcome.kind !== "judge") return [];
  const { test } = outcome;
  const own = test.kind === "addresses" && wholeFamilies(test.networks) === 0 ? [test.networks] : [];
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

/** The lists that answers are held against. */
export function addressLists(outcome: Outcome): readonly ListFile[] {
  switch (outcome.kind) {
    case "judge":
      return [
        ...(outcome.test.kind === "addresses" ? outcome.test.networks.lists : []),
        ...addressLists(outcome.yes),
        ...addressLists(outcome.no),
      ];
    case "fallback":
      return [...addressLists(outcome.first), ...addressLists(outcome.second)];
    default:
      return [];
  }
}
