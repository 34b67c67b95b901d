import type { Question } from "../dns/query.ts";
import type { Clock } from "../lib/clock.ts";
import { ask, type Ending } from "./ending.ts";
import { type Upstream, UpstreamError } from "./upstream.ts";

export interface Sounding {
  readonly ending: Ending;
  readonly elapsedMs: number;
}

export interface SoundingOptions {
  readonly origin: string | null;
  readonly limitMs: number;
}

/** Questions of the group's own, which no client waits for: probes of ill members and measurements of well ones. Whoever asks bounds their number. */
export class Soundings {
  readonly #clock: Clock;
  readonly #permits: (question: Question) => boolean;
  readonly #cancels = new Set<() => void>();

  /** What `permits` does not let pass is not sent, and has failed. */
  constructor(clock: Clock, permits: (question: Question) => boolean) {
    this.#clock = clock;
    this.#permits = permits;
  }

  /** Asks once. Ends by `limitMs`, whatever the upstream does, and never rejects. */
  sound(upstream: Upstream, question: Question, { origin, limitMs }: SoundingOptions): Promise<Sounding> {
    if (!this.#permits(question)) return Promise.resolve({ ending: { kind: "failed", failure: "forbidden" }, elapsedMs: 0 });
    const startedMs = this.#clock.now();
    const stop = new AbortController();
    const { promise, resolve } = Promise.withResolvers<Sounding>();
    const finish = (ending: Ending): void => {
      if (!this.#cancels.delete(cancel)) return;
      timer.cancel();
      if (ending.kind === "abandoned") stop.abort(new UpstreamError("aborted", upstream.label, "no longer needed"));
      resolve({ ending, elapsedMs: this.#clock.now() - startedMs });
    };
    const cancel = (): void => finish({ kind: "abandoned", silent: false });
    const timer = this.#clock.setTimer(() => finish({ kind: "abandoned", silent: true }), limitMs);
    this.#cancels.add(cancel);
    // A bug that throws here throws for clients' questions too, and is reported there.
    ask(upstream, question, { signal: stop.signal, attempts: [], origin }).then(finish, cancel);
    return promise;
  }

  /** Ends all that are under way. */
  cancelAll(): void {
    for (const cancel of this.#cancels) cancel();
  }
}
