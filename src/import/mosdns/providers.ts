import { hostName } from "../lists.ts";
import { type ListFile, type Names, type Networks, namesOf } from "../model.ts";
import { childOf, itemsOf, pathBeside, type Tree, textAt, textOf } from "../source.ts";
import type { Plugin } from "./bundle.ts";

/** Sets of names and addresses that OxiDNS has besides those of mosdns. */

/** Why a set, or what a condition names, cannot be read. */
export interface Unread {
  readonly why: string;
}

/** What a condition asks a set of rules of AdGuard Home: whether it holds the name, or the question, whose type its rules may name. */
export type AskedFor = NonNullable<ListFile["asked"]>;

/** The names of a set that only OxiDNS has; null = `plugin` is none. @param file the main configuration. */
export function providedNames(plugin: Plugin, file: string, asked: AskedFor): Names | Unread | null {
  const { type, args, tag, place } = plugin;
  switch (type) {
    case "geosite": {
      const lists = categories(plugin, file, "domains");
      return "why" in lists ? lists : { patterns: [], lists };
    }
    case "dynamic_domain_set": {
      const path = pathBeside(file, textAt(args, "path"));
      return { patterns: [], lists: [{ path, tag, place, category: "plain", kind: "domains", reloads: true }] };
    }
    case "adguard_rule":
      return adguardRules(plugin, file, asked);
    default:
      return null;
  }
}

/** The addresses of a set that only OxiDNS has; null = `plugin` is none. */
export function providedNetworks(plugin: Plugin, file: string): Networks | Unread | null {
  if (plugin.type !== "geoip") return null;
  const lists = categories(plugin, file, "addresses");
  return "why" in lists ? lists : { networks: [], lists };
}

/** Categories of a .dat file. */
function categories({ args, tag }: Plugin, file: string, kind: ListFile["kind"]): readonly ListFile[] | Unread {
  const path = pathBeside(file, textAt(args, "file"));
  const selectors = itemsOf(childOf(args, "selectors")).filter((item) => textOf(item) !== "");
  if (selectors.length === 0)
    return { why: `\`${tag}\` has no \`selectors\`, and is every category of its file together: name those that are meant` };
  return selectors.map((item) => {
    const code = textOf(item);
    return { path, category: code, kind, tag: `${tag}-${code}`, place: item.place, reloads: false };
  });
}

/** The names that rules in the configuration alone hold, and those that they except; null = `plugin` has others, or no exceptions. */
export function exceptedRules({ type, args }: Plugin): { readonly names: Names; readonly except: Names } | null {
  if (type !== "adguard_rule" || itemsOf(childOf(args, "files")).length > 0) return null;
  const texts = rulesOf(args).map(textOf);
  const [names, except] = [false, true].map((isException) =>
    texts.filter((text) => text.startsWith("@@") === isException).map((text) => patternOf(text.replace(/^@@/, ""))),
  );
  if (names === undefined || except === undefined || except.length === 0 || [...names, ...except].includes(null)) return null;
  const known = (patterns: readonly (string | null)[]) => namesOf(patterns.flatMap((pattern) => pattern ?? []));
  return { names: known(names), except: known(except) };
}

/** The rules in the configuration, without comments. */
function rulesOf(args: Tree | null): readonly Tree[] {
  return itemsOf(childOf(args, "rules")).filter((item) => !/^([!#]|$)/.test(textOf(item)));
}

/** Rules of AdGuard Home, whose exceptions hold for all files of the set. */
function adguardRules({ args, tag }: Plugin, file: string, asked: AskedFor): Names | Unread {
  const written = rulesOf(args);
  const patterns = written.map((item) => patternOf(textOf(item)));
  const strange = written[patterns.indexOf(null)];
  if (strange !== undefined)
    return {
      why: `\`${textOf(strange)}\` in line ${strange.place.line}: of the rules of \`${tag}\` that stand in the configuration, \`||name^\` and names are read; put the others into a file, and name it under \`files\``,
    };
  const lists = itemsOf(childOf(args, "files")).map((item): ListFile => {
    const path = pathBeside(file, textOf(item));
    return { path, category: "adguard", kind: "domains", tag, place: item.place, reloads: false, joint: tag, asked };
  });
  return { ...namesOf(patterns.flatMap((pattern) => pattern ?? [])), lists };
}

function patternOf(text: string): string | null {
  const below = /^\|\|([^|^]+)\^$/.exec(text)?.[1];
  if (below !== undefined) return hostName(below);
  const alone = hostName(text);
  return alone === null ? null : `full:${alone}`;
}
