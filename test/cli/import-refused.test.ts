import { readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { run } from "../../src/cli/run.ts";
import { parseConfig } from "../../src/config/load.ts";
import { runs } from "../support/properties.ts";
import { bundle, COMMON, LISTS } from "./easymosdns.ts";
import { testTerminal } from "./terminal.ts";

describe("what keeps an import from being made", () => {
  async function ran(argv: readonly string[], files: Readonly<Record<string, string>> = {}) {
    const where = bundle(files);
    const terminal = testTerminal(where);
    return { code: await run(["import", ...argv], terminal), where, ...terminal.written };
  }

  test.each([[[]], [["easymosdns"]], [["pihole", "."]], [["easymosdns", ".", "more"]]])("%j is a usage error", async (argv) => {
    expect(await ran(argv)).toMatchObject({ code: 2, out: "", err: expect.stringContaining("import takes easymosdns DIR") });
  });

  test("a folder that is missing, or has no configuration", async () => {
    expect(await ran(["easymosdns", "nowhere"])).toMatchObject({
      code: 1,
      err: expect.stringMatching(/nowhere:1: cannot read the directory: no such file/),
    });
    expect(await ran(["easymosdns", "."])).toMatchObject({ code: 1, err: expect.stringContaining("there is no config.yaml") });
    const file = await ran(["easymosdns", "config.yaml"], { "config.yaml": "" });
    expect(file).toMatchObject({ code: 1, err: expect.stringContaining("it is not a directory") });
  });

  test("broken YAML: file and line", async () => {
    const { code, out, err, where } = await ran(["easymosdns", "."], { "config.yaml": "plugins:\n  - tag: [a\nservers: {\n" });
    expect({ code, out }).toEqual({ code: 1, out: "" });
    expect(err).toMatch(/config\.yaml:[234]: this is no YAML/);
    expect(err).toContain(join(where, "config.yaml"));
  });

  test("a bundle that asks nobody", async () => {
    const files = { "config.yaml": "plugins: [{ tag: main, type: sequence, args: { exec: [_return] } }]\n" };
    expect(await ran(["easymosdns", "."], files)).toMatchObject({
      code: 1,
      err: expect.stringContaining("`main` asks no server"),
    });
  });

  test("a file that is there is overwritten with --force alone", async () => {
    const where = bundle({ ...LISTS, "config.yaml": COMMON, "fenliu.yaml": "mine" });
    const argv = ["import", "easymosdns", ".", "-o", "fenliu.yaml"];
    const terminal = testTerminal(where);
    expect(await run(argv, terminal)).toBe(1);
    expect(terminal.written.err).toMatch(/^fenliu: [^:]+:1: a file is there already; --force overwrites it\n$/);
    expect(readFileSync(join(where, "fenliu.yaml"), "utf8")).toBe("mine");
    expect(await run([...argv, "--force"], terminal)).toBe(0);
    expect(readFileSync(join(where, "fenliu.yaml"), "utf8")).toContain("upstreams:");
  });

  test("without -o the file goes to stdout and the report to stderr", async () => {
    const { code, out, err } = await ran(["easymosdns", "."], { ...LISTS, "config.yaml": COMMON });
    expect(code).toBe(0);
    expect(parseConfig(out, null).kind).toBe("invalid");
    expect(out).toContain("name: others");
    expect(err).toContain("Not carried over:\n");
  });

  test("no bundle, however odd, makes it throw, and what it makes is valid", async () => {
    const words = COMMON.match(/[\w./:-]+/g) ?? [];
    const where = bundle(LISTS);
    const value = fc.letrec((tie) => ({
      any: fc.oneof({ maxDepth: 4 }, fc.constantFrom(...words), fc.string(), fc.integer(), tie("list"), tie("map")),
      list: fc.array(tie("any"), { maxLength: 5 }),
      map: fc.dictionary(fc.constantFrom(...words), tie("any"), { maxKeys: 5 }),
    })).any;
    const plugin = fc.record({
      tag: fc.constantFrom("main", "a", "b"),
      type: fc.constantFrom("sequence", "forward", "query_matcher", "cache", "ttl", "ecs", "hosts"),
      args: value,
    });
    const file = fc.record({
      plugins: fc.array(plugin, { maxLength: 6 }),
      servers: fc.constant([{ exec: "main" }]),
      data_providers: value,
      include: fc.constant([]),
    });
    const cut = fc
      .tuple(fc.nat(COMMON.length), fc.nat(40))
      .map(([at, length]) => COMMON.slice(0, at) + COMMON.slice(at + length));
    await fc.assert(
      fc.asyncProperty(
        fc.oneof(
          file.map((each) => JSON.stringify(each)),
          cut,
        ),
        async (text) => {
          writeFileSync(join(where, "config.yaml"), text);
          const terminal = testTerminal(where);
          const code = await run(["import", "easymosdns", "."], terminal);
          expect([0, 1]).toContain(code);
          expect(terminal.written.err).not.toContain("is no valid configuration");
        },
      ),
      { numRuns: runs(150) },
    );
  });
});
