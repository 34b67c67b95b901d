import type { Socket } from "node:net";
import type { FastifyReply, FastifySchemaCompiler } from "fastify";
import { type TSchema, Type } from "typebox";
import { Compile, type Validator } from "typebox/compile";
import { http } from "../lib/http.ts";
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
  /** fastify reads the status of an error from this member. */
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
    return { type: "about:blank", title: http.STATUS_CODES[status] ?? "", status, detail, problems };
  }
}

/** What the client learns about an error; null for a bug, about which it learns nothing. */
export function problemOf(error: unknown): HttpProblem | null {
  if (error instanceof HttpProblem) return error;
  if (error instanceof ParameterError) return invalid(error.faults);
  if (error instanceof ControlError) return problemOfControl(error);
  if (!(error instanceof Error)) return null;
  if ("code" in error && error.code === "FST_ERR_HANDLER_TIMEOUT") return new HttpProblem(504, "this took too long");
  // fastify and its parsers give their refusals a status from 400 to 499.
  if (!("statusCode" in error) || typeof error.statusCode !== "number" || error.statusCode < 400 || error.statusCode > 499)
    return null;
  return new HttpProblem(error.statusCode, error.message);
}

/** One refusal for all faults of a request. */
export function invalid(problems: readonly ProblemPart[]): HttpProblem {
  const texts = problems.map(({ parameter, reason }) => (parameter === null ? reason : `${parameter}: ${reason}`));
  return new HttpProblem(400, texts.join("; "), { problems });
}

function problemOfControl({ kind, problems }: ControlError): HttpProblem {
  if (problems.length < 2) return new HttpProblem(statusOf(kind), problems[0] ?? "");
  const parts = problems.map((reason) => ({ parameter: null, reason }));
  return new HttpProblem(statusOf(kind), `${problems.length} problems`, { problems: parts });
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

/** Headers of every response: a browser must not run, frame, guess at or keep it. The documentation page has its own policy. */
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

/** Answers bytes that the HTTP parser rejects, if the socket still accepts an answer. */
export function refuseBytes(error: Error & { readonly code?: string }, socket: Socket): void {
  if (error.code === "ECONNRESET" || !socket.writable) return;
  const problem = problemOfParser(error.code);
  const body = JSON.stringify(problem.details());
  const lines = [
    `HTTP/1.1 ${problem.statusCode} ${http.STATUS_CODES[problem.statusCode]}`,
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

/** Faults that one refusal names. */
const MAX_PROBLEMS = 20;

/**
 * Checks a part of a request against its schema. The parts of a URL and the headers are text; the text becomes a number, a boolean or an array of
 * one value where the schema wants that. A body stays as it is.
 */
export const compileValidator: FastifySchemaCompiler<TSchema> = ({ schema, httpPart }) => {
  // All schemas at once would hold the thread that answers for 40 ms.
  let compiled: Validator | null = null;
  const properties = propertiesOf(schema);
  return (input: unknown) => {
    compiled ??= Compile(schema);
    const value = httpPart === "body" ? input : convertTexts(input, properties);
    if (compiled.Check(value)) return { value };
    const problems = compiled.Errors(value).flatMap((fault) => problemsOf(fault, properties));
    const distinct = new Map(problems.map((problem) => [`${problem.parameter} ${problem.reason}`, problem]));
    return { error: invalid([...distinct.values()].slice(0, MAX_PROBLEMS)) };
  };
};

interface Property {
  readonly type?: string;
  readonly items?: Property;
  readonly description?: string;
}

function propertiesOf(schema: TSchema): ReadonlyMap<string, Property> {
  return new Map("properties" in schema ? Object.entries(schema.properties ?? {}) : []);
}

function convertTexts(input: unknown, properties: ReadonlyMap<string, Property>): unknown {
  if (typeof input !== "object" || input === null) return input;
  return Object.fromEntries(Object.entries(input).map(([name, text]) => [name, convertText(text, properties.get(name))]));
}

function convertText(text: unknown, property: Property | undefined): unknown {
  if (property?.type === "array") return Array.isArray(text) ? text : [text];
  if (typeof text !== "string") return text;
  if (property?.type === "integer" && /^-?\d{1,16}$/.test(text) && Number.isSafeInteger(Number(text))) return Number(text);
  if (property?.type === "boolean" && (text === "true" || text === "false")) return text === "true";
  return text;
}

interface Fault {
  readonly keyword: string;
  readonly schemaPath: string;
  readonly instancePath: string;
  readonly params: object;
  readonly message: string;
}

function problemsOf(fault: Fault, properties: ReadonlyMap<string, Property>): readonly ProblemPart[] {
  const { keyword, schemaPath, instancePath, params, message } = fault;
  // The fault of the keyword around this one says the same.
  if (keyword === "boolean") return [];
  const path = instancePath.slice(1).split("/").filter(Boolean);
  const at = (name: string | null) => [...path, ...(name === null ? [] : [name])].join(".") || null;
  // The wishes of one of several forms say nothing about the others.
  if (keyword === "anyOf" || schemaPath.includes("/anyOf/"))
    return [{ parameter: path[0] ?? null, reason: "has none of the forms that are wanted" }];
  if (keyword === "additionalProperties" && "additionalProperties" in params) {
    const known = path.length > 0 ? "" : properties.size === 0 ? ": none is" : `; there are ${[...properties.keys()].join(", ")}`;
    return textsOf(params.additionalProperties).map((name) => ({ parameter: at(name), reason: `is not known here${known}` }));
  }
  if (keyword === "required" && "requiredProperties" in params)
    return textsOf(params.requiredProperties).map((name) => ({ parameter: at(name), reason: "is missing" }));
  // A description tells people more than a regular expression.
  const { description } = properties.get(path.join(".")) ?? {};
  if (keyword === "pattern" && description !== undefined)
    return [{ parameter: at(null), reason: `has not the form that is wanted. ${description}` }];
  if (keyword === "type" && "type" in params && params.type === "boolean")
    return [{ parameter: at(null), reason: "must be true or false" }];
  if (keyword === "enum" && "allowedValues" in params)
    return [{ parameter: at(null), reason: `is none of ${textsOf(params.allowedValues).join(", ")}` }];
  return [{ parameter: at(null), reason: path.length === 0 ? `the body ${message}` : message }];
}

function textsOf(values: unknown): readonly string[] {
  return Array.isArray(values) ? values.map(String) : [];
}
