import type { TtlEdit } from "../answers/render.ts";
import type { AnswerCache } from "../cache/answer-cache.ts";
import type { CacheKey } from "../cache/key.ts";
import type { LifetimeLimits } from "../cache/lifetime.ts";
import type { StaleOptions } from "../cache/options.ts";
import type { AddressSet } from "../dns/address.ts";
import type { Answer } from "../dns/answer.ts";
import type { ExtendedError } from "../dns/edns.ts";
import type { Question } from "../dns/query.ts";
import type { Clock } from "../lib/clock.ts";
import type { Decider } from "../rules/decider.ts";
import type { Decision } from "../rules/decision.ts";
import type { Groups } from "../upstreams/group.ts";
import type { Attempt, UpstreamFailure } from "../upstreams/upstream.ts";
import type { AddressClassifier, Classification } from "./classify.ts";
import type { RefreshThrottle, SingleFlight } from "./fetch.ts";
import type { Side, Verdicts } from "./verdicts.ts";

/** Everything the spine works with. Immutable: a reload makes another one and swaps the reference. */
export interface Resolver {
  readonly decider: Decider;
  readonly groups: Groups;
  readonly cache: AnswerCache;
  readonly clock: Clock;
  /** Questions to upstreams under way, by cache key. Each resolver has its own: what comes is believed by the hosts and measures of whoever asked. */
  readonly singleFlight: SingleFlight<string, PendingFetch>;
  /** When the refreshes of troubled answers were last tried. */
  readonly refreshThrottle: RefreshThrottle;
  /** Which side of a comparison answers which name. */
  readonly verdicts: Verdicts;
  /** What near answers are measured by, and what makes any answer void. */
  readonly classifier: AddressClassifier;
  /** Every query has its reply by then, counted from its arrival. */
  readonly deadlineMs: number;
  /** Whether answers in demand are renewed before they expire. */
  readonly prefetch: boolean;
  /** Answers with one of these addresses are for the moment: fake-ip ranges and `cache.volatile`. */
  readonly volatileAddresses: AddressSet;
  /** null = stale answers are never given. */
  readonly stale: StaleOptions | null;
}

export type Source = "hosts" | "special" | "rule" | "cache" | "stale" | "upstream" | "failure";

/** How a query ended: what was decided, where the answer came from, what is to be sent, and the trace of the way there. */
export interface Resolution {
  readonly decision: Decision;
  readonly source: Source;
  /** The group whose answer it is, or that was asked in vain; null where no group has a part in it. */
  readonly route: string | null;
  /** What was done to the answer: `none`, `block`, `type65:nodata`, `nxdomain:guarded`, … */
  readonly action: string;
  /** null = a rule wants silence. */
  readonly answer: Answer | null;
  readonly ttl: TtlEdit;
  /** Whether AD may be passed on. */
  readonly authenticated: boolean;
  readonly extendedErrors: readonly ExtendedError[];
  /** The servers asked on behalf of this query, or of the equal one it joined, also those it did not wait for to the end; empty where nobody was. */
  readonly attempts: readonly Attempt[];
  /** How many bits of the subnet that the client sent the answer is for (RFC 7871 §7.2.1); absent = it is for everybody. */
  readonly subnetScope?: number;
  /** What was changed in the answer but for its TTLs, beside what `action` says; absent = nothing. */
  readonly edits?: readonly string[];
  /** Absent where no rule compares. */
  readonly comparison?: Comparison;
}

/** How a comparison chose between its sides. */
export interface Comparison {
  readonly side: Side;
  /** The group of that side. */
  readonly group: string;
  /** What the near group's answer came to, now or when the verdict was found; null where there was none to look at. */
  readonly near: Classification | null;
  /**
   * `comparison`: both were weighed. `verdict`: one is held. `default`: nothing is known of the name, and the type is not judged.
   * `failure`: the far group failed, so this is the best that was left.
   */
  readonly by: "comparison" | "verdict" | "default" | "failure";
}

/** A question that is to be asked of a group, and what its answer is held under. */
export interface FetchRequest {
  readonly question: Question;
  readonly key: CacheKey;
  /** The group's name: answers never move from one route to another. */
  readonly route: string;
  readonly origin: string | null;
  /** As in `Client`. */
  readonly clientId: string | null;
  /** The limits of the rule that the question came by. */
  readonly limits: LifetimeLimits;
  /** On the scale of the clock. */
  readonly deadlineMs: number;
}

/** An order under way. */
export interface PendingFetch {
  /** Never rejects. */
  readonly result: Promise<FetchResult>;
  /** The servers asked so far, those that have not answered yet too. */
  readonly attemptsSoFar: () => readonly Attempt[];
}

/** What came of it. */
export type FetchResult =
  | {
      readonly kind: "answered";
      readonly answer: Answer;
      /** See `Resolution.action`. */
      readonly action: "none" | "nxdomain:guarded";
      /** An NXDOMAIN that could be neither believed nor refuted: to be given for want of anything better. */
      readonly tentative?: true;
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
