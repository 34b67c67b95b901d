import { parseClient } from "../../config/values.ts";
import { typeName, typeNumber } from "../../dns/types.ts";
import type { Bundle, Plugin } from "./bundle.ts";
import { type Expression, mapLeaves, parseExpression } from "./conditions.ts";
import type { Place } from "./findings.ts";
import type { Lists } from "./lists.ts";
import { childOf, itemsOf, othersThan, type Tree, textOf } from "./tree.ts";

/** What one matcher looks at. */
export type Matcher =
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
const BUILT_IN: ReadonlyMap<string, Matcher> = new Map<string, Matcher>([
  ["_qtype_AAAA", { kind: "types", types: ["AAAA"] }],
  ["_qtype_A_AAAA", { kind: "types", types: ["A", "AAAA"] }],
  ["_response_valid_answer", { kind: "answered" }],
  ["_response_rcode_noerror", { kind: "answered" }],
]);

export class Matchers {
  readonly #bundle: Bundle;
  readonly #lists: Lists;
  readonly #used = new Set<string>();

  constructor(bundle: Bundle, lists: Lists) {
    this.#bundle = bundle;
    this.#lists = lists;
  }

  get used(): ReadonlySet<string> {
    return this.#used;
  }

  /** An `if` of version 4: tags, joined by operators. */
  expression(text: string, place: Place): Expression<Matcher> {
    const parsed = parseExpression(text);
    if (parsed === null) return other(`the condition \`${text}\``);
    return mapLeaves(parsed, (tag) => this.#tagged(tag, place));
  }

  /** `matches` of version 5: all must hold. */
  matches(tree: Tree | null, place: Place): Expression<Matcher> {
    return { kind: "and", parts: itemsOf(tree).map((item) => this.#quick(textOf(item).trim(), item.place ?? place)) };
  }

  #tagged(tag: string, place: Place): Expression<Matcher> {
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

  #declared(plugin: Plugin, known: readonly string[]): Expression<Matcher> {
    const parts = known.flatMap((key) => {
      const tree = childOf(plugin.args, key);
      const what = `\`${key}\` of \`${plugin.tag}\``;
      return tree === null ? [] : [this.#ofKind(KEYS.get(key) ?? key, itemsOf(tree), what) ?? other(what)];
    });
    const unknown = othersThan(plugin.args, known).map(({ key }) => other(`\`${key}\` of \`${plugin.tag}\``));
    const all = [...parts, ...unknown];
    return all.length === 0 ? other(`\`${plugin.tag}\`, which asks nothing`) : { kind: "and", parts: all };
  }

  #quick(written: string, place: Place): Expression<Matcher> {
    if (written.startsWith("!")) return { kind: "not", of: this.#quick(written.slice(1).trim(), place) };
    if (written.startsWith("$")) return this.#tagged(written.slice(1), place);
    const [word = "", ...args] = written.split(/\s+/);
    const items = args.map((text): Tree => ({ kind: "scalar", place, text }));
    return this.#ofKind(word, items, `the condition \`${written}\``) ?? other(`the condition \`${written}\``);
  }

  #ofKind(word: string, items: readonly Tree[], what: string): Expression<Matcher> | null {
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

function other(what: string): Expression<Matcher> {
  return { kind: "leaf", leaf: { kind: "other", what } };
}
