import type { CacheKey } from "../cache/key.ts";
import type { Limits } from "../cache/lifetime.ts";
import type { Answer } from "../dns/answer.ts";
import type { Question } from "../dns/query.ts";
import type { Attempt, UpstreamFailure } from "../upstreams/upstream.ts";

/** A question that is to be asked of a group, and what its answer is held under. */
export interface Order {
  readonly question: Question;
  readonly key: CacheKey;
  /** The group's name: answers never move from one route to another. */
  readonly route: string;
  readonly origin: string | null;
  /** As in `Client`. */
  readonly clientId: string | null;
  /** The limits of the rule that the question came by. */
  readonly limits: Limits;
  /** On the scale of the clock. */
  readonly deadlineMs: number;
}

/** An order under way. */
export interface Fetching {
  /** Never rejects. */
  readonly result: Promise<Fetched>;
  /** The servers asked so far, those that have not answered yet too. */
  readonly attemptsSoFar: () => readonly Attempt[];
}

/** What came of it. */
export type Fetched =
  | {
      readonly kind: "answered";
      readonly answer: Answer;
      /** See `Resolution.action`. */
      readonly action: "none" | "nxdomain:guarded";
      /** An NXDOMAIN that could be neither believed nor refuted: to be given for want of anything better. */
      readonly isGuess?: true;
      readonly attempts: readonly Attempt[];
    }
  /** The group gave no answer, an rcode that answers nothing, or a void one: with an address of `poison` or `bogus`. */
  | {
      readonly kind: "failed";
      /** The SERVFAIL to be sent where nothing better is held. */
      readonly answer: Answer;
      readonly failure: UpstreamFailure | "rcode" | "void";
      readonly attempts: readonly Attempt[];
    };
