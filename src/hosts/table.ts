import { privateAddresses, reverseName } from "../dns/address.ts";
import { HashedMap } from "../dns/hashed-map.ts";
import { type Name, nameFromText, nameText, parentOf } from "../dns/name.ts";
import type { HostRecord } from "./options.ts";

/**
 * The hosts table: names of the house, with addresses, an alias, or an HTTPS record. The rules ask the table before everything else.
 * Read this file first, then `parse.ts`, which fills the table from the configuration, from hosts files and from what was added through the API.
 */

/** One line of a source: a name and its data. */
export interface HostEntry {
  /** For a wildcard `*.x`: x. */
  readonly name: Name;
  readonly wildcard: boolean;
  /** 4 or 16 bytes each; empty where `cname` is set. */
  readonly addresses: readonly Uint8Array[];
  readonly cname: Name | null;
  readonly others: HostRecord["others"];
  readonly a?: HostRecord["others"];
  readonly aaaa?: HostRecord["others"];
  readonly https: HostRecord["https"];
  /** Path of a file, or `hosts.records`. */
  readonly source: string;
  /** From 1: the line, or the position among the records. */
  readonly line: number;
}

/** What the table holds for a name. `source` and `line` are those of the first entry for the name. */
export interface HostsMatch extends HostEntry {
  /** `nas.lan` or `*.apps.lan`. */
  readonly pattern: string;
}

interface HostsPointer {
  readonly target: Name;
  readonly source: string;
  readonly line: number;
}

/**
 * The table, immutable. It is made of layers, the strongest first: an entry for a name or a wildcard hides the entries of later layers for the same
 * name or wildcard. An exact name goes before a wildcard, whatever their layers, and a longer wildcard before a shorter one; an entry that leaves all
 * types to the rules takes its names out. Within a layer the addresses of one name add up, in the order written; the first CNAME, `others` and `https` hold.
 * A private address (`privateAddresses`) has a PTR record to the first exact name with that address. For a public address DNS knows better.
 */
export class HostsTable {
  readonly #exact = new HashedMap<Name, GatheredMatch>();
  readonly #wildcards = new HashedMap<Name, GatheredMatch>();
  readonly #pointers = new Map<Name, HostsPointer>();
  readonly #ancestors = new Set<Name>();

  constructor(layers: readonly (readonly HostEntry[])[]) {
    for (const layer of layers) {
      const seen = layer.filter(({ name, wildcard }) => !(wildcard ? this.#wildcards : this.#exact).has(name));
      for (const entry of seen) {
        addTo(entry.wildcard ? this.#wildcards : this.#exact, entry);
        if (!entry.wildcard) this.#addPointers(entry);
      }
    }
    for (const name of this.#pointers.keys()) this.#addAncestors(parentOf(name));
    for (const match of this.#exact.values()) {
      if (!isException(match)) this.#addAncestors(parentOf(match.name));
      // Names below an exception are in the table as long as a wildcard above it holds them.
      else if (this.lookup(nameBelow(match.name)) !== null) this.#addAncestors(match.name);
    }
    // RFC 4592 §2.2.2: the name a wildcard hangs on exists, if only as an empty non-terminal.
    for (const match of this.#wildcards.values()) if (!isException(match)) this.#addAncestors(match.name);
  }

  /** How many names and wildcards there are. */
  get size(): number {
    return this.#exact.size + this.#wildcards.size;
  }

  /** All matches, names before wildcards, in the order read. */
  *entries(): Generator<HostsMatch> {
    yield* this.#exact.values();
    yield* this.#wildcards.values();
  }

  /**
   * The match for this very name, else for the longest wildcard above; null = none, or an exception takes the name out of the table. The match
   * answers for all types of the name.
   */
  lookup(name: Name): HostsMatch | null {
    const match = this.find(name);
    return match === null || isException(match) ? null : match;
  }

  /** As `lookup`, and gives exceptions too. */
  find(name: Name): HostsMatch | null {
    const exact = this.#exact.get(name);
    if (exact !== undefined || this.#wildcards.size === 0) return exact ?? null;
    for (let zone = name; zone.length > 1; ) {
      zone = parentOf(zone);
      const match = this.#wildcards.get(zone);
      if (match !== undefined) return match;
    }
    return null;
  }

  /** The host with the address that this name (in in-addr.arpa or ip6.arpa) stands for. */
  pointer(name: Name): HostsPointer | null {
    return this.#pointers.get(name) ?? null;
  }

  /** Whether a name, a wildcard or a PTR of the table lies below `name`. `name` exists then, with or without records (RFC 8020 §2). */
  isAncestor(name: Name): boolean {
    return this.#ancestors.has(name);
  }

  #addPointers({ name, addresses, source, line }: HostEntry): void {
    for (const address of addresses) {
      if (!privateAddresses.has(address)) continue;
      const reverse = reverseName(address);
      if (!this.#pointers.has(reverse)) this.#pointers.set(reverse, { target: name, source, line });
    }
  }

  #addAncestors(lowest: Name): void {
    for (let name = lowest; !this.#ancestors.has(name); name = parentOf(name)) this.#ancestors.add(name);
  }
}

/** Whether the entry leaves all types to the rules: its names are not in the table, whatever wildcard lies above them. */
export function isException({ addresses, cname, https, others, a, aaaa }: HostRecord | HostEntry): boolean {
  return (
    addresses.length === 0 &&
    cname === null &&
    https === null &&
    [others, a ?? others, aaaa ?? others].every((missing) => missing === "forward")
  );
}

/** A name below with a label that nobody writes. */
function nameBelow(name: Name): Name {
  return `\x01\0${name}` as Name;
}

/** Reads `nas.lan` or `*.apps.lan`; null where the text is no name. */
export function parseHostPattern(written: string): Pick<HostEntry, "name" | "wildcard"> | null {
  const wildcard = written.startsWith("*.");
  const name = nameFromText(wildcard ? written.slice(2) : written);
  return name === null ? null : { name, wildcard };
}

/** Writes `nas.lan` or `*.apps.lan`. */
export function patternOf({ name, wildcard }: Pick<HostEntry, "name" | "wildcard">): string {
  return wildcard ? `*.${nameText(name)}` : nameText(name);
}

type GatheredMatch = HostsMatch & { readonly addresses: Uint8Array[] };

function addTo(matches: HashedMap<Name, GatheredMatch>, entry: HostEntry): void {
  const known = matches.get(entry.name);
  if (known === undefined) {
    matches.set(entry.name, { ...entry, addresses: [...entry.addresses], pattern: patternOf(entry) });
    return;
  }
  if (known.cname !== null) return;
  for (const address of entry.addresses) {
    if (!known.addresses.some((other) => Buffer.compare(other, address) === 0)) known.addresses.push(address);
  }
}
