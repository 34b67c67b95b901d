import type { Name } from "../dns/name.ts";
import type { Entry } from "./entry.ts";

/**
 * Which entries speak of a name: those held under it, and those whose aliases end at it (RFC 2308 §2.1). The oldest come first.
 */
export class NameIndex {
  readonly #byName = new Map<Name, Entry[]>();

  about(name: Name): readonly Entry[] {
    return this.#byName.get(name) ?? NO_ENTRIES;
  }

  add(entry: Entry): void {
    const { name, chainEnd } = entry.answer;
    this.#list(name).push(entry);
    if (chainEnd === name) return;
    const list = this.#list(chainEnd);
    if (list.length >= MAX_ALIASED) forgetOldestAliased(list, chainEnd);
    list.push(entry);
  }

  remove(entry: Entry): void {
    const { name, chainEnd } = entry.answer;
    this.#take(name, entry);
    if (chainEnd !== name) this.#take(chainEnd, entry);
  }

  clear(): void {
    this.#byName.clear();
  }

  #list(name: Name): Entry[] {
    const known = this.#byName.get(name);
    if (known !== undefined) return known;
    const list: Entry[] = [];
    this.#byName.set(name, list);
    return list;
  }

  #take(name: Name, entry: Entry): void {
    const list = this.#byName.get(name);
    const place = list?.indexOf(entry) ?? -1;
    if (list === undefined || place < 0) return;
    if (list.length === 1) this.#byName.delete(name);
    else list.splice(place, 1);
  }
}

/**
 * How many entries of other names are remembered at the name where their aliases end. Thousands of names may end at one server
 * of a CDN, and each of the first few proves its existence as well as all of them.
 */
const MAX_ALIASED = 64;

const NO_ENTRIES: readonly Entry[] = [];

function forgetOldestAliased(list: Entry[], name: Name): void {
  const oldest = list.findIndex(({ answer }) => answer.name !== name);
  if (oldest >= 0) list.splice(oldest, 1);
}
