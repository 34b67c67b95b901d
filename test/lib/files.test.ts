import { readdir, readFile, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { expect, test } from "vitest";
import { explainWriteError, readIfThere, replaceFile } from "../../src/lib/files.ts";
import { directory } from "../support/files.ts";

test("a file that cannot be written whole leaves the one before, and nothing beside it", async () => {
  const folder = directory();
  const path = join(folder, "below", "state");
  await replaceFile(path, "before");
  const failing = replaceFile(path, async (file) => {
    await file.writeFile("half");
    throw new Error("the disk is full");
  });
  await expect(failing).rejects.toThrow("the disk is full");
  expect(await readFile(path, "utf8")).toBe("before");
  await replaceFile(path, (file) => file.writeFile("after"));
  expect(await readFile(path, "utf8")).toBe("after");
  expect(await readdir(join(folder, "below"))).toEqual(["state"]);
});

test("a file that is not there is null, one that is too large an error", async () => {
  const folder = directory();
  await writeFile(join(folder, "ten"), "0123456789");
  expect(await readIfThere(join(folder, "none"), 10)).toBeNull();
  expect((await readIfThere(join(folder, "ten"), 10))?.toString()).toBe("0123456789");
  await expect(readIfThere(join(folder, "ten"), 9)).rejects.toThrow("too large");
  await expect(readIfThere(folder, 1e9)).rejects.toThrow("EISDIR");
});

test.each([
  ["EACCES: permission denied, mkdir '/data'", "the right to write there"],
  ["the file cannot be opened", "the right to write there"],
  ["the disk is full", "make room on the disk"],
])("the reason %s comes with what to do", (reason, fix) => {
  expect(explainWriteError(reason)).toMatch(new RegExp(`^${reason.replace(/[^\\w ]/g, ".")}; fix: .*${fix}`));
});
