import { mkdirSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { describe, expect, test } from "vitest";
import { loadConfig, parseConfig } from "../../src/config/load.ts";
import { type Problem, printProblems } from "../../src/config/reading.ts";
import { tlsFixture } from "../listen/support/site.ts";
import { site } from "./site.ts";

test("a missing file is one problem", () => {
  using here = site();
  const path = join(here.directory, "absent.yaml");
  expect(loadConfig(path)).toEqual({
    kind: "invalid",
    text: "",
    problems: [
      {
        file: path,
        line: 1,
        column: 1,
        key: "",
        message: "cannot read the configuration: no such file",
        fix: "mend the path, or create the file",
      },
    ],
  });
});

test("a directory is refused", () => {
  using here = site();
  expect(loadConfig(here.directory)).toMatchObject({
    kind: "invalid",
    problems: [{ message: "cannot read the configuration: it is a directory" }],
  });
});

test("a file that is not UTF-8 is refused", () => {
  using here = site();
  writeFileSync(here.path, Buffer.from([0x23, 0xb9, 0xe3, 0xb8, 0xe6, 0x0a]));
  expect(loadConfig(here.path)).toMatchObject({
    kind: "invalid",
    problems: [{ message: "cannot read the configuration: it is not UTF-8 text" }],
  });
});

test("a byte order mark and CRLF do no harm", () => {
  using here = site();
  writeFileSync(here.path, "\ufefflisten:\r\n  dns: []\r\nlog:\r\n  level: debug\r\n");
  expect(loadConfig(here.path)).toMatchObject({ kind: "ok", config: { listen: { dns: [] }, log: { level: "debug" } } });
});

test("a file beyond 1 MiB is refused unread", () => {
  using here = site();
  writeFileSync(here.path, "#".repeat(2 ** 20 + 1));
  expect(loadConfig(here.path)).toMatchObject({
    kind: "invalid",
    problems: [{ message: "cannot read the configuration: it is larger than 1 MiB" }],
  });
});

test("relative paths start at the configuration file, not at the working directory", () => {
  using here = site();
  mkdirSync(join(here.directory, "sub"));
  const path = join(here.directory, "sub", "fenliu.yaml");
  writeFileSync(path, "hosts: { files: [../rules/hosts.txt, rules/hosts.txt] }");
  expect(loadConfig(path)).toMatchObject({
    kind: "invalid",
    problems: [{ key: "hosts.files[1]", message: `cannot read ${join(here.directory, "sub/rules/hosts.txt")}: no such file` }],
  });
});

const problem: Problem = { file: "fenliu.yaml", line: 1, column: 1, key: "", message: "it is wrong", fix: "mend it" };

test("a problem is printed with its line, a caret and a fix", () => {
  const text = "cache:\n  stale: { kepe: 1d }\n";
  const result = parseConfig(text, "conf/fenliu.yaml");
  expect(result.kind === "invalid" && printProblems(result.problems, text)).toBe(
    [
      "conf/fenliu.yaml:2:12: unknown key `kepe`; did you mean `keep`?",
      "      stale: { kepe: 1d }",
      "               ^",
      "    fix: write `keep`",
      "",
    ].join("\n"),
  );
});

test("no problems print nothing", () => {
  expect(printProblems([], "log: {}")).toBe("");
});

describe("the caret stands below its place", () => {
  const caretOf = (text: string, column: number) => {
    const [, line = "", caret = ""] = printProblems([{ ...problem, column }], text).split("\n");
    return { line, column: caret.indexOf("^") };
  };

  test("after characters that are two columns wide", () => {
    expect(caretOf("广告: x", 5).column).toBe(4 + 6);
  });

  test("after a tab, which is shown as one space", () => {
    expect(caretOf("\ta: x", 2)).toEqual({ line: "     a: x", column: 5 });
  });

  test("in a long line, of which only a part is printed", () => {
    const text = `${"a".repeat(500)}b${"c".repeat(500)}`;
    const { line, column } = caretOf(text, 501);
    expect(line.charAt(column)).toBe("b");
    expect(line.length).toBeLessThan(160);
  });
});

test("escape sequences in the file do not reach the terminal", () => {
  const text = 'log: "\u001b[31m"\n"\u001b]0;x": 1\n';
  const result = parseConfig(text, "fenliu.yaml");
  const printed = result.kind === "invalid" ? printProblems(result.problems, text) : "";
  expect(printed).toContain("expected a map");
  expect(printed).not.toContain("\u001b");
});

test("without a source line there is no caret", () => {
  expect(printProblems([problem], "")).toBe("fenliu.yaml:1:1: it is wrong\n    fix: mend it\n");
});

test("no message and no printed line quotes a token, not even one that YAML takes for a number", () => {
  const text = "admin: { token: 9876543210123 }\nddns:\n  tokens: [1234567890123]\nupstreams: { a: { servers: 10.0.0.1 } }\n";
  const result = parseConfig(text, "fenliu.yaml");
  if (result.kind === "ok") throw new Error("the file is accepted");
  const printed = JSON.stringify(result.problems) + printProblems(result.problems, text);
  expect(printed).toContain("put it in quotes");
  expect(printed).toContain("names: home.example.com");
  expect(printed).not.toMatch(/9876543210123|1234567890123/);
});

test("clients are told of encrypted listeners that are there, under the name of the certificate", () => {
  const tls = `tls: { cert: ${tlsFixture("cert.pem")}, key: ${tlsFixture("key.pem")}, name: localhost }`;
  const listen = 'listen: { https: ["127.0.0.1:443"], tls: ["127.0.0.1:853", "[::1]:853"] }';
  const ddrOf = (text: string) => {
    const result = parseConfig(`${text}\nspecial: { ddr: true }`, "fenliu.yaml");
    return result.kind === "ok" ? result.config.special.ddr : result.problems.map(({ message }) => message).join();
  };
  expect(ddrOf(`${listen}\n${tls}`)).toEqual({ name: "localhost", httpsPorts: [443], tlsPorts: [853], dohPath: "/dns-query" });
  expect(ddrOf("")).toContain("no encrypted listener");
  expect(ddrOf(`${listen}\n${tls.replace(", name: localhost", "")}`)).toContain("`tls.name` does not say it");
});
