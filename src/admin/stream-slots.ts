import type { Socket } from "node:net";
import type { Readable } from "node:stream";
import { ClientCounts } from "./client-counts.ts";
import { HttpProblem } from "./problem.ts";

export interface StreamLimits {
  readonly atOnce: number;
  readonly perClient: number;
}

/** A place among the responses that take long. */
export interface Slot {
  /**
   * Ties it to a stream: when the stream closes, the place is free. Where the connection is closed already, the stream is destroyed. `end` is how it is
   * ended when the server closes.
   */
  hold(stream: Readable, socket: Socket, end: () => void): void;
  /** For when there will be no stream. */
  release(): void;
}

/** When somebody who was refused may try again. */
const RETRY_SECONDS = 10;

/** Responses that take long: a limited number at once, all of them ended when the server closes. */
export class StreamSlots {
  readonly #limits: StreamLimits;
  readonly #clients = new ClientCounts();
  readonly #ends = new Set<() => void>();
  #taken = 0;

  constructor(limits: StreamLimits) {
    this.#limits = limits;
  }

  /** @throws HttpProblem where there is no place, for this client or for anybody. */
  take(client: string): Slot {
    const { atOnce, perClient } = this.#limits;
    const own = this.#clients.of(client);
    // The connection goes with the refusal: thousands of refused readers must not hold thousands of sockets.
    const headers = { "retry-after": String(RETRY_SECONDS), connection: "close" };
    if (own >= perClient) throw new HttpProblem(429, `this client has ${own} of these open already`, { headers });
    if (this.#taken >= atOnce) throw new HttpProblem(503, `there are ${this.#taken} of these open already`, { headers });
    this.#taken++;
    this.#clients.add(client);
    return this.#slot(client);
  }

  /** Ends every stream that is open. */
  end(): void {
    for (const end of this.#ends) end();
  }

  #slot(client: string): Slot {
    let taken = true;
    const release = () => {
      if (!taken) return;
      taken = false;
      this.#taken--;
      this.#clients.remove(client);
    };
    const hold = (stream: Readable, socket: Socket, end: () => void) => {
      this.#ends.add(end);
      stream.once("close", () => {
        this.#ends.delete(end);
        release();
      });
      // Nothing that is sent on it would end otherwise.
      if (socket.destroyed) stream.destroy();
    };
    return { hold, release };
  }
}
