import { parseClient } from "../../config/values.ts";
import { typeName, typeNumber } from "../../dns/types.ts";
import { type Bundle, childOf, itemsOf, othersThan, type Plugin, type Tree, textOf } from "./bundle.ts";
import { alternativesOf, type Expression, type Literal, mapLeaves, parseExpression } from "./conditions.ts";
import type { DraftConditions } from "./draft.ts";
import type { FindingPlace } from "./findings.ts";
import type { ImportLists } from "./lists.ts";

/** What one matcher looks at. */
export type ImportMatcher =
  | { readonly kind: "domains"; readonly patterns: readonly string[] }
  | { readonly kind: "types"; readonly types: readonly string[] }
  | { readonly kind: "clients"; readonly clients: readonly string[] }
  /** An address of the answer is in one of these lists. */
  | { readonly kind: "answer-in"; readonly lists: readonly string[] }
  /** There is an answer. */
  | { readonly kind: "answered" }
  /** What no rule can ask. */
  | { readonly kind: "other"; readonly what: string };

/** Matchers that are there without being declared; the rest of them ask what no rule can. */
const BUILT_IN: ReadonlyMap<string, ImportMatcher> = new Map<string, ImportMatcher>([
  ["_qtype_AAAA", { kind: "types", types: ["AAAA"] }],
  ["_qtype_A_AAAA", { kind: "types", types: ["A", "AAAA"] }],
  ["_response_valid_answer", { kind: "answered" }],
  ["_response_rcode_noerror", { kind: "answered" }],
]);

export class Matchers {
  readonly #bundle: Bundle;
  readonly #lists: ImportLists;
  readonly #used = new Set<string>();

  constructor(bundle: Bundle, lists: ImportLists) {
    this.#bundle = bundle;
    this.#lists = lists;
  }

  get used(): ReadonlySet<string> {
    return this.#used;
  }

  /** An `if` of version 4: tags, joined by operators. */
  expression(text: string, place: FindingPlace): Expression<ImportMatcher> {
    const parsed = parseExpression(text);
    if (parsed === null) return other(`the condition \`${text}\``);
    return mapLeaves(parsed, (tag) => this.#tagged(tag, place));
  }

  /** `matches` of version 5: all must hold. */
  matches(tree: Tree | null, place: FindingPlace): Expression<ImportMatcher> {
    return { kind: "and", parts: itemsOf(tree).map((item) => this.#quick(textOf(item).trim(), item.place ?? place)) };
  }

  #tagged(tag: string, place: FindingPlace): Expression<ImportMatcher> {
    const builtIn = BUILT_IN.get(tag);
    if (builtIn !== undefined) return { kind: "leaf", leaf: builtIn };
    const plugin = this.#bundle.plugins.get(tag);
    if (plugin === undefined) return other(`the condition \`${tag}\``);
    this.#used.add(tag);
    if (plugin.type === "query_matcher") return this.#declared(plugin, ["domain", "qtype", "client_ip"]);
    if (plugin.type === "response_matcher") return this.#declared(plugin, ["ip"]);
    // Version 5 declares matchers under the words that it writes in line.
    return (
      this.#ofKind(plugin.type, itemsOf(plugin.args), `the condition \`${tag}\` (${plugin.type})`) ??
      other(`the condition \`${tag}\` in line ${place.line}`)
    );
  }

  #declared(plugin: Plugin, known: readonly string[]): Expression<ImportMatcher> {
    const parts = known.flatMap((key) => {
      const tree = childOf(plugin.args, key);
      const what = `\`${key}\` of \`${plugin.tag}\``;
      return tree === null ? [] : [this.#ofKind(KEYS.get(key) ?? key, itemsOf(tree), what) ?? other(what)];
    });
    const unknown = othersThan(plugin.args, known).map(({ key }) => other(`\`${key}\` of \`${plugin.tag}\``));
    const all = [...parts, ...unknown];
    return all.length === 0 ? other(`\`${plugin.tag}\`, which asks nothing`) : { kind: "and", parts: all };
  }

  #quick(written: string, place: FindingPlace): Expression<ImportMatcher> {
    if (written.startsWith("!")) return { kind: "not", of: this.#quick(written.slice(1).trim(), place) };
    if (written.startsWith("$")) return this.#tagged(written.slice(1), place);
    const [word = "", ...args] = written.split(/\s+/);
    const items = args.map((text): Tree => ({ kind: "scalar", place, text }));
    return this.#ofKind(word, items, `the condition \`${written}\``) ?? other(`the condition \`${written}\``);
  }

  #ofKind(word: string, items: readonly Tree[], what: string): Expression<ImportMatcher> | null {
    switch (word) {
      case "qname":
        return { kind: "leaf", leaf: { kind: "domains", patterns: this.#lists.domains(items) } };
      case "qtype": {
        const types = items.map((item) => typeNumber(textOf(item)));
        const known = types.filter((type) => type !== null);
        return known.length === 0 || known.length < types.length
          ? null
          : { kind: "leaf", leaf: { kind: "types", types: known.map(typeName) } };
      }
      case "client_ip": {
        const clients = items.map(textOf);
        const isPlain = clients.length > 0 && clients.every((client) => /[.:]/.test(client) && "value" in parseClient(client));
        return isPlain ? { kind: "leaf", leaf: { kind: "clients", clients } } : null;
      }
      case "resp_ip": {
        const lists = this.#lists.addresses(items);
        return lists.length === 0 ? other(what) : { kind: "leaf", leaf: { kind: "answer-in", lists } };
      }
      case "has_resp":
      case "has_wanted_ans":
        return { kind: "leaf", leaf: { kind: "answered" } };
      case "_true":
        return { kind: "and", parts: [] };
      case "_false":
        return { kind: "or", parts: [] };
      default:
        return null;
    }
  }
}

const KEYS: ReadonlyMap<string, string> = new Map([
  ["domain", "qname"],
  ["qtype", "qtype"],
  ["client_ip", "client_ip"],
  ["ip", "resp_ip"],
]);

function other(what: string): Expression<ImportMatcher> {
  return { kind: "leaf", leaf: { kind: "other", what } };
}

interface ReadConditions {
  /** Each makes a rule of its own; none = it never holds. */
  readonly any: readonly DraftConditions[];
  /** Alternatives that no rule can ask for. */
  readonly left: readonly string[];
}

/** Turns an expression into conditions of rules, at a point where nobody has been asked yet. */
export function conditionsOf(expression: Expression<ImportMatcher>): ReadConditions {
  const alternatives = alternativesOf(expression);
  if (alternatives === null) return { any: [], left: ["a condition with too many alternatives"] };
  const read = alternatives.map(conditionOf);
  const left = read.flatMap((each) => (typeof each === "string" ? [each] : []));
  const any = read.flatMap((each) => (typeof each === "string" || each === null ? [] : [each]));
  return { any: merged(any), left };
}

/** null = it never holds; a text = what cannot be asked for. */
function conditionOf(literals: readonly Literal<ImportMatcher>[]): DraftConditions | string | null {
  let domains: readonly string[] | undefined;
  let types: readonly string[] | undefined;
  let clients: readonly string[] | undefined;
  const excepted: string[] = [];
  for (const { negated, leaf } of literals) {
    switch (leaf.kind) {
      case "domains":
        if (negated) excepted.push(...leaf.patterns.map((pattern) => `!${pattern}`));
        else if (domains !== undefined) return "names that are in two lists at once";
        else domains = leaf.patterns;
        break;
      case "types": {
        if (negated) return `all types but ${leaf.types.join(", ")}`;
        const held = types;
        types = held === undefined ? leaf.types : leaf.types.filter((type) => held.includes(type));
        break;
      }
      case "clients":
        if (negated || clients !== undefined) return "a condition that excepts clients";
        clients = leaf.clients;
        break;
      case "answered":
      case "answer-in":
        if (!negated) return null;
        break;
      case "other":
        return leaf.what;
    }
  }
  if ([domains, types, clients].some((condition) => condition?.length === 0)) return null;
  const patterns = [...(domains ?? []), ...excepted];
  return {
    ...(patterns.length === 0 ? {} : { domains: patterns }),
    ...(clients === undefined ? {} : { clients }),
    ...(types === undefined ? {} : { types }),
  };
}

/** One rule for alternatives that differ in their names alone, or in their types alone. */
function merged(conditions: readonly DraftConditions[]): readonly DraftConditions[] {
  // What holds for all leaves nothing to the others.
  const everything = conditions.find((each) => Object.keys(each).length === 0);
  if (everything !== undefined) return [everything];
  const result: DraftConditions[] = [];
  for (const each of conditions) {
    const index = result.findIndex((other) => canJoin(other, each));
    const found = result[index];
    if (found === undefined) result.push(each);
    else result[index] = joined(found, each);
  }
  return result;
}

function canJoin(one: DraftConditions, other: DraftConditions): boolean {
  const [left, right] = [Object.keys(one).join(), Object.keys(other).join()];
  if (left !== right || (left !== "domains" && left !== "types")) return false;
  return ![...(one.domains ?? []), ...(other.domains ?? [])].some((pattern) => pattern.startsWith("!"));
}

function joined(one: DraftConditions, other: DraftConditions): DraftConditions {
  const union = (left: readonly string[] = [], right: readonly string[] = []) => [...new Set([...left, ...right])];
  return one.domains === undefined ? { types: union(one.types, other.types) } : { domains: union(one.domains, other.domains) };
}
