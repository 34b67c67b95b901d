import { nodataAnswer } from "../answers/negative.ts";
import { AddressSet, privateAddresses } from "../dns/address.ts";
import { addressesOf } from "../dns/answer.ts";
import { EDE } from "../dns/types.ts";
import type { Compare, Decision, Forward } from "../rules/decision.ts";
import type { Resolution } from "./resolution.ts";
import type { Asked } from "./resolve.ts";
import type { Resolver } from "./resolver.ts";

/** Addresses that proxies make up for names; what they stand for changes from minute to minute. */
export const FAKE_IP_RANGES = ["198.18.0.0/15", "fc00::/18"];

const fakeAddresses = AddressSet.of(...FAKE_IP_RANGES);

/** "This host on this network" (RFC 1122 §3.2.1.3, RFC 4291 §2.5.2): systems take it for themselves. */
const unspecified = AddressSet.of("0.0.0.0/8", "::");

/**
 * Empties an answer that gives a public name an address at home: a page from outside would reach devices there under its own name (DNS
 * rebinding). One such address among others is enough, because it is the one that an attack needs. What is held stays as upstream gave it.
 */
export function withoutRebinding(resolver: Resolver, asked: Asked<Forward | Compare>, resolution: Resolution): Resolution {
  const { query, decision } = asked;
  const { answer } = resolution;
  if (answer === null || !answer.answered) return resolution;
  const group = decision.kind === "forward" ? decision.group : (resolution.comparison?.group ?? decision.compare.far);
  if (!guards(resolver, asked, group) || !addressesOf(answer).some(isAtHome)) return resolution;
  return {
    ...resolution,
    source: "rule",
    action: ACTION,
    answer: nodataAnswer(query, decision.shaping.negative.blockSeconds),
    ttl: { kind: "keep" },
    authenticated: false,
    extendedErrors: [{ code: EDE.BLOCKED, text: ACTION }],
  };
}

const ACTION = "rebinding:nodata";

/** Whether addresses at home are kept from this query's answer, in hints as well: a rule says so, else the group, else section `answers`. */
export function guards({ groups, decider }: Resolver, { query, decision }: Asked<Decision>, group: string): boolean {
  const mode = decision.rebinding ?? groups.get(group).options.rebinding ?? decision.shaping.rebinding;
  return mode === "nodata" && !decider.isSpecial(query.name);
}

/** 4 or 16 octets. */
export function isAtHome(address: Uint8Array): boolean {
  return (privateAddresses.has(address) || unspecified.has(address)) && !fakeAddresses.has(address);
}
