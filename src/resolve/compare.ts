import { CLASS, TYPE } from "../dns/types.ts";
import { withinMs } from "../lib/deadline.ts";
import type { Compare } from "../rules/decision.ts";
import { BINDING_TYPES, withBindingsEdited } from "./bindings.ts";
import { queryOfType } from "./families.ts";
import { forward, freshlyHeld } from "./forward.ts";
import { judge, judgeAnswer } from "./judge.ts";
import type { Resolution } from "./resolution.ts";
import type { Asked } from "./resolve.ts";
import type { Resolver } from "./resolver.ts";
import { inTime, towards } from "./sides.ts";
import { knownVerdict, type Verdict, verdictKey } from "./verdicts.ts";
import { type WeighLimits, weigh } from "./weigh.ts";

/**
 * Answers a question from the near or the far group, by where the addresses of its name are (docs/config.md, "Comparison"). A and AAAA are
 * judged, and one verdict holds for the whole name: A's where it is known. Settled by the resolver's deadline.
 */
export function compare(resolver: Resolver, asked: Asked<Compare>): Resolution | Promise<Resolution> {
  const { query, decision } = asked;
  const limits = { nearMs: decision.compare.withinMs, untilMs: resolver.clock.now() + resolver.deadlineMs };
  const verdict = query.class === CLASS.IN ? knownVerdict(resolver, query.name, decision.compare) : null;
  if (query.class !== CLASS.IN) return follow(resolver, asked, { ...limits, verdict });
  switch (query.type) {
    case TYPE.A:
      // One that only AAAA has brought about gives way to A's own.
      return verdict?.type === TYPE.A ? follow(resolver, asked, { ...limits, verdict }) : weigh(resolver, asked, limits);
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
export function verdictOfHeld(resolver: Resolver, asked: Asked<Compare>): Verdict | null {
  const { clock, measures } = resolver;
  const measure = measures.near(asked.decision.compare.keepNearIf);
  const held = freshlyHeld(resolver, towards({ ...asked, query: queryOfType(asked.query, TYPE.A) }, "near"));
  if (held === null || judgeAnswer(held.answer, measure) !== "kept") return null;
  const { fingerprint } = measure;
  return { side: "near", finding: "kept", type: TYPE.A, firm: true, foundAtMs: clock.now(), fingerprint };
}

interface Following extends WeighLimits {
  /** null = nothing is known: the far side alone. */
  readonly verdict: Verdict | null;
}

function follow(resolver: Resolver, asked: Asked<Compare>, { verdict, ...limits }: Following): Resolution | Promise<Resolution> {
  const sent = towards(asked, verdict?.side ?? "far");
  const followed = (resolution: Resolution): Resolution | Promise<Resolution> => {
    if (verdict !== null && hasLeft(resolver, asked, { verdict, resolution })) {
      resolver.verdicts.delete(verdictKey(asked.query.name, asked.decision.compare));
      return weigh(resolver, asked, limits);
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
  { measures }: Resolver,
  { query, decision }: Asked<Compare>,
  { verdict, resolution }: { readonly verdict: Verdict; readonly resolution: Resolution },
): boolean {
  if (verdict.side !== "near" || query.type !== verdict.type) return false;
  const finding = judge(resolution, measures.near(decision.compare.keepNearIf));
  return finding === "foreign" || finding === "void";
}

/**
 * Asks for A to have a verdict. It has half of the time, so that the question itself still gets an answer; and a near group that was silent
 * about A is not waited for again.
 */
async function afterAddresses(resolver: Resolver, asked: Asked<Compare>, limits: WeighLimits): Promise<Resolution> {
  const { query, decision } = asked;
  const weighing = Promise.resolve(weigh(resolver, { ...asked, query: queryOfType(query, TYPE.A) }, limits));
  const addresses = await withinMs(resolver.clock, resolver.deadlineMs / 2, weighing);
  const verdict = knownVerdict(resolver, query.name, decision.compare);
  if (verdict !== null || query.type !== TYPE.AAAA)
    return inTime(resolver, follow(resolver, asked, { ...limits, verdict }), { asked, untilMs: limits.untilMs });
  const isSilent = addresses?.comparison?.near === "silent";
  return weigh(resolver, asked, { ...limits, nearMs: isSilent ? 0 : limits.nearMs });
}
