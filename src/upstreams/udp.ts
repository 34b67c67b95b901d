import { randomInt } from "node:crypto";
import { createSocket, type Socket } from "node:dgram";
import { isIPv6 } from "node:net";
import { type Answer, outcomeOf } from "../dns/answer.ts";
import { askMessage, type Question } from "../dns/query.ts";
import { TYPE } from "../dns/types.ts";
import type { Clock, Timer } from "../lib/clock.ts";
import { connectError, ignore, type ServerAddresses } from "./dial.ts";
import type { ServerOptions } from "./options.ts";
import { PendingRequests, type Settle } from "./pending.ts";
import { type AttemptSubject, EdnsSupport, noteAttempt, readReply } from "./reply.ts";
import { type ExchangeOptions, type ServerContext, type Upstream, UpstreamError } from "./upstream.ts";

/** When the same datagram goes out a second and last time: packets get lost, and a server's answer is rarely slower than this. */
const RESEND_MS = 1_000;

/** Ids are below this. */
const ID_LIMIT = 0x1_0000;

/** Questions, and so sockets, at a time. */
const MAX_SOCKETS = 1_000;

/** What a datagram brought: an answer, or with null the news that it does not fit into one. */
interface DatagramReply {
  readonly rcode: number;
  readonly answer: Answer | null;
}

/**
 * A server asked by datagrams, and over TCP for answers that do not fit (RFC 7766 §5). Every question has a socket of its own: its port is
 * one that the kernel picks at random (RFC 5452 §9.2, RFC 6056), and no stray answer can reach another question. The socket is connected, so
 * that only the server's datagrams come in, and its refusals (ICMP) with them. What does not fit the question is not believed, nor taken
 * for a failure: waiting goes on.
 */
export class UdpServer implements Upstream {
  readonly label: string;
  readonly encrypted = false;
  readonly #port: number;
  readonly #book: ServerAddresses;
  readonly #subject: AttemptSubject;
  readonly #overTcp: Upstream;
  readonly #edns: EdnsSupport;
  readonly #forgeries: SpoofDetector;
  readonly #underway: PendingRequests;
  readonly #closing = new Set<Promise<void>>();

  constructor(
    server: ServerOptions,
    { clock }: ServerContext,
    parts: { readonly book: ServerAddresses; readonly overTcp: Upstream },
  ) {
    this.label = server.label;
    this.#port = server.port;
    this.#book = parts.book;
    this.#subject = { server: server.label, transport: "udp", clock };
    this.#overTcp = parts.overTcp;
    this.#edns = new EdnsSupport(clock);
    this.#forgeries = new SpoofDetector(clock);
    this.#underway = new PendingRequests(server.label, MAX_SOCKETS);
  }

  exchange(question: Question, errand: ExchangeOptions): Promise<Answer> {
    return this.#edns.ask(async (edns) => {
      const ask = () =>
        this.#ask({
          message: askMessage(question, { id: randomInt(ID_LIMIT), edns, padded: false }),
          question,
          outwaits: edns && errand.outwaitsForgeries === true,
          signal: errand.signal,
        });
      const { answer } = await noteAttempt(errand, this.#subject, ask);
      return answer ?? (await this.#overTcp.exchange(question, errand));
    });
  }

  addresses(): readonly string[] {
    return this.#book.latest;
  }

  async close(): Promise<void> {
    this.#underway.close();
    await Promise.all([this.#overTcp.close(), ...this.#closing]);
  }

  async #ask({ signal, ...asking }: Omit<Conversation, "ends"> & { readonly signal: AbortSignal }): Promise<DatagramReply> {
    const [address] = this.#book.known() ?? (await this.#lookUp(signal));
    if (address === undefined) throw new UpstreamError("bootstrap", this.label, "no address");
    return await this.#underway.run<DatagramReply>(signal, (ends) => this.#converse(address, { ...asking, ends }));
  }

  #lookUp(signal: AbortSignal): Promise<readonly string[]> {
    return this.#underway.run<readonly string[]>(signal, (ends) => {
      this.#book.list().then(ends.resolve, ends.reject);
      return ignore;
    });
  }

  #converse(address: string, { message, question, outwaits, ends }: Conversation): () => void {
    const { clock } = this.#subject;
    const id = message.readUInt16BE(0);
    const socket = createSocket(isIPv6(address) ? "udp6" : "udp4");
    let resending: Timer | null = null;
    let outwaiting: Timer | null = null;
    let isSilent = false;
    let hasEnded = false;
    const fail = (error: Error): void => {
      this.#book.noteFailure(address);
      ends.reject(connectError(error, this.label));
    };
    const send = (): void => socket.send(message, (error) => error !== null && fail(error));
    socket.on("error", fail);
    socket.on("message", (datagram) => {
      isSilent = false;
      const reply = readReply(new Uint8Array(datagram), id, question);
      if (reply.kind === "answer") {
        const { answer } = reply;
        const accept = (): void => ends.resolve({ rcode: answer.rcode, answer });
        // The index leaves OPT out of the answer, and nothing else.
        if (!outwaits || !this.#forgeries.suspects(answer, answer.wire.length < datagram.length)) accept();
        else
          outwaiting ??= clock.setTimer(() => {
            this.#forgeries.acquit();
            accept();
          }, OUTWAIT_MS);
      } else if (reply.kind === "truncated") ends.resolve({ rcode: reply.rcode, answer: null });
    });
    socket.once("connect", () => {
      if (hasEnded) return;
      send();
      resending = clock.setTimer(() => {
        isSilent = true;
        send();
      }, RESEND_MS);
    });
    socket.connect(this.#port, address);
    return () => {
      hasEnded = true;
      resending?.cancel();
      outwaiting?.cancel();
      if (isSilent) this.#book.noteFailure(address);
      this.#free(socket);
    };
  }

  #free(socket: Socket): void {
    const closed = new Promise<void>((resolve) => {
      socket.close(resolve);
    });
    this.#closing.add(closed);
    void closed.then(() => this.#closing.delete(closed));
  }
}

interface Conversation {
  readonly message: Buffer;
  readonly question: Question;
  /** See `Errand.outwaitsForgeries`. */
  readonly outwaits: boolean;
  readonly ends: Settle<DatagramReply>;
}

/** How long an answer that looks forged is held back: about the way to a server abroad and back. */
export const OUTWAIT_MS = 400;

/** For how long a server whose answers come without OPT, and are followed by no other, is taken for one that has no EDNS. */
const PLAIN_MS = 3_600_000;

/**
 * Tells answers that may be forged on the way from those of one server. Whoever injects forged answers sees the question pass and is quicker
 * than the server, but knows nothing of EDNS, while a server that does answers OPT with OPT (RFC 6891 §6.1.1).
 */
class SpoofDetector {
  readonly #clock: Clock;
  #speaksEdns = false;
  #plainUntilMs = Number.NEGATIVE_INFINITY;

  constructor(clock: Clock) {
    this.#clock = clock;
  }

  /** Whether to wait for another answer to a question that went out with OPT. Only addresses are worth forging. */
  suspects(answer: Answer, hasOpt: boolean): boolean {
    if (hasOpt) this.#speaksEdns = true;
    if (hasOpt || outcomeOf(answer) !== "positive" || (answer.type !== TYPE.A && answer.type !== TYPE.AAAA)) return false;
    return this.#speaksEdns || this.#clock.now() >= this.#plainUntilMs;
  }

  /** Nothing better came: the answer is the server's own, as far as anybody can tell. */
  acquit(): void {
    if (!this.#speaksEdns) this.#plainUntilMs = this.#clock.now() + PLAIN_MS;
  }
}
