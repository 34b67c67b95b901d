import { hash, timingSafeEqual } from "node:crypto";
import type { IncomingHttpHeaders } from "node:http";
import { networkInterfaces } from "node:os";
import type { FastifyRequest } from "fastify";
import { canonicalAddress, isLoopback, withoutZone } from "../dns/address.ts";
import { TokenBuckets } from "../lib/token-bucket.ts";
import type { Endpoint } from "../listen/options.ts";
import { HttpProblem } from "./problem.ts";
import { hasSession } from "./session.ts";
import type { AdminLimits, Clients } from "./types.ts";

export interface Guards {
  readonly clients: Clients;
  readonly rates: ClientRates;
  /** Whether a Host header names this server. */
  readonly isOwnHost: (host: string) => boolean;
  /** Whether the headers carry the token, or a session of the token; null = the API needs no token. */
  readonly isAuthorized: ((headers: IncomingHttpHeaders) => boolean) | null;
  /** Whether a route, given by its pattern, needs no token for a method that changes nothing. */
  readonly isOpen: (route: string | undefined) => boolean;
  /** @returns the value of the cookie; null = this is not the token, which costs the client some of its rate. */
  readonly signIn: (request: FastifyRequest, token: string) => string | null;
  /** Whether a route needs no token for any method. */
  readonly isForSigningIn: (route: string | undefined) => boolean;
  readonly limits: AdminLimits;
}

/**
 * Admits a request by its head, before the server reads the body. The checks run in this order: rate, target, Host, origin, token, content type.
 * @throws HttpProblem if one of them fails.
 */
export function admit(request: FastifyRequest, guards: Guards): void {
  const { clients, rates, limits, isOpen } = guards;
  const client = clientOf(request, clients);
  const waitSeconds = Math.max(rates.take(client.network), client.proxy === null ? 0 : rates.takeOfProxy(client.proxy));
  if (waitSeconds > 0) throw new HttpProblem(429, "too many requests", { headers: { "retry-after": String(waitSeconds) } });
  checkTarget(request.raw.url ?? "", limits);
  const host = hostOf(request);
  if (host !== null && !guards.isOwnHost(host))
    throw new HttpProblem(421, `${quote(host)} is not a name of this server; names it may be called by stand in admin.hosts`);
  const isSafe = SAFE_METHODS.has(request.method);
  const { url: route } = request.routeOptions;
  if (!isSafe || !isOpen(route)) {
    checkOrigin(request, host);
    if (!guards.isForSigningIn(route)) checkToken(request, client, guards);
  }
  // A path that does not exist gets its 404 first.
  if (!isSafe && !request.is404) checkContent(request);
}

/** The client that sent the request. */
interface RequestClient {
  readonly network: string;
  /** The network of the trusted proxy that names the client; null = the client stands for itself. */
  readonly proxy: string | null;
}

function clientOf({ socket: { remoteAddress }, headers }: FastifyRequest, clients: Clients): RequestClient {
  // A connection that is closed already has no address.
  if (remoteAddress === undefined) return { network: "", proxy: null };
  const [forwardedFor, realIp] = [headers["x-forwarded-for"], headers["x-real-ip"]].map((value) => value?.toString());
  const network = clients.networkOf(remoteAddress, { forwardedFor, realIp });
  const peer = clients.networkOf(remoteAddress, { forwardedFor: undefined, realIp: undefined });
  return { network, proxy: network === peer ? null : peer };
}

const SAFE_METHODS: ReadonlySet<string> = new Set(["GET", "HEAD", "OPTIONS"]);

function checkTarget(target: string, { urlLength }: AdminLimits): void {
  if (target.length > urlLength) throw new HttpProblem(414, `a URL has at most ${urlLength} characters`);
  // RFC 9112 §3.2.2: the host of an absolute target would override the Host header. None of our clients sends such a target.
  if (!target.startsWith("/")) throw new HttpProblem(400, "the target of a request begins with a slash");
}

/** null = HTTP/1.0 without a Host header; a browser always sends one. */
function hostOf({ raw }: FastifyRequest): string | null {
  const [host, ...more] = raw.headersDistinct["host"] ?? [];
  if (host === undefined && raw.httpVersion === "1.0") return null;
  // RFC 9112 §3.2
  if (host === undefined || more.length > 0) throw new HttpProblem(400, "a request has exactly one Host header");
  return host;
}

/** Refuses what a browser sends for a page of another origin. Browsers name the origin in these headers; other clients send neither. */
function checkOrigin({ method, headers }: FastifyRequest, host: string | null): void {
  const site = headers["sec-fetch-site"];
  // `none` means that the user typed the address; no page can send an unsafe method that way.
  const allowed = site === undefined || site === "same-origin" || (site === "none" && SAFE_METHODS.has(method));
  if (!allowed) throw new HttpProblem(403, `Sec-Fetch-Site is ${quote(String(site))}: only pages of this server may ask it`);
  const { origin } = headers;
  if (origin !== undefined && !isSameOrigin(origin, host))
    throw new HttpProblem(403, `Origin is ${quote(origin)}: only pages of this server may ask it`);
}

function isSameOrigin(origin: string, host: string | null): boolean {
  const url = URL.parse(origin);
  // A proxy may speak TLS for us, so the scheme does not matter.
  return (
    url !== null && /^https?:$/.test(url.protocol) && host !== null && url.host === URL.parse(`${url.protocol}//${host}`)?.host
  );
}

function checkToken(
  { method, headers, raw }: FastifyRequest,
  client: RequestClient,
  { isAuthorized, rates, limits }: Guards,
): void {
  const { authorization } = headers;
  if ((raw.headersDistinct["authorization"] ?? []).length > 1)
    throw new HttpProblem(400, "a request has at most one Authorization header");
  if (isAuthorized === null) return;
  if (isAuthorized(headers)) {
    // A browser adds the cookie by itself, also for a page on another port of this host, whose requests are same-site. `checkOrigin` has compared what is there.
    if (authorization === undefined && headers.origin === undefined && !SAFE_METHODS.has(method))
      throw new HttpProblem(403, "with a cookie, an Origin is wanted that names this server");
    return;
  }
  const isSent = authorization !== undefined;
  if (isSent) chargeWrongToken(client, { rates, limits });
  // RFC 6750 §3
  const isEnded = !isSent && headers.cookie !== undefined;
  const challenge = isSent ? 'Bearer realm="fenliu", error="invalid_token"' : 'Bearer realm="fenliu"';
  const detail = isSent
    ? "this is not the token"
    : isEnded
      ? "there is no session, or it has ended: sign in, or send Authorization: Bearer TOKEN"
      : "a token is wanted: Authorization: Bearer TOKEN";
  throw new HttpProblem(401, detail, { headers: { "www-authenticate": challenge } });
}

function chargeWrongToken({ network, proxy }: RequestClient, { rates, limits }: Pick<Guards, "rates" | "limits">): void {
  rates.charge(network, limits.wrongTokenCost);
  if (proxy !== null) rates.chargeProxy(proxy, limits.wrongTokenCost);
}

/** Takes the cost of a wrong token in the body of a request. */
export function chargeSignIn(request: FastifyRequest, guards: Pick<Guards, "clients" | "rates" | "limits">): void {
  chargeWrongToken(clientOf(request, guards.clients), guards);
}

/** A browser sends the form of another page without a preflight, but never with this type (Fetch, CORS-safelisted request headers). */
function checkContent({ headers }: FastifyRequest): void {
  if (!/^application\/json *(?:;|$)/i.test(headers["content-type"] ?? ""))
    throw new HttpProblem(415, "Content-Type: application/json is wanted, also where there is no body");
  if (!/^(?:identity)?$/i.test(headers["content-encoding"] ?? ""))
    throw new HttpProblem(415, "a body is wanted as it is, without Content-Encoding");
}

function quote(value: string): string {
  return JSON.stringify(value.length > 100 ? `${value.slice(0, 100)}…` : value);
}

/** Clients that the limiter remembers; it forgets the client that has been silent longest. */
const MAX_CLIENTS = 10_000;

/** How many times the rate of one client all clients behind one trusted proxy have together. */
const CLIENTS_OF_PROXY = 10;

/**
 * Limits how fast each client may send requests: a burst, and then so many a second. All clients behind a proxy together have ten times as much: loopback is
 * a trusted proxy by default, and a local process could name another client in each request.
 */
export class ClientRates {
  readonly #nowMs: () => number;
  readonly #buckets: TokenBuckets;
  readonly #proxies: TokenBuckets;

  constructor({ requestsPerSecond, requestBurst }: AdminLimits, nowMs: () => number) {
    this.#buckets = new TokenBuckets({ perSecond: requestsPerSecond, burst: requestBurst }, MAX_CLIENTS);
    const ofProxy = { perSecond: CLIENTS_OF_PROXY * requestsPerSecond, burst: CLIENTS_OF_PROXY * requestBurst };
    this.#proxies = new TokenBuckets(ofProxy, MAX_CLIENTS);
    this.#nowMs = nowMs;
  }

  /** Takes one request. @returns the seconds after which the client may send a request again; 0 = it may send this one. */
  take(client: string): number {
    return this.#take(this.#buckets, client);
  }

  /** As `take`, for all clients behind a proxy. */
  takeOfProxy(proxy: string): number {
    return this.#take(this.#proxies, proxy);
  }

  /** Takes the cost of several requests; the client may end up with a debt of one burst. */
  charge(client: string, requests: number): void {
    const nowMs = this.#nowMs();
    this.#buckets.of(client, nowMs).charge(requests, nowMs);
  }

  /** As `charge`, for all clients behind a proxy. */
  chargeProxy(proxy: string, requests: number): void {
    const nowMs = this.#nowMs();
    this.#proxies.of(proxy, nowMs).charge(requests, nowMs);
  }

  #take(buckets: TokenBuckets, key: string): number {
    const nowMs = this.#nowMs();
    const bucket = buckets.of(key, nowMs);
    return bucket.take(nowMs) ? 0 : Math.ceil(bucket.waitMs(nowMs) / 1000);
  }
}

/**
 * Returns a check of Host headers against DNS rebinding, where a page lets a browser call us by a name of the attacker. The check accepts:
 * - the bound address with our port; if that is a wildcard, every address of this machine;
 * - `localhost` with our port, if loopback is among these addresses;
 * - each of `hosts` with any port, because a proxy or a forwarded port may stand before us.
 */
export function hostAllowlist(
  bound: Endpoint,
  hosts: readonly string[],
  localAddresses = addressesOfInterfaces,
): (host: string) => boolean {
  const named = new Set(hosts.map((host) => canonicalHost(host.includes(":") ? `[${host}]` : host)?.name));
  const address = canonicalAddress(withoutZone(bound.address));
  return (host) => {
    const asked = canonicalHost(host);
    if (asked === null) return false;
    if (named.has(asked.name)) return true;
    if ((asked.port ?? 80) !== bound.port) return false;
    const literal = canonicalAddress(asked.name.replace(/^\[|\]$/g, ""));
    if (literal === null) return asked.name === "localhost" && (address === null || isWildcard(address) || isLoopback(address));
    if (address === null || literal === address) return true;
    if (isLoopback(address)) return isLoopback(literal);
    return (
      isWildcard(address) &&
      (isLoopback(literal) || localAddresses().some((local) => canonicalAddress(withoutZone(local)) === literal))
    );
  };
}

/** The name (or the address, with brackets around IPv6) in the form that browsers use, and the port. null = the text is no host. */
function canonicalHost(host: string): { readonly name: string; readonly port: number | null } | null {
  if (!/^[^\s/@?#\\]+$/.test(host)) return null;
  const url = URL.parse(`http://${host}`);
  if (url === null) return null;
  return { name: url.hostname.replace(/\.$/, ""), port: url.port === "" ? null : Number(url.port) };
}

function isWildcard(canonical: string): boolean {
  return canonical === "0.0.0.0" || canonical === "::";
}

function addressesOfInterfaces(): readonly string[] {
  return Object.values(networkInterfaces()).flatMap((infos) => (infos ?? []).map(({ address }) => address));
}

/** Returns a check of headers for the token (RFC 6750 §2.1), or where there is no Authorization for a session of the token. */
export function tokenChecker(token: string, wallMs: () => number): (headers: IncomingHttpHeaders) => boolean {
  return ({ authorization, cookie }) => {
    if (authorization === undefined) return hasSession(cookie, token, wallMs());
    const [, sent] = /^bearer +(\S+) *$/i.exec(authorization) ?? [];
    return sent !== undefined && isToken(sent, token);
  };
}

/** Compares digests in constant time, so that measuring it reveals neither the token nor its length. */
export function isToken(sent: string, token: string): boolean {
  return timingSafeEqual(digest(sent), digest(token));
}

function digest(text: string): Buffer {
  return hash("sha256", text, "buffer");
}
