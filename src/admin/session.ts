import { createHmac, randomBytes, timingSafeEqual } from "node:crypto";
import type { FastifyRequest } from "fastify";
import { Type } from "typebox";
import type { Guards } from "./guards.ts";
import { jsonContent, operation } from "./openapi.ts";
import { HttpProblem } from "./problem.ts";
import { closedObject } from "./schemas/named.ts";
import type { Api } from "./types.ts";
import { SERVER_ZONE } from "./zone.ts";

/**
 * Sessions of the page: a cookie in place of the token. Nothing is stored. The value is `EXPIRY.NONCE.HMAC`, its key derived from the token, so a session
 * survives a restart and ends when the token changes. It never holds the token: a browser sends cookies to every port of a host.
 */
const COOKIE = "fenliu";

const SESSION_DAYS = 30;

/** @returns the value of the cookie. */
export function newSession(token: string, nowWallMs: number): string {
  const expiry = Math.floor(nowWallMs / 1000) + SESSION_DAYS * 86_400;
  const head = `${expiry}.${randomBytes(12).toString("base64url")}`;
  return `${head}.${seal(token, head)}`;
}

/** Whether the Cookie header (RFC 6265 §4.2) has a session of this token that has not ended. */
export function hasSession(cookies: string | undefined, token: string, nowWallMs: number): boolean {
  return sessionsIn(cookies).some((value) => {
    const [, head = "", expiry = "", sent = ""] = /^((\d{1,12})\.[\w-]{16})\.([\w-]{43})$/.exec(value) ?? [];
    return Number(expiry) * 1000 > nowWallMs && timingSafeEqual(Buffer.from(sent), Buffer.from(seal(token, head)));
  });
}

/** Who sent an admitted request, as far as that can be told: the same text for all requests of a session, or by a token. */
export function callerOf({ headers }: Pick<FastifyRequest, "headers">): string {
  return headers.authorization ?? sessionsIn(headers.cookie).join(" ");
}

function sessionsIn(cookies = ""): readonly string[] {
  return cookies.split(/; */).flatMap((pair) => (pair.startsWith(`${COOKIE}=`) ? [pair.slice(COOKIE.length + 1)] : []));
}

function seal(token: string, head: string): string {
  const key = createHmac("sha256", token).update("fenliu session").digest();
  return createHmac("sha256", key).update(head).digest("base64url");
}

const sessionState = closedObject({
  tokenNeeded: Type.Boolean({ description: "Whether the API wants a token, or a session." }),
  signedIn: Type.Boolean({ description: "Whether this request may call the rest of the API." }),
  zone: Type.String({ description: "The time zone of the server.", examples: ["Asia/Shanghai"] }),
});

const getSession = operation({
  operationId: "getSession",
  summary: "Whether a token is needed, and whether this browser is signed in",
  tags: ["session"],
  response: { 200: jsonContent("Both.", sessionState) },
  open: true,
});

const signIn = operation({
  operationId: "signIn",
  summary: "Take the token for a cookie",
  description: `For the page. The cookie \`${COOKIE}\` is HttpOnly, SameSite=Strict, holds for ${SESSION_DAYS} days, and ends when the token changes. \
POST, PUT and DELETE that come with the cookie alone want an \`Origin\` whose host is the Host header.`,
  tags: ["session"],
  body: closedObject({ token: Type.String({ maxLength: 1000, description: "`admin.token` of the configuration." }) }),
  response: { 200: jsonContent("It is signed in.", sessionState) },
  problems: [401, 403],
  open: true,
});

const signOut = operation({
  operationId: "signOut",
  summary: "Forget the cookie",
  tags: ["session"],
  response: { 200: jsonContent("It is signed out.", sessionState) },
  problems: [403, 415],
  open: true,
});

type SessionGuards = Pick<Guards, "isAuthorized" | "signIn">;

export function sessionRoutes(api: Api, guards: SessionGuards): void {
  const stateOf = (request: FastifyRequest) => ({
    tokenNeeded: guards.isAuthorized !== null,
    signedIn: guards.isAuthorized?.(request.headers) ?? true,
    zone: SERVER_ZONE,
  });

  api.get(SESSION_PATH, { schema: getSession }, async (request) => stateOf(request));

  api.post(SESSION_PATH, { schema: signIn }, async (request, reply) => {
    if (guards.isAuthorized === null) return stateOf(request);
    const value = guards.signIn(request, request.body.token);
    if (value === null) throw new HttpProblem(401, "this is not the token");
    return reply
      .header("set-cookie", cookie(request, value, SESSION_DAYS * 86_400))
      .send({ tokenNeeded: true, signedIn: true, zone: SERVER_ZONE });
  });

  api.delete(SESSION_PATH, { schema: signOut }, async (request, reply) => {
    const { tokenNeeded } = stateOf(request);
    return reply.header("set-cookie", cookie(request, "", 0)).send({ tokenNeeded, signedIn: !tokenNeeded, zone: SERVER_ZONE });
  });
}

export const SESSION_PATH = "/session";

/** A page that came over TLS, through a proxy, says so in its Origin; its cookie never goes over plain HTTP. */
function cookie({ headers }: FastifyRequest, value: string, maxAgeSeconds: number): string {
  const isSecure = headers.origin?.startsWith("https:") === true;
  return `${COOKIE}=${value}; Path=/; Max-Age=${maxAgeSeconds}; HttpOnly; SameSite=Strict${isSecure ? "; Secure" : ""}`;
}
