import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { parse } from "yaml";
import type { ConfigEdit } from "../../src/admin/schemas/health.ts";
import { editYaml } from "../../src/control/edit-yaml.ts";
import { runs } from "../support/properties.ts";

type DataEdit = Exclude<ConfigEdit, { readonly kind: "text" }>;

const FILE = `# The house
upstreams:
  domestic: { servers: [223.5.5.5] }   # at home
  overseas:
    servers: [1.1.1.1]
    strategy: failover

rules:
  # no advertisements
  - { name: ads, domains: "list:ads", answer: nodata }
  - name: quiet
    domains:
      - one.example   # first
      - "*.two.example"
    answer: nxdomain
  - { name: flow, domains: [ a.example, b.example ], upstream: overseas }   # kept

hosts:
  records: { nas.lan: 10.0.0.5 }
`;

/** The lines that an edit takes away and puts in. */
function changed(edit: DataEdit, text = FILE): readonly string[] {
  const made = editYaml(text, edit);
  const before = new Set(text.split("\n"));
  const after = new Set(made.split("\n"));
  return [
    ...[...before].filter((line) => !after.has(line)).map((line) => `-${line}`),
    ...[...after].filter((line) => !before.has(line)).map((line) => `+${line}`),
  ];
}

describe("an edit changes its own line alone", () => {
  test.each<[string, DataEdit, readonly string[]]>([
    [
      "a pattern beside a single one",
      { kind: "pattern", rule: "ads", pattern: "!app.example.cn" },
      [
        '-  - { name: ads, domains: "list:ads", answer: nodata }',
        '+  - { name: ads, domains: ["list:ads", "!app.example.cn"], answer: nodata }',
      ],
    ],
    ["a pattern in lines of its own", { kind: "pattern", rule: "quiet", pattern: "!x.example" }, ['+      - "!x.example"']],
    [
      "a pattern in brackets",
      { kind: "pattern", rule: "flow", pattern: "c.example" },
      [
        "-  - { name: flow, domains: [ a.example, b.example ], upstream: overseas }   # kept",
        "+  - { name: flow, domains: [ a.example, b.example, c.example ], upstream: overseas }   # kept",
      ],
    ],
    [
      "a rule before another one",
      { kind: "rule", before: "flow", rule: { name: "x", domains: ["x.example"], upstream: "overseas" } },
      ["+  - { name: x, domains: [x.example], upstream: overseas }"],
    ],
    [
      "a rule at the end",
      { kind: "rule", before: null, rule: { name: "x", types: ["MX"], answer: "nodata" } },
      ["+  - { name: x, types: [MX], answer: nodata }"],
    ],
    [
      "a host",
      { kind: "host", name: "tv.lan", record: "10.0.0.9" },
      ["-  records: { nas.lan: 10.0.0.5 }", '+  records: { nas.lan: 10.0.0.5, tv.lan: "10.0.0.9" }'],
    ],
    [
      "a key in lines",
      { kind: "set", path: ["upstreams", "overseas", "fallback"], value: "domestic" },
      ["+    fallback: domestic"],
    ],
    [
      "a key in braces",
      { kind: "set", path: ["upstreams", "domestic", "attempt"], value: "300ms" },
      [
        "-  domestic: { servers: [223.5.5.5] }   # at home",
        '+  domestic: { servers: [223.5.5.5], attempt: "300ms" }   # at home',
      ],
    ],
    [
      "another value",
      { kind: "set", path: ["upstreams", "overseas", "strategy"], value: "race" },
      ["-    strategy: failover", "+    strategy: race"],
    ],
    ["a new section", { kind: "set", path: ["cache", "max"], value: 5 }, ["+cache: { max: 5 }"]],
  ])("%s", (_, edit, lines) => {
    expect(changed(edit)).toEqual(lines);
  });

  test("a comment stays with the rule below it", () => {
    const text = editYaml(FILE, { kind: "rule", before: "ads", rule: { name: "x", domains: ["x.example"], answer: "nodata" } });
    expect(text).toContain(
      "rules:\n  - { name: x, domains: [x.example], answer: nodata }\n  # no advertisements\n  - { name: ads",
    );
  });

  test("the last line of a file without a line end", () => {
    expect(
      editYaml("rules:\n  - { name: a, domains: a.example, answer: nodata }", {
        kind: "set",
        path: ["log", "level"],
        value: "warn",
      }),
    ).toBe("rules:\n  - { name: a, domains: a.example, answer: nodata }\nlog: { level: warn }\n");
  });

  test("an empty file", () => {
    expect(parse(editYaml("", { kind: "rule", before: null, rule: { name: "a" } }))).toEqual({ rules: [{ name: "a" }] });
    expect(parse(editYaml("# nothing\n", { kind: "set", path: ["a", "b"], value: [1] }))).toEqual({ a: { b: [1] } });
  });
});

test("a value in lines that is replaced, and a key that goes, keep the comments of all others", () => {
  const made = editYaml(FILE, { kind: "set", path: ["upstreams", "overseas"], value: { servers: ["8.8.8.8"] } });
  expect(parse(made)).toMatchObject({ upstreams: { overseas: { servers: ["8.8.8.8"] } } });
  expect(made).toContain("# no advertisements");
  const without = editYaml(FILE, { kind: "set", path: ["hosts"], value: null });
  expect(Object.keys(parse(without))).toEqual(["upstreams", "rules"]);
  expect(without).toContain("# at home");
});

test.each<[string, DataEdit]>([
  ["there is no rule nobody", { kind: "pattern", rule: "nobody", pattern: "x" }],
  ["there is no rule nobody", { kind: "rule", before: "nobody", rule: { name: "x" } }],
  ["`upstreams.overseas.strategy` is no map", { kind: "set", path: ["upstreams", "overseas", "strategy", "x"], value: 1 }],
])("refused: %s", (reason, edit) => {
  expect(() => editYaml(FILE, edit)).toThrow(reason);
});

test("a text that is no YAML is refused", () => {
  expect(() => editYaml("a: [", { kind: "set", path: ["a"], value: 1 })).toThrow("the file is no YAML");
});

test("whatever the value, the text says it afterwards, and nothing else has changed", () => {
  const anyValue = fc.oneof(
    fc.string(),
    fc.integer(),
    fc.boolean(),
    fc.array(fc.string(), { maxLength: 3 }),
    fc.dictionary(fc.string({ minLength: 1 }), fc.string(), { maxKeys: 3 }),
  );
  const anyPath = fc.constantFrom(
    ["hosts", "records", "x.lan"],
    ["upstreams", "domestic", "x"],
    ["new", "key"],
    ["rules", 0, "name"],
    ["rules", 1, "x"],
  );
  fc.assert(
    fc.property(anyPath, anyValue, (path, value) => {
      const made = parse(editYaml(FILE, { kind: "set", path, value }));
      const at = path.reduce<unknown>((each, key) => Object(each)[key], made);
      expect(at).toEqual(JSON.parse(JSON.stringify(value)));
    }),
    { numRuns: runs(300) },
  );
});
