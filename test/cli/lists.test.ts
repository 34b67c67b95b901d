import { readdirSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { describe, expect, test } from "vitest";
import { run } from "../../src/cli/run.ts";
import { names, tagged, web } from "../lists/web.ts";
import { directory } from "../support/files.ts";
import { testTerminal, until } from "./terminal.ts";

/** A folder with this configuration. */
function house(yaml: string): string {
  const folder = directory();
  writeFileSync(join(folder, "fenliu.yaml"), yaml);
  return folder;
}

async function fenliu(folder: string, argv: readonly string[], interactive = false) {
  const terminal = { ...testTerminal(folder), interactive };
  const code = await run(["lists", ...argv], terminal);
  return { code, ...terminal.written };
}

describe("lists", () => {
  test("shows the entries and the problems of each source", async () => {
    const folder = house(`lists:
  own: { domains: own.txt }
  ads: { domains: "https://lists.example/ads.txt" }
`);
    writeFileSync(join(folder, "own.txt"), "a.example\nno name\n");
    const { code, out } = await fenliu(folder, []);
    expect(code).toBe(0);
    const [headings, own, ads] = out.split("\n").map((line) => line.split(/ {2,}/));
    expect(headings).toEqual(["LIST", "KIND", "ENTRIES", "SOURCE", "FROM", "AGE", "PROBLEM"]);
    expect(own).toEqual([
      "own",
      "domains",
      "1",
      join(folder, "own.txt"),
      "file",
      "0 min",
      "passed over line 2: not a domain name",
    ]);
    expect(ads?.slice(-3)).toEqual(["https://lists.example/ads.txt", "nothing", "not downloaded, and it has no seed"]);
  });

  test("shows the first of many skipped lines", async () => {
    const folder = house("lists: { own: { domains: own.txt } }");
    writeFileSync(join(folder, "own.txt"), "a.example\nb.example\nno name\nno name\n");
    expect((await fenliu(folder, [])).out).toContain("passed over 2 lines, the first is line 3: not a domain name\n");
  });

  test("says the same in JSON, and changes nothing", async () => {
    const folder = house('lists: { ads: { domains: "https://lists.example/ads.txt" } }');
    const { code, out } = await fenliu(folder, ["--json"]);
    expect(code).toBe(0);
    expect(JSON.parse(out)).toMatchObject([
      { name: "ads", size: 0, sources: [{ servedFrom: "nothing", checkedWallMs: null, downloadProblem: null }] },
    ]);
    expect(readdirSync(folder)).toEqual(["fenliu.yaml"]);
  });

  test.each([["upgrade"], ["--accept", "ads"], ["update", "nolist"], ["update", "own"]])(
    "%s %s is a usage error",
    async (...argv) => {
      const folder = house("lists: { own: { domains: own.txt }, ads: { domains: 'https://lists.example/a' } }");
      writeFileSync(join(folder, "own.txt"), "a.example\n");
      expect((await fenliu(folder, argv)).code).toBe(2);
    },
  );
});

describe("lists update", () => {
  test("says that there is nothing to download", async () => {
    const folder = house("");
    const nothing = { code: 0, out: "", err: "fenliu: the configuration has no list with a URL to download\n" };
    expect(await fenliu(folder, ["update"])).toEqual(nothing);
    expect(await fenliu(folder, ["update", "--json"])).toEqual({ ...nothing, out: "[]\n" });
  });

  test("downloads the lists into the folder of the configuration", async () => {
    const server = await web({ "/a": tagged(names(10)), "/b": tagged(names(20)) });
    const folder = house(`lists: { a: { domains: "${server.url}/a" }, b: { domains: "${server.url}/b" } }`);
    const first = await fenliu(folder, ["update"]);
    expect([first.code, first.out]).toEqual([0, `a  ${server.url}/a  10 entries\nb  ${server.url}/b  20 entries\n`]);
    const again = await fenliu(folder, ["update", "b"]);
    expect([again.code, again.out]).toEqual([0, `b  ${server.url}/b  unchanged\n`]);
    expect(readdirSync(join(folder, "data", "lists"))).toHaveLength(4);
    expect((await fenliu(folder, [])).out).toMatch(/^a +domains +10 +\S+ +copy +0 min$/m);
  });

  test("fails with exit code 1 where one list fails, and the others are there", async () => {
    const server = await web({ "/b": names(20) });
    const folder = house(`lists: { a: { domains: "${server.url}/a" }, b: { domains: "${server.url}/b" } }`);
    const { code, out } = await fenliu(folder, ["update", "--json"]);
    expect(code).toBe(1);
    expect(JSON.parse(out)).toMatchObject([
      { list: "a", updated: [{ outcome: { kind: "failed", reason: "status 404" } }] },
      { list: "b", updated: [{ outcome: { kind: "new", entries: 20 } }] },
    ]);
    expect((await fenliu(folder, [])).out).toContain("status 404");
  });

  test("--accept takes a list that is quarantined for its size", async () => {
    const server = await web({ "/a": names(10) });
    const folder = house(`lists: { a: { domains: "${server.url}/a" } }`);
    await fenliu(folder, ["update"]);
    server.serve("/a", names(2));
    expect(await fenliu(folder, ["update"])).toMatchObject({ code: 1, out: expect.stringContaining("held: it shrank from 10") });
    expect((await fenliu(folder, [])).out).toContain("held: it shrank from 10 entries to 2");
    expect(await fenliu(folder, ["update", "--accept", "a"])).toMatchObject({
      code: 0,
      out: expect.stringContaining("2 entries"),
    });
  });

  test("does not activate a list that would break an expectation, also if two lists break it together", async () => {
    const server = await web({ "/a": "a.example\n", "/b": "b.example\n" });
    const folder = house(`lists: { a: { domains: "${server.url}/a" }, b: { domains: "${server.url}/b" } }
rules: [{ name: a, domains: "list:a", answer: nodata }, { name: b, domains: "list:b", answer: nodata }]
expect: [{ name: a.example, rule: a }, { name: b.example, rule: b }]
`);
    expect((await fenliu(folder, ["update"])).code).toBe(0);
    server.serve("/a", "c.example\n");
    expect(await fenliu(folder, ["update", "a"])).toMatchObject({ code: 1, out: expect.stringContaining("expected rule a") });
    server.serve("/b", "b.example\nx.example\n");
    expect((await fenliu(folder, ["update", "--accept", "b"])).code).toBe(0);
  });

  test("an interrupted update leaves every list whole, and names the unchanged lists", async () => {
    const server = await web({
      "/a": names(10),
      "/b": (_, response) => void response.writeHead(200, { "content-length": "2000" }).write("b.example\n"),
    });
    const folder = house(
      `lists: { a: { domains: "${server.url}/a" }, b: { domains: "${server.url}/b" }, c: { domains: "${server.url}/a" } }`,
    );
    const terminal = { ...testTerminal(folder), interactive: true };
    const ended = run(["lists", "update"], terminal);
    await until(() => terminal.written.err.includes("b  ["));
    terminal.stop();
    expect(await ended).toBe(1);
    expect(terminal.written.out).toBe(`a  ${server.url}/a  10 entries\n`);
    expect(terminal.written.err.endsWith("\r\x1b[Kfenliu: stopped; as they were before: b, c\n")).toBe(true);
    expect(readdirSync(join(folder, "data", "lists")).filter((name) => !name.startsWith("a-"))).toEqual([]);
  });

  test("shows progress on a terminal, and removes it at the end", async () => {
    const server = await web({
      "/a": (_, response) => response.writeHead(200, { "content-length": "20" }).end("a.example\nb.example\n"),
    });
    const folder = house(`lists: { a: { domains: "${server.url}/a" } }`);
    const { err } = await fenliu(folder, ["update"], true);
    expect(err).toContain("a  [####################]  0 KiB");
    expect(err.endsWith("\r\x1b[K")).toBe(true);
  });
});
