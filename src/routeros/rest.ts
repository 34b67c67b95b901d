import type { Agent as PlainAgent } from "node:http";
import { Agent, type AgentOptions, request } from "node:https";
import type { Duplex } from "node:stream";
import { buffer } from "node:stream/consumers";
import { type ConnectionOptions, connect } from "node:tls";
import type { Clock } from "../lib/clock.ts";
import { awaitWithin } from "../lib/deadline.ts";
import { http } from "../lib/http.ts";
import { trustSystemCertificates } from "../lib/roots.ts";
import { errorText } from "../lib/text.ts";

/** How the REST API of a router is reached. */
export interface RouterAccess {
  /** `https://192.168.88.1`; plain http gives the password to everybody on the way. */
  readonly url: string;
  readonly user: string;
  readonly password: string;
  /** Certificates in PEM that the router's is checked against; null = those that the process trusts. */
  readonly ca: string | null;
  /** SHA-256 of the router's certificate in hex, lower case, which then needs no authority; null = none is pinned. */
  readonly fingerprint: string | null;
}

/** A call that the router refused, or that did not reach it. */
export class RouterRefusal extends Error {
  /** null = no reply came: a timeout, or no connection. */
  readonly status: number | null;

  constructor(status: number | null, detail: string) {
    super(detail);
    this.name = "RouterRefusal";
    this.status = status;
  }

  /** Whether the router is at fault or away, and not the call: calls are best left for a while. */
  get isOutage(): boolean {
    return this.status === null || this.status === 401 || this.status >= 500;
  }
}

/** Longer than a menu of 30,000 records takes. An abandoned request goes on in the router and holds up the next ones of the same user. */
const TIMEOUT_MS = 10_000;

/** The REST API of RouterOS 7 over one connection, one call after the other: the router serves a user's calls so anyway. */
export class RouterRest {
  readonly #access: RouterAccess;
  readonly #clock: Clock;
  readonly #agent: PlainAgent;
  #localAddress: string | null = null;

  constructor(access: RouterAccess, clock: Clock) {
    const options = { keepAlive: true, maxSockets: 1 };
    this.#access = access;
    this.#clock = clock;
    this.#agent = access.url.startsWith("https:")
      ? new PinnedAgent({ ...options, ...(access.ca === null ? {} : { ca: access.ca }) }, access.fingerprint)
      : new http.Agent(options);
  }

  /** The address from which the router sees us; null = there was no reply yet. */
  get localAddress(): string | null {
    return this.#localAddress;
  }

  /**
   * @param path below /rest, such as `ip/firewall/address-list/add`.
   * @returns the JSON of the reply; null for an empty one.
   * @throws RouterRefusal
   */
  async call(method: "GET" | "POST", path: string, body?: Readonly<Record<string, unknown>>): Promise<unknown> {
    const { url, ca, fingerprint } = this.#access;
    if (url.startsWith("https:") && ca === null && fingerprint === null) await trustSystemCertificates();
    const sending = this.#send(method, path, body === undefined ? null : JSON.stringify(body));
    sending.reply.catch(() => {});
    const reply = await awaitWithin(this.#clock, TIMEOUT_MS, sending.reply);
    if (reply !== null) return reply.value;
    sending.abort();
    throw new RouterRefusal(null, `no reply within ${TIMEOUT_MS / 1000} s`);
  }

  close(): void {
    this.#agent.destroy();
  }

  #send(method: string, path: string, body: string | null) {
    const { url, user, password } = this.#access;
    const send = url.startsWith("https:") ? request : http.request;
    const { promise, resolve, reject } = Promise.withResolvers<{ readonly value: unknown }>();
    const headers = {
      authorization: `Basic ${Buffer.from(`${user}:${password}`).toString("base64")}`,
      ...(body === null ? {} : { "content-type": "application/json", "content-length": Buffer.byteLength(body) }),
    };
    const sent = send(new URL(`/rest/${path}`, url), { method, headers, agent: this.#agent }, (response) => {
      this.#localAddress = response.socket.localAddress ?? null;
      buffer(response)
        .then((bytes) => resolve({ value: readReply(response.statusCode ?? 0, bytes) }))
        .catch(reject);
    });
    sent.on("error", (error: Error & { readonly code?: string }) => {
      // The router closed the idle connection at the moment of the call. What may have been done twice is told by the router.
      if (sent.reusedSocket && error.code === "ECONNRESET") this.#send(method, path, body).reply.then(resolve, reject);
      else reject(new RouterRefusal(null, connectionText(error)));
    });
    sent.end(body ?? "");
    return { reply: promise, abort: () => void sent.destroy() };
  }
}

/** Compares the certificate with the pinned one, where one is, before anything is sent. */
class PinnedAgent extends Agent {
  readonly #fingerprint: string | null;

  constructor(options: AgentOptions, fingerprint: string | null) {
    super(options);
    this.#fingerprint = fingerprint;
  }

  override createConnection(...[options, callback]: Parameters<Agent["createConnection"]>): Duplex | null | undefined {
    if (this.#fingerprint === null) return super.createConnection(options, callback);
    const socket = connect({ ...(options as ConnectionOptions), rejectUnauthorized: false });
    socket.once("error", (error) => callback?.(error, socket));
    socket.once("secureConnect", () => {
      const shown = socket.getPeerX509Certificate()?.fingerprint256.replaceAll(":", "").toLowerCase();
      if (shown === this.#fingerprint) return callback?.(null, socket);
      socket.destroy(new Error(`its certificate has the fingerprint ${shown}, not the pinned one`));
    });
    return undefined;
  }
}

/** @throws RouterRefusal */
function readReply(status: number, bytes: Buffer): unknown {
  const text = bytes.toString("utf8");
  let value: unknown = null;
  try {
    if (text !== "") value = JSON.parse(text);
  } catch {
    // REST is off: the router's web page answers in HTML.
    throw new RouterRefusal(status < 400 ? 500 : status, "the reply is no JSON: the REST API is off, or this is another service");
  }
  if (status < 300) return value;
  throw new RouterRefusal(status, detailOf(value, status));
}

function detailOf(value: unknown, status: number): string {
  if (status === 401)
    return "the router takes neither user nor password (policies read, api and rest-api, and the user's `address`)";
  const told = typeof value === "object" && value !== null && "detail" in value ? value.detail : null;
  return typeof told === "string" ? told : `status ${status}`;
}

function connectionText(error: Error & { readonly code?: string }): string {
  if (error.code === "ERR_SSL_SSL/TLS_ALERT_HANDSHAKE_FAILURE" || /handshake failure/i.test(error.message))
    return "the router's www-ssl has no certificate: set one in /ip/service";
  return errorText(error);
}

/** A field of a record; null where there is none. */
export function textIn(value: unknown, key: string): string | null {
  if (typeof value !== "object" || value === null) return null;
  const field: unknown = Reflect.get(value, key);
  return typeof field === "string" ? field : null;
}
