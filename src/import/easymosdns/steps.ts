import { formatDuration } from "../../lib/duration.ts";
import { type Bundle, childOf, itemsOf, numberAt, type Plugin, type Tree, textAt, textOf } from "./bundle.ts";
import type { Expression } from "./conditions.ts";
import type { DraftModifiers } from "./draft.ts";
import type { FindingPlace, Findings } from "./findings.ts";
import { FORWARD_TYPES } from "./groups.ts";
import type { ImportMatcher, Matchers } from "./matchers.ts";

/** What a sequence does, in the same form for both generations of its syntax. */
export type ImportStep =
  | {
      readonly kind: "if";
      readonly place: FindingPlace;
      readonly condition: Expression<ImportMatcher>;
      readonly then: Steps;
      readonly otherwise: Steps;
    }
  | { readonly kind: "fallback"; readonly place: FindingPlace; readonly primary: Steps; readonly secondary: Steps }
  | { readonly kind: "forward"; readonly place: FindingPlace; readonly plugin: Plugin }
  | { readonly kind: "block"; readonly place: FindingPlace; readonly how: "nxdomain" | "empty" | "refused" | "zero" | "address" }
  | { readonly kind: "modify"; readonly place: FindingPlace; readonly modifiers: DraftModifiers }
  /** Another sequence, which may end without ending this one. */
  | { readonly kind: "call"; readonly place: FindingPlace; readonly steps: Steps }
  | { readonly kind: "return"; readonly place: FindingPlace }
  /** The answer had so far is thrown away. */
  | { readonly kind: "drop"; readonly place: FindingPlace };

export type Steps = readonly ImportStep[];

const BUILT_IN: ReadonlyMap<string, "nxdomain" | "empty" | "refused" | "drop" | "return"> = new Map([
  ["_new_nxdomain_response", "nxdomain"],
  ["_block_with_nxdomain", "nxdomain"],
  ["_block_with_nxdomain_response", "nxdomain"],
  ["_new_empty_response", "empty"],
  ["_block_with_empty_response", "empty"],
  ["_new_servfail_response", "refused"],
  ["_block_with_servfail", "refused"],
  ["_block_with_servfail_response", "refused"],
  ["_drop_response", "drop"],
  ["_return", "return"],
  ["_end", "return"],
]);

/** What this server does by itself or has no use for. */
const NEEDLESS = [
  "_single_flight",
  "_misc_optm",
  "_edns0_filter_ecs_only",
  "_edns0_filter_no_edns0",
  "_pad_query",
  "_default_cache",
  "single_flight",
  "misc_optm",
  "padding",
  "edns0_filter",
  "_edns0_filter",
];

const MAX_DEPTH = 24;
const MAX_STEPS = 5000;

/** Reads sequences, following the tags that they name. */
export class StepReader {
  readonly #bundle: Bundle;
  readonly #matchers: Matchers;
  readonly #findings: Findings;
  readonly #used = new Map<string, Plugin>();
  #count = 0;

  constructor(bundle: Bundle, matchers: Matchers, findings: Findings) {
    this.#bundle = bundle;
    this.#matchers = matchers;
    this.#findings = findings;
  }

  /** Plugins that a sequence has come upon, by tag. */
  get used(): ReadonlyMap<string, Plugin> {
    return this.#used;
  }

  /** What running the plugin `tag` comes to. */
  plugin(tag: string, place: FindingPlace, depth = 0): Steps {
    const plugin = this.#bundle.plugins.get(tag);
    if (plugin === undefined || depth > MAX_DEPTH || ++this.#count > MAX_STEPS) {
      this.#findings.left(
        place,
        plugin === undefined ? `\`${tag}\`: there is no such plugin` : `\`${tag}\`: sequences call each other too deeply`,
      );
      return [];
    }
    this.#used.set(tag, plugin);
    const { type, args } = plugin;
    if (FORWARD_TYPES.includes(type)) return [{ kind: "forward", place, plugin }];
    switch (type) {
      case "sequence":
        return [{ kind: "call", place, steps: this.#sequence(args, depth + 1) }];
      case "fallback": {
        const [primary, secondary] = [this.#branch(args, "primary", depth), this.#branch(args, "secondary", depth)];
        return [{ kind: "fallback", place, primary, secondary }];
      }
      case "ttl":
        return [
          {
            kind: "modify",
            place,
            modifiers: { ttl: ttlOf(numberAt(args, "minimal_ttl"), numberAt(args, "maximum_ttl")) },
          },
        ];
      case "ecs":
      case "ecs_handler":
        return this.#ecs(plugin);
      case "blackhole":
      case "black_hole":
        return [{ kind: "block", place, how: blackholeOf(args) }];
      case "cache":
      case "hosts":
        return [];
      default:
        if (NEEDLESS.includes(type))
          this.#findings.changed(plugin.place, `\`${tag}\` (${type}) is left out: Fenliu has no need of it`);
        else this.#findings.left(plugin.place, `\`${tag}\`: nothing here corresponds to a plugin of type \`${type}\``);
        return [];
    }
  }

  #sequence(args: Tree | null, depth: number): Steps {
    return this.#steps(args?.kind === "map" ? childOf(args, "exec") : args, depth);
  }

  #branch(tree: Tree | null, key: string, depth: number): Steps {
    return this.#steps(childOf(tree, key), depth + 1);
  }

  #steps(tree: Tree | null, depth: number): Steps {
    return itemsOf(tree).flatMap((item) => this.#step(item, depth));
  }

  #step(item: Tree, depth: number): Steps {
    const { place } = item;
    if (depth > MAX_DEPTH || ++this.#count > MAX_STEPS) {
      this.#findings.left(place, "this sequence is too long or too deeply nested");
      return [];
    }
    if (item.kind === "scalar") return this.#word(item.text.trim(), place, depth);
    if (item.kind === "list") return this.#steps(item, depth + 1);
    if (childOf(item, "primary") !== null)
      return [
        {
          kind: "fallback",
          place,
          primary: this.#branch(item, "primary", depth),
          secondary: this.#branch(item, "secondary", depth),
        },
      ];
    const then = this.#branch(item, "exec", depth);
    const condition = textAt(item, "if");
    if (condition !== "")
      return [
        {
          kind: "if",
          place,
          condition: this.#matchers.expression(condition, place),
          then,
          otherwise: this.#branch(item, "else_exec", depth),
        },
      ];
    if (childOf(item, "matches") !== null)
      return [{ kind: "if", place, condition: this.#matchers.matches(childOf(item, "matches"), place), then, otherwise: [] }];
    if (childOf(item, "exec") !== null) return then;
    const keys = item.kind === "map" ? item.entries.map(({ key }) => key).join(", ") : "";
    this.#findings.left(place, `a step with \`${keys}\` in a sequence`);
    return [];
  }

  /** A tag, a built-in action of version 4, or an action of version 5 with its arguments. */
  #word(written: string, place: FindingPlace, depth: number): Steps {
    if (written === "") return [];
    const builtIn = BUILT_IN.get(written);
    if (builtIn === "drop" || builtIn === "return") return [{ kind: builtIn, place }];
    if (builtIn !== undefined) return [{ kind: "block", place, how: builtIn }];
    if (this.#bundle.plugins.has(written)) return this.plugin(written, place, depth + 1);
    const [word = "", ...args] = written.split(/\s+/);
    switch (word) {
      case "_prefer_ipv4":
      case "prefer_ipv4":
        return [{ kind: "modify", place, modifiers: { ipv6: "prefer-ipv4" } }];
      case "_prefer_ipv6":
      case "prefer_ipv6":
        return [{ kind: "modify", place, modifiers: { ipv4: "prefer-ipv6" } }];
      case "_no_ecs":
        return [{ kind: "modify", place, modifiers: { ecs: "strip" } }];
      case "ecs":
        return [{ kind: "modify", place, modifiers: { ecs: args[0] ?? "client" } }];
      case "accept":
      case "return":
        return [{ kind: "return", place }];
      case "drop_resp":
        return [{ kind: "drop", place }];
      case "reject":
        return [{ kind: "block", place, how: args[0] === "3" ? "nxdomain" : args[0] === "0" ? "empty" : "refused" }];
      case "black_hole":
        return [{ kind: "block", place, how: args.every(isZero) ? "zero" : "address" }];
      case "ttl": {
        const [, least, dash, most] = /^(\d{1,9})(-?)(\d{0,9})$/.exec(args[0] ?? "") ?? [];
        const fixed = least === undefined ? null : Number(least);
        return [{ kind: "modify", place, modifiers: { ttl: ttlOf(fixed, dash === "" ? fixed : Number(most || 0)) } }];
      }
      case "jump":
        return this.plugin(args[0] ?? "", place, depth + 1);
      case "goto":
        return [...this.plugin(args[0] ?? "", place, depth + 1), { kind: "return", place }];
      case "forward":
        return [{ kind: "forward", place, plugin: quickForward(args, place) }];
      default:
        if (word.startsWith("$")) return this.plugin(word.slice(1), place, depth + 1);
        if (NEEDLESS.includes(word)) this.#findings.changed(place, `\`${word}\` is left out: Fenliu has no need of it`);
        else this.#findings.left(place, `\`${written}\`: nothing here corresponds to this action`);
        return [];
    }
  }

  #ecs({ args, tag, place }: Plugin): Steps {
    const isAuto = textAt(args, "auto") === "true" || textAt(args, "send") === "true";
    const address = textAt(args, "ipv4") || textAt(args, "ipv6") || textAt(args, "preset");
    if (!isAuto && address === "") return [{ kind: "modify", place, modifiers: { ecs: "forward" } }];
    if (isAuto) return [{ kind: "modify", place, modifiers: { ecs: "client" } }];
    if (textAt(args, "ipv4") !== "" && textAt(args, "ipv6") !== "")
      this.#findings.left(place, `\`ipv6\` of \`${tag}\`: one network is sent with every question`);
    const length = address.includes(":") ? (numberAt(args, "mask6") ?? 48) : (numberAt(args, "mask4") ?? 24);
    return [{ kind: "modify", place, modifiers: { ecs: address.includes("/") ? address : `${address}/${length}` } }];
  }
}

function quickForward(addresses: readonly string[], place: FindingPlace): Plugin {
  const items = addresses.map((text): Tree => ({ kind: "scalar", place, text }));
  const entries = [{ key: "upstream", place, value: { kind: "list", place, items } as const }];
  return { tag: addresses.join(" "), type: "forward", args: { kind: "map", place, entries }, place };
}

function blackholeOf(args: Tree | null): "nxdomain" | "empty" | "refused" | "zero" | "address" {
  const addresses = [...itemsOf(childOf(args, "ipv4")), ...itemsOf(childOf(args, "ipv6"))].map(textOf);
  if (addresses.length > 0) return addresses.every(isZero) ? "zero" : "address";
  const rcode = numberAt(args, "rcode") ?? 0;
  return rcode === 3 ? "nxdomain" : rcode === 0 ? "empty" : "refused";
}

function isZero(address: string): boolean {
  return address === "0.0.0.0" || address === "::";
}

/** Zero stands for no bound. Bounds are those of docs/config.md. */
function ttlOf(minimum: number | null, maximum: number | null): { readonly min?: string; readonly max?: string } {
  const most = maximum === null || maximum === 0 ? null : Math.min(maximum, 365 * 86_400);
  const least = minimum === null || minimum === 0 ? null : Math.min(minimum, 7 * 86_400, most ?? Number.POSITIVE_INFINITY);
  return {
    ...(least === null ? {} : { min: formatDuration(least * 1000) }),
    // The minimum must not stand above the default maximum, a day.
    ...(most === null && (least ?? 0) <= 86_400 ? {} : { max: formatDuration((most ?? least ?? 0) * 1000) }),
  };
}
