import { rangeFromText } from "../../dns/address.ts";
import { TYPE } from "../../dns/types.ts";
import { unreachable } from "../../lib/unreachable.ts";
import { networksSet } from "../lists.ts";
import { asksOf } from "../lower.ts";
import {
  ANYTHING,
  decide,
  Findings,
  type Host,
  ImportError,
  joinNames,
  listKey,
  type ModelRule,
  type Modifiers,
  meaningKey,
  type Names,
  namesIn,
  namesOf,
  type Outcome,
  type Place,
  type RuleCondition,
} from "../model.ts";
import { sideOfAll } from "../servers.ts";
import { alternativesOf, type Literal, looksAtAnswer, mergeAlternatives } from "./alternatives.ts";
import { canBeNothing, joinFallback, limitTtls, sizeOf, unknownIn } from "./outcome.ts";
import type { Atom, Step, Steps, Test } from "./steps.ts";

/**
 * Walks a sequence symbolically: for every set of questions that its conditions tell apart, what becomes of them in the end.
 *
 * At each condition the walk splits. Those for which it holds are followed to the very end first, so that the rules they come to stand before those of
 * the others: the first rule that matches decides, and hardly a condition must be negated. Where a condition looks at an answer, both ends are found
 * and joined to one outcome.
 *
 * @param joins whether ways are joined right after a condition on an answer, which is done by itself where there are too many of them.
 */
export function walk(
  steps: Steps,
  place: Place,
  findings: Findings,
  joins = false,
): { readonly rules: readonly ModelRule[]; readonly hosts: readonly Host[] } {
  const { leaves, hosts } = follow(steps, place, findings, joins);
  const rules = leaves.map(({ path, outcome, place: at }): ModelRule => {
    // Nobody answered: mosdns refuses.
    const final: Outcome = outcome.kind === "nothing" ? { kind: "answer", answer: "refused", place: outcome.place } : outcome;
    return decide(conditionOf(path), final, at);
  });
  if (rules.length === 0) throw new ImportError(place, "no question comes to an end here");
  return { rules, hosts };
}

/** Where conditions on one answer after another make too many ways, answers are joined after each of them. */
function follow(
  steps: Steps,
  place: Place,
  findings: Findings,
  joins: boolean,
): { readonly leaves: readonly Leaf[]; readonly hosts: readonly Host[] } {
  const tried = new Findings();
  const walker = new Walker(tried, joins);
  try {
    const leaves = walker.leavesOf(steps, START, place);
    for (const { kind, what, ...at } of tried.all) findings.add(kind, at, what);
    return { leaves, hosts: [...walker.aliases, ...walker.hosts] };
  } catch (error) {
    if (!(error instanceof TooManyWays) || joins) throw error;
    const joining = new Walker(findings, true);
    const leaves = joining.leavesOf(steps, START, place);
    return { leaves, hosts: [...joining.aliases, ...joining.hosts] };
  }
}

/** A set of questions on their way, and what has been done for them so far. */
interface Path {
  readonly condition: RuleCondition;
  /** Types that other paths have taken. */
  readonly notTypes: ReadonlySet<number>;
  /** What is known of conditions, by `factKey`. */
  readonly facts: ReadonlyMap<string, boolean>;
  /** Conditions that do not hold together, by the keys of their literals. */
  readonly denied: readonly (readonly string[])[];
  readonly marks: ReadonlySet<string>;
  readonly answer: Outcome | null;
  /** Whether the answer has been looked at. */
  readonly judged: boolean;
  readonly ecs: string | null;
  readonly prefer: Modifiers;
  /** The step that may have answered from a table of hosts. */
  readonly fromHosts: Place | null;
  /** The redirect that is in force in this sequence, and one of a sequence that has ended without an answer. */
  readonly redirect: Redirect | null;
  readonly endedRedirect: Redirect | null;
  /** A fallback before this step that may have ended the whole run, because both of its branches can come to no answer. */
  readonly mayHaveFailed: Outcome | null;
}

const START: Path = {
  condition: ANYTHING,
  notTypes: new Set(),
  facts: new Map(),
  denied: [],
  marks: new Set(),
  answer: null,
  judged: false,
  ecs: null,
  prefer: {},
  fromHosts: null,
  redirect: null,
  endedRedirect: null,
  mayHaveFailed: null,
};

type Redirect = Extract<Step, { kind: "redirect" }>;

interface Leaf {
  readonly path: Path;
  readonly outcome: Outcome;
  readonly place: Place;
}

type Continue = (path: Path, place: Place) => void;

/** Where a sequence goes on when it runs out or returns, and when it accepts. */
interface Frame {
  readonly end: Continue;
  readonly accept: Continue;
}

/** How a list of steps is run. */
interface Context {
  readonly frame: Frame;
  /** Where it goes on after the last step. */
  readonly finish: Continue;
  /** Where it is called, for lists without steps. */
  readonly from: Place;
}

/** A client as those of a house are. */
const HOME_CLIENT = "192.168.1.2";

const MAX_STEPS = 20_000;
const MAX_DEPTH = 400;
const MAX_OUTCOME = 200;

class Walker {
  readonly #findings: Findings;
  readonly #joins: boolean;
  readonly hosts: Host[] = [];
  readonly aliases: Host[] = [];
  #leaves: Leaf[] = [];
  #count = 0;
  #depth = 0;

  /** @param joins whether the ways of a condition on an answer are joined right after it, where both go on with the next step. */
  constructor(findings: Findings, joins: boolean) {
    this.#findings = findings;
    this.#joins = joins;
  }

  /** What the steps come to when nothing follows them. @param from where they are called. */
  leavesOf(steps: Steps, path: Path, from: Place): readonly Leaf[] {
    const end: Continue = (at, place) => this.#emit(at, at.answer ?? { kind: "nothing", place }, place);
    return this.#collect(() => this.#run(steps, path, { frame: { end, accept: end }, finish: end, from }));
  }

  #emit(path: Path, outcome: Outcome, place: Place): void {
    if (sizeOf(outcome) > MAX_OUTCOME) throw tooMany(place);
    if (path.condition.types?.length === 0 || path.condition.clients?.length === 0) return;
    this.#leaves.push({ path, outcome, place });
  }

  #collect(run: () => void): readonly Leaf[] {
    const outer = this.#leaves;
    this.#leaves = [];
    run();
    const collected = this.#leaves;
    this.#leaves = outer;
    return collected;
  }

  #run(steps: Steps, path: Path, context: Context, index = 0): void {
    const step = steps[index];
    if (step === undefined) {
      context.finish(path, steps.at(-1)?.place ?? context.from);
      return;
    }
    this.#countStep(step.place);
    this.#depth++;
    this.#step(step, path, context.frame, (next) => this.#run(steps, next, context, index + 1));
    this.#depth--;
  }

  #countStep(place: Place): void {
    if (++this.#count > MAX_STEPS || this.#depth > MAX_DEPTH) throw tooMany(place);
  }

  #step(step: Step, path: Path, frame: Frame, next: (path: Path) => void): void {
    const { place } = step;
    switch (step.kind) {
      case "if":
        if (step.yes.length + step.no.length === 0) {
          next(path);
          return;
        }
        if (this.#joins && this.#joined(step, path, next)) return;
        // A return in a branch ends the sequence that the branch stands in.
        this.#branch(path, step.test, {
          place,
          yes: (at) => this.#run(step.yes, at, { frame, finish: next, from: place }),
          no: (at) => this.#run(step.no, at, { frame, finish: next, from: place }),
        });
        return;
      case "call": {
        const back: Continue = (at) => next(withoutInnerRedirect(at, path));
        const frames: Record<typeof step.mode, Frame> = {
          run: { end: back, accept: back },
          jump: { end: back, accept: frame.accept },
          goto: { end: frame.accept, accept: frame.accept },
        };
        const inner = frames[step.mode];
        this.#run(step.steps(), path, { frame: inner, finish: inner.end, from: place });
        return;
      }
      case "accept":
        frame.accept(path, place);
        break;
      case "return":
        frame.end(path, place);
        return;
      case "drop-response":
        next(answered(path, null));
        break;
      case "forward":
        this.#reportOverwritten(path, `\`${step.tag}\``, place);
        this.#reportAfterFailure(path, step);
        this.#reportEndedRedirect(path);
        if ("why" in step.group) {
          this.#emit(path, { kind: "unknown", why: step.group.why, place }, place);
          return;
        }
        next(answered(path, { kind: "ask", group: step.group, ecs: path.ecs, modifiers: path.prefer, place }));
        return;
      case "answer":
        this.#reportOverwritten(path, `\`${step.answer}\``, place);
        this.#reportAfterFailure(path, step);
        next(answered(path, { kind: "answer", answer: step.answer, place }));
        return;
      case "addresses":
        if (path.answer !== null) {
          next(answered(path, { kind: "replace", of: path.answer, addresses: step.addresses, place }));
          return;
        }
        this.#findings.add(
          "changed",
          place,
          `the made-up address ${step.addresses.join(" ")} becomes NODATA: clients would knock there`,
        );
        next(answered(path, { kind: "answer", answer: "nodata", place }));
        return;
      case "fallback":
        this.#fallback(step, path, next);
        break;
      case "ecs":
        // What a step before has added stays.
        next(path.ecs === null || step.forced ? { ...path, ecs: step.ecs } : path);
        return;
      case "prefer":
        next({ ...path, prefer: { ...path.prefer, ...step.modifiers } });
        break;
      case "ttl":
        next(path.answer === null ? path : { ...path, answer: limitTtls(path.answer, step.ttl) });
        return;
      case "hosts":
        this.#hosts(step, path, next);
        break;
      case "redirect":
        if (!this.#holdsForAll(step, path)) return;
        this.aliases.push(...step.hosts);
        this.#findings.add(
          "changed",
          place,
          "what its aliases point to goes through all hosts, aliases and rules here: there only through the steps that followed",
        );
        next({ ...path, redirect: step });
        return;
      case "mark":
        next({ ...path, marks: new Set([...path.marks, step.mark]) });
        return;
      case "unknown":
        this.#emit(path, { kind: "unknown", why: step.why, place }, place);
        break;
      default:
        unreachable(step);
    }
  }

  /** @returns false where the condition looks at no answer, or its ways differ in more than the answer. */
  #joined({ test, yes, no, place }: Extract<Step, { kind: "if" }>, path: Path, next: (path: Path) => void): boolean {
    if (path.answer === null || !looksAtAnswer(test)) return false;
    let differs = false;
    const [knownHosts, knownAliases] = [this.hosts.length, this.aliases.length];
    const end: Continue = () => (differs = true);
    const goOn: Continue = (at) => {
      const keeps = at.mayHaveFailed === path.mayHaveFailed && at.fromHosts === path.fromHosts;
      const sets = ({ ecs, prefer, marks }: Path) => meaningKey([ecs, prefer, [...marks]]);
      if (!keeps || sets(at) !== sets(path)) differs = true;
      this.#emit(at, at.answer ?? { kind: "nothing", place }, place);
    };
    const run = (steps: Steps, at: Path) => this.#run(steps, at, { frame: { end, accept: end }, finish: goOn, from: place });
    const leaves = this.#collect(() => this.#branch(path, test, { place, yes: (at) => run(yes, at), no: (at) => run(no, at) }));
    if (differs) {
      this.hosts.length = knownHosts;
      this.aliases.length = knownAliases;
      return false;
    }
    for (const leaf of leaves) {
      const unknown = unknownIn(leaf.outcome);
      if (unknown !== null) this.#emit(leaf.path, unknown, leaf.place);
      else next(answered(leaf.path, leaf.outcome.kind === "nothing" ? null : leaf.outcome));
    }
    return true;
  }

  #hosts(step: Extract<Step, { kind: "hosts" }>, path: Path, next: (path: Path) => void): void {
    if (!this.#holdsForAll(step, path)) return;
    this.hosts.push(...step.hosts);
    next(step.ends ? path : { ...path, fromHosts: step.hosts.length === 0 ? null : step.place });
  }

  /** Hosts and aliases are one table here, which every question meets before all rules. @returns whether they may: not those of some clients. */
  #holdsForAll({ kind, place }: Extract<Step, { kind: "hosts" | "redirect" }>, path: Path): boolean {
    const what = kind === "hosts" ? "hosts" : "aliases";
    const { clients, names, except, types } = path.condition;
    if (clients !== null) {
      this.#emit(path, { kind: "unknown", why: `${what} for some clients alone`, place }, place);
      return false;
    }
    if (names !== null || types !== null || except.patterns.length + except.lists.length > 0)
      this.#findings.add("changed", place, `the ${what} hold for every question, not only under their condition`);
    if (this.#leaves.length > 0)
      this.#findings.add("changed", place, `the ${what} come before all rules, also before those that stood above them`);
    return true;
  }

  #fallback(step: Extract<Step, { kind: "fallback" }>, path: Path, next: (path: Path) => void): void {
    const { place, afterMs } = step;
    // Each branch has a copy of the question, with the answer that is there.
    const firsts = this.leavesOf(step.first, path, place);
    const seconds = this.leavesOf(step.second, path, place);
    for (const first of firsts)
      for (const second of seconds) {
        // Each way of one branch meets each of the other.
        this.#countStep(place);
        const joined = joinPaths(path, first.path, second.path, place);
        if (joined === null) continue;
        const outcome = joinFallback(first.outcome, second.outcome, { afterMs, place });
        const unknown = unknownIn(outcome);
        // Whatever comes after something that is not known is not known either, also where it hangs on an answer.
        // Without an answer of either the whole run fails.
        if (sizeOf(outcome) > MAX_OUTCOME) throw tooMany(place);
        if (unknown !== null || outcome.kind === "nothing") this.#emit(joined, unknown ?? outcome, place);
        else {
          const mayHaveFailed = canBeNothing(outcome) ? { ...outcome, place } : path.mayHaveFailed;
          next({ ...answered(joined, outcome), mayHaveFailed });
        }
      }
  }

  /**
   * mosdns ends the whole run where a fallback has no answer of either branch. Whether it has one can depend on the answers of servers, which no rule
   * can ask about before it goes on to another step: the rule goes on for every name. Names that the side of the step did not see before are a leak.
   */
  #reportAfterFailure({ mayHaveFailed }: Path, step: Extract<Step, { kind: "forward" | "answer" }>): void {
    if (mayHaveFailed === null) return;
    const by = step.kind === "forward" ? step.tag : step.answer;
    const sides = asksOf(mayHaveFailed).map(({ group }) => sideOfAll(group.servers));
    const isNew = step.kind === "forward" && !("why" in step.group) && !sides.includes(sideOfAll(step.group.servers));
    this.#findings.add(
      isNew ? "leak" : "changed",
      mayHaveFailed.place,
      `mosdns failed for names whose answer both branches drop, and ran no later step: here \`${by}\` (line ${step.place.line}) answers them too`,
    );
  }

  #reportEndedRedirect({ answer, endedRedirect }: Path): void {
    if (answer === null && endedRedirect !== null)
      this.#findings.add(
        "changed",
        endedRedirect.place,
        `where no later step of its sequence answers, mosdns asks for \`${endedRedirect.hosts[0]?.name}\` itself: here it is always an alias`,
      );
  }

  #reportOverwritten({ answer, judged, fromHosts }: Path, by: string, place: Place): void {
    if (fromHosts !== null)
      this.#findings.add(
        "changed",
        fromHosts,
        `${by} (line ${place.line}) asks for these names too and its answer counted: here the hosts hold`,
      );
    if (answer?.kind === "ask" && !judged)
      this.#findings.add(
        "changed",
        answer.place,
        `\`${answer.group.name}\` was asked as well, and its answer overwritten by ${by}: it is not asked here`,
      );
  }

  #branch(path: Path, test: Test, ways: Ways): void {
    const alternatives = alternativesOf(test, false);
    if (alternatives === null) {
      this.#emit(path, { kind: "unknown", why: "a condition of too many parts", place: ways.place }, ways.place);
      return;
    }
    this.#alternatives(path, mergeAlternatives(alternatives), ways);
  }

  #alternatives(path: Path, [first, ...rest]: readonly (readonly Literal[])[], ways: Ways): void {
    if (first === undefined) {
      ways.no(path);
      return;
    }
    this.#conjunction(path, first, { ...ways, no: (at) => this.#alternatives(at, rest, ways) });
  }

  /** Splits the path by literals that must all hold. */
  #conjunction(path: Path, literals: readonly Literal[], ways: Ways): void {
    const open: Literal[] = [];
    for (const literal of literals) {
      const truth = truthOf(path, literal);
      if (truth === false) {
        ways.no(clearHosts(path, literal));
        return;
      }
      if (truth === null) open.push(literal);
    }
    const keys = open.map(literalKey);
    if (path.denied.some((denied) => denied.every((key) => keys.includes(key)))) {
      ways.no(path);
      return;
    }
    if (open.length === 0) {
      ways.yes(path);
      return;
    }
    const request = open.filter(({ atom }) => atom.kind !== "response" && atom.kind !== "unknown");
    const response = open.filter(({ atom }) => atom.kind === "response");
    const unknown = open.find(({ atom }) => atom.kind === "unknown");
    if (unknown?.atom.kind === "unknown") {
      const { why } = unknown.atom;
      this.#request(path, request, {
        ...ways,
        yes: (at) => this.#emit(at, { kind: "unknown", why, place: ways.place }, ways.place),
      });
      return;
    }
    this.#request(path, request, { ...ways, yes: (at) => this.#response(at, response, ways) });
  }

  #request(path: Path, literals: readonly Literal[], ways: Ways): void {
    const [first, ...rest] = literals;
    if (first === undefined) {
      ways.yes(path);
      return;
    }
    const { condition } = path;
    const isAlone = rest.length === 0 && condition.names === null;
    const backwards = literals.find(
      ({ atom, negated }) => negated && (atom.kind === "types" || atom.kind === "clients" || (atom.kind === "names" && isAlone)),
    );
    if (backwards !== undefined) {
      // Those that the condition leaves out come first: a rule then names what it is for.
      const others = literals.filter((literal) => literal !== backwards);
      const inverse = { ...backwards, negated: false };
      this.#request(path, [inverse], {
        ...ways,
        yes: ways.no,
        no: (at) => this.#request(at, others, ways),
      });
      return;
    }
    const wanted = literals.filter(({ atom, negated }) => atom.kind === "names" && !negated);
    const within = wanted.at(condition.names === null ? 1 : 0);
    if (within !== undefined) {
      // Of names within names, those outside the inner ones first, by an exception: two lists cannot both be demanded.
      const others = literals.filter((literal) => literal !== within);
      this.#request(path, others, {
        ...ways,
        yes: (at) => {
          ways.no(withLiteral(at, { ...within, negated: true }));
          ways.yes(withFact(at, within.atom, true));
        },
      });
      return;
    }
    ways.yes(literals.reduce(withLiteral, path));
    ways.no(
      rest.length === 0
        ? withFact(path, first.atom, first.negated)
        : { ...path, denied: [...path.denied, literals.map(literalKey)] },
    );
  }

  /** Splits by what the answer is: both ways are followed to their ends, and joined. */
  #response(path: Path, [first, ...rest]: readonly Literal[], ways: Ways): void {
    if (first?.atom.kind !== "response") {
      ways.yes(path);
      return;
    }
    const { answer } = path;
    const { test } = first.atom;
    const seen = { ...path, judged: true };
    const follow = (holds: boolean) =>
      this.#collect(() => {
        const at = withFact(seen, first.atom, holds);
        if (holds === first.negated) ways.no(at);
        else this.#response(at, rest, ways);
      });
    const [yes, no] = [follow(true), follow(false)];
    for (const one of yes)
      for (const other of no) {
        // Conditions on one answer after another multiply the ways.
        this.#countStep(ways.place);
        const joined = joinPaths(path, one.path, other.path, ways.place);
        if (joined === null) continue;
        const same = meaningKey(one.outcome) === meaningKey(other.outcome);
        const outcome: Outcome =
          same || answer === null
            ? one.outcome
            : { kind: "judge", of: answer, test, yes: one.outcome, no: other.outcome, place: ways.place };
        this.#emit(joined, outcome, ways.place);
      }
  }
}

class TooManyWays extends ImportError {}

function tooMany(place: Place): ImportError {
  return new TooManyWays(place, "the sequences call each other in a circle, or part into more ways than can be followed");
}

interface Ways {
  readonly yes: (path: Path) => void;
  readonly no: (path: Path) => void;
  readonly place: Place;
}

function answered(path: Path, answer: Outcome | null): Path {
  const facts = new Map([...path.facts].filter(([key]) => !key.startsWith("response")));
  return { ...path, answer, facts, judged: false, fromHosts: null };
}

/** A sequence that is left gives the question its own name back. @param outer the path on which it was called. */
function withoutInnerRedirect(path: Path, outer: Path): Path {
  if (path.redirect === outer.redirect) return path;
  return { ...path, redirect: outer.redirect, endedRedirect: path.answer === null ? path.redirect : path.endedRedirect };
}

/** Whether the answer came from hosts has been asked: that way is theirs. */
function clearHosts(path: Path, { atom }: Literal): Path {
  return atom.kind === "has-response" ? { ...path, fromHosts: null } : path;
}

function withLiteral(path: Path, { atom, negated }: Literal): Path {
  const { condition } = path;
  const known = withFact(path, atom, !negated);
  switch (atom.kind) {
    case "names":
      return {
        ...known,
        condition: negated
          ? { ...condition, except: joinNames([condition.except, atom.names]) }
          : { ...condition, names: atom.names },
      };
    case "types": {
      const types = atom.types.filter((type) => !path.notTypes.has(type) && condition.types?.includes(type) !== false);
      return { ...known, condition: { ...condition, types } };
    }
    case "clients":
      return { ...known, condition: { ...condition, clients: bothClients(condition.clients, atom.clients) } };
    default:
      return known;
  }
}

function withFact(path: Path, atom: Atom, holds: boolean): Path {
  const facts = new Map(path.facts).set(factKey(atom), holds);
  if (atom.kind === "names" && !holds)
    for (const part of partsOf(atom.names)) facts.set(factKey({ kind: "names", names: part }), false);
  const notTypes = atom.kind === "types" && !holds ? new Set([...path.notTypes, ...atom.types]) : path.notTypes;
  return { ...path, facts, notTypes };
}

/** The single patterns and lists of a union. */
function partsOf({ patterns, lists }: Names): readonly Names[] {
  return [...patterns.map((pattern) => namesOf([pattern])), ...lists.map((list) => namesIn([list]))];
}

function factKey(atom: Atom): string {
  if (atom.kind !== "names") return `${atom.kind}${meaningKey(atom)}`;
  return `names${JSON.stringify([atom.names.patterns, atom.names.lists.map(listKey)])}`;
}

function literalKey({ atom, negated }: Literal): string {
  return `${negated ? "!" : ""}${factKey(atom)}`;
}

/** Whether the literal holds on the path; null = for some questions. */
function truthOf(path: Path, { atom, negated }: Literal): boolean | null {
  const truth = atomTruth(path, atom);
  return truth === null ? null : truth !== negated;
}

function atomTruth(path: Path, atom: Atom): boolean | null {
  const known = path.facts.get(factKey(atom));
  if (known !== undefined) return known;
  switch (atom.kind) {
    case "constant":
      return atom.value;
    case "has-response":
      return path.answer !== null;
    case "mark":
      return path.marks.has(atom.mark);
    case "response":
      // Without an answer nothing is in a list, and no code matches; without addresses nothing is in a list either.
      return path.answer === null || (atom.test.kind === "addresses" && !mayHaveAddresses(path)) ? false : null;
    case "types": {
      const own = path.condition.types;
      if (own?.every((type) => atom.types.includes(type)) === true) return true;
      return atom.types.every((type) => path.notTypes.has(type) || own?.includes(type) === false) ? false : null;
    }
    case "names": {
      const parts = partsOf(atom.names).map((names) => path.facts.get(factKey({ kind: "names", names })));
      if (parts.includes(true)) return true;
      return parts.every((part) => part === false) ? false : null;
    }
    case "ecs":
      // Of clients at home: those from elsewhere are not admitted by default.
      return (
        path.ecs !== null &&
        networksSet(atom.networks).hasText(path.ecs === "client" ? HOME_CLIENT : path.ecs.replace(/\/.*$/, ""))
      );
    case "clients":
    case "unknown":
      return null;
    default:
      return unreachable(atom);
  }
}

function mayHaveAddresses({ condition: { types }, notTypes }: Path): boolean {
  return [TYPE.A, TYPE.AAAA].some((type) => types?.includes(type) !== false && !notTypes.has(type));
}

/** Networks that are in both; ids where both have them. */
function bothClients(one: readonly string[] | null, other: readonly string[]): readonly string[] {
  if (one === null) return other;
  const isIn = (inner: string, outer: string) => {
    const [a, b] = [rangeFromText(inner), rangeFromText(outer)];
    if (a === null || b === null) return inner === outer;
    return a.first.length === b.first.length && Buffer.compare(a.first, b.first) >= 0 && Buffer.compare(a.last, b.last) <= 0;
  };
  return [
    ...one.filter((each) => other.some((outer) => isIn(each, outer))),
    ...other.filter((each) => one.some((outer) => isIn(each, outer) && each !== outer)),
  ];
}

/** Questions that are on both paths, which part from `base`; null where there are none. */
function joinPaths(base: Path, one: Path, other: Path, place: Place): Path | null {
  const [a, b] = [one.condition, other.condition];
  const same = meaningKey(a.names) === meaningKey(b.names);
  const isFree = (condition: RuleCondition) => meaningKey(condition.names) === meaningKey(base.condition.names);
  if (!same && !isFree(a) && !isFree(b))
    throw new ImportError(place, "two conditions on names that depend on one answer: no rule can say it");
  const names = isFree(a) ? b.names : a.names;
  const types =
    a.types === null ? b.types : b.types === null ? a.types : a.types.filter((type) => b.types?.includes(type) === true);
  const clients = b.clients === null ? a.clients : bothClients(a.clients, b.clients);
  if (types?.length === 0 || clients?.length === 0) return null;
  return {
    ...base,
    condition: { names, except: joinNames([a.except, b.except]), types, clients },
    notTypes: new Set([...one.notTypes, ...other.notTypes]),
    facts: new Map([...one.facts, ...other.facts].filter(([key]) => !key.startsWith("response"))),
  };
}

/** Where the types of a path are left open, those that others have taken come before it. */
function conditionOf({ condition }: Path): RuleCondition {
  return condition.types === null ? condition : { ...condition, types: [...condition.types].sort((a, b) => a - b) };
}
