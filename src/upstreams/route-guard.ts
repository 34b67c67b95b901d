import type { Question } from "../dns/query.ts";
import { type ExchangeOptions, UpstreamError } from "./upstream.ts";

/** On whose behalf a question is asked. */
interface RouteRequester {
  readonly address: string;
  readonly clientId: string | null;
}

/** Why a question must not go to the group of that name; null = it may. `asker` null = nobody in particular. */
export type Forbids = (group: string, question: Question, asker: RouteRequester | null) => string | null;

/** A question that the rules sent to a group against its `never`. */
export interface Violation {
  readonly group: string;
  readonly question: Question;
  readonly asker: RouteRequester | null;
  readonly reason: string;
}

/**
 * Stands between a group and its transports: whatever chose the group, a question that its `never` forbids is not sent. Each one means that a
 * rule does something else than its author wanted.
 */
export class RouteGuard {
  /** To be replaced when rules or lists change. */
  forbids: Forbids = () => null;
  readonly #group: string;
  readonly #onViolation: ((violation: Violation) => void) | undefined;
  #breaches = 0;

  /** @param onViolation called for each question that is refused. */
  constructor(group: string, onViolation?: (violation: Violation) => void) {
    this.#group = group;
    this.#onViolation = onViolation;
  }

  /** How many questions were refused. */
  get breaches(): number {
    return this.#breaches;
  }

  /** Why the question must not be sent; null = it may. Nothing is counted. */
  reason(question: Question, asker: RouteRequester | null): string | null {
    return this.forbids(this.#group, question, asker);
  }

  /** @throws UpstreamError `forbidden`; that is a breach, counted and reported. */
  check(question: Question, asker: RouteRequester | null): void {
    const reason = this.reason(question, asker);
    if (reason === null) return;
    this.#breaches++;
    this.#onViolation?.({ group: this.#group, question, asker, reason });
    throw new UpstreamError("forbidden", this.#group, `never gets ${reason}`);
  }
}

export function requesterOf({ origin, clientId = null }: Pick<ExchangeOptions, "origin" | "clientId">): RouteRequester | null {
  return origin === null ? null : { address: origin, clientId };
}
