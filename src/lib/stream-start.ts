import type { Duplex } from "node:stream";

/** What the first bytes of a stream mean: `takenBytes` of them are used up, and the rest goes back to the stream. */
export type StartDecision<T> = "more" | "refused" | { readonly takenBytes: number; readonly value: T };

/**
 * Reads a paused stream until `decide`, which gets all bytes so far, has seen enough; it must decide at some length. Afterwards the stream is
 * paused; the next reader resumes it. Rejects when `decide` refuses or throws, and when the stream fails or ends first: destroying the stream
 * stops the wait.
 */
export function readStart<T>(stream: Duplex, decide: (start: Buffer) => StartDecision<T>): Promise<T> {
  return new Promise((resolve, reject) => {
    let start = Buffer.alloc(0);
    const settle = (settleWith: () => void): void => {
      stream.off("readable", read).off("error", fail).off("end", end).off("close", end);
      settleWith();
    };
    const fail = (error: unknown): void => settle(() => reject(error));
    const end = (): void => fail(new Error("the connection ended"));
    const read = (): void => {
      for (let chunk: Buffer | null = stream.read(); chunk !== null; chunk = stream.read()) start = Buffer.concat([start, chunk]);
      if (start.length === 0) return;
      try {
        const decision = decide(start);
        if (decision === "more") return;
        if (decision === "refused") throw new Error("the bytes are refused");
        if (decision.takenBytes < start.length) stream.unshift(start.subarray(decision.takenBytes));
        settle(() => resolve(decision.value));
      } catch (error) {
        fail(error);
      }
    };
    stream.on("readable", read).on("error", fail).on("end", end).on("close", end);
    if (stream.destroyed || stream.readableEnded) end();
  });
}
