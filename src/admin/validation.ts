import type { FastifySchemaCompiler } from "fastify";
import type { TSchema } from "typebox";
import { Compile } from "typebox/compile";
import { invalid, type ProblemPart } from "./problem.ts";

/** Faults told of one request. */
const MAX_PROBLEMS = 20;

/**
 * Checks a part of a request against its typebox schema. Bodies are taken as they are; elsewhere everything is text, and becomes the number, the
 * boolean or the array of one that the schema wants.
 */
export const validatorOf: FastifySchemaCompiler<TSchema> = ({ schema, httpPart }) => {
  const validator = Compile(schema);
  const properties = propertiesOf(schema);
  return (given: unknown) => {
    const value = httpPart === "body" ? given : converted(given, properties);
    if (validator.Check(value)) return { value };
    const problems = validator.Errors(value).flatMap((fault) => problemsOf(fault, properties));
    return { error: invalid(withoutRepeats(problems).slice(0, MAX_PROBLEMS)) };
  };
};

function withoutRepeats(problems: readonly ProblemPart[]): readonly ProblemPart[] {
  return [...new Map(problems.map((problem) => [`${problem.parameter} ${problem.reason}`, problem])).values()];
}

interface Property {
  readonly type?: string;
  readonly items?: Property;
  readonly description?: string;
}

function propertiesOf(schema: TSchema): ReadonlyMap<string, Property> {
  return new Map("properties" in schema ? Object.entries(schema.properties ?? {}) : []);
}

function converted(given: unknown, properties: ReadonlyMap<string, Property>): unknown {
  if (typeof given !== "object" || given === null) return given;
  return Object.fromEntries(Object.entries(given).map(([name, text]) => [name, convertedValue(text, properties.get(name))]));
}

function convertedValue(text: unknown, property: Property | undefined): unknown {
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
  // Told by the keyword that it belongs to.
  if (keyword === "boolean") return [];
  const path = instancePath.slice(1).split("/").filter(Boolean);
  const at = (name: string | null) => [...path, ...(name === null ? [] : [name])].join(".") || null;
  // What one of several forms wants says nothing of the others.
  if (keyword === "anyOf" || schemaPath.includes("/anyOf/"))
    return [{ parameter: path[0] ?? null, reason: "has none of the forms that are wanted" }];
  if (keyword === "additionalProperties" && "additionalProperties" in params) {
    const there = path.length > 0 ? "" : properties.size === 0 ? ": none is" : `; there are ${[...properties.keys()].join(", ")}`;
    return textsOf(params.additionalProperties).map((name) => ({ parameter: at(name), reason: `is not known here${there}` }));
  }
  if (keyword === "required" && "requiredProperties" in params)
    return textsOf(params.requiredProperties).map((name) => ({ parameter: at(name), reason: "is missing" }));
  // A regular expression tells little to people; where it applies to a parameter, its description does.
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
