import { isNetwork } from "../lists.ts";
import type { Findings, Place, ServerGroup } from "../model.ts";
import type { GroupMember } from "./tree.ts";
import { flagsOf } from "./words.ts";

/** Addresses that are taken out of answers: filters belong to servers there, and to groups here. */
export class AddressFilters {
  readonly #blacklist: string[] = [];
  readonly #whitelist: string[] = [];
  /** Taken out of the answers of every server. */
  readonly #ignored: string[] = [];

  /** Takes a line in which a filter stands; other lines say nothing of it. */
  read(key: string, rest: string): void {
    const lists: Readonly<Record<string, string[]>> = {
      "blacklist-ip": this.#blacklist,
      "whitelist-ip": this.#whitelist,
      "ignore-ip": this.#ignored,
    };
    lists[key]?.push(...networkOf(flagsOf(rest).words[0] ?? ""));
  }

  /** Those of a group of these servers, once all lines are read. */
  of(members: readonly GroupMember[], shown: string, place: Place, findings: Findings): Pick<ServerGroup, "accept" | "drop"> {
    const filter = (key: "drops" | "accepts", networks: readonly string[]): readonly string[] => {
      const having = members.filter((member) => member[key]);
      if (key === "accepts" && having.length > 0 && networks.length === 0)
        findings.add(
          "changed",
          place,
          `\`-whitelist-ip\` of servers of \`${shown}\` drops every address where no \`whitelist-ip\` stands: here their answers pass`,
        );
      if (having.length === 0 || networks.length === 0) return [];
      if (having.length < members.length)
        findings.add(
          "risk",
          place,
          `some servers of \`${shown}\` have \`-${key === "drops" ? "blacklist" : "whitelist"}-ip\`: their answers are not filtered; make a group of them`,
        );
      return having.length < members.length ? [] : networks;
    };
    const accept = filter("accepts", this.#whitelist);
    const drop = [...filter("drops", this.#blacklist), ...this.#ignored];
    if (accept.length + drop.length > 0)
      findings.add("changed", place, `an answer of \`${shown}\` of which no address is left fails: smartdns gave an empty one`);
    return { accept, drop };
  }
}

/** The network that this is; empty = none. */
export function networkOf(written: string): readonly string[] {
  return isNetwork(written) ? [written] : [];
}
