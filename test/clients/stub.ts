import { createSocket } from "node:dgram";
import { once } from "node:events";
import { queryWire, type Reply, readReply } from "../support/message.ts";

/** How often a question is sent, and how long each time is waited for. */
export interface Patience {
  readonly tries: number;
  readonly tryMs: number;
}

/**
 * A stub resolver in this process, for thousands of questions to a port of 127.0.0.1: it asks over UDP, and again where nothing comes.
 * Never more than 65,535 at a time.
 */
export class Stub {
  readonly #patience: Patience;
  readonly #socket = createSocket({ type: "udp4", recvBufferSize: RECEIVE_BYTES });
  readonly #waiting = new Map<number, (reply: Reply) => void>();
  #lastId = 0;

  private constructor(patience: Patience) {
    this.#patience = patience;
  }

  static async open(port: number, patience: Patience = { tries: 3, tryMs: 3_000 }): Promise<Stub> {
    const stub = new Stub(patience);
    stub.#socket.on("error", () => undefined).on("message", (message) => stub.#hear(message));
    stub.#socket.connect(port, "127.0.0.1");
    await once(stub.#socket, "connect");
    return stub;
  }

  /** null = no reply to any of its tries. */
  async ask(name: string, type: string): Promise<Reply | null> {
    const id = this.#freeId();
    const { tries, tryMs } = this.#patience;
    const message = queryWire(name, type, { id });
    const { promise, resolve } = Promise.withResolvers<Reply | null>();
    this.#waiting.set(id, (reply) => {
      if (reply.question === name) resolve(reply);
    });
    let sent = 0;
    const send = () => {
      if (sent === tries) resolve(null);
      else this.#socket.send(message, () => undefined);
      sent += 1;
    };
    send();
    const timer = setInterval(send, tryMs);
    const reply = await promise;
    clearInterval(timer);
    this.#waiting.delete(id);
    return reply;
  }

  close(): Promise<void> {
    return new Promise((resolve) => this.#socket.close(() => resolve()));
  }

  #hear(message: Uint8Array): void {
    const reply = readReply(message);
    this.#waiting.get(reply.id)?.(reply);
  }

  #freeId(): number {
    do this.#lastId = (this.#lastId % 0xffff) + 1;
    while (this.#waiting.has(this.#lastId));
    return this.#lastId;
  }
}

const RECEIVE_BYTES = 4 * 1024 * 1024;
