import { readFileSync } from "node:fs";
import { describe, expect, test } from "vitest";
import { parse } from "yaml";
import { jsonSchema } from "../../src/config/file.ts";
import { parseConfig } from "../../src/config/load.ts";

const manual = readFileSync(new URL("../../docs/config.md", import.meta.url), "utf8");
const committed = readFileSync(new URL("../../docs/fenliu.schema.json", import.meta.url), "utf8");

interface Property {
  /** Below the section, such as `stale.keep`; empty for the section itself. */
  readonly path: string;
  readonly schema: Readonly<Record<string, unknown>>;
}

/** Every key that may be written in a section; the user's own names and the places in arrays leave no trace in the path. */
function propertiesBelow(schema: unknown, path = ""): readonly Property[] {
  if (!isRecord(schema)) return [];
  const own = Object.entries(isRecord(schema["properties"]) ? schema["properties"] : {}).flatMap(
    ([name, inner]): readonly Property[] => {
      const below = path === "" ? name : `${path}.${name}`;
      return [...(isRecord(inner) ? [{ path: below, schema: inner }] : []), ...propertiesBelow(inner, below)];
    },
  );
  const alternatives = Array.isArray(schema["anyOf"]) ? schema["anyOf"] : [];
  const named = Object.values(isRecord(schema["patternProperties"]) ? schema["patternProperties"] : {});
  return [...own, ...[...alternatives, ...named, schema["items"]].flatMap((inner: unknown) => propertiesBelow(inner, path))];
}

function isRecord(value: unknown): value is Readonly<Record<string, unknown>> {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}

/** A default as the manual prints it: texts bare, the rest as YAML's flow style. */
function printed(value: unknown): string {
  if (typeof value === "string") return value;
  return Array.isArray(value) ? `[${value.map((each) => JSON.stringify(each)).join(", ")}]` : JSON.stringify(value);
}

const sections = propertiesBelow(jsonSchema()).filter(({ path }) => !path.includes("."));
const chapters = new Map(manual.split(/^## /m).map((chapter) => [chapter.split("\n", 1)[0] ?? "", chapter]));

test("the committed schema is the one that the shapes give", () => {
  // Written by `node tools/write-schema.ts`.
  expect(JSON.parse(committed)).toEqual(JSON.parse(JSON.stringify(jsonSchema())));
});

test("every key of the schema has a description, and so has every section", () => {
  const properties = propertiesBelow(jsonSchema());
  expect(properties.length).toBeGreaterThan(100);
  expect(properties.filter(({ schema }) => typeof schema["description"] !== "string").map(({ path }) => path)).toEqual([]);
});

describe("the manual", () => {
  test("has a chapter for each section, in the order of the file, and no others", () => {
    expect([...chapters.keys()].slice(2)).toEqual(sections.map(({ path }) => path));
  });

  // The keys of a server stand in chapter upstreams.
  test.each(sections.filter(({ path }) => path !== "bootstrap"))(
    "names each key of `$path` with its default",
    ({ path, schema }) => {
      const chapter = chapters.get(path) ?? "";
      const rows = new Map(
        [...chapter.matchAll(/^\| `([\w.]+)` \|(.*)\| (.*) \|(.*)\|$/gm)].map(([, key = "", , byDefault = ""]) => [
          key,
          byDefault,
        ]),
      );
      const properties = propertiesBelow(schema);
      // A map whose keys all have rows of their own needs none.
      const groups = new Set(properties.map((property) => property.path.replace(/\.?[^.]*$/, "")));
      for (const property of properties) {
        if (groups.has(property.path) && !rows.has(property.path)) continue;
        expect(rows.get(property.path), property.path).toBeDefined();
        const byDefault = property.schema["default"];
        if (byDefault === undefined || groups.has(property.path)) continue;
        expect(rows.get(property.path), property.path).toBe(`\`${printed(byDefault)}\``);
      }
      expect([...rows.keys()].filter((key) => !properties.some((property) => property.path === key))).toEqual([]);
    },
  );

  test("states the defaults of the sections that are arrays", () => {
    for (const { path, schema } of sections) {
      if (!Array.isArray(schema["default"])) continue;
      expect(chapters.get(path), path).toContain(`Default: \`${printed(schema["default"])}\``);
    }
  });

  test("has examples without a problem, except for the files, lists and groups they name", () => {
    const examples = [...manual.matchAll(/^```yaml\n(.*?)^```$/gms)].map(([, example = ""]) => example);
    expect(examples.length).toBeGreaterThan(sections.length);
    for (const example of examples) {
      const result = parseConfig(example, "fenliu.yaml");
      const problems = result.kind === "ok" ? [] : result.problems.map(({ message }) => message);
      expect(
        problems.filter((message) => !/^cannot read |^there is no (?:group|list|rule) /.test(message)),
        example,
      ).toEqual([]);
      expect(parse(example) === null || isRecord(parse(example))).toBe(true);
    }
  });
});
