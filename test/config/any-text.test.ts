import { readFileSync } from "node:fs";
import { join } from "node:path";
import fc from "fast-check";
import { Value } from "typebox/value";
import { describe, expect, test } from "vitest";
import { parse, stringify } from "yaml";
import { jsonSchema } from "../../src/config/file.ts";
import { type ConfigResult, parseConfig } from "../../src/config/load.ts";
import { printProblems } from "../../src/config/reading.ts";
import { anyString, runs } from "../support/properties.ts";

const full = readFileSync(join(import.meta.dirname, "full.yaml"), "utf8");
const schema = jsonSchema();

/** A problem points into the text and can be printed. */
function expectSound(result: ConfigResult, text: string): void {
  const problems = result.kind === "ok" ? result.warnings : result.problems;
  if (result.kind === "invalid") expect(problems.length).toBeGreaterThan(0);
  const lines = text.split("\n");
  for (const { line, column } of problems) {
    expect(line).toBeLessThanOrEqual(lines.length);
    expect(column).toBeLessThanOrEqual((lines[line - 1]?.length ?? 0) + 1);
  }
  printProblems(problems, text);
}

describe("reading never throws, and its problems lie within the text", () => {
  test("for any text", () => {
    fc.assert(fc.property(anyString({ maxLength: 200 }), (text) => expectSound(parseConfig(text, "f"), text)));
  });

  test("for text made of YAML's own characters", () => {
    const piece = fc.constantFrom(
      "listen",
      "rules",
      "hosts",
      "cache",
      ": ",
      ":",
      "- ",
      "\n",
      "\n  ",
      "[",
      "]",
      "{",
      "}",
      ",",
      "&a ",
      "*a",
      "!x ",
      "|",
      ">",
      '"',
      "'",
      "#",
      "? ",
      "<<",
      "null",
      "1",
      "~",
      "\t",
      "%",
      "@",
      "---\n",
      "\r\n",
    );
    fc.assert(
      fc.property(fc.array(piece, { maxLength: 40 }), (pieces) => {
        const text = pieces.join("");
        expectSound(parseConfig(text, "f"), text);
      }),
      { numRuns: runs(500) },
    );
  });

  test("for a good file with a part cut out, doubled or replaced", () => {
    const change = fc.record({
      at: fc.nat(full.length),
      length: fc.nat(40),
      put: fc.oneof(fc.string({ maxLength: 6 }), fc.constant(null)),
    });
    fc.assert(
      fc.property(fc.array(change, { minLength: 1, maxLength: 4 }), (changes) => {
        let text = full;
        for (const { at, length, put } of changes)
          text = text.slice(0, at) + (put ?? text.slice(at, at + length).repeat(2)) + text.slice(at + length);
        expectSound(parseConfig(text, "f"), text);
      }),
      { numRuns: runs(200) },
    );
  });

  test("for maps and arrays nested beyond the stack", () => {
    for (const piece of ["[", "- ", "{ a: "])
      for (const depth of [100, 1000, 10_000, 100_000]) {
        const text = piece.repeat(depth);
        expectSound(parseConfig(text, "f"), text);
      }
    expect(parseConfig("[".repeat(100_000), "f")).toMatchObject({
      problems: [{ message: "maps and arrays are nested too deeply here" }],
    });
  });

  test("for an anchor within itself", () => {
    for (const text of ["&a [*a]", "rules: &a [*a]", "upstreams: &a { x: *a }"]) expectSound(parseConfig(text, "f"), text);
  });
});

describe("random good files", () => {
  const name = fc.stringMatching(/^[a-z][a-z0-9-]{0,8}$/);
  const duration = fc.tuple(fc.integer({ min: 1, max: 60 }), fc.constantFrom("s", "m")).map(([count, unit]) => `${count}${unit}`);
  const host = fc.oneof(
    fc.ipV4(),
    fc.ipV6().map((address) => `[${address}]`),
  );
  const server = fc.oneof(
    fc.ipV4(),
    fc.tuple(fc.constantFrom("udp", "tcp", "tls", "https"), host).map(([scheme, where]) => `${scheme}://${where}`),
    fc.constant("system"),
  );
  const group = fc.record({
    servers: fc.uniqueArray(server, { minLength: 1, maxLength: 3, selector: (text) => text.replace(/^udp:\/\//, "") }),
    strategy: fc.constantFrom("fastest", "race", "failover", "spread"),
    volatile: fc.boolean(),
  });
  const file = fc.record(
    {
      upstreams: fc.dictionary(name, group, { minKeys: 1, maxKeys: 3 }),
      answers: fc.record({ https: fc.constantFrom("pass", "nodata", ["strip-ech"]), ttl: fc.record({ min: duration }) }),
      hosts: fc.record({
        records: fc.dictionary(fc.domain(), fc.oneof(fc.ipV4(), fc.array(fc.ipV6(), { minLength: 1, maxLength: 3 })), {
          maxKeys: 4,
        }),
      }),
      rules: fc.uniqueArray(
        fc.record({
          name,
          domains: fc.array(fc.domain(), { minLength: 1, maxLength: 3 }),
          answer: fc.constantFrom("nodata", "nxdomain"),
        }),
        {
          maxLength: 4,
          selector: (rule) => rule.name,
        },
      ),
      cache: fc.record({ stale: fc.constantFrom(false, { keep: "1h" }), prefetch: fc.boolean() }),
    },
    { requiredKeys: [] },
  );

  test("are accepted by the reader and the schema, and mean the same in block style and flow style", () => {
    fc.assert(
      fc.property(file, (raw) => {
        const block = parseConfig(stringify(raw), "f");
        expect(block).toMatchObject({ kind: "ok" });
        const text = JSON.stringify(raw);
        expect(parseConfig(text, "f")).toMatchObject({
          kind: "ok",
          config: block.kind === "ok" ? { ...block.config, text } : null,
        });
        expect(Value.Errors(schema, raw)).toEqual([]);
      }),
      { numRuns: runs(100) },
    );
  });
});

describe("the schema for editors and the reader", () => {
  /** Values of every kind, at every place that the schema knows. */
  const anyValue = fc.oneof(
    fc.constantFrom(null, true, false, 0, 1, -1, 1.5, "", "pass", "nodata", "1s", "10.0.0.1", "list:cn", "x"),
    fc.array(fc.constantFrom("x", 1, null), { maxLength: 2 }),
    fc.constant({}),
  );
  const tree: unknown = parse(full);

  test("whatever the reader accepts, the schema accepts", () => {
    let accepted = 0;
    fc.assert(
      fc.property(fc.nat(), fc.nat(), anyValue, (section, seed, value) => {
        const [name, changed] = withOneChanged(tree, section, seed, value);
        const raw = { [name]: changed };
        const result = parseConfig(stringify(raw), "f");
        // References and files are no matter of the schema: only the section's own shape is compared.
        if (result.kind === "invalid") return;
        accepted++;
        expect(Value.Errors(schema, raw)).toEqual([]);
      }),
      { numRuns: runs(1000) },
    );
    expect(accepted).toBeGreaterThan(runs(1000) / 40);
  });

  test("both refuse an unknown key and a wrong type", () => {
    for (const raw of [{ upstrems: {} }, { cache: { kepe: 1 } }, { rules: [{ name: 1 }] }, { answers: { deadline: 4 } }]) {
      expect(Value.Check(schema, raw)).toBe(false);
      expect(parseConfig(stringify(raw), "f").kind).toBe("invalid");
    }
  });
});

/** One section of `tree` with one of its values, at any depth, replaced. */
function withOneChanged(tree: unknown, section: number, seed: number, value: unknown): readonly [string, unknown] {
  const sections = Object.entries(isRecord(tree) ? tree : {});
  const [name, contents] = sections[section % sections.length] ?? ["", null];
  const depths = countValues(contents);
  return [name, replaced(contents, seed % depths, value)];
}

function countValues(node: unknown): number {
  return 1 + childrenOf(node).reduce((sum, [, child]) => sum + countValues(child), 0);
}

function replaced(node: unknown, index: number, value: unknown): unknown {
  if (index === 0) return value;
  let left = index - 1;
  const changed = childrenOf(node).map(([key, child]) => {
    const count = countValues(child);
    const isHere = left >= 0 && left < count;
    const result = [key, isHere ? replaced(child, left, value) : child] as const;
    left -= count;
    return result;
  });
  return Array.isArray(node) ? changed.map(([, child]) => child) : Object.fromEntries(changed);
}

function childrenOf(node: unknown): readonly (readonly [string, unknown])[] {
  return Array.isArray(node) || isRecord(node) ? Object.entries(node) : [];
}

function isRecord(node: unknown): node is Readonly<Record<string, unknown>> {
  return typeof node === "object" && node !== null && !Array.isArray(node);
}
