/**
 * The door of `upstreams/`, and its contract: what can be asked, what a query takes along, and what comes of it. `resolve/` and `control/` call it.
 *
 * Reading order. A group of servers: `group.ts`, `dispatch.ts`, `member.ts`, `probes.ts`. One server:
 * `server.ts` picks the transport, `udp.ts`, `stream.ts` (TCP, TLS) and `https.ts` (with `https-transport.ts`, `http1.ts`, `http2.ts`) are the transports,
 * `pending.ts` and `reply.ts` are what transports share, `dial.ts` and `tunnel.ts` open connections, `bootstrap.ts` looks up the names
 * of servers.
 */
import type { Answer } from "../dns/answer.ts";
import type { Question } from "../dns/query.ts";
import type { Requester } from "../lib/client.ts";
import type { Clock } from "../lib/clock.ts";
import type { ProxyOptions } from "./options.ts";

/**
 * Something that can be asked: one server over one transport, or a group of servers. Callers may run any number of exchanges at once. After
 * `close` every exchange fails with `closed`.
 */
export interface Upstream {
  /** The name of the group, or the server as the user wrote it. */
  readonly label: string;
  /** Whether every path to the server is encrypted. Only then may AD be trusted (RFC 6840 §5.8, RFC 4035 §4.9.3). */
  readonly encrypted: boolean;
  /**
   * Asks once. A server returns the first answer whose id, question and source match, whatever its rcode; a group returns the first good one.
   * A server retries only as its transport needs: over TCP after truncation, on a new connection after a lost one.
   * The upstream only reads `question`. It appends one entry to `options.attempts` for each server asked, also when the exchange fails.
   * @throws UpstreamError when no usable answer came, or when `options.signal` aborted first.
   */
  exchange(question: Question, options: ExchangeOptions): Promise<Answer>;
  /** IP literals of the server, in any spelling, as far as they are known now. A group does not have this method. */
  addresses?(): readonly string[];
  /** Ends all exchanges and frees the sockets. May be called again. */
  close(): Promise<void>;
}

/** What a query takes along besides the question. */
export interface ExchangeOptions {
  /** Ends the exchange. The caller owns the deadline. */
  readonly signal: StopSignal;
  /** The trace of the query. The upstream appends to it. */
  readonly attempts: Attempt[];
  /** The group that asks its member; absent = no group does. */
  readonly group?: string;
  /** The client, so that a question never goes back to its sender; null = the question is our own. */
  readonly requester: Requester | null;
  /** What must not reach a group. Absent = everything may. */
  readonly egress?: Egress | undefined;
  /** Whether a group confirms an empty answer without SOA with a second member: such answers often show that the server is in trouble. */
  readonly doubtsEmpty?: boolean;
  /**
   * The answer of a member of the group as it counts, perhaps without some addresses; null = it is forged, or no address is left. The group then asks
   * another member, and returns the answer as it came only if no other comes.
   */
  readonly screen?: (answer: Answer, group: string) => Answer | null;
  /** Whether to hold back an answer over plain UDP that lacks the OPT record of a real one: forgers answer fast and do not speak EDNS. */
  readonly holdSuspects?: boolean;
}

/** Tells that nobody waits any more: an `AbortSignal`, or what serves as one and costs less (`Stopper`). */
export interface StopSignal {
  readonly aborted: boolean;
  addEventListener(type: "abort", listener: () => void): void;
  removeEventListener(type: "abort", listener: () => void): void;
}

/** Says what must not reach a group (`never`). It comes with each question, because a reload changes it while groups go on. */
export interface Egress {
  /** Why the question must not go to the group of this name; null = it may. `requester` null = the question is our own. */
  forbids(group: string, question: Question, requester: Requester | null): string | null;
}

/** One attempt at one server, as traces and the log show it. */
export interface Attempt {
  readonly group: string | null;
  readonly server: string;
  readonly transport: "udp" | "tcp" | "tls" | "https";
  /** On the scale of `Clock.now`. */
  readonly startedMs: number;
  /** Time from the query to the answer or the failure. */
  readonly elapsedMs: number;
  /** null when no answer came. */
  readonly rcode: number | null;
  readonly failure: UpstreamFailure | null;
}

export type UpstreamFailure =
  /** No answer within the time limit. */
  | "timeout"
  /** The caller gave up, usually because another server was faster. */
  | "aborted"
  /** No process listens on the port. */
  | "refused"
  /** The connection broke, or could not be opened. */
  | "network"
  /** The certificate or the handshake is wrong. */
  | "tls"
  /** The proxy refused the connection, or does not answer. */
  | "proxy"
  /** The server's name has no address. */
  | "bootstrap"
  /** The reply is not DNS, or answers another question. */
  | "malformed"
  /** An HTTP status other than 200 (DoH). */
  | "http"
  /** From a group: every member is where the question came from (a loop). From a server: one of our limits is reached. */
  | "barred"
  /** The group's `never` forbids the question. It was not sent. */
  | "forbidden"
  /** Too many questions wait already, of this client or in all. The question was not sent. */
  | "crowded"
  /** From a group: a limit of ours, such as `maxQps`, kept the question from a member, and no other member answered. */
  | "limited"
  /** Every member of the group failed, or gave no good answer. */
  | "exhausted"
  /** The upstream is closed. */
  | "closed";

/**
 * Failures that we cause ourselves. They say nothing about the name, and another client, or the next moment, may get an answer: they are not cached.
 */
export const OWN_FAILURES: ReadonlySet<UpstreamFailure> = new Set(["barred", "forbidden", "crowded", "limited", "closed"]);

export class UpstreamError extends Error {
  readonly failure: UpstreamFailure;
  readonly server: string;
  /** The field Retry-After of the response, as the server sent it; null = there was none. */
  readonly retryAfter: string | null;

  constructor(failure: UpstreamFailure, server: string, detail: string, retryAfter: string | null = null) {
    super(`${server}: ${detail}`);
    this.retryAfter = retryAfter;
    this.name = "UpstreamError";
    this.failure = failure;
    this.server = server;
  }
}

/** What a server needs from the program. */
export interface ServerContext {
  readonly clock: Clock;
  /** Looks up host names, of servers and of the proxy. */
  readonly bootstrap: AddressLookup;
  readonly proxy: ProxyOptions | null;
  /** PEM certificates to trust instead of those of the process; null = those of the process (`trustSystemCertificates`). */
  readonly ca: string | null;
  readonly system: SystemContext;
  /** The addresses of this host; absent = those that the system lists. */
  readonly localAddresses?: () => ReadonlySet<string>;
}

/** Looks up the addresses of a host name, without our own listeners and without the resolver of the system. */
export interface AddressLookup {
  /**
   * Returns at least one address, IPv4 first.
   * @throws UpstreamError `bootstrap` when there is none.
   */
  lookUp(host: string): Promise<readonly string[]>;
  /** Tells the lookup that no address of this name works: the host may have moved, so the next lookup may come before the TTL ends. */
  noteUnreachable?(host: string): void;
}

/** What the server `system` needs: the resolvers of the host itself. */
export interface SystemContext {
  /** Path of the file that lists them, usually /etc/resolv.conf. */
  readonly resolvConf: string;
  /** Whether our own listeners have this address. Such a resolver is left out, else a question would come back to us. */
  readonly isOurs: (address: string, port: number) => boolean;
}
