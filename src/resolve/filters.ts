import { nodataAnswer } from "../answers/negative.ts";
import { editBindings } from "../answers/svcb.ts";
import { AddressSet, privateAddresses } from "../dns/address.ts";
import { type Answer, addressesOf } from "../dns/answer.ts";
import type { Name } from "../dns/name.ts";
import { EDE, TYPE } from "../dns/types.ts";
import type { CompareDecision, Decision, ForwardDecision } from "../rules/decision.ts";
import type { QueryInProgress } from "./resolve.ts";
import type { Resolution, Resolver } from "./types.ts";
import { knownVerdict } from "./verdicts.ts";

/**
 * Takes out of SVCB and HTTPS records what the rules strip, and the hints that would lead this client where A and AAAA do not: its addresses
 * of the record's target are filtered, made here, or come by another route. Address records beside them go likewise. Where nothing has to go
 * the answer passes byte for byte; where no record is left it is NODATA, as for a type that is filtered.
 */
export function withBindingsEdited(
  resolver: Resolver,
  asked: QueryInProgress<ForwardDecision>,
  resolution: Resolution,
): Resolution {
  if (resolution.answer === null || !hasWhatMayGo(resolution.answer)) return resolution;
  const { https, negative } = asked.decision.context.settings.shaping;
  const { answer, edits } = editBindings(resolution.answer, {
    strips: typeof https === "string" ? [] : https,
    hintsFor: (target) => ({
      ipv4: comesAlike(resolver, asked, { name: target, type: TYPE.A }),
      ipv6: comesAlike(resolver, asked, { name: target, type: TYPE.AAAA }),
    }),
    allows: guards(resolver, asked, asked.decision.group) ? (address) => !isAtHome(address) : () => true,
  });
  if (edits.length === 0) return resolution;
  const action = resolution.action === "none" ? `type${asked.query.type}:${edits.join(",")}` : resolution.action;
  const edited = { ...resolution, answer, authenticated: false, action, edits: [...(resolution.edits ?? []), ...edits] };
  if (answer.answered || !resolution.answer.answered) return edited;
  return {
    ...edited,
    source: "rule",
    answer: nodataAnswer(asked.query, negative.blockSeconds),
    ttl: { kind: "keep" },
    extendedErrors: [{ code: EDE.FILTERED, text: action }],
  };
}

/** Records of the type, or address records beside an empty answer. */
function hasWhatMayGo({ answered, additionalOffset, wire }: Answer): boolean {
  return answered || additionalOffset < wire.length;
}

/** The types whose records carry hints. */
export const BINDING_TYPES: ReadonlySet<number> = new Set([TYPE.SVCB, TYPE.HTTPS]);

function comesAlike(
  resolver: Resolver,
  { query, client, decision }: QueryInProgress<ForwardDecision>,
  { name, type }: { readonly name: Name; readonly type: number },
): boolean {
  const addresses = resolver.decider.decide({ name, type, class: query.class }, client);
  if ((addresses.kind !== "forward" && addresses.kind !== "compare") || routeOf(resolver, name, addresses) !== decision.group)
    return false;
  return (type === TYPE.A ? addresses.context.settings.shaping.ipv4 : addresses.context.settings.shaping.ipv6) === "pass";
}

/** The group that A and AAAA of a name come from; null where that is not known before they are asked. */
function routeOf(resolver: Resolver, name: Name, decision: ForwardDecision | CompareDecision): string | null {
  if (decision.kind === "forward") return decision.group;
  const verdict = knownVerdict(resolver, name, decision.compare);
  return verdict === null ? null : decision.compare[verdict.side];
}

/** Addresses that proxies make up for names; what they stand for changes from minute to minute. */
export const FAKE_IP_RANGES = ["198.18.0.0/15", "fc00::/18"];

const fakeAddresses = AddressSet.of(...FAKE_IP_RANGES);

/** "This host on this network" (RFC 1122 §3.2.1.3, RFC 4291 §2.5.2): systems take it for themselves. */
const unspecified = AddressSet.of("0.0.0.0/8", "::");

/**
 * Empties an answer that gives a public name an address at home: a page from outside would reach devices there under its own name (DNS
 * rebinding). One such address among others is enough, because it is the one that an attack needs. What is held stays as upstream gave it.
 */
export function withoutRebinding(
  resolver: Resolver,
  asked: QueryInProgress<ForwardDecision | CompareDecision>,
  resolution: Resolution,
): Resolution {
  const { query, decision } = asked;
  const { answer } = resolution;
  if (answer === null || !answer.answered) return resolution;
  const group = decision.kind === "forward" ? decision.group : (resolution.comparison?.group ?? decision.compare.far);
  if (!guards(resolver, asked, group) || !addressesOf(answer).some(isAtHome)) return resolution;
  return {
    ...resolution,
    source: "rule",
    action: ACTION,
    answer: nodataAnswer(query, decision.context.settings.shaping.negative.blockSeconds),
    ttl: { kind: "keep" },
    authenticated: false,
    extendedErrors: [{ code: EDE.BLOCKED, text: ACTION }],
  };
}

const ACTION = "rebinding:nodata";

/** Whether addresses at home are kept from this query's answer, in hints as well: a rule says so, else the group, else section `answers`. */
function guards({ groups, decider }: Resolver, { query, decision }: QueryInProgress<Decision>, group: string): boolean {
  const mode =
    decision.context.settings.rebinding ?? groups.get(group).options.rebinding ?? decision.context.settings.shaping.rebinding;
  return mode === "nodata" && !decider.isSpecial(query.name);
}

/** 4 or 16 bytes. */
function isAtHome(address: Uint8Array): boolean {
  return (privateAddresses.has(address) || unspecified.has(address)) && !fakeAddresses.has(address);
}
