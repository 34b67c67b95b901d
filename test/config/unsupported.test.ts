import { expect, test } from "vitest";
import { unsupportedKeys } from "../../src/config/file.ts";
import { parseConfig } from "../../src/config/load.ts";

function missing(yaml: string): readonly string[] {
  const result = parseConfig(yaml, null);
  if (result.kind === "invalid") throw new Error(result.problems.map(({ message }) => message).join("\n"));
  return unsupportedKeys(result.config);
}

test("the defaults use no unsupported key", () => {
  expect(missing("")).toEqual([]);
});

test("every unsupported key is named", () => {
  expect(missing('cluster: { redis: "redis://127.0.0.1:6379" }\nlog: { sinks: ["https://logs.example/in"] }')).toEqual([
    "cluster is not there yet",
    "log.sinks is not there yet",
  ]);
});
