import { closeSync } from "node:fs";
import { networkInterfaces } from "node:os";
import { Worker } from "node:worker_threads";
import { addressFromText, addressText, endpointText } from "../dns/address.ts";
import { systemClock } from "../lib/clock.ts";
import { errorText } from "../lib/text.ts";
import { nextEntry, QueryRing } from "../log/ring.ts";
import { HEADER } from "../replies/layout.ts";
import type { SharedSocket } from "./inheritance.ts";
import type { Endpoint } from "./options.ts";
import { type MessageBatch, type RawSocket, SocketCalls } from "./socket-calls.ts";
import { selfTest } from "./socket-self-test.ts";
import type { HandlerReply, ListenServices, Peer, UdpMemory } from "./types.ts";
import { clientAt, UdpListener, wildcardFamily } from "./udp.ts";
import { BATCH, FORWARDED, type ThreadData } from "./udp-ring.ts";

/** Queries on their way to the main thread: some 8,000. What finds no room is lost, as in a full receive buffer. */
const QUERIES_BYTES = 1024 * 1024;

/** Queries that the main thread takes before everything else has its turn: it answers those that `Turns` lets it, and puts off the others. */
const MAX_AT_ONCE = 1024;

/** Types are stripped from sources, not from what was built of them. */
const THREAD = import.meta.url.endsWith(".ts")
  ? new URL("./udp-thread.ts", import.meta.url)
  : new URL("./udp-thread.js", import.meta.url);

/** The thread has little to remember, and ends, not the process, when that is wrong. */
const THREAD_LIMITS = { maxOldGenerationSizeMb: 64, maxYoungGenerationSizeMb: 2, stackSizeMb: 1 };

/**
 * How often the thread is looked after, and after how many looks without a sign of life it counts as hung. It wakes once a second, but a busy machine
 * may let it wait; to begin it may take longer still.
 */
const WATCH = { everyMs: 1000, looks: 8, firstLooks: 60 } as const;

/** How long the end of the thread is waited for; longer where it sees by itself that it is to end, because another process has the same sockets. */
const END_MS = { alone: 1500, shared: 10_000 } as const;

interface BatchSettings {
  readonly thread?: URL;
  readonly watchMs?: number;
}

/**
 * All UDP endpoints, read by a thread of their own in batches; what the thread does not answer by itself is answered here. Where the thread ends or
 * hangs, each endpoint gets a `UdpListener` instead.
 */
export class BatchedUdp {
  readonly #services: ListenServices;
  readonly #memory: UdpMemory;
  readonly #calls: SocketCalls;
  readonly #sockets: { readonly raw: RawSocket; readonly endpoint: Endpoint }[] = [];
  readonly #header: Int32Array;
  readonly #queries = new QueryRing(QUERIES_BYTES);
  readonly #replies: MessageBatch;
  readonly #watchMs: number;
  readonly #thread: URL;
  readonly #began = Promise.withResolvers<void>();
  #worker: Worker | null = null;
  #watch: NodeJS.Timeout | null = null;
  #beat = 0;
  #silentLooks = 0;
  /** What the thread could not send, as far as it is counted. */
  #unsent = 0;
  #inFlight = 0;
  #onIdle: () => void = () => {};
  #isReading = false;
  /** Another process has the same sockets. */
  #isShared = false;
  /** Instead of the thread. */
  #fallback: Promise<UdpListener[]> | null = null;
  #closing: Promise<void> | null = null;

  /** @throws Error that says in a few words why this is not to be had here. */
  constructor(services: ListenServices, memory: UdpMemory, settings: BatchSettings = {}) {
    const { clock } = services;
    if (clock !== systemClock && clock.shared === undefined) throw new Error("the clock is not the system's");
    const calls = SocketCalls.open();
    selfTest(calls);
    this.#services = services;
    this.#memory = memory;
    this.#calls = calls;
    this.#header = new Int32Array(memory.replies, 0, HEADER.words);
    this.#replies = calls.batch(BATCH.messages, BATCH.bytesEach);
    this.#watchMs = settings.watchMs ?? WATCH.everyMs;
    this.#thread = settings.thread ?? THREAD;
  }

  /** Binds an endpoint, before `start`. @returns false where the system refuses, or the address has a zone. */
  bind(endpoint: Endpoint): boolean {
    const { address, port } = endpoint;
    const bytes = addressFromText(address);
    if (bytes === null) return false;
    const { inherited, limits } = this.#services;
    const fd = inherited?.takeDescriptor("udp", endpoint) ?? null;
    const raw =
      fd === null
        ? this.#calls.openSocket(
            { address: bytes, port },
            { tellsTarget: wildcardFamily(address) !== null, receiveBufferBytes: limits.udpReceiveBufferBytes },
          )
        : this.#calls.adoptSocket({ fd, port });
    if (raw === null) return false;
    this.#isShared ||= fd !== null;
    this.#sockets.push({ raw, endpoint: { address, port: raw.port } });
    return true;
  }

  /** Begins to answer. Resolves when what comes is read: to start a thread takes a while, on a busy machine a long one. */
  start(): Promise<void> {
    const { clock } = this.#services;
    const workerData: ThreadData = {
      sockets: this.#sockets.map(({ raw }) => raw),
      replies: this.#memory.replies,
      log: this.#memory.log,
      queries: this.#queries.memory,
      now: clock.shared ?? null,
      originMs: performance.now() - Number(process.hrtime.bigint()) / 1e6,
    };
    const worker = new Worker(this.#thread, { workerData, resourceLimits: THREAD_LIMITS });
    this.#worker = worker;
    worker.on("message", () => {
      this.#began.resolve();
      this.#called();
    });
    worker.on("error", (error) => this.#giveUp(`its thread failed: ${errorText(error)}`));
    worker.on("exit", () => this.#giveUp("its thread came to its end"));
    this.#watch = setInterval(() => this.#look(), this.#watchMs);
    this.#watch.unref();
    return this.#began.promise;
  }

  async shareSockets(): Promise<readonly SharedSocket[]> {
    this.#isShared = true;
    const fallback = await this.#fallback;
    if (fallback !== null) return fallback.flatMap((listener) => listener.shareSockets());
    return this.#sockets.map(({ raw, endpoint }) => ({ purpose: "udp", bound: endpoint, socket: raw.fd }));
  }

  /** Takes no more questions, sends the pending answers for at most `graceMs`, then closes all sockets. May be called again. */
  close(graceMs: number): Promise<void> {
    this.#closing ??= this.#close(graceMs);
    return this.#closing;
  }

  async #close(graceMs: number): Promise<void> {
    await this.#endThread();
    do this.#read();
    while (!this.#queries.isEmpty);
    if (this.#inFlight > 0 && graceMs > 0) {
      await new Promise<void>((resolve) => {
        const timer = this.#services.clock.setTimer(resolve, graceMs);
        this.#onIdle = () => {
          timer.cancel();
          resolve();
        };
      });
    }
    const fallback = await this.#fallback;
    await Promise.all(fallback?.map((listener) => listener.close(graceMs)) ?? []);
    for (const { raw } of this.#sockets) closeSync(raw.fd);
  }

  /** A thread that does not end in time is left: it holds nothing that anybody uses. */
  async #endThread(): Promise<void> {
    const worker = this.#worker;
    this.#worker = null;
    if (this.#watch !== null) clearInterval(this.#watch);
    this.#look();
    if (worker === null) return;
    Atomics.store(this.#header, HEADER.stop, 1);
    // It would end the reading of the other process too. The thread sees within a second that it is to stop; until then it answers.
    if (!this.#isShared) for (const { raw } of this.#sockets) this.#calls.stopReceiving(raw.fd);
    const { promise: ended, resolve } = Promise.withResolvers<void>();
    worker.once("exit", resolve);
    const timer = this.#services.clock.setTimer(
      () => {
        worker.unref();
        void worker.terminate();
        resolve();
      },
      this.#isShared ? END_MS.shared : END_MS.alone,
    );
    await ended;
    timer.cancel();
  }

  #called(): void {
    if (this.#isReading) return;
    Atomics.store(this.#header, HEADER.bell, 0);
    this.#memory.called();
    this.#read();
  }

  /** Answers what the thread has passed on. After so many queries everything else has its turn. */
  #read(): void {
    const ring = this.#queries;
    let left = MAX_AT_ONCE;
    let socket = -1;
    const { written } = ring;
    let position = ring.taken;
    for (const span of ring.spans(position, written)) {
      for (let at = span.from; at < span.to && left > 0; ) {
        const next = nextEntry(span, at);
        if (span.words[at + FORWARDED.kind] === FORWARDED.query) {
          left--;
          const from = span.words[at + FORWARDED.socket] ?? 0;
          if (from !== socket) this.#flush(socket);
          socket = from;
          this.#take(readForwarded(span, at));
        }
        position = (position + next - at) >>> 0;
        at = next;
      }
    }
    ring.release(position);
    this.#flush(socket);
    this.#isReading = position !== ring.written;
    if (this.#isReading) setImmediate(() => this.#read());
    else if (Atomics.load(this.#header, HEADER.bell) === 1) setImmediate(() => this.#called());
  }

  #take(query: ForwardedQuery): void {
    const { counters, handler, turns } = this.#services;
    const peer = peerOf(query.name);
    // No reply can be sent to port 0; such a source is forged.
    if (peer.port === 0) return;
    if (!turns.isOver) {
      this.#answer(query, peer);
      return;
    }
    this.#inFlight++;
    counters.udpInFlight++;
    const answer = () => {
      this.#answer(query, peer);
      this.#flush(query.socket);
      this.#end();
    };
    if (turns.postponeDatagram(peer.address, answer)) return;
    counters.udpShed++;
    this.#queue(query, handler.shed(query.message, clientAt(peer)));
    this.#end();
  }

  #answer({ socket, name, control, message, arrivedMs }: ForwardedQuery, peer: Peer): void {
    const { clock, counters, handler } = this.#services;
    const nowMs = clock.now();
    const answer = handler.answer(message, clientAt(peer), nowMs - Math.max(0, (nowMs - arrivedMs) | 0));
    if (!(answer instanceof Promise)) {
      this.#queue({ socket, name, control }, answer);
      return;
    }
    counters.udpInFlight++;
    this.#inFlight++;
    void answer.then((reply) => {
      this.#queue({ socket, name, control }, reply);
      this.#flush(socket);
      this.#end();
    });
  }

  #end(): void {
    this.#services.counters.udpInFlight--;
    this.#inFlight--;
    if (this.#inFlight === 0) this.#onIdle();
  }

  #queue({ socket, name, control }: Pick<ForwardedQuery, "socket" | "name" | "control">, reply: HandlerReply | null): void {
    if (reply !== null && this.#replies.put(reply.wire, name, control)) this.#flush(socket);
  }

  #flush(socket: number): void {
    const fd = this.#sockets[socket]?.raw.fd;
    if (fd !== undefined && this.#replies.queued > 0) this.#services.counters.udpUnsent += this.#replies.flush(fd);
  }

  /** Adds what the thread has counted, and sees whether it is alive. */
  #look(): void {
    const unsent = Atomics.load(this.#header, HEADER.unsent);
    this.#services.counters.udpUnsent += (unsent - this.#unsent) >>> 0;
    this.#unsent = unsent;
    const beat = Atomics.load(this.#header, HEADER.beat);
    this.#silentLooks = beat === this.#beat ? this.#silentLooks + 1 : 0;
    this.#beat = beat;
    if (this.#silentLooks >= (beat === 0 ? WATCH.firstLooks : WATCH.looks)) this.#giveUp("its thread has hung up");
  }

  /** The main thread answers from now on. What waits in the sockets is lost, and asked again. */
  #giveUp(reason: string): void {
    if (this.#worker === null) return;
    this.#services.report({ kind: "udpUnbatched", reason });
    void this.#worker.terminate();
    this.#worker.unref();
    this.#worker = null;
    if (this.#watch !== null) clearInterval(this.#watch);
    Atomics.store(this.#header, HEADER.stop, 1);
    this.#read();
    this.#fallback = this.#openFallback();
    void this.#fallback.then(() => this.#began.resolve());
  }

  async #openFallback(): Promise<UdpListener[]> {
    const listeners: UdpListener[] = [];
    for (const { raw, endpoint } of this.#sockets) {
      // Replies that are still awaited go by the other sockets of the port no more: clients ask again.
      this.#calls.disarm(raw.fd);
      try {
        listeners.push(await UdpListener.open(endpoint, this.#services));
      } catch (error) {
        const where = `udp ${endpointText(endpoint.address, endpoint.port)}`;
        this.#services.report({ kind: "socketError", where, reason: errorText(error) });
      }
    }
    return listeners;
  }
}

interface ForwardedQuery {
  readonly socket: number;
  /** `struct sockaddr` and the control message, as they came. */
  readonly name: Uint8Array;
  readonly control: Uint8Array;
  readonly message: Uint8Array;
  /** Modulo 2^32. */
  readonly arrivedMs: number;
}

/** A copy of what is in the ring. */
function readForwarded({ words, bytes }: { readonly words: Int32Array; readonly bytes: Buffer }, at: number): ForwardedQuery {
  const sizes = words[at + FORWARDED.nameAndControlBytes] ?? 0;
  const start = (at + FORWARDED.words) * 4;
  const copy = new Uint8Array(
    bytes.subarray(start, start + (sizes & 0xffff) + (sizes >>> 16) + (words[at + FORWARDED.bytes] ?? 0)),
  );
  const controlStart = sizes & 0xffff;
  const messageStart = controlStart + (sizes >>> 16);
  return {
    socket: words[at + FORWARDED.socket] ?? 0,
    name: copy.subarray(0, controlStart),
    control: copy.subarray(controlStart, messageStart),
    message: copy.subarray(messageStart),
    arrivedMs: words[at + FORWARDED.arrivedMs] ?? 0,
  };
}

/** Client and port of a `struct sockaddr_in` or `sockaddr_in6`. */
function peerOf(name: Uint8Array): Peer {
  const port = ((name[2] ?? 0) << 8) | (name[3] ?? 0);
  if (name.length === 16) return { address: addressText(name.subarray(4, 8)), port };
  const address = addressText(name.subarray(8, 24));
  if (!address.startsWith("fe80:")) return { address, port };
  const view = new DataView(name.buffer, name.byteOffset, name.byteLength);
  return { address: `${address}%${interfaceName(view.getUint32(24, true))}`, port };
}

/** The name of an interface by its number. */
function interfaceName(index: number): string {
  for (const [name, infos] of Object.entries(networkInterfaces()))
    for (const info of infos ?? []) if (info.family === "IPv6" && info.scopeid === index) return name;
  return String(index);
}
