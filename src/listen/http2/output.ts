import type { Socket } from "node:net";
import type { ListenServices } from "../types.ts";
import { type FramePlace, frameHead } from "./frames.ts";

/** Sends the frames of a connection: all frames of one turn of the event loop in one write. */
export class FrameOutput {
  readonly #socket: Socket;
  readonly #services: Pick<ListenServices, "clock" | "limits">;
  readonly #onActivity: () => void;
  #parts: Uint8Array[] = [];
  #partsBytes = 0;
  #hasEnded = false;
  /** Since when the client has not read any of the waiting bytes; null = none wait. */
  backlogSinceMs: number | null = null;

  /** @param onActivity called when bytes were sent, or began to wait. */
  constructor(socket: Socket, services: Pick<ListenServices, "clock" | "limits">, onActivity: () => void) {
    this.#socket = socket;
    this.#services = services;
    this.#onActivity = onActivity;
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
    // Not at the end of this call: over TLS the requests of a client may come in a call each.
    if (this.#parts.length === 0) setImmediate(this.#flush);
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
    // A client that does not read cannot make us write more.
    if (this.#socket.writableLength > this.#services.limits.writeBacklogBytes) this.#socket.pause();
    if (this.#socket.writableLength > 0 && this.backlogSinceMs === null) {
      this.backlogSinceMs = this.#services.clock.now();
      this.#onActivity();
    }
  };

  readonly #onWritten = (): void => {
    const before = this.backlogSinceMs;
    this.backlogSinceMs = this.#socket.writableLength === 0 ? null : this.#services.clock.now();
    if (before !== null) this.#onActivity();
  };
}
