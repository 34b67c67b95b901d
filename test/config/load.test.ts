import { mkdirSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { expect, test } from "vitest";
import { loadConfig } from "../../src/config/load.ts";
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
