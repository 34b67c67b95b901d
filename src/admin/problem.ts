import { STATUS_CODES } from "node:http";
import type { Socket } from "node:net";
import type { FastifyReply } from "fastify";
import { Type } from "typebox";
import { unreachable } from "../lib/unreachable.ts";
import { ControlError, ParameterError } from "./control.ts";
import { closedObject, namedObject, nullable, type ValueOf } from "./schemas/named.ts";

export const problemSchema = namedObject("Problem", "Problem details (RFC 9457).", {
  type: Type.Literal("about:blank"),
  title: Type.String({ description: "The phrase of the status." }),
  status: Type.Integer({ minimum: 400, maximum: 599 }),
  detail: Type.String({ description: "What went wrong, for people.", examples: ["limit: must be <= 1000"] }),
  problems: Type.Array(
    closedObject({
      parameter: nullable(Type.String({ description: "The parameter, header, or path within the body, that it concerns." })),
      reason: Type.String(),
    }),
    { description: "Each single fault; empty where `detail` says it all." },
  ),
});

type ProblemDetails = ValueOf<typeof problemSchema>;

export type ProblemPart = ProblemDetails["problems"][number];

const PROBLEM_TYPE = "application/problem+json; charset=utf-8";

/** Ends a request with problem details. */
export class HttpProblem extends Error {
  /** fastify takes the status of an error from here. */
  readonly statusCode: number;
  readonly problems: readonly ProblemPart[];
  readonly headers: Readonly<Record<string, string>>;

  constructor(
    status: number,
    detail: string,
    { problems = [], headers = {} }: Partial<Pick<HttpProblem, "problems" | "headers">> = {},
  ) {
    super(detail);
    this.name = "HttpProblem";
    this.statusCode = status;
    this.problems = problems;
    this.headers = headers;
  }

  details(): ProblemDetails {
    const { statusCode: status, message: detail, problems } = this;
    return { type: "about:blank", title: STATUS_CODES[status] ?? "", status, detail, problems };
  }
}

/** What a client is told of an error; null for a fault of ours, of which it learns nothing. */
export function problemOf(error: unknown): HttpProblem | null {
  if (error instanceof HttpProblem) return error;
  if (error instanceof ParameterError) return invalid(error.faults);
  if (error instanceof ControlError) return new HttpProblem(statusOf(error.kind), detailOf(error), { problems: partsOf(error) });
  if (!(error instanceof Error)) return null;
  if ("code" in error && error.code === "FST_ERR_HANDLER_TIMEOUT") return new HttpProblem(504, "this took too long");
  // What fastify and its parsers refuse of a request bears the status of a client's error.
  if (!("statusCode" in error) || typeof error.statusCode !== "number" || error.statusCode < 400 || error.statusCode > 499)
    return null;
  return new HttpProblem(error.statusCode, error.message);
}

/** The faults of a request, as one refusal. */
export function invalid(problems: readonly ProblemPart[]): HttpProblem {
  const texts = problems.map(({ parameter, reason }) => (parameter === null ? reason : `${parameter}: ${reason}`));
  return new HttpProblem(400, texts.join("; "), { problems });
}

function statusOf(kind: ControlError["kind"]): number {
  switch (kind) {
    case "invalid":
      return 400;
    case "missing":
      return 404;
    case "refused":
      return 409;
    case "failed":
      return 502;
    case "unavailable":
      return 503;
    case "slow":
      return 504;
    default:
      return unreachable(kind);
  }
}

function detailOf({ problems }: ControlError): string {
  return problems.length > 1 ? `${problems.length} problems` : (problems[0] ?? "");
}

function partsOf({ problems }: ControlError): readonly ProblemPart[] {
  return problems.length > 1 ? problems.map((reason) => ({ parameter: null, reason })) : [];
}

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
export function refuseBytes(error: Error & { readonly code?: string }, socket: Socket): void {
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
