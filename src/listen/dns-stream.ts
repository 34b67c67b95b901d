import type { Socket } from "node:net";
import { frame, MessageFramer } from "../dns/wire.ts";
import type { Client } from "../lib/client.ts";
import type { Timer } from "../lib/clock.ts";
import { ResettableTimer } from "../lib/deadline.ts";
import { ConnectionTurns } from "./turns.ts";
import type { Connection, HandlerReply, ListenServices } from "./types.ts";

/** How long a client has to close the connection after we ended it. */
const LINGER_MS = 1000;

/**
 * DNS on one TCP or TLS connection: messages behind two bytes of length, answered in the order in which the answers come (RFC 7766 §6.2.1.1,
 * §7; RFC 7858). A client that has ended its side still gets the pending answers. Questions are read however many are pending, so that those that need
 * no waiting are answered: the handler bounds how many wait.
 */
export class StreamConnection implements Connection {
  readonly #socket: Socket;
  readonly #client: Client;
  readonly #services: ListenServices;
  readonly #idleMs: number;
  readonly #framer = new MessageFramer();
  readonly #deadline: ResettableTimer;
  readonly #turns: ConnectionTurns;
  /** Framed answers of this turn, which go out in one write: a write costs as much as some answers. */
  #unsent: Uint8Array[] = [];
  #unsentBytes = 0;
  #outstanding = 0;
  /** The connection ends with the last pending answer: the client has ended its side, or we are stopping. */
  #isFinishing = false;
  /** We are stopping, and await what the client may have sent already. */
  #draining: Timer | null = null;
  #lastReceivedMs: number;
  /** Our side has ended. */
  #hasEnded = false;
  #messageBegunAtMs: number | null = null;
  /** Since when the client has not read any of the waiting bytes; null = none wait. */
  #backlogSinceMs: number | null = null;

  constructor(socket: Socket, client: Client, services: ListenServices) {
    this.#socket = socket;
    this.#client = client;
    this.#services = services;
    this.#lastReceivedMs = services.clock.now();
    this.#idleMs = client.transport === "dot" ? services.limits.dotIdleMs : services.limits.tcpIdleMs;
    this.#deadline = new ResettableTimer(services.clock, () => socket.destroy());
    this.#turns = new ConnectionTurns(services.turns, client.address, () => this.#proceed());
    socket.on("data", (chunk: Buffer) => this.#receive(chunk));
    socket.on("end", () => this.#finishNow());
    socket.on("drain", () => this.#proceed());
    socket.on("close", () => {
      this.#deadline.cancel();
      this.#draining?.cancel();
    });
    socket.setNoDelay(true);
    socket.resume();
    this.#setDeadline();
  }

  get idleSinceMs(): number | null {
    return this.#outstanding > 0 || this.#socket.writableLength > 0 ? null : this.#lastReceivedMs;
  }

  get heldBytes(): number {
    return this.#socket.writableLength + this.#framer.pendingBytes;
  }

  finish(): void {
    const { clock, limits } = this.#services;
    const drainMs = this.#lastReceivedMs + limits.drainMs - clock.now();
    if (drainMs <= 0) this.#finishNow();
    else this.#draining = clock.setTimer(() => this.#finishNow(), drainMs);
  }

  #finishNow(): void {
    this.#draining?.cancel();
    this.#isFinishing = true;
    this.#proceed();
  }

  #receive(chunk: Buffer): void {
    if (this.#hasEnded) return;
    this.#lastReceivedMs = this.#services.clock.now();
    this.#turns.noteRead(chunk.length, this.#framer.pendingBytes, this.#lastReceivedMs);
    this.#framer.push(chunk);
    this.#proceed();
  }

  /** Takes the questions it may take, reads on or pauses, ends the connection if it is done, and sets the deadline. */
  #proceed(): void {
    while (this.#framer.ready && this.#isRead() && !this.#turns.mustWait()) {
      const message = this.#framer.next();
      this.#messageBegunAtMs = null;
      if (message === "incomplete") break;
      if (message === "badLength") {
        this.#flush();
        this.#socket.destroy();
        break;
      }
      this.#answer(message);
    }
    if (this.#socket.destroyed || this.#hasEnded) return;
    if (this.#isFinishing && this.#outstanding === 0 && !this.#framer.ready) this.#end();
    else if (this.#mayReadOn()) this.#socket.resume();
    else this.#socket.pause();
    this.#setDeadline();
  }

  /**
   * Ends our side after the written answers. The socket is read on to the end of the client's side: if we closed it at once, the next bytes of the client
   * would make the system drop the answers that the client has not taken yet.
   */
  #end(): void {
    this.#flush();
    this.#hasEnded = true;
    this.#socket.end();
    this.#socket.resume();
  }

  /** Whether the client reads its answers. */
  #isRead(): boolean {
    return !this.#socket.writableNeedDrain && !this.#socket.destroyed;
  }

  #mayReadOn(): boolean {
    return this.#isRead() && this.#turns.mayReadAhead(this.#framer.pendingBytes);
  }

  #answer(message: Uint8Array): void {
    const arrivedMs = this.#turns.arrivedMs(this.#framer.pendingBytes);
    const answer = this.#services.handler.answer(message, this.#client, arrivedMs);
    if (answer instanceof Promise) {
      this.#outstanding++;
      void answer.then((reply) => {
        this.#outstanding--;
        this.#send(reply);
        this.#proceed();
      });
    } else {
      this.#send(answer);
    }
  }

  #send(reply: HandlerReply | null): void {
    if (reply === null || this.#socket.destroyed) return;
    // Not at the end of this call: over TLS the questions of a client come in a call each.
    if (this.#unsent.length === 0) setImmediate(this.#flush);
    const framed = frame(reply.wire);
    this.#unsent.push(framed);
    this.#unsentBytes += framed.length;
    // From here on the client has to read before its next question is answered.
    if (this.#unsentBytes >= this.#socket.writableHighWaterMark) this.#flush();
  }

  readonly #flush = (): void => {
    const [first, ...others] = this.#unsent;
    if (first === undefined) return;
    this.#unsent = [];
    this.#unsentBytes = 0;
    if (this.#socket.destroyed) return;
    this.#socket.write(others.length === 0 ? first : Buffer.concat([first, ...others]), this.#onWritten);
    if (this.#socket.writableLength > this.#services.limits.writeBacklogBytes) this.#socket.destroy();
    else if (this.#socket.writableLength > 0) this.#backlogSinceMs ??= this.#services.clock.now();
  };

  readonly #onWritten = (): void => {
    this.#backlogSinceMs = this.#socket.writableLength === 0 ? null : this.#services.clock.now();
    if (!this.#socket.destroyed) this.#setDeadline();
  };

  /** Sets the deadline to the first thing that the client is late with. */
  #setDeadline(): void {
    const { clock, limits } = this.#services;
    const nowMs = clock.now();
    // A message cannot make progress while we do not read.
    const isMidMessage = this.#framer.pendingBytes > 0 && !this.#framer.ready && this.#mayReadOn();
    this.#messageBegunAtMs = isMidMessage ? (this.#messageBegunAtMs ?? nowMs) : null;
    const messageDueMs = this.#messageBegunAtMs === null ? Number.POSITIVE_INFINITY : this.#messageBegunAtMs + limits.messageMs;
    const writeDueMs = this.#backlogSinceMs === null ? Number.POSITIVE_INFINITY : this.#backlogSinceMs + limits.writeMs;
    const dueMs = Math.min(messageDueMs, writeDueMs);
    if (dueMs !== Number.POSITIVE_INFINITY) this.#deadline.set(dueMs - nowMs);
    // While answers are pending the connection is in use. The handler's own deadline bounds that time.
    else if (this.#hasEnded) this.#deadline.set(LINGER_MS);
    else this.#deadline.set(this.#outstanding > 0 ? null : this.#idleMs);
  }
}
