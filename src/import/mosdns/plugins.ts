import { RCODE, TYPE, typeNumber } from "../../dns/types.ts";
import { isNetwork } from "../lists.ts";
import type { Findings, Host, Place, ResponseTest } from "../model.ts";
import { isOn, numberAt, type Tree, textOf } from "../source.ts";
import { type Bundle, FORWARD_TYPES, MosdnsGroups, MosdnsSets, type Plugin } from "./bundle.ts";
import { type AskedFor, exceptedRules, type Unread } from "./providers.ts";
import type { Steps, Test } from "./steps.ts";

/** What all versions read alike: the steps of a plugin, and conditions. Collects the caches that the steps name. */
export class MosdnsPlugins {
  readonly bundle: Bundle;
  readonly findings: Findings;
  readonly sets: MosdnsSets;
  readonly groups: MosdnsGroups;
  readonly caches: Plugin[] = [];

  constructor(bundle: Bundle, findings: Findings) {
    this.bundle = bundle;
    this.findings = findings;
    this.sets = new MosdnsSets(bundle, findings);
    this.groups = new MosdnsGroups(findings);
  }

  /**
   * The steps of a plugin that all versions have; null for any other.
   * @param sideEffects types that neither route nor answer. @param only the tags of the servers that are asked; none = all.
   */
  stepsOf(plugin: Plugin, place: Place, sideEffects: ReadonlySet<string>, only: readonly string[] = []): Steps | null {
    const { tag, type } = plugin;
    if (FORWARD_TYPES.includes(type)) return [{ kind: "forward", group: this.groups.groupOf(plugin, only), tag, place }];
    if (type === "reverse_lookup" && isOn(plugin.args, "handle_ptr"))
      this.findings.add(
        "changed",
        plugin.place,
        `\`${tag}\` answered PTR for addresses that clients had been given (\`handle_ptr\`): here such questions are asked like others`,
      );
    else if (sideEffects.has(type))
      this.findings.add("left", plugin.place, `\`${tag}\` (${type}): nothing here corresponds to it, and no answer hangs on it`);
    else if (type !== "cache") return null;
    else if (!this.caches.includes(plugin)) this.caches.push(plugin);
    return [];
  }

  /** @param shown the condition as a refusal names it. */
  namesTest(items: readonly Tree[], shown: string, asked?: AskedFor): Test {
    const [only, ...others] = items;
    const plugin = others.length === 0 ? this.bundle.plugins.get(textOf(only).replace(/^\$/, "")) : undefined;
    const excepted = plugin === undefined ? null : exceptedRules(plugin);
    if (excepted !== null) {
      const except: Test = { kind: "not", of: { kind: "names", names: excepted.except } };
      return { kind: "all", of: [{ kind: "names", names: excepted.names }, except] };
    }
    const names = this.sets.names(items, asked);
    return "why" in names ? unknownTest(shown, names) : { kind: "names", names };
  }

  /** The names of the addresses in these networks, as PTR asks for them. */
  pointersTest(items: readonly Tree[], shown: string): Test {
    const names = this.sets.reverseNames(items);
    if ("why" in names) return unknownTest(shown, names);
    const pointers: Test = { kind: "types", types: [TYPE.PTR] };
    return { kind: "all", of: [pointers, { kind: "names", names }] };
  }

  addressesTest(items: readonly Tree[], shown: string): Test {
    const networks = this.sets.networks(items);
    return "why" in networks ? unknownTest(shown, networks) : responseTest({ kind: "addresses", networks });
  }

  /** Networks that stand in the configuration itself. */
  inlineNetworks(items: readonly Tree[]): readonly string[] | Unread {
    const read = this.sets.networks(items);
    if ("why" in read) return read;
    const [list] = read.lists;
    if (list !== undefined) return { why: `the networks of \`${list.tag}\` stand in a file: write them into the configuration` };
    return read.networks.length === 0 ? { why: "it names no network" } : read.networks;
  }
}

/** @param shown the condition. */
export function unknownTest(shown: string, { why }: Unread): Test {
  return { kind: "unknown", why: `${shown}: ${why}` };
}

export function redirectSteps(hosts: readonly Host[], place: Place): Steps {
  return hosts.length === 0 ? [] : [{ kind: "redirect", hosts, place }];
}

/** null = one of the words is no type. */
export function typesTest(words: readonly string[]): Test | null {
  const types = words.map((word) => typeNumber(word.toUpperCase())).filter((type) => type !== null);
  return types.length === 0 || types.length < words.length ? null : { kind: "types", types };
}

export function responseTest(test: ResponseTest): Test {
  return { kind: "response", test };
}

/** The other family is empty where there is an address of this one. */
export function preferSteps(family: "ipv4" | "ipv6", place: Place): Steps {
  return [{ kind: "prefer", modifiers: family === "ipv4" ? { ipv6: "prefer-ipv4" } : { ipv4: "prefer-ipv6" }, place }];
}

export function unknownType({ tag, type, place }: Plugin): Steps {
  return [{ kind: "unknown", why: `\`${tag}\` is a plugin of type \`${type}\`, which is not known`, place }];
}

export function rcodeAnswer(rcode: string): "nxdomain" | "nodata" | "refused" {
  const code = rcodeNumber(rcode);
  return code === RCODE.NXDOMAIN ? "nxdomain" : code === RCODE.NOERROR ? "nodata" : "refused";
}

/** A number, or a name as OxiDNS has them too; NaN where it is neither. */
export function rcodeNumber(written: string): number {
  const named = Object.entries(RCODE).find(([name]) => name === written.toUpperCase());
  return written === "" ? Number.NaN : (named?.[1] ?? Number(written));
}

interface EcsSettings {
  readonly isSent: boolean;
  readonly preset: string;
  /** Where the lengths of the networks are set. */
  readonly args: Tree | null;
  readonly forced?: boolean;
}

/** A preset comes before the client's own network; with neither nothing is added, and nothing removed. */
export function ecsSteps({ isSent, preset, args, forced = false }: EcsSettings, place: Place): Steps {
  if (preset === "") return isSent ? [{ kind: "ecs", ecs: "client", forced, place }] : [];
  const address = preset.replace(/\/.*$/, "");
  const length = address.includes(":") ? (numberAt(args, "mask6") ?? 48) : (numberAt(args, "mask4") ?? 24);
  const network = `${address}/${length}`;
  if (!isNetwork(network)) return [{ kind: "unknown", why: `ECS \`${preset}\``, place }];
  return [{ kind: "ecs", ecs: network, forced, place }];
}
