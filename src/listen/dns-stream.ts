import type { Socket } from "node:net";
import { frame, MessageFramer } from "../dns/wire.ts";
import type { Client } from "../lib/client.ts";
import { ResettableTimer } from "../lib/deadline.ts";
import type { Connection } from "./tcp.ts";
import type { HandlerReply, ListenServices } from "./types.ts";

/**
 * One client's connection over TCP or TLS: messages behind two bytes of length, answered in the order in which answers
 * come (RFC 7766 §6.2.1.1, §7; RFC 7858). A client that has ended its side still gets the answers under way.
 */
export class StreamConnection implements Connection {
  readonly #socket: Socket;
  readonly #client: Client;
  readonly #services: ListenServices;
  readonly #idleMs: number;
  readonly #reader = new MessageFramer();
  readonly #deadline: ResettableTimer;
  #outstanding = 0;
  /** No further question is taken: the client has ended its side, or we are stopping. */
  #finishing = false;
  #messageBegunAtMs: number | null = null;
  /** Since when the client has read nothing of what waits for it. */
  #backlogSinceMs: number | null = null;

  constructor(socket: Socket, client: Client, services: ListenServices) {
    this.#socket = socket;
    this.#client = client;
    this.#services = services;
    this.#idleMs = client.transport === "dot" ? services.limits.dotIdleMs : services.limits.tcpIdleMs;
    this.#deadline = new ResettableTimer(services.clock, () => socket.destroy());
    socket.on("data", (chunk: Buffer) => this.#take(chunk));
    socket.on("end", () => this.finish());
    socket.on("drain", () => this.#proceed());
    socket.on("close", () => this.#deadline.cancel());
    socket.setNoDelay(true);
    socket.resume();
    this.#watch();
  }

  finish(): void {
    this.#finishing = true;
    this.#proceed();
  }

  #take(chunk: Buffer): void {
    if (this.#finishing) return;
    this.#reader.push(chunk);
    this.#proceed();
  }

  /** Brings everything in line with what is held: takes questions, reads on or pauses, ends, moves the deadline. */
  #proceed(): void {
    while (this.#reader.ready && this.#mayTakeMore()) {
      const message = this.#reader.next();
      this.#messageBegunAtMs = null;
      if (message === "incomplete") break;
      if (message === "badLength") {
        this.#socket.destroy();
        break;
      }
      this.#ask(message);
    }
    if (this.#socket.destroyed) return;
    if (this.#finishing && this.#outstanding === 0 && !this.#reader.ready) this.#socket.destroySoon();
    else if (this.#mayTakeMore()) this.#socket.resume();
    else this.#socket.pause();
    this.#watch();
  }

  #mayTakeMore(): boolean {
    const { limits } = this.#services;
    return this.#outstanding < limits.outstandingPerConnection && !this.#socket.writableNeedDrain && !this.#socket.destroyed;
  }

  #ask(message: Uint8Array): void {
    const answer = this.#services.handler.answer(message, this.#client);
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
    this.#socket.write(frame(reply.wire), this.#sent);
    if (this.#socket.writableLength > this.#services.limits.writeBacklogBytes) this.#socket.destroy();
    else if (this.#socket.writableLength > 0) this.#backlogSinceMs ??= this.#services.clock.now();
  }

  readonly #sent = (): void => {
    this.#backlogSinceMs = this.#socket.writableLength === 0 ? null : this.#services.clock.now();
    if (!this.#socket.destroyed) this.#watch();
  };

  /** Sets the deadline to what the client is late with first. */
  #watch(): void {
    const { clock, limits } = this.#services;
    const nowMs = clock.now();
    // A message cannot go on arriving while we do not read.
    const isMidMessage = this.#reader.pendingBytes > 0 && !this.#reader.ready && this.#mayTakeMore();
    this.#messageBegunAtMs = isMidMessage ? (this.#messageBegunAtMs ?? nowMs) : null;
    const messageDueMs = this.#messageBegunAtMs === null ? Number.POSITIVE_INFINITY : this.#messageBegunAtMs + limits.messageMs;
    const writeDueMs = this.#backlogSinceMs === null ? Number.POSITIVE_INFINITY : this.#backlogSinceMs + limits.writeMs;
    const dueMs = Math.min(messageDueMs, writeDueMs);
    if (dueMs !== Number.POSITIVE_INFINITY) this.#deadline.set(dueMs - nowMs);
    // While answers are awaited the connection is in use; the handler bounds how long that lasts.
    else this.#deadline.set(this.#outstanding > 0 ? null : this.#idleMs);
  }
}
