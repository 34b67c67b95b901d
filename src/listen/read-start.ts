import type { Duplex } from "node:stream";
import type { Clock } from "../lib/clock.ts";

/** What the first octets of a stream mean. `takenBytes` of them are used up; the rest goes back to the stream. */
export type StartDecision<T> =
  | { readonly kind: "more" }
  | { readonly kind: "refused" }
  | { readonly kind: "decided"; readonly takenBytes: number; readonly value: T };

/**
 * Reads a stream until `decide`, called with all octets so far, has seen enough. null = refused, ended, broken or silent for
 * too long; the caller then destroys the stream. The number of octets is bounded by `decide`, which must refuse in the end.
 * Afterwards the stream is paused; whoever reads it next resumes it.
 */
export function readStart<T>(
  stream: Duplex,
  decide: (start: Uint8Array) => StartDecision<T>,
  limit: { readonly clock: Clock; readonly timeoutMs: number },
): Promise<T | null> {
  return new Promise((resolve) => {
    let start = Buffer.alloc(0);
    const finish = (value: T | null): void => {
      timer.cancel();
      stream.off("readable", read).off("end", fail).off("close", fail);
      resolve(value);
    };
    const fail = (): void => finish(null);
    const read = (): void => {
      for (let chunk: Buffer | null = stream.read(); chunk !== null; chunk = stream.read()) {
        start = Buffer.concat([start, chunk]);
      }
      if (start.length === 0) return;
      const decision = decide(start);
      if (decision.kind === "more") return;
      if (decision.kind === "refused") {
        fail();
        return;
      }
      if (decision.takenBytes < start.length) stream.unshift(start.subarray(decision.takenBytes));
      finish(decision.value);
    };
    const timer = limit.clock.setTimer(fail, limit.timeoutMs);
    stream.on("readable", read).on("end", fail).on("close", fail);
    if (stream.destroyed) fail();
  });
}
