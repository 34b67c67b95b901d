import { execFileSync } from "node:child_process";
import { expect, test } from "vitest";

test("what serves HTTP does not load the WebSocket client of the runtime, which takes 16 MiB", () => {
  const script = `
    await import(${JSON.stringify(new URL("../../src/listen/http1.ts", import.meta.url).href)});
    console.log(process.moduleLoadList.filter((name) => name.includes("undici")).length);`;
  const flags = ["--disable-warning=ExperimentalWarning", "--input-type=module", "--eval"];
  expect(execFileSync(process.execPath, [...flags, script], { encoding: "utf8" })).toBe("0\n");
});
