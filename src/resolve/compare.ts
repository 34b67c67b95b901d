import { outcomeOf } from "../dns/answer.ts";
import { CLASS, TYPE } from "../dns/types.ts";
import { withinMs } from "../lib/deadline.ts";
import type { CompareDecision, ForwardDecision } from "../rules/decision.ts";
import { type Classification, classify, classifyAnswer } from "./classify.ts";
import { queryOfType } from "./families.ts";
import { BINDING_TYPES, withBindingsEdited } from "./filters.ts";
import { forward, freshlyHeld, outOfTime } from "./forward.ts";
import type { QueryInProgress } from "./resolve.ts";
import type { Comparison, Resolution, Resolver } from "./types.ts";
import { knownVerdict, type Side, type Verdict, verdictKey } from "./verdicts.ts";

/**
 * Answers a question from the near or the far group, by where the addresses of its name are (docs/config.md, "Comparison"). A and AAAA are
 * judged, and one verdict holds for the whole name: A's where it is known. Settled by the resolver's deadline.
 */
export function compare(resolver: Resolver, asked: QueryInProgress<CompareDecision>): Resolution | Promise<Resolution> {
  const { query, decision } = asked;
  const limits = { nearMs: decision.compare.withinMs, untilMs: resolver.clock.now() + resolver.deadlineMs };
  const verdict = query.class === CLASS.IN ? knownVerdict(resolver, query.name, decision.compare) : null;
  if (query.class !== CLASS.IN) return follow(resolver, asked, { ...limits, verdict });
  switch (query.type) {
    case TYPE.A:
      // One that only AAAA has brought about gives way to A's own.
      return verdict?.type === TYPE.A
        ? follow(resolver, asked, { ...limits, verdict })
        : compareResponses(resolver, asked, limits);
    case TYPE.AAAA:
    case TYPE.HTTPS:
      return verdict === null ? afterAddresses(resolver, asked, limits) : follow(resolver, asked, { ...limits, verdict });
    default:
      return follow(resolver, asked, { ...limits, verdict: verdict ?? verdictOfHeld(resolver, asked) });
  }
}

/**
 * What A would come to without asking anybody: near addresses that are held and kept outlive a verdict that ran out or was forgotten, and far must
 * not deny the name to clients that have them.
 */
export function verdictOfHeld(resolver: Resolver, asked: QueryInProgress<CompareDecision>): Verdict | null {
  const { clock, classifier: measures } = resolver;
  const measure = measures.near(asked.decision.compare.keepNearIf);
  const held = freshlyHeld(resolver, towards({ ...asked, query: queryOfType(asked.query, TYPE.A) }, "near"));
  if (held === null || classifyAnswer(held.answer, measure) !== "kept") return null;
  const { fingerprint } = measure;
  return { side: "near", finding: "kept", type: TYPE.A, firm: true, foundAtMs: clock.now(), fingerprint };
}

interface Following extends WeighLimits {
  /** null = nothing is known: the far side alone. */
  readonly verdict: Verdict | null;
}

function follow(
  resolver: Resolver,
  asked: QueryInProgress<CompareDecision>,
  { verdict, ...limits }: Following,
): Resolution | Promise<Resolution> {
  const sent = towards(asked, verdict?.side ?? "far");
  const followed = (resolution: Resolution): Resolution | Promise<Resolution> => {
    if (verdict !== null && hasLeft(resolver, asked, { verdict, resolution })) {
      resolver.verdicts.delete(verdictKey(asked.query.name, asked.decision.compare));
      return compareResponses(resolver, asked, limits);
    }
    return {
      ...(BINDING_TYPES.has(asked.query.type) ? withBindingsEdited(resolver, sent, resolution) : resolution),
      decision: asked.decision,
      comparison: {
        side: verdict?.side ?? "far",
        group: sent.decision.group,
        near: verdict?.finding ?? null,
        by: verdict === null ? "default" : "verdict",
      },
    };
  };
  const resolution = forward(resolver, sent);
  return resolution instanceof Promise ? resolution.then(followed) : followed(resolution);
}

/** Whether a near answer speaks against the verdict that led there. AAAA says nothing about a verdict that A has found. */
function hasLeft(
  { classifier: measures }: Resolver,
  { query, decision }: QueryInProgress<CompareDecision>,
  { verdict, resolution }: { readonly verdict: Verdict; readonly resolution: Resolution },
): boolean {
  if (verdict.side !== "near" || query.type !== verdict.type) return false;
  const finding = classify(resolution, measures.near(decision.compare.keepNearIf));
  return finding === "foreign" || finding === "void";
}

/**
 * Asks for A to have a verdict. It has half of the time, so that the question itself still gets an answer; and a near group that was silent
 * about A is not waited for again.
 */
async function afterAddresses(
  resolver: Resolver,
  asked: QueryInProgress<CompareDecision>,
  limits: WeighLimits,
): Promise<Resolution> {
  const { query, decision } = asked;
  const weighing = Promise.resolve(compareResponses(resolver, { ...asked, query: queryOfType(query, TYPE.A) }, limits));
  const addresses = await withinMs(resolver.clock, resolver.deadlineMs / 2, weighing);
  const verdict = knownVerdict(resolver, query.name, decision.compare);
  if (verdict !== null || query.type !== TYPE.AAAA)
    return inTime(resolver, follow(resolver, asked, { ...limits, verdict }), { asked, untilMs: limits.untilMs });
  const isSilent = addresses?.comparison?.near === "silent";
  return compareResponses(resolver, asked, { ...limits, nearMs: isSilent ? 0 : limits.nearMs });
}

/**
 * Asks near and far together, each on its own route, and gives near's answer if it is kept, else far's; the near group has no longer than
 * `nearMs`. What is held of either side counts as its answer: a near one that is held and kept asks nobody. Leaves a verdict where there is one.
 */
function compareResponses(
  resolver: Resolver,
  asked: QueryInProgress<CompareDecision>,
  limits: WeighLimits,
): Resolution | Promise<Resolution> {
  const near = forward(resolver, towards(asked, "near"));
  if (near instanceof Promise) return weighInTime(resolver, asked, { ...limits, near });
  const weighing = { near, finding: judgeNear(resolver, asked, near) };
  if (weighing.finding === "kept") return kept(resolver, asked, near);
  const far = forward(resolver, towards(asked, "far"));
  if (!(far instanceof Promise)) return conclude(resolver, asked, { ...weighing, far });
  return inTime(resolver, far, { asked, untilMs: limits.untilMs }).then((late) =>
    conclude(resolver, asked, { ...weighing, far: late }),
  );
}

interface WeighLimits {
  /** How long the near group may take. */
  readonly nearMs: number;
  /** By then the query has its reply, on the scale of `Clock.now`. */
  readonly untilMs: number;
}

async function weighInTime(
  resolver: Resolver,
  asked: QueryInProgress<CompareDecision>,
  { near, nearMs, untilMs }: WeighLimits & { readonly near: Promise<Resolution> },
): Promise<Resolution> {
  const far = forward(resolver, towards(asked, "far"));
  let given: Resolution | null = null;
  const arrives = near.then((resolution) => {
    given = resolution;
    return resolution;
  });
  const soon = await withinMs(resolver.clock, Math.min(nearMs, untilMs - resolver.clock.now()), arrives);
  const finding = judgeNear(resolver, asked, soon);
  if (soon !== null && finding === "kept") return kept(resolver, asked, soon);
  const late = await inTime(resolver, far, { asked, untilMs });
  return conclude(resolver, asked, { near: given, finding, far: late });
}

function judgeNear(
  { classifier: measures }: Resolver,
  { decision }: QueryInProgress<CompareDecision>,
  near: Resolution | null,
): Classification {
  return classify(near, measures.near(decision.compare.keepNearIf));
}

interface Weighing {
  /** null = silent to this moment. One that came after its time is at hand, and its finding is `silent` all the same. */
  readonly near: Resolution | null;
  readonly finding: Classification;
  readonly far: Resolution;
}

function kept(resolver: Resolver, asked: QueryInProgress<CompareDecision>, near: Resolution): Resolution {
  remember(resolver, asked, { side: "near", finding: "kept", firm: true });
  return chosen(asked, near, { side: "near", near: "kept", by: "comparison" });
}

/** Near is not kept: far's word counts, if it has any. */
function conclude(resolver: Resolver, asked: QueryInProgress<CompareDecision>, weighing: Weighing): Resolution {
  const { near, finding, far } = weighing;
  if (!isUsable(far)) return chosen(asked, ...withoutFar(resolver, asked, weighing));
  const both = { ...far, attempts: [...(near?.attempts ?? []), ...far.attempts] };
  if (far.source === "stale") return chosen(asked, both, { side: "far", near: finding, by: "failure" });
  const tellsOfName = finding !== "failed" && finding !== "silent" && far.answer?.answered === true;
  // That this client may not ask the near group tells nothing about the name to others.
  if (near === null || !NOT_ASKED.has(near.action)) remember(resolver, asked, { side: "far", finding, firm: tellsOfName });
  return chosen(asked, both, { side: "far", near: finding, by: "comparison" });
}

/** Actions of questions that did not go to their group. */
const NOT_ASKED: ReadonlySet<string> = new Set(["loop", "never"]);

/** What is left when far has failed: what near had while it was well, or what it says now, unproven; else the failure. */
function withoutFar(resolver: Resolver, asked: QueryInProgress<CompareDecision>, { near, finding, far }: Weighing): Chosen {
  const attempts = [...(near?.attempts ?? []), ...far.attempts];
  const measure = resolver.classifier.near(asked.decision.compare.keepNearIf);
  const said = near?.answer ?? null;
  const worth = said === null ? "failed" : classifyAnswer(said, measure);
  const isStale = near?.source === "stale";
  if (near !== null && isStale && worth === "kept")
    return [
      { ...near, attempts },
      { side: "near", near: finding, by: "failure" },
    ];
  if (near === null || said === null || isStale || (worth !== "foreign" && worth !== "kept"))
    return [
      { ...far, attempts },
      { side: "far", near: finding, by: "failure" },
    ];
  const ttlSeconds = Math.min(said.lowestTtlSeconds ?? 0, asked.decision.context.settings.shaping.negative.failureSeconds);
  const unproven: Resolution = { ...near, action: "compare:unproven", ttl: { kind: "stale", ttlSeconds }, attempts };
  return [unproven, { side: "near", near: finding, by: "failure" }];
}

type Chosen = readonly [resolution: Resolution, comparison: Omit<Comparison, "group">];

function chosen(
  asked: QueryInProgress<CompareDecision>,
  resolution: Resolution,
  comparison: Omit<Comparison, "group">,
): Resolution {
  const { decision } = asked;
  return { ...resolution, decision, comparison: { ...comparison, group: decision.compare[comparison.side] } };
}

/** Whether far has an answer that may be sent, be it stale. */
function isUsable({ answer, action }: Resolution): boolean {
  return answer !== null && outcomeOf(answer) !== "failure" && action !== "loop";
}

function remember(
  resolver: Resolver,
  { query, decision }: QueryInProgress<CompareDecision>,
  verdict: Pick<Verdict, "finding" | "firm"> & { readonly side: Side },
): void {
  const { verdicts, classifier: measures, clock } = resolver;
  const { fingerprint } = measures.near(decision.compare.keepNearIf);
  const known = knownVerdict(resolver, query.name, decision.compare);
  // A's came in while AAAA was being weighed, and it is A's that counts.
  if (known?.type === TYPE.A && query.type !== TYPE.A) return;
  verdicts.put(verdictKey(query.name, decision.compare), { ...verdict, type: query.type, foundAtMs: clock.now(), fingerprint });
}

/** The same question, sent to one side of a comparison. */
export function towards(asked: QueryInProgress<CompareDecision>, side: Side): QueryInProgress<ForwardDecision> {
  const { compare, context } = asked.decision;
  return { ...asked, decision: { kind: "forward", group: compare[side], context } };
}

/** A resolution that began after its query came: what takes longer than the query has is a failure. */
async function inTime(
  resolver: Resolver,
  resolution: Resolution | Promise<Resolution>,
  { asked, untilMs }: { readonly asked: QueryInProgress<CompareDecision>; readonly untilMs: number },
): Promise<Resolution> {
  if (!(resolution instanceof Promise)) return resolution;
  const found = await withinMs(resolver.clock, untilMs - resolver.clock.now(), resolution);
  return found ?? compareOutOfTime(asked);
}

function compareOutOfTime(asked: QueryInProgress<CompareDecision>): Resolution {
  const { far } = asked.decision.compare;
  return { ...outOfTime(asked), route: far, comparison: { side: "far", group: far, near: null, by: "failure" } };
}
