import type { Name } from "../dns/name.ts";
import { type DomainSet, outranks } from "../lists/domain-set.ts";
import type { RuleAction } from "./options.ts";
import { type DomainLists, listNamed, type RuleMatch } from "./patterns.ts";

interface Choice {
  readonly set: DomainSet;
  readonly group: string;
}

/** The action `longest`: of several lists the one whose pattern fits a name best names the group. */
export class Longest {
  readonly choices: readonly Choice[];

  constructor({ choices }: Extract<RuleAction, { kind: "longest" }>, lists: DomainLists) {
    this.choices = choices.map(({ list, group }) => ({ set: listNamed(lists, list), group }));
  }

  /** `full:` beats suffixes, the longer suffix wins, keywords and regular expressions come last, a tie goes to the list named first. */
  find(name: Name): RuleMatch | null {
    let best: RuleMatch | null = null;
    for (const { set } of this.choices) {
      const found = set.match(name);
      if (found !== null && (best === null || outranks(found, best.found))) best = { set, found };
    }
    return best;
  }

  /** The group of the list that a match of `find` is of. */
  groupOf({ set }: RuleMatch): string {
    const choice = this.choices.find((candidate) => candidate.set === set);
    if (choice === undefined) throw new Error("a match of another rule");
    return choice.group;
  }
}
