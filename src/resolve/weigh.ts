import { outcomeOf } from "../dns/answer.ts";
import { TYPE } from "../dns/types.ts";
import { withinMs } from "../lib/deadline.ts";
import type { Compare } from "../rules/decision.ts";
import { forward } from "./forward.ts";
import { type Finding, judge, judgeAnswer } from "./judge.ts";
import type { Comparison, Resolution } from "./resolution.ts";
import type { Asked } from "./resolve.ts";
import type { Resolver } from "./resolver.ts";
import { inTime, towards } from "./sides.ts";
import { knownVerdict, type Side, type Verdict, verdictKey } from "./verdicts.ts";

/**
 * Asks near and far together, each on its own route, and gives near's answer if it is kept, else far's; the near group has no longer than
 * `nearMs`. What is held of either side counts as its answer: a near one that is held and kept asks nobody. Leaves a verdict where there is one.
 */
export function weigh(resolver: Resolver, asked: Asked<Compare>, limits: WeighLimits): Resolution | Promise<Resolution> {
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

export interface WeighLimits {
  /** How long the near group may take. */
  readonly nearMs: number;
  /** By then the query has its reply, on the scale of `Clock.now`. */
  readonly untilMs: number;
}

async function weighInTime(
  resolver: Resolver,
  asked: Asked<Compare>,
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

function judgeNear({ measures }: Resolver, { decision }: Asked<Compare>, near: Resolution | null): Finding {
  return judge(near, measures.near(decision.compare.keepNearIf));
}

interface Weighing {
  /** null = silent to this moment. One that came after its time is at hand, and its finding is `silent` all the same. */
  readonly near: Resolution | null;
  readonly finding: Finding;
  readonly far: Resolution;
}

function kept(resolver: Resolver, asked: Asked<Compare>, near: Resolution): Resolution {
  remember(resolver, asked, { side: "near", finding: "kept", firm: true });
  return chosen(asked, near, { side: "near", near: "kept", by: "comparison" });
}

/** Near is not kept: far's word counts, if it has any. */
function conclude(resolver: Resolver, asked: Asked<Compare>, weighing: Weighing): Resolution {
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
function withoutFar(resolver: Resolver, asked: Asked<Compare>, { near, finding, far }: Weighing): Chosen {
  const attempts = [...(near?.attempts ?? []), ...far.attempts];
  const measure = resolver.measures.near(asked.decision.compare.keepNearIf);
  const said = near?.answer ?? null;
  const worth = said === null ? "failed" : judgeAnswer(said, measure);
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
  const ttlSeconds = Math.min(said.lowestTtlSeconds ?? 0, asked.decision.shaping.negative.failureSeconds);
  const unproven: Resolution = { ...near, action: "compare:unproven", ttl: { kind: "stale", ttlSeconds }, attempts };
  return [unproven, { side: "near", near: finding, by: "failure" }];
}

type Chosen = readonly [resolution: Resolution, comparison: Omit<Comparison, "group">];

function chosen(asked: Asked<Compare>, resolution: Resolution, comparison: Omit<Comparison, "group">): Resolution {
  const { decision } = asked;
  return { ...resolution, decision, comparison: { ...comparison, group: decision.compare[comparison.side] } };
}

/** Whether far has an answer that may be sent, be it stale. */
function isUsable({ answer, action }: Resolution): boolean {
  return answer !== null && outcomeOf(answer) !== "failure" && action !== "loop";
}

function remember(
  resolver: Resolver,
  { query, decision }: Asked<Compare>,
  verdict: Pick<Verdict, "finding" | "firm"> & { readonly side: Side },
): void {
  const { verdicts, measures, clock } = resolver;
  const { fingerprint } = measures.near(decision.compare.keepNearIf);
  const known = knownVerdict(resolver, query.name, decision.compare);
  // A's came in while AAAA was being weighed, and it is A's that counts.
  if (known?.type === TYPE.A && query.type !== TYPE.A) return;
  verdicts.put(verdictKey(query.name, decision.compare), { ...verdict, type: query.type, foundAtMs: clock.now(), fingerprint });
}
