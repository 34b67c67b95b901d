import { hash, timingSafeEqual } from "node:crypto";
import type { Server } from "node:http";
import type { Socket } from "node:net";
import { networkInterfaces } from "node:os";
import type { FastifyReply, FastifyRequest } from "fastify";
import { canonicalAddress, endpointText, isLoopback, withoutZone } from "../dns/address.ts";
import { TokenBuckets } from "../lib/token-bucket.ts";
import type { Endpoint } from "../listen/options.ts";
import { type AdminLimits, ClientCounts, type Clients } from "./api.ts";
import type { AdminOptions } from "./options.ts";
import { HttpProblem } from "./problem.ts";

export interface Guards {
  readonly clients: Clients;
  readonly rates: ClientRates;
  /** Whether a Host header names this server. */
  readonly isOurs: (host: string) => boolean;
  /** Whether an Authorization header carries the token; null = none is wanted. */
  readonly isAuthorized: ((authorization: string | undefined) => boolean) | null;
  /** Whether a route, by its pattern, is for everybody. */
  readonly isOpen: (route: string | undefined) => boolean;
  readonly limits: AdminLimits;
}

/**
 * Decides whether a request is looked at, from its head alone and before anything of it is read. In this order: rate, target, Host, origin, token,
 * type of the body.
 * @throws HttpProblem where it is not.
 */
export function admit(request: FastifyRequest, guards: Guards): void {
  const { clients, rates, limits, isOpen } = guards;
  const client = clientOf(request, clients);
  const waitSeconds = rates.take(client);
  if (waitSeconds > 0) throw new HttpProblem(429, "too many requests", { headers: { "retry-after": String(waitSeconds) } });
  checkTarget(request.raw.url ?? "", limits);
  const host = hostOf(request);
  if (host !== null && !guards.isOurs(host))
    throw new HttpProblem(421, `${shown(host)} is not a name of this server; names it may be called by stand in admin.hosts`);
  const open = isOpen(request.routeOptions.url) && SAFE_METHODS.has(request.method);
  if (!open) {
    checkOrigin(request, host);
    checkToken(request, client, guards);
  }
  // What is not there is told so first.
  if (!SAFE_METHODS.has(request.method) && !request.is404) checkContent(request);
}

/** What counts as one client, as far as it is known who asks. */
export function clientOf({ socket: { remoteAddress }, headers }: FastifyRequest, clients: Clients): string {
  // A connection that is gone already has none.
  if (remoteAddress === undefined) return "";
  const [forwardedFor, realIp] = [headers["x-forwarded-for"], headers["x-real-ip"]].map((value) => value?.toString());
  return clients.networkOf(remoteAddress, { forwardedFor, realIp });
}

const SAFE_METHODS: ReadonlySet<string> = new Set(["GET", "HEAD", "OPTIONS"]);

function checkTarget(target: string, { urlLength }: AdminLimits): void {
  if (target.length > urlLength) throw new HttpProblem(414, `a URL has at most ${urlLength} characters`);
  // RFC 9112 §3.2.2: the host of an absolute target would outrank the Host header, and no client of ours sends one.
  if (!target.startsWith("/")) throw new HttpProblem(400, "the target of a request begins with a slash");
}

/** null = there is none, as HTTP/1.0 allows; browsers always send one. */
function hostOf({ raw }: FastifyRequest): string | null {
  const [host, ...more] = raw.headersDistinct["host"] ?? [];
  if (host === undefined && raw.httpVersion === "1.0") return null;
  // RFC 9112 §3.2
  if (host === undefined || more.length > 0) throw new HttpProblem(400, "a request has exactly one Host header");
  return host;
}

/** Keeps pages of other origins from asking by way of a browser that may: browsers tell, everybody else says nothing. */
function checkOrigin({ method, headers }: FastifyRequest, host: string | null): void {
  const site = headers["sec-fetch-site"];
  // `none` is somebody who typed the address, which no page can do with an unsafe method.
  const allowed = site === undefined || site === "same-origin" || (site === "none" && SAFE_METHODS.has(method));
  if (!allowed) throw new HttpProblem(403, `Sec-Fetch-Site is ${shown(String(site))}: only pages of this server may ask it`);
  const { origin } = headers;
  if (origin !== undefined && !isSameOrigin(origin, host))
    throw new HttpProblem(403, `Origin is ${shown(origin)}: only pages of this server may ask it`);
}

function isSameOrigin(origin: string, host: string | null): boolean {
  const url = URL.parse(origin);
  // The scheme is not compared: a proxy may speak TLS for us.
  return (
    url !== null && /^https?:$/.test(url.protocol) && host !== null && url.host === URL.parse(`${url.protocol}//${host}`)?.host
  );
}

function checkToken({ headers, raw }: FastifyRequest, client: string, { isAuthorized, rates, limits }: Guards): void {
  const { authorization } = headers;
  if ((raw.headersDistinct["authorization"] ?? []).length > 1)
    throw new HttpProblem(400, "a request has at most one Authorization header");
  if (isAuthorized === null || isAuthorized(authorization)) return;
  const sent = authorization !== undefined;
  if (sent) rates.charge(client, limits.wrongTokenCost);
  // RFC 6750 §3
  const challenge = sent ? 'Bearer realm="fenliu", error="invalid_token"' : 'Bearer realm="fenliu"';
  const detail = sent ? "this is not the token" : "a token is wanted: Authorization: Bearer TOKEN";
  throw new HttpProblem(401, detail, { headers: { "www-authenticate": challenge } });
}

/** A form of another page can be sent without asking us first, but not with this type (Fetch, CORS-safelisted request headers). */
function checkContent({ headers }: FastifyRequest): void {
  if (!/^application\/json *(?:;|$)/i.test(headers["content-type"] ?? ""))
    throw new HttpProblem(415, "Content-Type: application/json is wanted, also where there is no body");
  if (!/^(?:identity)?$/i.test(headers["content-encoding"] ?? ""))
    throw new HttpProblem(415, "a body is wanted as it is, without Content-Encoding");
}

function shown(value: string): string {
  return JSON.stringify(value.length > 100 ? `${value.slice(0, 100)}…` : value);
}

/** Clients remembered at once; the one not seen for longest is forgotten. */
const MAX_CLIENTS = 10_000;

/** How fast each client may ask: so much at once, and then so many a second. */
export class ClientRates {
  readonly #nowMs: () => number;
  readonly #buckets: TokenBuckets;

  constructor(perSecond: number, burst: number, nowMs: () => number) {
    this.#buckets = new TokenBuckets({ perSecond, burst }, MAX_CLIENTS);
    this.#nowMs = nowMs;
  }

  /** Takes one request off what the client has left. @returns after how many seconds it may ask again; 0 = it may now. */
  take(client: string): number {
    const nowMs = this.#nowMs();
    const bucket = this.#buckets.of(client, nowMs);
    return bucket.take(nowMs) ? 0 : Math.ceil(bucket.waitMs(nowMs) / 1000);
  }

  /** Takes more off, which may leave the client in debt of as much as a whole burst. */
  charge(client: string, requests: number): void {
    const nowMs = this.#nowMs();
    this.#buckets.of(client, nowMs).charge(requests, nowMs);
  }
}

interface ConnectionLimits {
  /** Open connections. */
  readonly connections: number;
  /** Open connections of one client; proxies, which many clients share, may have all. */
  readonly connectionsPerClient: number;
}

const NOT_FORWARDED = { forwardedFor: undefined, realIp: undefined };

/** Closes connections at once where there are too many, so that nobody can hold them all. */
export function limitConnections(
  server: Server,
  clients: Clients,
  { connections, connectionsPerClient }: ConnectionLimits,
): void {
  const open = new ClientCounts();
  server.maxConnections = connections;
  server.on("connection", (socket: Socket) => {
    const { remoteAddress } = socket;
    if (remoteAddress === undefined || clients.isProxy(remoteAddress)) return;
    const client = clients.networkOf(remoteAddress, NOT_FORWARDED);
    if (open.of(client) >= connectionsPerClient) {
      socket.destroy();
      return;
    }
    open.add(client);
    socket.once("close", () => open.remove(client));
  });
}

/**
 * Whether a Host header names this server, so that no page can have a browser ask us under a name of its own (DNS rebinding): the address we are
 * bound to, on our port; with a wildcard every address of this host; `localhost` where loopback is among them; and `hosts`, on any port, because a
 * proxy or a forwarded port may stand between.
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

/** A name, or an address with brackets round IPv6, in the one form that browsers give it, and the port if there is one. */
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

/**
 * Limits how many requests of one connection are under way at once: responses wait in memory for those before them, and one before them may be a
 * stream without end.
 */
export class InFlightLimiter {
  readonly #most: number;
  readonly #underWay = new WeakMap<object, number>();

  constructor(most: number) {
    this.#most = most;
  }

  /** @throws HttpProblem where there are too many; the connection ends with it. */
  enter({ socket }: FastifyRequest, { raw: response }: FastifyReply): void {
    const before = this.#underWay.get(socket) ?? 0;
    this.#underWay.set(socket, before + 1);
    response.once("close", () => this.#underWay.set(socket, (this.#underWay.get(socket) ?? 1) - 1));
    if (before >= this.#most)
      throw new HttpProblem(429, `${before} requests of this connection wait for their responses`, {
        headers: { connection: "close" },
      });
  }
}

/**
 * Whether an Authorization header carries the token (RFC 6750 §2.1). Digests are compared, in constant time, so that neither the token nor its
 * length can be found out by measuring.
 */
export function tokenChecker(token: string): (authorization: string | undefined) => boolean {
  const wanted = digest(token);
  return (authorization) => {
    const [, given] = /^bearer +(\S+) *$/i.exec(authorization ?? "") ?? [];
    return given !== undefined && timingSafeEqual(digest(given), wanted);
  };
}

function digest(text: string): Buffer {
  return hash("sha256", text, "buffer");
}

/** What keeps the API from being opened there, one sentence each; asked before the start and by `check`. */
export function adminProblems(endpoint: Endpoint | null, { token }: AdminOptions): readonly string[] {
  if (endpoint === null || token !== null || isLoopback(endpoint.address)) return [];
  const { address, port } = endpoint;
  return [
    `listen.admin ${endpointText(address, port)} can be reached from elsewhere, and there is no admin.token: set one (openssl rand -hex 16), or listen on 127.0.0.1:${port}`,
  ];
}
