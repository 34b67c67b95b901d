import { isIP } from "node:net";
import { TYPE } from "../../dns/types.ts";
import { excepted, hostsOf } from "../hosts.ts";
import { type Findings, type Host, type Names, namesOf } from "../model.ts";
import { byPath, meet, pathOf } from "./paths.ts";
import type { Tree } from "./tree.ts";

/** What `address /x/…` says of addresses: they are entries of the hosts here, which hold for all clients and come before all rules. */

type Entry = Pick<Host, "addresses" | "place">;

interface Scope {
  readonly findings: Findings;
  /** Whether one of the names lies on a path with an entry of the sets. */
  readonly meetsSet: (sets: Names, names: Names) => boolean;
}

/** An address, in place of one of the marks `#` and `-`. */
export function isAddressRule(rule: string): boolean {
  return !/^[#-]/.test(rule);
}

/** Whether the entry blocks the names of a set, which needs no host. */
export function isBlockedSet({ names, rule }: { readonly names: Names; readonly rule: string }): boolean {
  return names.lists.length > 0 && rule.split(",").every((address) => address === "0.0.0.0" || address === "::");
}

/** @param root the rules of all clients. @param groups those of some. */
export function addressHosts(root: Tree, groups: readonly Tree[], scope: Scope): readonly Host[] {
  const entries = entriesOf(root, scope.findings);
  const shared = new Set(root.addresses.values());
  for (const { addresses } of groups)
    for (const rule of addresses.values())
      if (isAddressRule(rule.rule) && !isBlockedSet(rule) && !shared.has(rule)) reportLeftOut(rule, scope.findings);
  reportMarks([root, ...groups], entries, scope);
  const hosts = [...entries].flatMap(([pattern, entry]) => hostsOf(pattern, { ...entry, cname: null, others: "forward" }));
  // The longer name wins: `-` frees it.
  const free = [...root.addresses.values()].filter(({ rule }) => rule === "-");
  const freed = free.flatMap(({ names, place }) =>
    names.patterns.flatMap((pattern) => {
      if (pattern.startsWith("regexp:")) return [];
      const name = pattern.replace(/^(full:|\*\.)/, "");
      return hosts.some((host) => host.wildcard && name.endsWith(`.${host.name}`)) ? excepted(pattern, place) : [];
    }),
  );
  return [...hosts, ...freed];
}

/** By pattern. */
function entriesOf({ addresses: rules }: Tree, findings: Findings): ReadonlyMap<string, Entry> {
  const entries = new Map<string, Entry>();
  for (const entry of rules.values()) {
    const { names, rule, place } = entry;
    if (!isAddressRule(rule) || isBlockedSet(entry)) continue;
    const addresses = rule.split(",").filter((address) => isIP(address) !== 0);
    const isPlain = names.lists.length === 0 && !names.patterns.some((pattern) => pattern.startsWith("regexp:"));
    if (addresses.length === 0 || !isPlain) {
      reportLeftOut(entry, findings);
      continue;
    }
    for (const pattern of names.patterns) {
      // A name has one entry, and each family is that of the last line that names it.
      const known = entries.get(pattern);
      const [four, six] = [4, 6].map((family) => {
        const own = addresses.filter((address) => isIP(address) === family);
        return own.length > 0 ? own : (known?.addresses.filter((address) => isIP(address) === family) ?? []);
      }) as [string[], string[]];
      entries.set(pattern, { addresses: [...four, ...six], place: known?.place ?? place });
    }
  }
  // A longer name inherits the family for which it has no address.
  for (const [pattern, entry] of [...entries].toSorted(([one], [other]) => one.split(".").length - other.split(".").length)) {
    const [own = "", ...outers] = pathOf(pattern);
    const outer = [own, ...outers.flatMap((each) => [`*.${each}`, each])].find((each) => each !== pattern && entries.has(each));
    const families = new Set(entry.addresses.map((address) => isIP(address)));
    const inherited =
      outer === undefined ? [] : (entries.get(outer)?.addresses.filter((each) => !families.has(isIP(each))) ?? []);
    entries.set(pattern, { ...entry, addresses: [...entry.addresses, ...inherited] });
  }
  return entries;
}

function reportLeftOut({ rule, place }: { readonly rule: string; readonly place: Entry["place"] }, findings: Findings): void {
  findings.add("blank", place, `\`address …/${rule}\`: only single names have addresses here, and for all clients`);
}

/** `#` and `-` are one attribute, which longer names inherit: what is emptied or freed has no address, wherever both lie on one path. */
function reportMarks(trees: readonly Tree[], entries: ReadonlyMap<string, Entry>, { findings, meetsSet }: Scope): void {
  const marks = trees.flatMap(({ addresses }) => [...addresses.values()]).filter(({ rule }) => !isAddressRule(rule));
  const hosts = [...entries].map(([pattern, entry]) => ({ ...entry, names: namesOf([pattern]) }));
  const tell = ({ addresses, place }: Entry, rule: string) => {
    const family = { "4": 4, "6": 6 }[rule.slice(1)];
    if (family === undefined || addresses.some((address) => isIP(address) === family))
      findings.add("changed", place, `\`${rule}\` of a longer or shorter name takes this address away there: here it is given`);
  };
  const [marksByName, hostsByName] = [byPath(marks), byPath(hosts)];
  const ofSet = marks.filter(({ names }) => names.lists.length > 0);
  const emptied = emptiedFamilies(trees);
  for (const host of hosts) {
    const inSets = ofSet.filter(({ names }) => meetsSet(names, host.names));
    for (const { rule } of [...meet(host.names, marksByName), ...inSets]) tell(host, rule);
    if (host.addresses.some((address) => emptied.has(isIP(address))))
      findings.add(
        "changed",
        host.place,
        "`force-AAAA-SOA` or `force-qtype-SOA` emptied this address too: here the address is given",
      );
  }
  for (const { names, rule } of marks) for (const host of meet(names, hostsByName)) tell(host, rule);
}

/** Families, as `isIP` counts them, of which some clients get no address at all. */
function emptiedFamilies(trees: readonly Tree[]): ReadonlySet<number> {
  const emptied = new Set<number>();
  for (const { ipv6, emptyTypes } of trees) {
    if (ipv6?.value === "nodata") emptied.add(6);
    if (emptyTypes.some(({ types }) => types.includes(TYPE.A))) emptied.add(4);
  }
  return emptied;
}
