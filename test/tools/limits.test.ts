import { readFileSync } from "node:fs";
import { expect, test } from "vitest";
import { withLimits } from "../../tools/write-limits.ts";

test("the limits in SECURITY.md are those of the code: node tools/write-limits.ts", () => {
  const text = readFileSync(new URL("../../SECURITY.md", import.meta.url), "utf8");
  expect(withLimits(text)).toBe(text);
});
