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
    downloadProblem: {
      reason: "page.example A for k3y: expected rule none, got rule ads; rule ads decides by a, line 1 of list ads",
      held: true,
      sinceWallMs: 0,
    },
  } as const;
  expect(listView({ name: "ads", kind: "domains", size: 0, sources: [source] }, { clients: ["k3y"] }).sources).toMatchObject([
    {
      source: "https://me:***@lists.example/ads.txt?***",
      downloadProblem: {
        reason: expect.stringMatching(/ for \*\*\*: /),
      },
    },
  ]);
});
