import { outcomeOf } from "../dns/answer.ts";
import { CLASS, TYPE } from "../dns/types.ts";
import { awaitWithin } from "../lib/deadline.ts";
import type { CompareOptions } from "../rules/options.ts";
import type { Group } from "../upstreams/group.ts";
import { type Classification, classify, classifyAnswer, type NearSets } from "./classify.ts";
import { answerOutOfTime, queryOfType } from "./families.ts";
import { BINDING_TYPES } from "./filters.ts";
import { forward, peekFresh } from "./forward.ts";
import type { Comparison, Resolution, Resolver, UpstreamQuery } from "./types.ts";
import { knownVerdict, type Side, type Verdict, verdictKey } from "./verdicts.ts";

/**
 * Answers a question from the near or the far group, depending on where the addresses of its name are (docs/config.md, "Comparison"). A and AAAA are
 * compared. One verdict holds for the whole name: the verdict by A, where there is one. Settles by the query's deadline.
 */
export function compare(
  resolver: Resolver,
  inProgress: UpstreamQuery,
  options: CompareOptions,
): Resolution | Promise<Resolution> {
  const { query } = inProgress;
  const comparing: Comparing = {
    resolver,
    inProgress,
    options,
    near: resolver.groups.get(options.near),
    far: resolver.groups.get(options.far),
    sets: resolver.classifier.near(options.keepNearIf),
    nearMs: options.withinMs,
  };
  if (query.class !== CLASS.IN) return followVerdict(comparing, null);
  const verdict = knownVerdict(resolver, query.name, options);
  switch (query.type) {
    case TYPE.A:
      // A verdict by AAAA gives way to a verdict by A.
      return verdict?.type === TYPE.A ? followVerdict(comparing, verdict) : compareResponses(comparing);
    case TYPE.AAAA:
    case TYPE.HTTPS:
      return verdict === null ? compareAddressesFirst(comparing) : followVerdict(comparing, verdict);
    default:
      return followVerdict(comparing, verdict ?? verdictFromCache(resolver, inProgress, options));
  }
}

/** One comparison under way. */
interface Comparing {
  readonly resolver: Resolver;
  readonly inProgress: UpstreamQuery;
  readonly options: CompareOptions;
  readonly near: Group;
  readonly far: Group;
  readonly sets: NearSets;
  /** How long the near group may take. */
  readonly nearMs: number;
}

/**
 * The verdict that cached addresses give. Cached near addresses outlive a verdict that expired or was forgotten, and the far group must not deny the
 * name to clients that have those addresses.
 */
export function verdictFromCache(resolver: Resolver, inProgress: UpstreamQuery, options: CompareOptions): Verdict | null {
  const sets = resolver.classifier.near(options.keepNearIf);
  const forA = { ...inProgress, query: queryOfType(inProgress.query, TYPE.A) };
  const held = peekFresh(resolver, forA, resolver.groups.get(options.near));
  if (held === null || classifyAnswer(held.answer, sets) !== "kept") return null;
  const { fingerprint } = sets;
  return { side: "near", classification: "kept", type: TYPE.A, firm: true, foundAtMs: resolver.clock.now(), fingerprint };
}

/** Asks only the side of the verdict; null = nothing is known, and the far side answers. */
function followVerdict(comparing: Comparing, verdict: Verdict | null): Resolution | Promise<Resolution> {
  const resolution = forward(comparing.resolver, comparing.inProgress, comparing[verdict?.side ?? "far"]);
  if (resolution instanceof Promise) return resolution.then((late) => checkVerdict(comparing, verdict, late));
  return checkVerdict(comparing, verdict, resolution);
}

/** Compares after all if the near answer contradicts the verdict. */
function checkVerdict(comparing: Comparing, verdict: Verdict | null, resolution: Resolution): Resolution | Promise<Resolution> {
  if (verdict === null) return withComparison(comparing, resolution, { side: "far", near: null, by: "default" });
  if (isPoisonedBinding(comparing, verdict, resolution)) return preferFar(comparing, resolution);
  if (!isContradicted(comparing, verdict, resolution))
    return withComparison(comparing, resolution, { side: verdict.side, near: verdict.classification, by: "verdict" });
  comparing.resolver.verdicts.delete(verdictKey(comparing.inProgress.query.name, comparing.options));
  return compareResponses(comparing);
}

/** Whether a near answer contradicts the verdict that led to it. AAAA says nothing about a verdict by A. */
function isContradicted({ inProgress, sets }: Comparing, verdict: Verdict, resolution: Resolution): boolean {
  if (verdict.side !== "near" || inProgress.query.type !== verdict.type) return false;
  const classification = classify(resolution, sets);
  return classification === "foreign" || classification === "void";
}

/**
 * Whether a near answer to HTTPS or SVCB must not be believed although the name's addresses are near: it is forged, or its hints lead elsewhere. Forgers
 * put their addresses into hints, where the comparison of A does not see them.
 */
function isPoisonedBinding({ inProgress, sets }: Comparing, verdict: Verdict, resolution: Resolution): boolean {
  if (verdict.side !== "near" || !BINDING_TYPES.has(inProgress.query.type)) return false;
  const classification = classify(resolution, sets);
  return classification === "foreign" || classification === "void";
}

/** Sends the far answer in place of such a near one, else NODATA for a forged one. The verdict on the addresses stays. */
function preferFar(comparing: Comparing, near: Resolution): Resolution | Promise<Resolution> {
  const { resolver, inProgress, sets } = comparing;
  const classification = classify(near, sets);
  const choose = (far: Resolution): Resolution => {
    if (!isUsable(far) && classification !== "void") return chooseWithoutFar(comparing, { near, classification, far });
    const attempts = [...near.attempts, ...far.attempts];
    const side = isUsable(far) ? "far" : "near";
    return withComparison(
      comparing,
      { ...(side === "far" ? far : near), attempts },
      { side, near: classification, by: "comparison" },
    );
  };
  const far = forward(resolver, inProgress, comparing.far);
  return far instanceof Promise ? inTime(comparing, far).then(choose) : choose(far);
}

/**
 * Compares A first, to get a verdict. This may take half of the time, so that the question itself still gets an answer. A near group that was silent
 * about A is not waited for again.
 */
async function compareAddressesFirst(comparing: Comparing): Promise<Resolution> {
  const { resolver, inProgress, options } = comparing;
  const { query } = inProgress;
  const forA = { ...comparing, inProgress: { ...inProgress, query: queryOfType(query, TYPE.A) } };
  const halfMs = (inProgress.untilMs - resolver.clock.now()) / 2;
  const addresses = await awaitWithin(resolver.clock, halfMs, Promise.resolve(compareResponses(forA)));
  const verdict = knownVerdict(resolver, query.name, options);
  if (verdict !== null || query.type !== TYPE.AAAA) return await inTime(comparing, followVerdict(comparing, verdict));
  const isSilent = addresses?.comparison?.near === "silent";
  return await compareResponses(isSilent ? { ...comparing, nearMs: 0 } : comparing);
}

/**
 * Asks far alone, and near only if every far address is in the list: a name that is abroad, or that nobody knows, is never shown to the near group.
 * The near answer has `nearMs` from then on. Stores a verdict if there is one.
 */
function compareFarFirst(comparing: Comparing): Resolution | Promise<Resolution> {
  const { resolver, inProgress } = comparing;
  const far = forward(resolver, inProgress, comparing.far);
  return far instanceof Promise
    ? inTime(comparing, far).then((late) => compareWithFar(comparing, late))
    : compareWithFar(comparing, far);
}

function compareWithFar(comparing: Comparing, far: Resolution): Resolution | Promise<Resolution> {
  const { resolver, inProgress, options, sets, nearMs } = comparing;
  const classification = classify(far, sets);
  if (!isUsable(far) || far.source === "stale") {
    // The near group knows the name already, and what it said is at hand.
    const isHeld = verdictFromCache(resolver, inProgress, options) !== null;
    const held = isHeld ? peekFresh(resolver, inProgress, comparing.near) : null;
    const near = held === null ? null : forward(resolver, inProgress, comparing.near);
    if (near !== null && !(near instanceof Promise) && classify(near, sets) === "kept")
      return withComparison(comparing, { ...near, attempts: far.attempts }, { side: "near", near: "kept", by: "failure" });
    return withComparison(comparing, far, { side: "far", near: null, by: "failure" });
  }
  if (classification !== "kept") {
    storeVerdict(comparing, { side: "far", classification, firm: far.answer?.answered === true });
    return withComparison(comparing, far, { side: "far", near: null, by: "comparison" });
  }
  const near = forward(resolver, inProgress, comparing.near);
  const choose = (late: Resolution | null): Resolution => {
    const nearClassification = classify(late, sets);
    if (late === null || nearClassification !== "kept")
      return conclude(comparing, { near: late, classification: nearClassification, far });
    return keepNear(comparing, { ...late, attempts: [...far.attempts, ...late.attempts] });
  };
  if (!(near instanceof Promise)) return choose(near);
  return awaitWithin(resolver.clock, Math.min(nearMs, inProgress.untilMs - resolver.clock.now()), near).then(choose);
}

/**
 * Asks near and far together and sends the near answer if it is kept, else the far one. The near group has `nearMs`. A cached answer counts as the
 * answer of its side, and a cached near answer that is kept asks nobody. Stores a verdict if there is one.
 */
function compareResponses(comparing: Comparing): Resolution | Promise<Resolution> {
  if (comparing.options.first === "far") return compareFarFirst(comparing);
  const { resolver, inProgress } = comparing;
  const near = forward(resolver, inProgress, comparing.near);
  if (near instanceof Promise) return waitAndCompare(comparing, near);
  const classification = classify(near, comparing.sets);
  if (classification === "kept") return keepNear(comparing, near);
  const far = forward(resolver, inProgress, comparing.far);
  if (!(far instanceof Promise)) return conclude(comparing, { near, classification, far });
  return inTime(comparing, far).then((late) => conclude(comparing, { near, classification, far: late }));
}

async function waitAndCompare(comparing: Comparing, near: Promise<Resolution>): Promise<Resolution> {
  const { resolver, inProgress, nearMs } = comparing;
  const far = forward(resolver, inProgress, comparing.far);
  let arrived: Resolution | null = null;
  const arrival = near.then((resolution) => {
    arrived = resolution;
    return resolution;
  });
  const inNearTime = await awaitWithin(resolver.clock, Math.min(nearMs, inProgress.untilMs - resolver.clock.now()), arrival);
  const classification = classify(inNearTime, comparing.sets);
  if (inNearTime !== null && classification === "kept") return keepNear(comparing, inNearTime);
  const late = await inTime(comparing, far);
  return conclude(comparing, { near: arrived, classification, far: late });
}

interface Responses {
  /** null = the near group is silent until now. A near answer that came too late is here, and its classification is `silent` all the same. */
  readonly near: Resolution | null;
  readonly classification: Classification;
  readonly far: Resolution;
}

function keepNear(comparing: Comparing, near: Resolution): Resolution {
  storeVerdict(comparing, { side: "near", classification: "kept", firm: true });
  return withComparison(comparing, near, { side: "near", near: "kept", by: "comparison" });
}

/** The near answer is not kept, so the far answer counts, if there is one. */
function conclude(comparing: Comparing, responses: Responses): Resolution {
  const { near, classification, far } = responses;
  if (!isUsable(far)) return chooseWithoutFar(comparing, responses);
  const withBoth = { ...far, attempts: [...(near?.attempts ?? []), ...far.attempts] };
  if (far.source === "stale") return withComparison(comparing, withBoth, { side: "far", near: classification, by: "failure" });
  const isFirm = classification !== "failed" && classification !== "silent" && far.answer?.answered === true;
  // That this client must not ask the near group says nothing about the name to other clients.
  if (near === null || !NOT_ASKED.has(near.action)) storeVerdict(comparing, { side: "far", classification, firm: isFirm });
  return withComparison(comparing, withBoth, { side: "far", near: classification, by: "comparison" });
}

/** Actions of questions that were not sent to their group. */
const NOT_ASKED: ReadonlySet<string> = new Set(["loop", "never", "shed"]);

/** Chooses after the far group has failed: a stale near answer that is kept, else an unproven near answer, else the failure. */
function chooseWithoutFar(comparing: Comparing, { near, classification, far }: Responses): Resolution {
  const attempts = [...(near?.attempts ?? []), ...far.attempts];
  const answer = near?.answer ?? null;
  const ownFinding = answer === null ? "failed" : classifyAnswer(answer, comparing.sets);
  const isStale = near?.source === "stale";
  const nearSide = { side: "near", near: classification, by: "failure" } as const;
  if (near !== null && isStale && ownFinding === "kept") return withComparison(comparing, { ...near, attempts }, nearSide);
  if (near === null || answer === null || isStale || (ownFinding !== "foreign" && ownFinding !== "kept"))
    return withComparison(comparing, { ...far, attempts }, { side: "far", near: classification, by: "failure" });
  const { failureSeconds } = comparing.inProgress.decision.context.settings.shaping.negative;
  const ttlSeconds = Math.min(answer.lowestTtlSeconds ?? 0, failureSeconds);
  const unproven: Resolution = { ...near, action: "compare:unproven", ttl: { kind: "stale", ttlSeconds }, attempts };
  return withComparison(comparing, unproven, nearSide);
}

function withComparison({ options }: Comparing, resolution: Resolution, comparison: Omit<Comparison, "group">): Resolution {
  return { ...resolution, comparison: { ...comparison, group: options[comparison.side] } };
}

/** Whether the far answer may be sent. It may be stale. */
function isUsable({ answer, action }: Resolution): boolean {
  return answer !== null && outcomeOf(answer) !== "failure" && action !== "loop";
}

function storeVerdict(
  { resolver, inProgress, options, sets }: Comparing,
  verdict: Pick<Verdict, "classification" | "firm"> & { readonly side: Side },
): void {
  const { query } = inProgress;
  const known = knownVerdict(resolver, query.name, options);
  // A verdict by A came while AAAA was compared, and it beats a verdict by AAAA.
  if (known?.type === TYPE.A && query.type !== TYPE.A) return;
  const foundAtMs = resolver.clock.now();
  const { fingerprint } = sets;
  resolver.verdicts.put(verdictKey(query.name, options), { ...verdict, type: query.type, foundAtMs, fingerprint });
}

/** Waits for a question that was sent some time after the query came. SERVFAIL if the query's time is up first. */
async function inTime(comparing: Comparing, resolution: Resolution | Promise<Resolution>): Promise<Resolution> {
  if (!(resolution instanceof Promise)) return resolution;
  const { resolver, inProgress, far } = comparing;
  const found = await awaitWithin(resolver.clock, inProgress.untilMs - resolver.clock.now(), resolution);
  if (found !== null) return found;
  const comparison = { side: "far", group: far.label, near: null, by: "failure" } as const;
  return { ...answerOutOfTime(inProgress), route: far.label, comparison };
}
