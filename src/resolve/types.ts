import type { TtlEdit } from "../answers/render.ts";
import type { AnswerCache } from "../cache/answer-cache.ts";
import type { Held } from "../cache/entry.ts";
import type { CacheKey } from "../cache/key.ts";
import type { LifetimeLimits } from "../cache/lifetime.ts";
import type { StaleOptions } from "../cache/options.ts";
import type { AddressSet } from "../dns/address.ts";
import type { Answer } from "../dns/answer.ts";
import type { ExtendedError } from "../dns/edns.ts";
import type { Query, Question } from "../dns/query.ts";
import type { Client, Requester } from "../lib/client.ts";
import type { Clock } from "../lib/clock.ts";
import type { Decider } from "../rules/decider.ts";
import type { CompareDecision, Decision, ForwardDecision } from "../rules/decision.ts";
import type { EgressPolicy } from "../rules/egress.ts";
import type { Group, Groups } from "../upstreams/group.ts";
import type { Attempt, UpstreamFailure } from "../upstreams/upstream.ts";
import type { AddressClassifier, Classification } from "./classify.ts";
import type { RefreshThrottle, SingleFlight } from "./fetch.ts";
import type { Side, Verdicts } from "./verdicts.ts";

/** Everything the stages work with. Immutable: a reload builds another resolver and swaps the reference. */
export interface Resolver {
  readonly decider: Decider;
  /** What must not reach a group, whatever the decider says. */
  readonly egress: EgressPolicy;
  readonly groups: Groups;
  readonly cache: AnswerCache;
  readonly clock: Clock;
  /** Pending fetches by cache key. Each resolver has its own, because an answer is verified by the policy of the resolver that asked. */
  readonly singleFlight: SingleFlight<string, PendingFetch>;
  /** Limits how often a stale answer whose refresh failed is refreshed again. */
  readonly refreshThrottle: RefreshThrottle;
  /** Which side of a comparison answers which name. */
  readonly verdicts: Verdicts;
  /** Which addresses are near, and which are forged. */
  readonly classifier: AddressClassifier;
  /** Every query gets a reply within this time. */
  readonly deadlineMs: number;
  /** Whether popular answers are refreshed before they expire. */
  readonly prefetch: boolean;
  /** An answer with one of these addresses is short-lived: fake-ip ranges and `cache.volatile`. */
  readonly volatileAddresses: AddressSet;
  /** null = stale answers are never sent. */
  readonly stale: StaleOptions | null;
}

/** A query with its decision. */
export interface QueryInProgress<D extends Decision = Decision> {
  readonly query: Query;
  readonly client: Client;
  /** Whether the query may wait for an upstream. If not, too many queries wait already, and only what is at hand is answered. */
  readonly mayWait: boolean;
  /** When the query must have its reply, on the scale of `Clock.now`. */
  readonly untilMs: number;
  readonly decision: D;
}

/** A query that goes to one or two groups. */
export type UpstreamQuery = QueryInProgress<ForwardDecision | CompareDecision>;

export type Source = "hosts" | "special" | "rule" | "cache" | "stale" | "upstream" | "failure";

/** The result for a query: the decision, the answer and its source, what to do to the answer before it is sent, and the trace. */
export interface Resolution {
  readonly decision: Decision;
  readonly source: Source;
  /** The group that answered or failed; null = no group has a part in the result. */
  readonly route: string | null;
  /** What was done to the answer: `none`, `block`, `type65:nodata`, `nxdomain:guarded`, … */
  readonly action: string;
  /** null = a rule wants silence. */
  readonly answer: Answer | null;
  readonly ttl: TtlEdit;
  /** Whether AD may be passed on. */
  readonly authenticated: boolean;
  readonly extendedErrors: readonly ExtendedError[];
  readonly attempts: readonly Attempt[];
  /** For how many bits of the client's subnet the answer is valid (RFC 7871 §7.2.1); absent = for everybody. */
  readonly subnetScope?: number;
  /** Changes to the answer besides TTLs and `action`; absent = none. */
  readonly edits?: readonly string[];
  /**
   * The entry of the cache that `answer` came from, within its TTL and good for every client: until the entry goes, or the state that serves. Whoever
   * changes the answer makes another one.
   */
  readonly held?: Held | null;
  /** Ends when the cache has an answer in place of this one, or none came. Absent = nobody fetches one because of this query. Never rejects. */
  readonly renewal?: Promise<unknown>;
  /** Absent = no rule compares. */
  readonly comparison?: Comparison;
}

/** How a comparison chose its side. */
export interface Comparison {
  readonly side: Side;
  /** The group of that side. */
  readonly group: string;
  /** The class of the near answer, now or when the verdict was found; null = there was none. */
  readonly near: Classification | null;
  /**
   * `comparison`: both answers were compared. `verdict`: a stored verdict decided. `default`: nothing is known of the name, and this type is not
   * compared. `failure`: the far group failed, and this is the best that is left.
   */
  readonly by: "comparison" | "verdict" | "default" | "failure";
}

/** A question for a group, and how to cache the answer. */
export interface FetchRequest {
  readonly question: Question;
  readonly key: CacheKey;
  readonly group: Group;
  readonly client: Requester;
  /** The limits of the rule that sends the question. */
  readonly limits: LifetimeLimits;
  /** On the scale of `Clock.now`. */
  readonly deadlineMs: number;
}

export interface PendingFetch {
  /** Rejects only for a bug. */
  readonly result: Promise<FetchResult>;
  /** The servers asked so far, including those that have not answered yet. */
  readonly attempts: () => readonly Attempt[];
}

export type FetchResult =
  | {
      readonly kind: "answered";
      readonly answer: Answer;
      /** See `Resolution.action`. */
      readonly action: "none" | "nxdomain:guarded";
      /** An NXDOMAIN that could be neither verified nor disproved. A stale answer is better. */
      readonly tentative: boolean;
      readonly attempts: readonly Attempt[];
    }
  /** The group sent no answer, an rcode that answers nothing, or a void answer: one with an address of `poison` or `bogus`. */
  | {
      readonly kind: "failed";
      /** What to send if no cached answer is better: SERVFAIL, or NODATA in place of a forged answer to HTTPS. */
      readonly answer: Answer;
      readonly failure: UpstreamFailure | "rcode" | "void";
      readonly attempts: readonly Attempt[];
    };
