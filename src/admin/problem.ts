import { STATUS_CODES } from "node:http";
import { unreachable } from "../lib/unreachable.ts";
import { ControlError, ParameterError } from "./control.ts";

/** Problem details as RFC 9457 has them. */
export interface ProblemDetails {
  readonly type: "about:blank";
  /** The phrase of the status. */
  readonly title: string;
  readonly status: number;
  /** What went wrong this time, for people. */
  readonly detail: string;
  /** Each single fault; empty where `detail` says it all. */
  readonly problems: readonly ProblemPart[];
}

export interface ProblemPart {
  /** The parameter, header, or path within the body, that it concerns; null = none. */
  readonly parameter: string | null;
  readonly reason: string;
}

export const PROBLEM_TYPE = "application/problem+json; charset=utf-8";

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
