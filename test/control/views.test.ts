import { expect, test } from "vitest";
import { listView } from "../../src/control/views.ts";

test("the sources of a list are shown without their secrets", () => {
  const source = {
    source: "https://me:word@lists.example/ads.txt?key=secret",
    servedFrom: "nothing",
    bytes: 0,
    sha256: null,
    entries: 0,
    warningCount: 0,
    warnings: [],
    problem: null,
    changedWallMs: null,
    checkedWallMs: null,
    downloadProblem: null,
  } as const;
  expect(listView({ name: "ads", kind: "domains", size: 0, sources: [source] }).sources).toMatchObject([
    { source: "https://me:***@lists.example/ads.txt?***" },
  ]);
});
