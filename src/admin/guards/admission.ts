import type { FastifyRequest } from "fastify";
import type { Clients } from "../clients.ts";
import type { AdminLimits } from "../limits.ts";
import { HttpProblem } from "../problem.ts";
import type { ClientRates } from "./client-rates.ts";

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
