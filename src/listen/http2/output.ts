import type { Socket } from "node:net";
import type { Clock } from "../../lib/clock.ts";
import { type FramePlace, frameHead } from "./frames.ts";

interface OutputOptions {
  readonly clock: Clock;
  /** With so many unsent bytes we stop reading: a client that does not read cannot make us write more. */
  readonly backlogBytes: number;
  /** Called when bytes were sent, or began to wait. */
  readonly onActivity: () => void;
}

/** Sends the frames of a connection: all frames of one turn of the event loop in one write. */
export class FrameOutput {
  readonly #socket: Socket;
  readonly #options: OutputOptions;
  #parts: Uint8Array[] = [];
  #partsBytes = 0;
  #hasEnded = false;
  /** Since when the client has not read any of the waiting bytes; null = none wait. */
  backlogSinceMs: number | null = null;

  constructor(socket: Socket, options: OutputOptions) {
    this.#socket = socket;
    this.#options = options;
    socket.on("drain", () => socket.resume());
  }

  get unsentBytes(): number {
    return this.#partsBytes + this.#socket.writableLength;
  }

  /** The payload is only read, until it is sent. */
  writeFrame(type: number, place: FramePlace, payload: Uint8Array): void {
    this.write(frameHead(type, place, payload.length));
    if (payload.length > 0) this.write(payload);
  }

  /** The bytes are only read, until they are sent. */
  write(bytes: Uint8Array): void {
    if (this.#hasEnded) return;
    if (this.#parts.length === 0) process.nextTick(this.#flush);
    this.#parts.push(bytes);
    this.#partsBytes += bytes.length;
  }

  /**
   * Sends what was written, then ends our side. The socket is read on to its end: if we closed it at once, the next bytes of the client would
   * make the system drop the bytes that the client has not taken yet.
   */
  end(): void {
    if (this.#hasEnded) return;
    this.#flush();
    this.#hasEnded = true;
    this.#socket.end();
    this.#socket.resume();
  }

  readonly #flush = (): void => {
    const parts = this.#parts;
    if (parts.length === 0) return;
    this.#parts = [];
    this.#partsBytes = 0;
    if (!this.#socket.writable) return;
    this.#socket.write(parts.length === 1 && parts[0] !== undefined ? parts[0] : Buffer.concat(parts), this.#onWritten);
    if (this.#socket.writableLength > this.#options.backlogBytes) this.#socket.pause();
    if (this.#socket.writableLength > 0 && this.backlogSinceMs === null) {
      this.backlogSinceMs = this.#options.clock.now();
      this.#options.onActivity();
    }
  };

  readonly #onWritten = (): void => {
    const before = this.backlogSinceMs;
    this.backlogSinceMs = this.#socket.writableLength === 0 ? null : this.#options.clock.now();
    if (before !== null) this.#options.onActivity();
  };
}
