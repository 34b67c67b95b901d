import { STATUS_CODES } from "node:http";
import type { Socket } from "node:net";
import type { FastifyReply } from "fastify";
import { HttpProblem, PROBLEM_TYPE } from "./problem.ts";

/** With every response: nothing is to run, to be framed, to be guessed at, or to be kept. The page of the documentation has a policy of its own. */
export const SECURITY_HEADERS = {
  "content-security-policy": "default-src 'none'; frame-ancestors 'none'",
  "cross-origin-opener-policy": "same-origin",
  "cross-origin-resource-policy": "same-origin",
  "referrer-policy": "no-referrer",
  "x-content-type-options": "nosniff",
  "x-frame-options": "DENY",
  "cache-control": "no-store",
} as const;

export function refuse(reply: FastifyReply, problem: HttpProblem): FastifyReply {
  return reply.code(problem.statusCode).headers(problem.headers).type(PROBLEM_TYPE).send(JSON.stringify(problem.details()));
}

/** Answers what the parser of HTTP could make nothing of, as far as the socket still takes it. */
export function refuseOctets(error: Error & { readonly code?: string }, socket: Socket): void {
  if (error.code === "ECONNRESET" || !socket.writable) return;
  const problem = problemOfParser(error.code);
  const body = JSON.stringify(problem.details());
  const lines = [
    `HTTP/1.1 ${problem.statusCode} ${STATUS_CODES[problem.statusCode]}`,
    `content-type: ${PROBLEM_TYPE}`,
    `content-length: ${Buffer.byteLength(body)}`,
    ...Object.entries(SECURITY_HEADERS).map(([name, value]) => `${name}: ${value}`),
    "connection: close",
  ];
  socket.end(`${lines.join("\r\n")}\r\n\r\n${body}`);
}

function problemOfParser(code: string | undefined): HttpProblem {
  if (code === "HPE_HEADER_OVERFLOW") return new HttpProblem(431, "the headers of the request are too large");
  if (code === "ERR_HTTP_REQUEST_TIMEOUT") return new HttpProblem(408, "the request took too long to come");
  return new HttpProblem(400, "this is no HTTP request");
}
