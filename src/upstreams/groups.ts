import { Group, type GroupContext, type GroupStatus } from "./group.ts";
import type { Breach, Forbids } from "./leaks.ts";
import type { GroupOptions } from "./options.ts";

/** All groups of one configuration. */
export class Groups {
  readonly #groups: ReadonlyMap<string, Group>;

  constructor(groups: ReadonlyMap<string, Group>) {
    this.#groups = groups;
  }

  /** @throws Error for a name that the configuration does not have. */
  get(name: string): Group {
    const group = this.#groups.get(name);
    if (group === undefined) throw new Error(`there is no group ${name}`);
    return group;
  }

  /** Calls `listener` with the group's name each time it has a well member again after it had none: failures and stale rechecks held for it are void. */
  onWell(listener: (name: string) => void): void {
    for (const [name, group] of this.#groups) group.onWell(() => listener(name));
  }

  /** From now on no question goes to a group that `forbids` keeps from it, be it of a client or of the group's own. */
  guardBy(forbids: Forbids): void {
    for (const group of this.#groups.values()) group.leaks.forbids = forbids;
  }

  /** Calls `listener` with each question that was to go where it must not. */
  onBreach(listener: (breach: Breach) => void): void {
    for (const group of this.#groups.values()) group.leaks.onBreach(listener);
  }

  /** In the order of the file. */
  status(): GroupStatus[] {
    return [...this.#groups.values()].map((group) => group.status());
  }

  /** Ends what is under way with `closed`. May be called again. */
  async close(): Promise<void> {
    await Promise.all([...this.#groups.values()].map((group) => group.close()));
  }
}

/**
 * Opens every group with its members, which the returned value owns from then on.
 * @throws Error for options that the checks of the configuration refuse, such as fallbacks in a circle; what was opened is closed again.
 */
export function openGroups(options: readonly GroupOptions[], context: GroupContext): Groups {
  const byName = new Map(options.map((group) => [group.name, group]));
  const opened = new Map<string, Group>();
  const open = (name: string, dependents: readonly string[]): Group => {
    const known = opened.get(name);
    if (known !== undefined) return known;
    const group = byName.get(name);
    if (group === undefined) throw new Error(`there is no group ${name}`);
    if (dependents.includes(name)) throw new Error(`the fallback of ${name} leads back to it`);
    const fallback = group.fallback === null ? null : open(group.fallback, [...dependents, name]);
    const made = new Group(group, context, fallback);
    opened.set(name, made);
    return made;
  };
  try {
    return new Groups(new Map(options.map(({ name }) => [name, open(name, [])])));
  } catch (error) {
    for (const group of opened.values()) void group.close();
    throw error;
  }
}
