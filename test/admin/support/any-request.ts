import fc from "fast-check";
import { anyString } from "../../support/properties.ts";
import type { ApiContent, ApiDocument, ApiParameter, JsonSchema, Placed } from "./api-document.ts";

export interface AnyRequest {
  readonly path: string;
  readonly headers: Readonly<Record<string, string>>;
  readonly body: string | undefined;
}

/** Requests of one operation: valid, almost valid, and random. */
export function anyRequest({ path, operation }: Placed, document: ApiDocument): fc.Arbitrary<AnyRequest> {
  const { parameters = [], requestBody } = operation;
  const placed = (place: ApiParameter["in"]) => parameters.filter((parameter) => parameter.in === place);
  const json = requestBody?.content["application/json"];
  const body = json === undefined ? seldom(anyText, 10) : anyBody(json, document);
  return fc.record({
    path: fc
      .tuple(anyPath(path, placed("path"), document), anyQuery(placed("query"), document))
      .map(([target, query]) => target + query),
    headers: anyHeaders(placed("header")),
    body,
  });
}

/** The request that the documentation shows, or undefined where it shows no value of something required. */
export function shownRequest({ path, operation }: Placed): AnyRequest | undefined {
  const { parameters = [], requestBody } = operation;
  const shown = parameters.filter(({ example, required = false }) => required || example !== undefined);
  if (shown.some(({ example }) => example === undefined)) return undefined;
  const pairs = (place: ApiParameter["in"]) =>
    shown.filter((parameter) => parameter.in === place).map(({ name, example }) => [name, encoded(String(example))] as const);
  const target = pairs("path").reduce((whole, [name, value]) => whole.replace(`{${name}}`, value), path);
  const query = pairs("query").map(([name, value]) => `${name}=${value}`);
  const json = requestBody?.content["application/json"];
  if (json !== undefined && json.example === undefined) return undefined;
  return {
    path: query.length === 0 ? target : `${target}?${query.join("&")}`,
    headers: {},
    body: json === undefined ? undefined : JSON.stringify(json.example),
  };
}

const anyText = fc.oneof(
  fc.string(),
  anyString(),
  fc.constantFrom(
    "",
    "!",
    "*",
    "/(a+)+$/",
    "/[/",
    "!!a",
    "%",
    "null",
    "true",
    "-1",
    "1e309",
    "0x10",
    "9007199254740993",
    "\u0000",
    "../..",
    "a".repeat(2000),
  ),
  fc.domain(),
  fc.ipV4(),
  fc.ipV6(),
  fc.integer().map(String),
  fc.double().map(String),
  fc.date({ noInvalidDate: true }).map((date) => date.toISOString()),
);

function anyPath(path: string, parameters: readonly ApiParameter[], document: ApiDocument): fc.Arbitrary<string> {
  const values = parameters.map((parameter) =>
    // An empty segment or dots would make another path.
    parameterValue(parameter, document).map(
      (value) => [parameter.name, encoded(value === "" || /^\.+$/.test(value) ? "x" : value)] as const,
    ),
  );
  return fc.tuple(...values).map((pairs) => pairs.reduce((target, [name, value]) => target.replace(`{${name}}`, value), path));
}

function anyQuery(parameters: readonly ApiParameter[], document: ApiDocument): fc.Arbitrary<string> {
  const pairs = parameters.map((parameter) => {
    const { name, required = false } = parameter;
    const one = parameterValue(parameter, document).map((value) => [name, value] as const);
    const some = fc.oneof({ weight: 8, arbitrary: fc.tuple(one) }, { weight: 1, arbitrary: fc.array(one, { maxLength: 3 }) });
    return required ? some : seldom(some, 5).map((values) => values ?? []);
  });
  // A request without parameters can be wrong in no other way.
  const stranger = seldom(fc.tuple(anyText, anyText), pairs.length === 0 ? 8 : 20);
  return fc.tuple(fc.tuple(...pairs), stranger, seldom(fc.string({ maxLength: 40 }), 30)).map(([known, unknown, raw]) => {
    // Sometimes the query string is random text.
    if (raw !== undefined) return `?${raw.replace(/[^\x21-\x7e]|#/g, "")}`;
    const all = [...known.flat(), ...(unknown === undefined ? [] : [unknown])];
    return all.length === 0 ? "" : `?${all.map(([name, value]) => `${encoded(name)}=${encoded(value)}`).join("&")}`;
  });
}

/** The example, a valid value of the schema, or something else. */
function parameterValue({ schema, example }: ApiParameter, document: ApiDocument): fc.Arbitrary<string> {
  const fitting = schemaValue(schema, document).map((value) => (Array.isArray(value) ? String(value[0] ?? "") : String(value)));
  const examples = example === undefined ? [] : [{ weight: 2, arbitrary: fc.constant(String(example)) }];
  return fc.oneof({ weight: 3, arbitrary: fitting }, { weight: 1, arbitrary: anyText }, ...examples);
}

/** A value once in `times`, else undefined. */
function seldom<T>(arbitrary: fc.Arbitrary<T>, times: number): fc.Arbitrary<T | undefined> {
  return fc.oneof({ weight: times - 1, arbitrary: fc.constant(undefined) }, { weight: 1, arbitrary });
}

function encoded(value: string): string {
  return encodeURIComponent(value.toWellFormed());
}

function anyHeaders(parameters: readonly ApiParameter[]): fc.Arbitrary<Readonly<Record<string, string>>> {
  const value = fc.oneof(fc.stringMatching(/^[0-9]{1,18}$/), fc.stringMatching(/^[!-~]{1,20}$/));
  const own = parameters.map(({ name }) =>
    fc.option(value, { nil: undefined }).map((text) => (text === undefined ? {} : { [name]: text })),
  );
  const others = fc.constantFrom<Record<string, string>>(
    {},
    {},
    {},
    { accept: "text/html" },
    { "accept-encoding": "br" },
    { "if-none-match": "*" },
    { range: "bytes=0-1" },
    { "x-http-method-override": "DELETE" },
  );
  return fc.tuple(others, ...own).map((all) => Object.assign({}, ...all));
}

function anyBody({ schema, example }: ApiContent, document: ApiDocument): fc.Arbitrary<string> {
  const json = (value: unknown) => JSON.stringify(value);
  const spoilt = fc
    .tuple(schemaValue(schema, document), fc.string(), fc.jsonValue())
    .map(([value, name, other]) => json(Object.assign({}, value, { [name]: other })));
  const swapped = fc.tuple(schemaValue(schema, document), fc.jsonValue(), fc.nat()).map(([value, other, index]) => {
    const names = Object.keys(Object(value));
    return json(Object.assign({}, value, { [names[index % Math.max(1, names.length)] ?? "x"]: other }));
  });
  return fc.oneof(
    { weight: 4, arbitrary: schemaValue(schema, document).map(json) },
    fc.constant(json(example)),
    spoilt,
    swapped,
    fc.json(),
    anyText,
  );
}

/** Valid values of a schema. Only the keywords that requests use are supported. */
function schemaValue(schema: JsonSchema, document: ApiDocument): fc.Arbitrary<unknown> {
  const { type, pattern, anyOf, items, minLength = 0, maxLength = 30, minimum = -1000, maximum = 2 ** 53 - 1 } = schema;
  if ("const" in schema) return fc.constant(schema["const"]);
  if (Array.isArray(schema["enum"])) return fc.constantFrom(...schema["enum"]);
  if (Array.isArray(anyOf)) return fc.oneof(...anyOf.map((each) => schemaValue(each, document)));
  switch (type) {
    case "string":
      if (typeof pattern === "string") return fc.stringMatching(new RegExp(pattern));
      return fc
        .oneof(anyText, fc.string({ unit: "grapheme" }))
        .filter((text) => text.length >= Number(minLength) && text.length <= Number(maxLength));
    case "integer":
      return fc.oneof(
        fc.integer({ min: Number(minimum), max: Math.min(Number(maximum), 1e6) }),
        fc.constantFrom(minimum, maximum),
      );
    case "boolean":
      return fc.boolean();
    case "array":
      return fc.array(schemaValue(Object(items), document), { maxLength: 4 });
    case "object":
      return schema["patternProperties"] === undefined
        ? objectValue(schema, document)
        : fc.dictionary(fc.string(), fc.jsonValue());
    case "null":
      return fc.constant(null);
    case undefined:
      return fc.jsonValue();
    default:
      throw new Error(`no values for ${JSON.stringify(schema)}`);
  }
}

function objectValue({ properties, required = [] }: JsonSchema, document: ApiDocument): fc.Arbitrary<unknown> {
  const entries = Object.entries(Object(properties)).map(
    ([name, schema]) => [name, schemaValue(Object(schema), document)] as const,
  );
  const requiredKeys = Array.isArray(required) ? required.map(String) : [];
  return fc.record(Object.fromEntries(entries), { requiredKeys });
}
