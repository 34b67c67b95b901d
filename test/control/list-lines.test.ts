import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { describe, expect, onTestFinished, test } from "vitest";
import { parseConfig } from "../../src/config/load.ts";
import { linesOfList } from "../../src/control/list-lines.ts";
import { NO_LIST_CACHE } from "../../src/lists/cache.ts";
import { NO_DIAGNOSTICS, openPolicy } from "../../src/server/policy.ts";

/** A list of one file with this content. */
async function listOf(content: string | Buffer) {
  const folder = mkdtempSync(join(tmpdir(), "fenliu-lines-"));
  onTestFinished(() => rmSync(folder, { recursive: true }));
  const path = join(folder, "ads.txt");
  writeFileSync(path, content);
  const read = parseConfig(`lists: { ads: { domains: [${path}] } }`, null);
  if (read.kind === "invalid") throw new Error(JSON.stringify(read.problems));
  const { lists } = await openPolicy(read.config, NO_DIAGNOSTICS);
  const [list] = read.config.lists;
  const [status] = lists.status();
  if (list === undefined || status === undefined) throw new Error("there is no list");
  const linesAround = (around: number, source = path) => linesOfList(list, status, { source, around, cache: NO_LIST_CACHE });
  return { linesAround };
}

const NAMES = Array.from({ length: 10_000 }, (_, index) => `ad${index + 1}.example`).join("\n");

describe("the lines of a list", () => {
  test("are those around the wanted one, with their numbers", async () => {
    const { linesAround } = await listOf(NAMES);
    const { lines } = await linesAround(9000);
    expect(lines.map(({ number }) => number)).toEqual(Array.from({ length: 11 }, (_, index) => 8995 + index));
    expect(lines[5]).toEqual({ number: 9000, text: "ad9000.example" });
  });

  test("begin and end with the file", async () => {
    const { linesAround } = await listOf("one.example\r\ntwo.example\r\n");
    expect((await linesAround(1)).lines).toEqual([
      { number: 1, text: "one.example" },
      { number: 2, text: "two.example" },
    ]);
    expect((await linesAround(5000)).lines).toEqual([]);
  });

  test("are cut where one is very long", async () => {
    const { linesAround } = await listOf(`a.example\n# ${"x".repeat(100_000)}`);
    expect((await linesAround(2)).lines[1]?.text).toHaveLength(300);
  });

  test("come from the sources of this list only", async () => {
    const { linesAround } = await listOf(NAMES);
    await expect(linesAround(1, "/etc/passwd")).rejects.toMatchObject({ kind: "missing" });
  });
});
