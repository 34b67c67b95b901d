import { isDeepStrictEqual } from "node:util";
import { parseNetwork } from "../../config/values.ts";
import type { Plugin } from "./bundle.ts";
import { alternativesOf, type Expression } from "./conditions.ts";
import type { Capabilities, DraftConditions, DraftModifiers, DraftRule } from "./draft.ts";
import type { FindingPlace, Findings } from "./findings.ts";
import { type ImportGroups, ownName } from "./groups.ts";
import { conditionsOf, type ImportMatcher } from "./matchers.ts";
import type { ImportStep, Steps } from "./steps.ts";

export const EVERYTHING: Expression<ImportMatcher> = { kind: "and", parts: [] };

const WHY_NODATA =
  "NXDOMAIN denies the whole name, in every type (RFC 2308 §5, RFC 8020): a caching router behind it drops the name's other records too";

/** Which forward plugin is called `domestic` and which `overseas`. */
export type Roles = ReadonlyMap<string, "domestic" | "overseas">;

interface Context {
  readonly condition: Expression<ImportMatcher>;
  readonly modifiers: DraftModifiers;
}

type Action = Pick<DraftRule, "upstream" | "compare" | "answer">;

/** Makes rules of the steps of a sequence, in their order. */
export class RuleMaker {
  readonly #groups: ImportGroups;
  readonly #findings: Findings;
  readonly #capabilities: Capabilities;
  readonly #roles: Roles;
  readonly #rules: DraftRule[] = [];
  readonly #seenRoles = new Map<string, "domestic" | "overseas">();

  constructor(parts: { groups: ImportGroups; findings: Findings; capabilities: Capabilities; roles: Roles }) {
    this.#groups = parts.groups;
    this.#findings = parts.findings;
    this.#capabilities = parts.capabilities;
    this.#roles = parts.roles;
  }

  get rules(): readonly DraftRule[] {
    return this.#rules;
  }

  /** What the groups were seen to be for; the first of a kind. */
  get roles(): Roles {
    const first = new Map<string, string>();
    for (const [tag, role] of this.#seenRoles) if (!first.has(role)) first.set(role, tag);
    return new Map([...this.#seenRoles].filter(([tag, role]) => first.get(role) === tag));
  }

  /** @returns how the steps end: with an action for every question in `context`, with `return`, or neither. */
  walk(steps: Steps, context: Context): "decided" | "returned" | "open" {
    let { modifiers } = context;
    for (const [index, step] of steps.entries()) {
      const here = { condition: context.condition, modifiers };
      switch (step.kind) {
        case "modify":
          modifiers = { ...modifiers, ...step.modifiers };
          break;
        case "if":
          // Where nobody has been asked yet, ending the sequence is no answer, and does nothing that a rule would have to.
          if (this.walk(step.then, { condition: both(context.condition, step.condition), modifiers }) === "returned")
            this.#reportLeft(conditionsOf(step.condition).left, step.place);
          if (step.otherwise.length > 0)
            this.walk(step.otherwise, { condition: both(context.condition, { kind: "not", of: step.condition }), modifiers });
          break;
        case "call":
          if (this.walk(step.steps, here) === "decided") return "decided";
          break;
        case "return":
          return "returned";
        case "drop":
          break;
        case "block":
          this.#block(step, context.condition, modifiers);
          return "decided";
        case "forward":
          if (this.#forward(step, steps.slice(index + 1), here)) return "decided";
          break;
        case "fallback":
          if (this.#fallback(step, steps.slice(index + 1), here)) return "decided";
          break;
      }
    }
    const added = Object.entries(modifiers).some(([key, value]) =>
      Object.entries(context.modifiers).every(([other, old]) => other !== key || old !== value),
    );
    const place = steps.findLast(({ kind }) => kind === "modify")?.place;
    if (added && place !== undefined) this.#emit(context.condition, {}, { modifiers, place });
    return "open";
  }

  #forward(step: Extract<ImportStep, { kind: "forward" }>, tail: Steps, context: Context): boolean {
    const branch = branchOf([step, ...tail]);
    const group = this.#group(step.plugin, null);
    if (group === null) return false;
    if (branch.keptIf !== null && branch.other !== null)
      return this.#compare(
        { near: step.plugin, far: branch.other, keptIf: branch.keptIf, farFallback: null },
        branch,
        context,
        step.place,
      );
    this.#reportUnused(branch);
    this.#note(step.plugin, context.condition);
    this.#emit(
      context.condition,
      { upstream: group },
      { modifiers: { ...context.modifiers, ...branch.modifiers }, place: step.place },
    );
    return true;
  }

  #fallback(step: Extract<ImportStep, { kind: "fallback" }>, tail: Steps, context: Context): boolean {
    const [first, second, after] = [branchOf(step.primary), branchOf(step.secondary), branchOf(tail)];
    const isSecondNear = first.keptIf === null && second.keptIf !== null;
    const [near, away] = isSecondNear ? [second, first] : [first, second];
    const far = away.forward ?? near.other;
    if (near.keptIf !== null && near.forward !== null && far !== null && far !== near.forward) {
      const farFallback = near.other !== null && near.other !== far ? near.other : null;
      this.#reportUnshared(near, away, step.place);
      const branch = { ...away, modifiers: { ...away.modifiers, ...after.modifiers }, unused: [...near.unused, ...away.unused] };
      return this.#compare({ near: near.forward, far, keptIf: near.keptIf, farFallback }, branch, context, step.place);
    }
    const main = first.forward ?? second.forward;
    if (main === null) {
      this.#findings.left(step.place, "a fallback that asks no server");
      return false;
    }
    const spare = second.forward !== null && second.forward !== main ? this.#spare(second.forward) : null;
    const group = this.#group(main, spare);
    if (group === null) return false;
    if (spare !== null)
      this.#findings.changed(
        step.place,
        `\`${spare}\` is asked when every server of \`${group}\` has failed, not after a fixed time`,
      );
    for (const branch of [first, second, after]) this.#reportUnused(branch);
    if (spare !== null) this.#reportUnshared(second, first, step.place);
    this.#note(main, context.condition);
    const modifiers = { ...context.modifiers, ...first.modifiers, ...after.modifiers };
    this.#emit(context.condition, { upstream: group }, { modifiers, place: step.place });
    return true;
  }

  #compare(
    parts: { readonly near: Plugin; readonly far: Plugin; readonly keptIf: string; readonly farFallback: Plugin | null },
    branch: Pick<Branch, "modifiers" | "unused">,
    context: Context,
    place: FindingPlace,
  ): boolean {
    this.#seenRoles.set(parts.near.tag, "domestic");
    if (this.#seenRoles.get(parts.far.tag) === undefined) this.#seenRoles.set(parts.far.tag, "overseas");
    const spare = parts.farFallback === null ? null : this.#spare(parts.farFallback);
    const [near, far] = [this.#group(parts.near, null), this.#group(parts.far, spare)];
    if (near === null || far === null) return false;
    this.#reportUnused(branch);
    const modifiers = { ...context.modifiers, ...branch.modifiers };
    if (this.#capabilities.compare) {
      this.#findings.changed(
        place,
        `names that no list knows: an answer of \`${near}\` counts if all its addresses are in \`${parts.keptIf}\`, else \`${far}\` answers; the outcome is remembered`,
      );
      this.#emit(context.condition, { compare: { near, far, keepNearIf: parts.keptIf } }, { modifiers, place });
    } else {
      this.#findings.changed(
        place,
        `names that no list knows all go to \`${far}\`: comparing its answers with those of \`${near}\` by \`${parts.keptIf}\` is not there yet`,
      );
      this.#emit(context.condition, { upstream: far }, { modifiers, place });
    }
    return true;
  }

  #block(step: Extract<ImportStep, { kind: "block" }>, condition: Expression<ImportMatcher>, modifiers: DraftModifiers): void {
    const { any, left } = conditionsOf(condition);
    this.#reportLeft(left, step.place);
    if (modifiers.ttl !== undefined) this.#findings.left(step.place, "the TTL of blocked answers; see `answers.negative.block`");
    for (const each of any) {
      const { types, ...rest } = each;
      if (types === undefined) this.#blockNames(step, rest);
      else this.#blockTypes(step, types, rest);
    }
  }

  #blockNames({ how, place }: Extract<ImportStep, { kind: "block" }>, conditions: DraftConditions): void {
    const answer = how === "zero" || how === "refused" ? how : "nodata";
    const name = this.#push({ ...conditions, answer });
    const reasons = {
      nxdomain: `\`${name}\` answers NODATA, not NXDOMAIN: ${WHY_NODATA}`,
      address: `\`${name}\` answers NODATA, not a made-up address: clients would knock there`,
      refused: `\`${name}\` answers REFUSED, not SERVFAIL`,
    };
    if (how === "empty" || how === "zero") this.#findings.carried(place, `\`${name}\` answers \`${answer}\``);
    else this.#findings.changed(place, reasons[how]);
  }

  /** A type that is filtered is empty, whatever it was answered before; the types of whole families have switches of their own. */
  #blockTypes(
    { how, place }: Extract<ImportStep, { kind: "block" }>,
    types: readonly string[],
    conditions: DraftConditions,
  ): void {
    const isService = (type: string) => type === "HTTPS" || type === "SVCB";
    const rest = types.filter((type) => !isService(type) && type !== "A" && type !== "AAAA");
    const named: string[] = [];
    if (types.some(isService)) named.push(this.#push({ ...conditions, https: "nodata" }, "https"));
    if (types.includes("AAAA")) named.push(this.#push({ ...conditions, ipv6: "nodata" }, "ipv6"));
    if (types.includes("A")) named.push(this.#push({ ...conditions, ipv4: "nodata" }, "ipv4"));
    if (rest.length > 0) named.push(this.#push({ ...conditions, types: rest, answer: "nodata" }));
    const what = `${types.join(", ")} is empty by ${named.map((name) => `\`${name}\``).join(", ")}`;
    if (how === "empty") this.#findings.carried(place, what);
    else this.#findings.changed(place, `${what}, and the name goes on existing: ${WHY_NODATA}`);
  }

  #emit(
    condition: Expression<ImportMatcher>,
    action: Action,
    { modifiers, place }: { readonly modifiers: DraftModifiers; readonly place: FindingPlace },
  ): void {
    const { any, left } = conditionsOf(condition);
    this.#reportLeft(left, place);
    const usable = this.#usable(modifiers, place);
    if (Object.keys(action).length + Object.keys(usable).length === 0) return;
    for (const each of any) {
      const name = this.#push({ ...each, ...usable, ...action });
      const sets = Object.keys(usable).length === 0 ? "" : ` and sets ${Object.keys(usable).join(", ")}`;
      const does = action.compare === undefined ? `goes to \`${action.upstream ?? ""}\`` : "compares";
      this.#findings.carried(place, `\`${name}\` ${Object.keys(action).length === 0 ? sets.slice(" and ".length) : does + sets}`);
    }
  }

  /** Those of the modifiers that this version has. */
  #usable({ ecs, ipv6, ipv4, ttl, ...rest }: DraftModifiers, place: FindingPlace): DraftModifiers {
    const isNetwork = ecs !== undefined && !["strip", "forward", "client"].includes(ecs);
    const hasEcs = ecs !== undefined && this.#capabilities.ecs && (!isNetwork || "value" in parseNetwork(ecs));
    // Without ECS towards any server there is nothing to strip.
    if (ecs !== undefined && !hasEcs && ecs !== "strip")
      this.#findings.left(place, `EDNS Client Subnet (${ecs}): the servers are not told the client's network`);
    const prefers = ipv6 === "prefer-ipv4" || ipv4 === "prefer-ipv6";
    if (prefers && !this.#capabilities.preferFamily)
      this.#findings.left(place, "preferring one family of addresses: not there yet");
    const keepsFamilies = !prefers || this.#capabilities.preferFamily;
    return {
      ...rest,
      ...(keepsFamilies && ipv6 !== undefined ? { ipv6 } : {}),
      ...(keepsFamilies && ipv4 !== undefined ? { ipv4 } : {}),
      ...(ttl === undefined || Object.keys(ttl).length === 0 ? {} : { ttl }),
      ...(hasEcs ? { ecs } : {}),
    };
  }

  #push(rule: Omit<DraftRule, "name">, wanted = nameFor(rule)): string {
    const taken = new Set(this.#rules.map(({ name }) => name));
    let name = wanted;
    for (let count = 2; taken.has(name); count++) name = `${wanted.slice(0, 58)}-${count}`;
    this.#rules.push({ name, ...rule });
    return name;
  }

  #group(plugin: Plugin, fallback: string | null): string | null {
    return this.#groups.groupOf(plugin, this.#wantedName(plugin), fallback);
  }

  #spare(plugin: Plugin): string | null {
    return this.#groups.spareOf(plugin, this.#wantedName(plugin));
  }

  #wantedName({ tag }: Plugin): string {
    return this.#roles.get(tag) ?? ownName(tag.replace(/^(fast_)?forward[_-]/, ""));
  }

  #note(plugin: Plugin, condition: Expression<ImportMatcher>): void {
    const lists = conditionsOf(condition).any.flatMap(({ domains = [] }) => domains.filter((domain) => !domain.startsWith("!")));
    const role = lists.some((list) => /!cn|non|gfw|foreign|global|oversea|proxy|tw$/i.test(list))
      ? "overseas"
      : lists.some((list) => /china|cn|local|direct/i.test(list))
        ? "domestic"
        : null;
    if (role !== null && !this.#seenRoles.has(plugin.tag)) this.#seenRoles.set(plugin.tag, role);
  }

  #reportLeft(left: readonly string[], place: FindingPlace): void {
    for (const what of left) this.#findings.left(place, `a condition that no rule can have: ${what}`);
  }

  /** Settings of one branch of a fallback that the rule, which has those of the other, cannot have too. */
  #reportUnshared({ modifiers, forward }: Branch, kept: Branch, place: FindingPlace): void {
    const shared = new Map(Object.entries(kept.modifiers));
    const lost = Object.entries(modifiers).filter(([key, value]) => !isDeepStrictEqual(shared.get(key), value));
    if (lost.length > 0)
      this.#findings.left(place, `${lost.map(([key]) => key).join(", ")} for answers of \`${forward?.tag ?? ""}\` alone`);
  }

  #reportUnused({ unused }: Pick<Branch, "unused">): void {
    for (const place of unused)
      this.#findings.left(place, "what is done after an answer has come: answers are judged by `compare` alone");
  }
}

function both(one: Expression<ImportMatcher>, other: Expression<ImportMatcher>): Expression<ImportMatcher> {
  return { kind: "and", parts: [one, other] };
}

/** After its lists, else its types. */
function nameFor({ domains = [], types = [], clients = [] }: DraftConditions): string {
  const lists = domains.filter((domain) => domain.startsWith("list:")).map((domain) => domain.slice("list:".length));
  const parts = [
    lists,
    domains.map((domain) => domain.replace(/^!list:|^!/, "not-")),
    types.map((type) => type.toLowerCase()),
    clients,
  ];
  const [first] = parts.filter((part) => part.length > 0);
  return first === undefined ? "others" : ownName(first.slice(0, 4).join("-"));
}

/** What a run of steps comes to that asks a server. */
interface Branch {
  readonly forward: Plugin | null;
  /** Of the steps that hold for every question. */
  readonly modifiers: DraftModifiers;
  /** The list that keeps an answer of `forward`: one without an address in it is dropped, or asked of `other` instead. */
  readonly keptIf: string | null;
  readonly other: Plugin | null;
  /** Steps that hang on the answer and are not told by the rest. */
  readonly unused: readonly FindingPlace[];
}

function branchOf(steps: Steps): Branch {
  const whole = flatten(steps);
  const end = whole.findIndex(({ kind }) => kind === "return");
  const flat = end === -1 ? whole : whole.slice(0, end);
  const forwards = flat.flatMap((step) => (step.kind === "forward" ? [step.plugin] : []));
  const [forward = null, second = null] = forwards;
  let judged: Judgement | null = null;
  const unused: FindingPlace[] = [];
  for (const step of flat) {
    if (step.kind === "fallback") unused.push(step.place);
    if (step.kind !== "if") continue;
    const found: Judgement | null = forward === null || judged !== null ? null : judgementOf(step, forward, second);
    if (found === null) unused.push(step.place);
    else judged = found;
  }
  const modifiers: DraftModifiers = Object.assign({}, ...flat.map((step) => (step.kind === "modify" ? step.modifiers : {})));
  return { forward, modifiers, keptIf: judged?.list ?? null, other: judged?.other ?? null, unused };
}

interface Judgement {
  readonly list: string;
  readonly other: Plugin | null;
}

/** Whether this step keeps only answers with an address in a list. */
function judgementOf(step: Extract<ImportStep, { kind: "if" }>, forward: Plugin, next: Plugin | null): Judgement | null {
  const literals = (alternativesOf(step.condition) ?? []).flat();
  const lists = (negated: boolean) =>
    literals.flatMap((literal) => (literal.leaf.kind === "answer-in" && literal.negated === negated ? literal.leaf.lists : []));
  const body = flatten(step.then);
  const instead =
    body.flatMap((inner) => (inner.kind === "forward" && inner.plugin !== forward ? [inner.plugin] : []))[0] ?? null;
  const [outside] = lists(true);
  if (outside !== undefined && (instead !== null || body.some(({ kind }) => kind === "drop")))
    return { list: outside, other: instead ?? next };
  const [inside] = lists(false);
  const keeps = body.length > 0 && body.every(({ kind }) => kind === "return");
  return inside !== undefined && keeps && next !== null ? { list: inside, other: next } : null;
}

function flatten(steps: Steps): Steps {
  return steps.flatMap((step) => (step.kind === "call" ? flatten(step.steps) : [step]));
}
