import { Compile, type Validator } from "typebox/schema";

export interface ApiParameter {
  readonly name: string;
  readonly in: "query" | "path" | "header";
  readonly required?: boolean;
  readonly description?: string;
  readonly schema: JsonSchema;
  readonly example?: string | number;
}

export type JsonSchema = Readonly<Record<string, unknown>>;

export interface ApiContent {
  readonly schema: JsonSchema;
  readonly example?: unknown;
}

export interface ApiOperation {
  readonly operationId: string;
  readonly summary: string;
  readonly parameters?: readonly ApiParameter[];
  readonly requestBody?: { readonly content: Readonly<Record<string, ApiContent>> };
  readonly responses: Readonly<
    Record<string, { readonly description: string; readonly content?: Readonly<Record<string, ApiContent>> }>
  >;
}

interface Document {
  readonly openapi: string;
  readonly paths: Readonly<Record<string, Readonly<Record<string, ApiOperation>>>>;
  readonly components: { readonly schemas: Readonly<Record<string, JsonSchema>> };
}

export interface Exchange {
  readonly method: string;
  readonly path: string;
  readonly status: number;
  readonly type: string;
  readonly body: unknown;
}

export interface Placed {
  readonly method: string;
  readonly path: string;
  readonly operation: ApiOperation;
}

/** Checks responses of the server against the OpenAPI document. */
export class ApiDocument {
  readonly document: Document;
  readonly #validators = new Map<JsonSchema, Validator>();

  constructor(document: unknown) {
    if (!isDocument(document)) throw new Error("this is no OpenAPI document");
    this.document = document;
  }

  operations(): readonly Placed[] {
    return Object.entries(this.document.paths).flatMap(([path, methods]) =>
      Object.entries(methods).map(([method, operation]) => ({ method: method.toUpperCase(), path, operation })),
    );
  }

  /** @throws Error where status, type or body are not what the document says. What has no operation must be refused. */
  check({ method, path, status, type, body }: Exchange): void {
    const said = `${method} ${path} gave ${status} ${type}`;
    const operation = this.#operationFor(method === "HEAD" ? "GET" : method, path.split("?", 1)[0] ?? "");
    if (operation === null) {
      if (path.startsWith("/docs")) return;
      if (status < 400) throw new Error(`${said}, which nobody documents`);
      this.#checkBody(said, { $ref: "#/components/schemas/Problem" }, body);
      return;
    }
    const response = operation.responses[status];
    if (response === undefined) throw new Error(`${said}, which is not documented: ${JSON.stringify(body)}`);
    if (method === "HEAD") return;
    if (response.content === undefined) {
      if (body !== "") throw new Error(`${said} with a body: ${JSON.stringify(body)}`);
      return;
    }
    const content = response.content[type.split(";", 1)[0] ?? ""];
    if (content === undefined) throw new Error(`${said}, a type that is not documented`);
    this.#checkBody(said, content.schema, body);
  }

  validator(schema: JsonSchema): Validator {
    const known = this.#validators.get(schema) ?? Compile({ ...schema, components: this.document.components });
    this.#validators.set(schema, known);
    return known;
  }

  #checkBody(said: string, schema: JsonSchema, body: unknown): void {
    const validator = this.validator(schema);
    if (!validator.Check(body))
      throw new Error(`${said}, not as its schema has it: ${JSON.stringify(validator.Errors(body))}\n${JSON.stringify(body)}`);
  }

  #operationFor(method: string, path: string): ApiOperation | null {
    // A literal path goes before a path with a parameter.
    const placed = this.operations()
      .filter((each) => each.method === method && expressionOf(each.path).test(path))
      .sort((one, other) => one.path.split("{").length - other.path.split("{").length)[0];
    return placed?.operation ?? null;
  }
}

function expressionOf(path: string): RegExp {
  return new RegExp(
    `^${path
      .split(/\{[^}]+\}/)
      .map((literal) => RegExp.escape(literal))
      .join("[^/]+")}$`,
  );
}

function isDocument(value: unknown): value is Document {
  return typeof value === "object" && value !== null && "openapi" in value && "paths" in value && "components" in value;
}
