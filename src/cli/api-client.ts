import { Compile } from "typebox/compile";
import { NAMED_SCHEMAS } from "../admin/openapi.ts";
import type { ProblemPart } from "../admin/problem.ts";
import type { NamedSchema } from "../admin/schemas/named.ts";
import type { Config } from "../config/types.ts";
import { version } from "../lib/version.ts";
import { configPath, EXIT, endpointToAsk, type Invocation, readConfig, type Terminal } from "./invocation.ts";

/** No Fenliu of this version answers at the address of the API. */
export class ApiUnreachable extends Error {}

/** Nothing answers at all. */
export class ApiSilent extends ApiUnreachable {}

/** A stream or a response broke off. */
export class ApiGone extends ApiUnreachable {}

/** The API refused the request; the message is for the user. */
export class ApiRefusal extends Error {
  readonly status: number;

  constructor(status: number, message: string) {
    super(message);
    this.name = "ApiRefusal";
    this.status = status;
  }
}

interface ApiRequest {
  readonly method?: "GET" | "POST" | "PUT" | "DELETE";
  readonly query?: Iterable<readonly [string, string]>;
  readonly body?: unknown;
  readonly signal?: AbortSignal;
  /** For a stream: the id of the last event that was received. */
  readonly lastEventId?: string;
}

/** Longer than the server takes for any search. */
const TIMEOUT_MS = 30_000;

const EVENT_STREAM = "text/event-stream";

/** Talks to the server that uses the same configuration, on the same host. */
export class ApiClient {
  readonly #base: string;
  readonly #token: string | null;

  /** @throws ApiUnreachable where the configuration has no API. */
  constructor({ listen, admin }: Pick<Config, "listen" | "admin">) {
    if (listen.admin === null) throw new ApiUnreachable("`listen.admin` is null: this server has no API");
    this.#base = `http://${endpointToAsk(listen.admin)}/api/v1/`;
    this.#token = admin.token;
  }

  /** Reads a response. @throws ApiUnreachable, ApiRefusal. */
  async read<T>(shape: NamedSchema<T>, path: string, request: ApiRequest = {}): Promise<T> {
    return this.parse(shape, await this.text(path, request));
  }

  /** Reads a response that is no JSON. @throws ApiUnreachable, ApiRefusal. */
  async text(path: string, request: ApiRequest = {}): Promise<string> {
    const deadline = AbortSignal.timeout(TIMEOUT_MS);
    const signal = request.signal === undefined ? deadline : AbortSignal.any([deadline, request.signal]);
    const response = await this.#call(path, { ...request, signal });
    try {
      return await response.text();
    } catch (error) {
      throw this.#gone(error);
    }
  }

  /** Sends a request whose response has no content. @throws ApiUnreachable, ApiRefusal. */
  async send(path: string, request: ApiRequest): Promise<void> {
    const response = await this.#call(path, { ...request, signal: AbortSignal.timeout(TIMEOUT_MS) });
    await response.body?.cancel();
  }

  /** @throws ApiUnreachable where a server of this version does not send such a text. */
  parse<T>(shape: NamedSchema<T>, text: string): T {
    const json = jsonOf(text);
    if (!fits(shape, json)) throw this.#strange();
    return json;
  }

  /**
   * Connects to a stream. Its events come until the signal aborts.
   * @throws ApiUnreachable, ApiRefusal; while events are read, ApiGone where the stream ends before the signal aborts.
   */
  async stream(path: string, request: ApiRequest): Promise<AsyncGenerator<ServerEvent>> {
    const response = await this.#call(path, request, EVENT_STREAM);
    if (response.headers.get("content-type")?.startsWith(EVENT_STREAM) !== true) {
      await response.body?.cancel();
      throw this.#strange();
    }
    return this.#events(response, request.signal);
  }

  async *#events({ body }: Response, signal: AbortSignal | undefined): AsyncGenerator<ServerEvent> {
    const isEnded = () => signal?.aborted === true;
    try {
      let pending = "";
      for await (const chunk of body?.pipeThrough(new TextDecoderStream()) ?? []) {
        const blocks = (pending + chunk).split("\n\n");
        pending = blocks.pop() ?? "";
        for (const block of blocks) yield* eventOf(block);
      }
    } catch (error) {
      if (isEnded()) return;
      throw this.#gone(error);
    }
    if (!isEnded()) throw new ApiGone(`the Fenliu at ${this.#base} has ended the stream`);
  }

  #gone(error: unknown): ApiGone {
    return new ApiGone(`the Fenliu at ${this.#base} is gone: ${reasonOf(error)}`);
  }

  #strange(more = ""): ApiUnreachable {
    return new ApiUnreachable(`what answers at ${this.#base} is no Fenliu of version ${version()}${more}`);
  }

  async #call(
    path: string,
    { method = "GET", query = [], body, signal, lastEventId }: ApiRequest,
    accept = "application/json",
  ): Promise<Response> {
    const url = new URL(path, this.#base);
    for (const [name, value] of query) url.searchParams.append(name, value);
    let response: Response;
    try {
      response = await fetch(url, {
        method,
        headers: {
          accept,
          ...(this.#token === null ? {} : { authorization: `Bearer ${this.#token}` }),
          ...(lastEventId === undefined ? {} : { "last-event-id": lastEventId }),
          ...(method === "GET" ? {} : { "content-type": "application/json" }),
        },
        body: method === "GET" ? null : JSON.stringify(body ?? {}),
        signal: signal ?? null,
      });
    } catch (error) {
      throw new ApiSilent(`no Fenliu answers at ${this.#base}: ${reasonOf(error)}`);
    }
    if (response.ok) return response;
    const refusal = await refusalText(response);
    if (refusal === null) throw this.#strange(`, and says status ${response.status}`);
    throw new ApiRefusal(response.status, refusal);
  }
}

export interface ServerEvent {
  readonly event: string;
  readonly data: string;
}

function* eventOf(block: string): Generator<ServerEvent> {
  let event = "message";
  const data: string[] = [];
  for (const line of block.split("\n")) {
    if (line.startsWith("event:")) event = line.slice(6).trim();
    else if (line.startsWith("data:")) data.push(line.slice(5).replace(/^ /, ""));
  }
  if (data.length > 0) yield { event, data: data.join("\n") };
}

/** The text of a problem document (RFC 9457): `problems` with the fault of each parameter, else `detail`; null for any other response. */
async function refusalText(response: Response): Promise<string | null> {
  const text = await response.text();
  try {
    const { detail, problems } = JSON.parse(text);
    const each = Array.isArray(problems) ? problems.map(partText) : [];
    if (each.length > 0) return each.join("\n");
    return typeof detail === "string" ? detail : null;
  } catch {
    return null;
  }
}

function partText({ parameter, reason }: ProblemPart): string {
  return parameter === null ? reason : `${parameter}: ${reason}`;
}

/** undefined where the text is no JSON. */
function jsonOf(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    return undefined;
  }
}

function reasonOf(error: unknown): string {
  if (!(error instanceof Error)) return String(error);
  return error.cause instanceof Error ? error.cause.message : error.message;
}

/** Whether JSON has the shape that the API of this version documents. */
function fits<T>(shape: NamedSchema<T>, json: unknown): json is T {
  let checker = checkers.get(shape);
  if (checker === undefined) {
    // Schemas refer to each other by these names.
    const context = Object.fromEntries(NAMED_SCHEMAS.map(({ name, schema }) => [`${name}#`, schema]));
    const validator = Compile(context, shape.schema);
    checker = (value) => validator.Check(value);
    checkers.set(shape, checker);
  }
  return checker(json);
}

/** Compiled when first needed: most commands need none. */
const checkers = new Map<NamedSchema, (json: unknown) => boolean>();

/** Runs a command through the API of the server that uses the configuration. Reports where no server answers, or where the server refuses. */
export async function withApi(
  invocation: Invocation,
  terminal: Terminal,
  run: (api: ApiClient, config: Config) => Promise<number>,
): Promise<number> {
  const path = configPath(invocation, terminal);
  const config = readConfig(path, terminal, { warns: false });
  if (config === null) return EXIT.failed;
  try {
    return await run(new ApiClient(config), config);
  } catch (error) {
    if (!(error instanceof ApiRefusal) && !(error instanceof ApiUnreachable)) throw error;
    terminal.err(`fenliu: ${apiFault(error, config, path)}\n`);
    return EXIT.failed;
  }
}

/** The fault, and a hint where the server may use another configuration than the one at `path`. */
export function apiFault(error: ApiRefusal | ApiUnreachable, { admin }: Pick<Config, "admin">, path: string | null): string {
  const read = path ?? "the defaults";
  if (error instanceof ApiSilent) return `${error.message}; is it running, and by ${read}? ${NAME_IT}`;
  if (!(error instanceof ApiRefusal) || error.status !== 401) return error.message;
  const fault = admin.token === null ? "the API wants a token, and there is none in" : "the API does not take the token of";
  return `${fault} ${read}. ${NAME_IT}`;
}

const NAME_IT = "-c FILE names another configuration";
