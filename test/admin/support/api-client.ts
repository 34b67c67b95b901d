import { ApiDocument } from "./api-document.ts";

export interface Call extends RequestInit {
  /** The body, sent as JSON. */
  readonly json?: unknown;
}

export interface Called {
  readonly status: number;
  readonly headers: Headers;
  /** The parsed body if it is JSON, else its text. */
  readonly body: unknown;
}

/** A client of the API that checks every response against the document. */
export class ApiClient {
  readonly base: string;
  readonly #token: () => string | null;
  #document: Promise<ApiDocument> | null = null;

  /** `base` has no slash at its end. */
  constructor(base: string, token: () => string | null = () => null) {
    this.base = base;
    this.#token = token;
  }

  document(): Promise<ApiDocument> {
    this.#document ??= fetch(`${this.base}/openapi.json`).then(async (response) => new ApiDocument(await response.json()));
    return this.#document;
  }

  /** Calls the API, with the token if one is set. @throws Error if the response does not agree with the document. */
  async call(method: string, path: string, { json, headers, ...init }: Call = {}): Promise<Called> {
    const document = await this.document();
    const token = this.#token();
    const response = await fetch(this.base + path, {
      method,
      ...init,
      headers: {
        ...(method === "GET" || method === "HEAD" ? {} : { "content-type": "application/json" }),
        ...(token === null ? {} : { authorization: `Bearer ${token}` }),
        ...Object.fromEntries(new Headers(headers)),
      },
      ...(json === undefined ? {} : { body: JSON.stringify(json) }),
    });
    const text = await response.text();
    const type = response.headers.get("content-type") ?? "";
    const body = /\bjson\b/.test(type) && !type.includes("ndjson") && text !== "" ? JSON.parse(text) : text;
    document.check({ method, path, status: response.status, type, body });
    return { status: response.status, headers: response.headers, body };
  }

  get(path: string, call: Call = {}): Promise<Called> {
    return this.call("GET", path, call);
  }
}
