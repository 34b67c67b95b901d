import { nodataAnswer } from "../answers/negative.ts";
import { replaceAddresses } from "../answers/replace.ts";
import { editBindings } from "../answers/svcb.ts";
import { AddressSet, privateAddresses } from "../dns/address.ts";
import { type Answer, someAddress } from "../dns/answer.ts";
import type { Name } from "../dns/name.ts";
import { EDE, TYPE } from "../dns/types.ts";
import type { CompareDecision, ForwardDecision } from "../rules/decision.ts";
import type { Group } from "../upstreams/group.ts";
import { answerServfail, resolveLocally } from "./local-answer.ts";
import type { Resolution, Resolver, UpstreamQuery } from "./types.ts";
import { knownVerdict } from "./verdicts.ts";

/** A query and the group that answered. */
interface Answered {
  readonly inProgress: UpstreamQuery;
  readonly group: Group;
}

/** The types whose records have address hints. */
export const BINDING_TYPES: ReadonlySet<number> = new Set([TYPE.SVCB, TYPE.HTTPS]);

/**
 * Removes from SVCB and HTTPS records what the rules strip, and hints that would lead this client where A and AAAA do not: where the addresses of the
 * record's target are filtered, are local, or come from another group. Address records beside them are removed likewise. If nothing has to go
 * the answer stays byte for byte; if no record is left it becomes NODATA.
 */
export function editServiceBindings(resolver: Resolver, answered: Answered, resolution: Resolution): Resolution {
  const { query, decision } = answered.inProgress;
  if (resolution.answer === null || !canBeEdited(resolution.answer)) return resolution;
  const { https, negative } = decision.context.settings.shaping;
  const { answer, edits } = editBindings(resolution.answer, {
    strips: typeof https === "string" ? [] : https,
    hintsFor: (target) => ({
      ipv4: comesFromGroup(resolver, answered, { name: target, type: TYPE.A }),
      ipv6: comesFromGroup(resolver, answered, { name: target, type: TYPE.AAAA }),
    }),
    allows: isGuarded(resolver, answered) ? (address) => !isPrivate(address) : null,
  });
  if (edits.length === 0) return resolution;
  if (answer === null) return { ...resolution, ...refuseUneditable(answered.inProgress) };
  const action = resolution.action === "none" ? `type${query.type}:${edits.join(",")}` : resolution.action;
  const edited = { ...resolution, answer, authenticated: false, action, edits: [...(resolution.edits ?? []), ...edits] };
  if (answer.answered || !resolution.answer.answered) return edited;
  return {
    ...edited,
    source: "rule",
    answer: nodataAnswer(query, negative.blockSeconds),
    ttl: { kind: "keep" },
    extendedErrors: [{ code: EDE.FILTERED, text: action }],
  };
}

/** Puts the addresses that a rule has chosen in place of those of its lists. The cached answer stays. */
export function replaceChosen({ classifier }: Resolver, inProgress: UpstreamQuery, resolution: Resolution): Resolution {
  const { replace } = inProgress.decision.context.settings;
  if (replace === null || resolution.answer === null) return resolution;
  const answer = replaceAddresses(resolution.answer, classifier.replacements(replace));
  if (answer === resolution.answer) return resolution;
  if (answer === null) return { ...resolution, ...refuseUneditable(inProgress) };
  return { ...resolution, answer, authenticated: false, edits: [...(resolution.edits ?? []), "replaced addresses"] };
}

/** SERVFAIL in place of an answer that has forbidden parts and cannot be edited. */
function refuseUneditable(
  inProgress: UpstreamQuery,
): Pick<Resolution, "source" | "answer" | "ttl" | "authenticated" | "extendedErrors"> {
  const { source, answer, ttl, authenticated, extendedErrors } = answerServfail(inProgress, {
    code: EDE.OTHER,
    text: "without what the rules strip the answer is no message any more",
  });
  return { source, answer, ttl, authenticated, extendedErrors };
}

/** Whether there are records of the type, or address records beside an empty answer. */
export function canBeEdited({ answered, additionalOffset, wire }: Answer): boolean {
  return answered || additionalOffset < wire.length;
}

/** Whether this client gets the addresses of the name, and from the same group. */
function comesFromGroup(
  resolver: Resolver,
  { inProgress: { query, client }, group }: Answered,
  { name, type }: { readonly name: Name; readonly type: number },
): boolean {
  const decision = resolver.decider.decide({ name, type, class: query.class }, client);
  if (decision.kind !== "forward" && decision.kind !== "compare") return false;
  const { ipv4, ipv6 } = decision.context.settings.shaping;
  return routeOf(resolver, name, decision) === group.label && (type === TYPE.A ? ipv4 : ipv6) === "pass";
}

/** The group that A and AAAA of a name come from; null = this is not known before they are asked. */
function routeOf(resolver: Resolver, name: Name, decision: ForwardDecision | CompareDecision): string | null {
  if (decision.kind === "forward") return decision.group;
  const verdict = knownVerdict(resolver, name, decision.compare);
  return verdict === null ? null : decision.compare[verdict.side];
}

/** Addresses that proxies (mihomo, sing-box, Surge and others) invent for names. Their meaning changes from minute to minute. */
export const FAKE_IP_RANGES = ["198.18.0.0/15", "28.0.0.0/8", "fc00::/16"];

const fakeAddresses = AddressSet.of(...FAKE_IP_RANGES);

/** "This host on this network" (RFC 1122 §3.2.1.3, RFC 4291 §2.5.2): systems take it for themselves. */
const unspecified = AddressSet.of("0.0.0.0/8", "::");

const REBINDING_ACTION = "rebinding:nodata";

/**
 * Empties an answer that gives a private address to a public name: a web page from outside could reach local devices under its own name (DNS
 * rebinding). One private address is enough for an attack, so public addresses beside it do not help. The cached answer stays.
 */
export function guardRebinding(resolver: Resolver, answered: Answered, resolution: Resolution): Resolution {
  if (resolution.answer === null || !isGuarded(resolver, answered)) return resolution;
  if (!resolution.answer.answered || !someAddress(resolution.answer, isPrivate)) return resolution;
  const { query, decision } = answered.inProgress;
  const emptied = resolveLocally(decision, {
    source: "rule",
    action: REBINDING_ACTION,
    answer: nodataAnswer(query, decision.context.settings.shaping.negative.blockSeconds),
    extendedErrors: [{ code: EDE.BLOCKED, text: REBINDING_ACTION }],
  });
  return { ...resolution, ...emptied, route: resolution.route, attempts: resolution.attempts };
}

/** Whether private addresses, in hints as well, are kept from this query's answer: a rule says so, else the group, else section `answers`. */
function isGuarded({ decider }: Resolver, { inProgress: { query, decision }, group }: Answered): boolean {
  const { settings } = decision.context;
  const mode = settings.rebinding ?? group.options.rebinding ?? settings.shaping.rebinding;
  return mode === "nodata" && !decider.isSpecial(query.name);
}

/** @param address 4 or 16 bytes. */
function isPrivate(address: Uint8Array): boolean {
  return (privateAddresses.has(address) || unspecified.has(address)) && !fakeAddresses.has(address);
}
