import type { Name } from "../dns/name.ts";
import type { Entry } from "./entry.ts";

/**
 * Which entries speak of a name: those held under it, and those whose aliases end at it (RFC 2308 §2.1). The oldest come first.
 */
export class NameIndex {
  readonly #byName = new Map<Name, readonly Entry[]>();

  about(name: Name): readonly Entry[] {
    return this.#byName.get(name) ?? NO_ENTRIES;
  }

  add(entry: Entry): void {
    const { name, chainEnd } = entry.answer;
    this.#put(name, this.about(name).concat(entry));
    if (chainEnd !== name) this.#put(chainEnd, withRoom(this.about(chainEnd), chainEnd).concat(entry));
  }

  remove(entry: Entry): void {
    const { name, chainEnd } = entry.answer;
    this.#take(name, entry);
    if (chainEnd !== name) this.#take(chainEnd, entry);
  }

  clear(): void {
    this.#byName.clear();
  }

  #take(name: Name, entry: Entry): void {
    this.#put(
      name,
      this.about(name).filter((each) => each !== entry),
    );
  }

  // Lists are made anew, at their exact length: one that grows by `push` or a spread has room for sixteen more, which few will need.
  #put(name: Name, list: readonly Entry[]): void {
    if (list.length === 0) this.#byName.delete(name);
    else this.#byName.set(name, list);
  }
}

/**
 * How many entries of other names are remembered at the name where their aliases end. Thousands of names may end at one server
 * of a CDN, and each of the first few proves its existence as well as all of them.
 */
const MAX_ALIASED = 64;

const NO_ENTRIES: readonly Entry[] = [];

function withRoom(list: readonly Entry[], name: Name): readonly Entry[] {
  if (list.length < MAX_ALIASED) return list;
  const oldest = list.findIndex(({ answer }) => answer.name !== name);
  return list.filter((_, index) => index !== oldest);
}
