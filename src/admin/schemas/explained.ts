import { Type } from "typebox";
import type { CachedAnswer, Explained, ExplainedDecision, ExplainedOutcome, ExplainedVerdict } from "../../log/record.ts";
import { CLOSED, named, oneOf, orNull, reference } from "./named.ts";
import { attemptRecord, traceStep } from "./record.ts";

export const cachedAnswer = named<CachedAnswer>("CachedAnswer").as(
  Type.Object(
    {
      name: Type.String({ examples: ["www.example.com"] }),
      type: Type.String({ examples: ["A"] }),
      route: Type.String({ description: "The group it came from." }),
      dnssecOk: Type.Boolean({ description: "Whether it is for questions with DO." }),
      checkingDisabled: Type.Boolean({ description: "Whether it is for questions with CD." }),
      subnet: orNull(Type.String({ description: "The client subnet it was asked for; null: it is for everybody." })),
      outcome: oneOf(["positive", "nodata", "nxdomain", "bare", "failure"]),
      rcode: Type.String(),
      answers: Type.Array(Type.String()),
      ageSeconds: Type.Number({ minimum: 0 }),
      remainingSeconds: Type.Number({ description: "How long it is still fresh; negative: for so long it has been stale." }),
      hits: Type.Integer({ minimum: 0 }),
      volatile: Type.Boolean({ description: "Whether it is never stale, prefetched or persisted." }),
      made: Type.Boolean({ description: "Whether it is not an upstream's word but ours, for a guarded NXDOMAIN." }),
      bytes: Type.Integer({ minimum: 0 }),
    },
    { ...CLOSED, description: "An answer that the cache holds." },
  ),
);

export const explainedDecision = named<ExplainedDecision>("ExplainedDecision").as(
  Type.Object(
    {
      kind: oneOf(["reply", "forward", "compare", "drop"]),
      rule: orNull(Type.String({ examples: ["split"] })),
      route: orNull(Type.String({ description: "The group that is asked; null: it is answered here." })),
      near: orNull(Type.String({ description: "Of a comparison: the group at home." })),
      far: orNull(Type.String({ description: "Of a comparison: the other group." })),
      answer: orNull(Type.String({ description: "What is answered here: `10.0.0.5`, `CNAME nas.lan`, `nodata`, `nxdomain`, …" })),
      action: Type.String({ description: "As in a query record." }),
      settings: Type.Record(Type.String(), Type.Unknown(), {
        description: "The modifiers in force, as they would be written in the rule.",
      }),
    },
    CLOSED,
  ),
);

export const explainedVerdict = named<ExplainedVerdict>("ExplainedVerdict").as(
  Type.Object(
    {
      side: oneOf(["near", "far"]),
      near: Type.String({ description: "What the near answer came to: kept, foreign, void, empty, failed, silent." }),
      type: Type.String(),
      ageSeconds: Type.Number({ minimum: 0 }),
    },
    { ...CLOSED, description: "What an earlier comparison of this name found." },
  ),
);

export const explainedOutcome = named<ExplainedOutcome>("ExplainedOutcome").as(
  Type.Object(
    {
      rcode: orNull(Type.String()),
      source: Type.String(),
      action: Type.String(),
      answers: Type.Array(Type.String()),
      negativeTtl: orNull(Type.Integer({ minimum: 0 })),
      ede: Type.Array(Type.String()),
      edits: Type.Array(Type.String()),
      attempts: Type.Array(attemptRecord.ref),
      durationUs: Type.Number({ minimum: 0 }),
    },
    { ...CLOSED, description: "What came of the question when it was really asked." },
  ),
);

export const explained = named<Explained>("Explained").as(
  Type.Object(
    {
      question: Type.Object(
        { name: Type.String(), type: Type.String(), client: Type.String(), clientId: orNull(Type.String()) },
        CLOSED,
      ),
      version: Type.String({ description: "The version of configuration, hosts and lists it holds for." }),
      decision: explainedDecision.ref,
      trace: Type.Array(traceStep.ref, { description: "Every rule tried, in order, and why it did or did not match." }),
      cache: Type.Array(cachedAnswer.ref, { description: "What the cache holds of the name on this route." }),
      verdict: orNull(explainedVerdict.ref),
      target: orNull(reference<Explained>("Explained")),
      summary: Type.String({
        description: "One sentence for people.",
        examples: ["rule split sends it to domestic because of taobao.com, line 12 of list cn"],
      }),
      notes: Type.Array(Type.String(), { description: "What else could change what the client gets, one sentence each." }),
      outcome: orNull(explainedOutcome.ref),
    },
    { ...CLOSED, description: "What becomes of a question, and why." },
  ),
);
