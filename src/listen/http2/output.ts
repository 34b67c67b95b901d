import type { Socket } from "node:net";
import type { Clock } from "../../lib/clock.ts";
import { frameHead } from "./frames.ts";

interface OutboxOptions {
  readonly clock: Clock;
  /** With so much on its way nothing more is read: who does not read cannot make us write. */
  readonly backlogBytes: number;
}

/** What goes out on a connection: all frames of one turn of the event loop in one piece. */
export class FrameOutput {
  readonly #socket: Socket;
  readonly #options: OutboxOptions;
  readonly #moved: () => void;
  #parts: Uint8Array[] = [];
  #partsBytes = 0;
  #ended = false;
  /** Since when nothing of what waits has been read; null = nothing waits. */
  backlogSinceMs: number | null = null;

  /** @param moved called when bytes went out, or began to wait. */
  constructor(socket: Socket, options: OutboxOptions, moved: () => void) {
    this.#socket = socket;
    this.#options = options;
    this.#moved = moved;
    socket.on("drain", () => socket.resume());
  }

  /** Bytes that are not out yet. */
  get octets(): number {
    return this.#partsBytes + this.#socket.writableLength;
  }

  /** The payload is only read, until it is out. */
  frame(type: number, place: { readonly flags: number; readonly streamId: number }, payload: Uint8Array): void {
    this.write(frameHead(type, place, payload.length));
    if (payload.length > 0) this.write(payload);
  }

  /** The bytes are only read, until they are out. */
  write(octets: Uint8Array): void {
    if (this.#ended) return;
    if (this.#parts.length === 0) process.nextTick(this.#flush);
    this.#parts.push(octets);
    this.#partsBytes += octets.length;
  }

  /**
   * Lets what was written go out, and ends our side. Closing the socket at once would have the system drop what the client has not taken yet
   * as soon as anything comes from it, so that is read on to its end.
   */
  end(): void {
    if (this.#ended) return;
    this.#flush();
    this.#ended = true;
    this.#socket.end();
    this.#socket.resume();
  }

  readonly #flush = (): void => {
    const parts = this.#parts;
    if (parts.length === 0) return;
    this.#parts = [];
    this.#partsBytes = 0;
    if (!this.#socket.writable) return;
    this.#socket.write(parts.length === 1 && parts[0] !== undefined ? parts[0] : Buffer.concat(parts), this.#sent);
    if (this.#socket.writableLength > this.#options.backlogBytes) this.#socket.pause();
    if (this.#socket.writableLength > 0 && this.backlogSinceMs === null) {
      this.backlogSinceMs = this.#options.clock.now();
      this.#moved();
    }
  };

  readonly #sent = (): void => {
    const before = this.backlogSinceMs;
    this.backlogSinceMs = this.#socket.writableLength === 0 ? null : this.#options.clock.now();
    if (before !== null) this.#moved();
  };
}
