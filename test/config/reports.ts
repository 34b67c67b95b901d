import { expect, test } from "vitest";
import { parseConfig } from "../../src/config/load.ts";

/** One group, in one line, for files that are about something else. */
export const GROUP = "upstreams: { a: { servers: 10.0.0.1 } }\n";

type Broken = readonly [claim: string, text: string, ...problems: readonly string[]];

/** What is found in `text`, each as `line:column key: message`. */
export function problemsIn(text: string): readonly string[] {
  const result = parseConfig(text, "fenliu.yaml");
  if (result.kind === "ok") return [];
  return result.problems.map(({ line, column, key, message }) => `${line}:${column} ${key}: ${message}`);
}

/** One test for each broken file: exactly these problems are found in it. */
export function reports(table: readonly Broken[]): void {
  for (const [claim, text, ...problems] of table)
    test(claim, () => {
      expect(problemsIn(text)).toEqual(problems);
    });
}
