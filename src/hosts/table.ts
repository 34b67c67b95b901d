import { privateAddresses, reverseName } from "../dns/address.ts";
import { HashedMap } from "../dns/hashed-map.ts";
import { type Name, nameText, parentOf } from "../dns/name.ts";
import type { HostRecord } from "./options.ts";

/** What is said of one name in one place. */
export interface HostEntry {
  /** Of a wildcard `*.x`: x. */
  readonly name: Name;
  readonly wildcard: boolean;
  /** 4 or 16 bytes each; empty where `cname` is set. */
  readonly addresses: readonly Uint8Array[];
  readonly cname: Name | null;
  readonly others: HostRecord["others"];
  readonly https: HostRecord["https"];
  /** Path of a file, or `hosts.records`. */
  readonly source: string;
  /** From 1: the line, or the place among the records. */
  readonly line: number;
}

/** What the table holds for a name; where several lines say it together, `source` and `line` are those of the first. */
export interface HostsMatch extends HostEntry {
  /** As it would be written: `nas.lan` or `*.apps.lan`. */
  readonly pattern: string;
}

interface HostsPointer {
  readonly target: Name;
  readonly source: string;
  readonly line: number;
}

/**
 * The static table, immutable. It is made of layers, the strongest first: what a layer says of a name, or of a wildcard, hides all that later layers say of it.
 * Within a layer entries for the same name add their addresses up, in the order written; the first CNAME, `others` and `https` hold.
 * PTR follows from the first exact name that stands for an address, where that is private (`privateAddresses`): elsewhere the table does not know better than the world.
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
    for (const name of [...this.#exact.keys(), ...this.#pointers.keys()]) this.#addAncestors(parentOf(name));
    // RFC 4592 §2.2.2: the name a wildcard hangs on exists, if only as an empty non-terminal.
    for (const name of this.#wildcards.keys()) this.#addAncestors(name);
  }

  /** How many names and wildcards there are. */
  get size(): number {
    return this.#exact.size + this.#wildcards.size;
  }

  /** Everything there is, names before wildcards, in the order read. */
  *entries(): Generator<HostsMatch> {
    yield* this.#exact.values();
    yield* this.#wildcards.values();
  }

  /** What is said of exactly this name, else of the longest wildcard above it; null = nothing. The match speaks for all types of the name. */
  lookup(name: Name): HostsMatch | null {
    const exact = this.#exact.get(name);
    if (exact !== undefined || this.#wildcards.size === 0) return exact ?? null;
    for (let zone = name; zone.length > 1; ) {
      zone = parentOf(zone);
      const match = this.#wildcards.get(zone);
      if (match !== undefined) return match;
    }
    return null;
  }

  /** The host whose address this name (in in-addr.arpa or ip6.arpa) spells. */
  pointer(name: Name): HostsPointer | null {
    return this.#pointers.get(name) ?? null;
  }

  /** Whether a hosts name, the names below a wildcard, or a held PTR lie below `name`: it exists then, with or without records (RFC 8020 §2). */
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

/** As it would be written: `nas.lan` or `*.apps.lan`. */
export function patternOf({ name, wildcard }: Pick<HostEntry, "name" | "wildcard">): string {
  return wildcard ? `*.${nameText(name)}` : nameText(name);
}

type GatheredMatch = HostsMatch & { readonly addresses: Uint8Array[] };

function addTo(matches: HashedMap<Name, GatheredMatch>, entry: HostEntry): void {
  const held = matches.get(entry.name);
  if (held === undefined) {
    matches.set(entry.name, { ...entry, addresses: [...entry.addresses], pattern: patternOf(entry) });
    return;
  }
  if (held.cname !== null) return;
  for (const address of entry.addresses) {
    if (!held.addresses.some((other) => Buffer.compare(other, address) === 0)) held.addresses.push(address);
  }
}
