import type { Answer } from "../dns/answer.ts";
import type { Question } from "../dns/query.ts";
import type { Clock } from "../lib/clock.ts";
import type { AddressLookup } from "./dial.ts";
import type { ProxyOptions } from "./options.ts";

/**
 * Something that can be asked: one server over one transport, or a group of them. Safe to use for many questions at once;
 * after `close` every exchange fails with `closed`.
 */
export interface Upstream {
  /** The group's name, or the server as the user wrote it. */
  readonly label: string;
  /** Whether every way to it is encrypted: only then may AD be believed (RFC 6840 §5.8, RFC 4035 §4.9.3). */
  readonly encrypted: boolean;
  /**
   * Asks once and gives the first answer whose id, question and source match, whatever its rcode; a group gives the first good one.
   * A server never retries on its own account beyond what its transport needs (TCP after truncation, a lost connection).
   * `errand.attempts` gains an entry for each server asked, also where this fails; `question` is only read.
   * @throws UpstreamError when nothing usable came, or `errand.signal` aborted first.
   */
  exchange(question: Question, errand: ExchangeOptions): Promise<Answer>;
  /** The IP literals it is asked at, as far as they are known by now, in any spelling; a group has none of its own. */
  addresses?(): readonly string[];
  /** Ends what is under way and frees the sockets. May be called again. */
  close(): Promise<void>;
}

/** What goes along with a question and is not part of it. */
export interface ExchangeOptions {
  /** Ends the exchange; whoever made it has a deadline. */
  readonly signal: AbortSignal;
  /** Filled as servers are asked: the trace of the query. */
  readonly attempts: Attempt[];
  /**
   * Told by a group as it begins how to see the servers asked so far, before `attempts` has them: one that is still awaited has no rcode, and no failure
   * unless it has been silent for long.
   */
  readonly onBegun?: (attemptsSoFar: () => readonly Attempt[]) => void;
  /** Address of the client that asked, so that a question never goes back where it came from; null = nobody in particular. */
  readonly origin: string | null;
  /** The id by which that client asked, in the path of its URL. */
  readonly clientId?: string | null;
  /** Whether an empty answer without SOA is put to another member before it is believed: such answers are often a server's trouble, not the name's. */
  readonly doubtsEmpty?: boolean;
  /** Whether an answer is useless whatever its rcode, a forged one above all: a group then asks another member, and gives it only for want of a better. */
  readonly refuses?: (answer: Answer) => boolean;
  /** Whether a first answer over plain UDP that lacks the OPT it should have is held back for a while: forgers are quick, and know no EDNS. */
  readonly outwaitsForgeries?: boolean;
}

/** One try at one server, as traces and the log show it. */
export interface Attempt {
  readonly group: string | null;
  readonly server: string;
  readonly transport: "udp" | "tcp" | "tls" | "https";
  /** From sending to the answer or the failure. */
  readonly elapsedMs: number;
  /** null where no answer came. */
  readonly rcode: number | null;
  readonly failure: UpstreamFailure | null;
}

export type UpstreamFailure =
  /** No answer within the time given. */
  | "timeout"
  /** The caller gave up, usually because another server was quicker. */
  | "aborted"
  /** Nobody listens there. */
  | "refused"
  /** The connection broke, or could not be made. */
  | "network"
  /** The certificate or the handshake is wrong. */
  | "tls"
  /** The proxy said no, or is not there. */
  | "proxy"
  /** The server's own name could not be looked up. */
  | "bootstrap"
  /** What came is not DNS, or answers another question. */
  | "malformed"
  /** A status other than 200 (DoH). */
  | "http"
  /** The question may not go there. From a group: to none of its members, because it came from them (a loop). From a server also: a limit forbids it. */
  | "barred"
  /** The group's `never` forbids it: the question did not go anywhere. */
  | "forbidden"
  /** Every member of the group failed, or gave no good answer. */
  | "exhausted"
  /** The upstream has been closed. */
  | "closed";

export class UpstreamError extends Error {
  readonly failure: UpstreamFailure;
  readonly server: string;

  constructor(failure: UpstreamFailure, server: string, detail: string) {
    super(`${server}: ${detail}`);
    this.name = "UpstreamError";
    this.failure = failure;
    this.server = server;
  }
}

/** What a server needs from around it. */
export interface ServerContext {
  readonly clock: Clock;
  /** Finds addresses of host names, of servers and of the proxy. */
  readonly bootstrap: AddressLookup;
  readonly proxy: ProxyOptions | null;
  /** Certificates in PEM to trust instead of those the process trusts; null = those (`trustSystemCertificates`). */
  readonly ca: string | null;
  readonly system: SystemContext;
}

/** For the server `system`: the resolvers of the host itself. */
export interface SystemContext {
  /** Path of the file that names them, /etc/resolv.conf where one exists. */
  readonly resolvConf: string;
  /** Whether we listen there ourselves: such a resolver is left out, else a question would come back. */
  readonly isOurs: (address: string, port: number) => boolean;
}
