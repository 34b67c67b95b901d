import { randomBytes, randomInt } from "node:crypto";
import { createSocket } from "node:dgram";
import { LRUCache } from "lru-cache";
import { type Answer, optOf, outcomeOf, recordPlaces } from "../dns/answer.ts";
import { OPTION, readOptions } from "../dns/edns.ts";
import { plainNameEnd } from "../dns/name.ts";
import { askMessage, type Question } from "../dns/query.ts";
import { RCODE, TYPE } from "../dns/types.ts";
import { HEADER_BYTES, uint16 } from "../dns/wire.ts";
import type { Clock, Timer } from "../lib/clock.ts";
import { connectError, type Dialer, ignore, type ServerAddresses } from "./dial.ts";
import { MAX_MEMBER_IN_FLIGHT } from "./member.ts";
import type { ServerOptions } from "./options.ts";
import { type AttemptSubject, PendingRequests, type Settle } from "./pending.ts";
import { EdnsSupport, ID_LIMIT, readReply } from "./reply.ts";
import { StreamServer } from "./stream.ts";
import { type ExchangeOptions, type ServerContext, type Upstream, UpstreamError } from "./upstream.ts";

/**
 * When an unanswered datagram is sent again: after what answers of the server usually take at most, within these limits, and then after twice as long each
 * time. RFC 8085 §3.1.1 has 1 s where nothing was measured. A forwarder in front of us that is used to fast answers gives up long before that: unbound
 * after some 0.7 s, and then it refuses the name for 5 s.
 */
const RESEND = { leastMs: 200, mostMs: 1_000 } as const;

const NO_ADDRESSES: readonly string[] = [];

/** Addresses of one server whose cookies are kept. */
const MAX_COOKIES = 32;

/** After so long without a word from an address, the next question tries another one. */
const SILENT_MS = 1_000;

/** What a datagram brought. `answer` null = the answer does not fit into a datagram, or may be forged: it is fetched over TCP. */
interface DatagramReply {
  readonly rcode: number;
  readonly answer: Answer | null;
}

interface DatagramQuery {
  readonly edns: boolean;
  readonly question: Question;
  /** See `ExchangeOptions.holdSuspects`. */
  readonly holdSuspects: boolean;
}

/**
 * A server asked over UDP, and over TCP when the answer is truncated (RFC 7766 §5). Each question has its own socket: the kernel picks a random
 * port (RFC 5452 §9.2, RFC 6056), and a stray answer cannot reach another question. The socket is connected, so only datagrams of the server
 * arrive, and ICMP errors with them. A reply that does not match the question is ignored, and the server may still answer.
 */
export class UdpServer implements Upstream {
  readonly label: string;
  readonly encrypted = false;
  readonly #port: number;
  readonly #mixesCase: boolean;
  /** By address; null = questions carry no cookie. */
  readonly #cookies: LRUCache<string, ServerCookies> | null;
  readonly #addresses: ServerAddresses;
  readonly #subject: AttemptSubject;
  readonly #overTcp: Upstream;
  readonly #edns: EdnsSupport;
  readonly #spoofs: SpoofDetector;
  readonly #roundTrips = new RoundTrips();
  readonly #pending: PendingRequests;

  constructor(server: ServerOptions, context: ServerContext, dialer: Dialer) {
    const { clock } = context;
    this.label = server.label;
    this.#port = server.port;
    this.#mixesCase = server.mixedCase === true;
    this.#cookies = server.cookies === true ? new LRUCache({ max: MAX_COOKIES }) : null;
    this.#addresses = dialer.addresses;
    this.#subject = { server: server.label, transport: "udp", clock };
    this.#overTcp = new StreamServer(server, context, dialer);
    this.#edns = new EdnsSupport(clock);
    this.#spoofs = new SpoofDetector(clock);
    this.#pending = new PendingRequests(this.#subject, MAX_MEMBER_IN_FLIGHT);
  }

  async exchange(question: Question, options: ExchangeOptions): Promise<Answer> {
    const { answer } = await this.#edns.ask((edns) => {
      const query = { edns, question, holdSuspects: edns && options.holdSuspects === true };
      return this.#pending.run<DatagramReply>(options, (settle) => this.#start(query, settle));
    });
    return answer ?? (await this.#overTcp.exchange(question, options));
  }

  #cookiesOf(address: string): ServerCookies | null {
    if (this.#cookies === null) return null;
    const known = this.#cookies.get(address) ?? new ServerCookies();
    this.#cookies.set(address, known);
    return known;
  }

  #messageOf({ question, edns }: DatagramQuery, cookie: Buffer | null): Buffer {
    const message = askMessage(question, {
      id: randomInt(ID_LIMIT),
      edns,
      padded: false,
      ...(cookie === null ? {} : { cookie }),
    });
    if (this.#mixesCase) mixCase(message, question);
    return message;
  }

  addresses(): readonly string[] {
    return this.#addresses.latest;
  }

  async close(): Promise<void> {
    this.#pending.close();
    await this.#overTcp.close();
  }

  /** Sends the query, once the address of the server is known. Returns a function that undoes it. */
  #start(query: DatagramQuery, settle: Settle<DatagramReply>): () => void {
    const [pinned] = this.#addresses.pinned() ?? NO_ADDRESSES;
    if (pinned !== undefined) return this.#send(pinned, query, settle);
    let undo: () => void = ignore;
    let hasEnded = false;
    this.#addresses.list().then(([address]) => {
      if (hasEnded) return;
      if (address === undefined) return settle.reject(new UpstreamError("bootstrap", this.label, "no address"));
      undo = this.#send(address, query, settle);
      // The query may have ended while it was sent.
      if (hasEnded) undo();
    }, settle.reject);
    return () => {
      hasEnded = true;
      undo();
    };
  }

  /** Sends the query and settles with the first reply that matches. Returns a function that frees the socket and the timers. */
  #send(address: string, query: DatagramQuery, settle: Settle<DatagramReply>): () => void {
    const { clock } = this.#subject;
    const { question, holdSuspects } = query;
    const cookies = query.edns ? this.#cookiesOf(address) : null;
    const cookie = cookies?.next(clock.now()) ?? null;
    const message = this.#messageOf(query, cookie);
    const id = message.readUInt16BE(0);
    const isV6 = address.includes(":");
    // Nothing is looked up, and so nothing is put off: the query leaves in this turn.
    const socket = createSocket({ type: isV6 ? "udp6" : "udp4", lookup: (text, _, found) => found(null, text, isV6 ? 6 : 4) });
    let resendTimer: Timer | null = null;
    let holdTimer: Timer | null = null;
    const sentMs = clock.now();
    let isSentOnce = true;
    let isSilent = true;
    const fail = (error: Error): void => {
      isSilent = false;
      this.#addresses.noteFailure(address);
      settle.reject(connectError(error, this.label));
    };
    const send = (): void => {
      try {
        socket.send(message, (error) => error !== null && fail(error));
      } catch {
        // It is not connected. Its event `error` tells why.
      }
    };
    const resendAfter = (delayMs: number): void => {
      resendTimer = clock.setTimer(() => {
        isSentOnce = false;
        send();
        resendAfter(2 * delayMs);
      }, delayMs);
    };
    socket.on("error", fail);
    socket.on("message", (datagram) => {
      isSilent = false;
      if (this.#mixesCase && !repeatsLetters(datagram, message, question)) return;
      const reply = readReply(bytesOf(datagram), id, question);
      if (reply.kind !== "answer" && reply.kind !== "truncated") return;
      const verdict = cookie === null ? "unknown" : cookies?.judge(datagram, cookie);
      if (verdict === "wrong") return;
      // Of a datagram that was sent again, nobody knows which one was answered (Karn's algorithm).
      if (isSentOnce) this.#roundTrips.note(clock.now() - sentMs);
      resendTimer?.cancel();
      if (reply.kind === "truncated") return settle.resolve({ rcode: reply.rcode, answer: null });
      const { answer } = reply;
      // RFC 7873 §5.3: over TCP nobody can forge it. The next question has the cookie that BADCOOKIE brought.
      if (verdict === "missing" || answer.rcode === RCODE.BADCOOKIE) return settle.resolve({ rcode: answer.rcode, answer: null });
      const accept = (): void => settle.resolve({ rcode: answer.rcode, answer });
      // The index drops the OPT record and nothing else, so a shorter answer means that the datagram had one.
      if (!holdSuspects || !this.#spoofs.isSuspect(answer, answer.wire.length < datagram.length)) accept();
      else
        holdTimer ??= clock.setTimer(() => {
          this.#spoofs.clear();
          accept();
        }, HOLD_MS);
    });
    socket.bind({ port: 0, exclusive: true });
    if (isSilent) {
      socket.connect(this.#port, address);
      send();
      resendAfter(this.#roundTrips.patienceMs);
    }
    return () => {
      resendTimer?.cancel();
      holdTimer?.cancel();
      if (isSilent && clock.now() - sentMs >= SILENT_MS) this.#addresses.noteFailure(address);
      socket.close();
    };
  }
}

/** The bytes of a datagram, which Node gives in memory of their own. */
function bytesOf({ buffer, byteOffset, length }: Buffer): Uint8Array {
  const bytes = new Uint8Array(buffer, byteOffset, length);
  return length === buffer.byteLength ? bytes : new Uint8Array(bytes);
}

/** How long answers of one server take: smoothed, with their usual deviation, as TCP has it (RFC 6298 §2). */
class RoundTrips {
  #smoothedMs = 0;
  /** null = nothing was measured. */
  #deviationMs: number | null = null;

  note(elapsedMs: number): void {
    if (this.#deviationMs === null) {
      this.#smoothedMs = elapsedMs;
      this.#deviationMs = elapsedMs / 2;
      return;
    }
    this.#deviationMs += (Math.abs(this.#smoothedMs - elapsedMs) - this.#deviationMs) / 4;
    this.#smoothedMs += (elapsedMs - this.#smoothedMs) / 8;
  }

  /** After so long an answer is most likely lost. */
  get patienceMs(): number {
    if (this.#deviationMs === null) return RESEND.mostMs;
    return Math.min(Math.max(this.#smoothedMs + 4 * this.#deviationMs, RESEND.leastMs), RESEND.mostMs);
  }
}

/** Gives every letter of the name a random case: one more bit that a forger has to guess (draft-vixie-dnsext-dns0x20). */
function mixCase(message: Buffer, { name }: Question): void {
  const coins = randomBytes(name.length);
  for (let at = 0; at < name.length; at++) {
    const byte = message[HEADER_BYTES + at] ?? 0;
    const isLetter = byte >= 0x61 && byte <= 0x7a;
    // The length of a label is below all letters.
    if (isLetter && ((coins[at] ?? 0) & 1) === 1) message[HEADER_BYTES + at] = byte - 0x20;
  }
}

/** Whether the question in an answer has the letters that were sent. An error without a question has none to repeat. */
function repeatsLetters(datagram: Buffer, sent: Buffer, { name }: Question): boolean {
  if (datagram.length >= HEADER_BYTES && datagram.readUInt16BE(4) === 0) return true;
  const end = HEADER_BYTES + name.length;
  return datagram.subarray(HEADER_BYTES, end).equals(sent.subarray(HEADER_BYTES, end));
}

/** How long a suspect answer is held back: about one round trip to a server abroad. */
export const HOLD_MS = 400;

/** How long a server counts as one without EDNS, once its answer without OPT was not followed by a better one. */
const PLAIN_MS = 3_600_000;

/**
 * Finds answers of one server that may be forged on the way. A forger sees the question pass and answers faster than the server, but does not
 * speak EDNS; a server that does answers OPT with OPT (RFC 6891 §6.1.1).
 */
class SpoofDetector {
  readonly #clock: Clock;
  #speaksEdns = false;
  #plainUntilMs = Number.NEGATIVE_INFINITY;

  constructor(clock: Clock) {
    this.#clock = clock;
  }

  /** Whether to wait for another answer to a question that was sent with OPT. Only addresses are worth forging. */
  isSuspect(answer: Answer, hasOpt: boolean): boolean {
    if (hasOpt) this.#speaksEdns = true;
    if (hasOpt || outcomeOf(answer) !== "positive" || (answer.type !== TYPE.A && answer.type !== TYPE.AAAA)) return false;
    return this.#speaksEdns || this.#clock.now() >= this.#plainUntilMs;
  }

  /** No better answer came: the suspect one is the server's own, as far as we can tell. */
  clear(): void {
    if (!this.#speaksEdns) this.#plainUntilMs = this.#clock.now() + PLAIN_MS;
  }
}

/** Bytes of the two parts of a cookie (RFC 7873 §4). */
const CLIENT_BYTES = 8;
const SERVER_BYTES = { least: 8, most: 32 } as const;

/** How long one client cookie is used: a server could know us by it from one address to the next (RFC 9018 §8). */
const COOKIE_LIFE_MS = 3_600_000;

/** What the cookie of an answer says of it. */
type CookieVerdict =
  /** It repeats ours: whoever sent the answer has seen the question. */
  | "right"
  /** It is not ours. The answer is forged. */
  | "wrong"
  /** It has none, although this server gave one before: the answer may be forged. */
  | "missing"
  /** It has none, as all answers of this server so far. */
  | "unknown";

/** The cookies that one server and we know each other by (RFC 7873). A forger who does not see the questions would have to guess 64 bits more. */
class ServerCookies {
  #client = randomBytes(CLIENT_BYTES);
  /** null = the server gave none yet. */
  #server: Buffer | null = null;
  #bornMs: number | null = null;

  /** The content of the option for the next question. */
  next(nowMs: number): Buffer {
    this.#bornMs ??= nowMs;
    if (nowMs - this.#bornMs >= COOKIE_LIFE_MS) {
      this.#client = randomBytes(CLIENT_BYTES);
      this.#server = null;
      this.#bornMs = nowMs;
    }
    return this.#server === null ? this.#client : Buffer.concat([this.#client, this.#server]);
  }

  /** Judges an answer to a question with `sent`, and keeps the server's part. Its question is ours: `readReply` has seen to that. */
  judge(answer: Uint8Array, sent: Buffer): CookieVerdict {
    const cookie = cookieIn(answer);
    if (cookie === null) return this.#server === null ? "unknown" : "missing";
    if (!cookie.subarray(0, CLIENT_BYTES).equals(sent.subarray(0, CLIENT_BYTES))) return "wrong";
    const server = cookie.subarray(CLIENT_BYTES);
    const isOfNow = this.#client.equals(sent.subarray(0, CLIENT_BYTES));
    if (isOfNow && server.length >= SERVER_BYTES.least && server.length <= SERVER_BYTES.most) this.#server = Buffer.from(server);
    return "right";
  }
}

/** The cookie option of a message with one question; null = there is none. */
function cookieIn(message: Uint8Array): Buffer | null {
  const questionEnd = plainNameEnd(message, HEADER_BYTES) + 4;
  const places = uint16(message, 4) === 1 ? recordPlaces(message, questionEnd) : null;
  const opt = places === null ? null : optOf(places);
  if (opt === null || opt === "misplaced") return null;
  const cookie = readOptions(message, opt.data, opt.end).find(({ code }) => code === OPTION.COOKIE);
  return cookie === undefined ? null : Buffer.from(cookie.data);
}
