import type { Socket } from "node:net";
import type { AddressUpdate, AddressUpdateReply } from "../ddns/options.ts";
import type { AddressSet } from "../dns/address.ts";
import type { Client } from "../lib/client.ts";
import type { Clock } from "../lib/clock.ts";
import type { ConnectionTable } from "./connection-table.ts";
import type { Inheritance } from "./inheritance.ts";
import type { ListenLimits } from "./limits.ts";
import type { Turns } from "./turns.ts";

/**
 * Answers the messages that the listeners read. A handler never throws or rejects, answers every message within its own deadline, and keeps
 * UDP replies within the client's size. Listeners call it any number of times concurrently.
 */
export interface Handler {
  /**
   * The handler owns `message`. A reply that needs no waiting is returned synchronously.
   * null = send nothing on UDP, TCP and TLS; status 400 on HTTP.
   * @param arrivedMs when the message came, on the scale of `Clock.now`: its deadline counts from there. Absent = now.
   */
  answer(message: Uint8Array, client: Client, arrivedMs?: number): HandlerReply | null | Promise<HandlerReply | null>;
  /** The reply to a message that finds no room: a failure, by which a forwarder asks elsewhere. Costs little. null as for `answer`. */
  shed(message: Uint8Array, client: Client): HandlerReply | null;
  /** Whether connections from this address are accepted. false = no client there may ask or report anything, whatever it says on the connection. */
  mayConnect(address: string): boolean;
  /** Answers `?name=&type=` over HTTP with JSON, or with a short explanation for status 400. */
  answerJson(parameters: URLSearchParams, client: Client): Promise<JsonReply>;
  /** Takes an address that a host reports; null = nobody may report here. Absent = nobody ever may. */
  readonly update?: (update: AddressUpdate) => Promise<AddressUpdateReply | null>;
}

/** A finished reply. Nobody changes `wire` after it was handed over. */
export interface HandlerReply {
  readonly wire: Uint8Array;
  /** The lowest TTL, for Cache-Control of DoH; null = no-store. */
  readonly maxAgeSeconds: number | null;
}

export type JsonReply =
  | { readonly kind: "ok"; readonly body: string; readonly maxAgeSeconds: number | null }
  | { readonly kind: "bad"; readonly text: string };

/** The address of the other end of a connection, in the form of `Client.address`. Port 0 = unknown. */
export interface Peer {
  readonly address: string;
  readonly port: number;
}

/** One accepted connection, served by a protocol. */
export interface Connection {
  /** Closes the connection after the pending answers, and tells the client, where the protocol can, to ask no more. May be called again. */
  finish(): void;
  /** Since when the client wants nothing, on the scale of `Clock.now`; null = answers are pending. */
  readonly idleSinceMs: number | null;
  /** Bytes that are held: answers that wait for the client, and what was read and waits for its turn. */
  readonly heldBytes: number;
}

/**
 * Serves an accepted connection. `socket` has an error handler. `peer` is the client, as the PROXY header names it where there is one.
 * `clientId` is the client id in the server name of TLS, null without one.
 * null = the connection was given up; the caller destroys the socket.
 */
export type ServeConnection = (socket: Socket, peer: Peer, clientId: string | null) => Promise<Connection | null>;

/** The head of an HTTP request of any version, as far as DoH needs it. */
export interface RequestHead {
  readonly method: string;
  /** The path with its query, or a whole URL as clients send it to proxies. Empty for CONNECT on HTTP/2. */
  readonly target: string;
  readonly contentType: string | undefined;
  readonly contentEncoding: string | undefined;
  /** X-Forwarded-For, several lines joined by commas. */
  readonly forwardedFor: string | undefined;
  /** X-Real-IP. */
  readonly realIp: string | undefined;
  /** Absent where it is not read: DNS needs none. */
  readonly authorization?: string | undefined;
}

/** A response of any HTTP version. Content-Length is the length of the body. */
export interface HttpResponse {
  readonly status: number;
  readonly contentType: string;
  /** null = the header is left out. */
  readonly cacheControl: string | null;
  /** null = the header is left out. */
  readonly allow: string | null;
  /** WWW-Authenticate; absent = the header is left out. */
  readonly challenge?: string;
  readonly body: Uint8Array;
  /** The rest of the request's body was not read. */
  readonly unread: boolean;
}

/** What all listeners of one configuration share. */
export interface ListenServices {
  readonly handler: Handler;
  readonly clock: Clock;
  readonly limits: ListenLimits;
  readonly counters: ListenCounters;
  readonly connections: ConnectionTable;
  readonly turns: Turns;
  /** null = every socket is opened here. */
  readonly inherited: Inheritance | null;
  /** Peers whose PROXY header is read. */
  readonly proxyPeers: AddressSet;
  /** Peers whose X-Forwarded-For is trusted. */
  readonly trustedProxies: AddressSet;
  readonly report: (event: ListenEvent) => void;
}

/** Memory that the thread of UDP shares with others (`replies/`, `log/`). */
export interface UdpMemory {
  /** Replies that may be repeated. */
  readonly replies: SharedArrayBuffer;
  /** The ring of the query log that the thread writes to. */
  readonly log: SharedArrayBuffer;
  /** Called in the main thread when there may be something in that ring. */
  readonly called: () => void;
}

/** A problem that the listeners handled themselves, for the operator's log. */
export type ListenEvent =
  | { readonly kind: "certificateReloaded" }
  | { readonly kind: "certificateRefused"; readonly reason: string }
  | { readonly kind: "certificateDoubtful"; readonly reason: string }
  /** UDP is answered by the main thread, a query at a time. */
  | { readonly kind: "udpUnbatched"; readonly reason: string }
  | { readonly kind: "localAddressSkipped"; readonly address: string; readonly reason: string }
  | { readonly kind: "socketError"; readonly where: string; readonly reason: string };

/** Counts since the listeners were opened. `udpInFlight` and `connections` are current numbers. */
export interface ListenCounters {
  /** UDP queries that wait for their answer. */
  udpInFlight: number;
  /** UDP replies that could not be sent, and queries that found no room on their way to the main thread. */
  udpUnsent: number;
  /** UDP queries that found no room to wait for their turn, and got SERVFAIL at once. */
  udpShed: number;
  connections: number;
  /** Connections closed at once: there were too many, or the client may not ask. */
  connectionsRefused: number;
  /** Connections closed to make room for others: idle ones, and those whose clients leave most answers unread. */
  connectionsEvicted: number;
}
