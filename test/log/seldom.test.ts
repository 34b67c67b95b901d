import { expect, test } from "vitest";
import { throttle } from "../../src/log/operations.ts";
import { fakeClock } from "../support/fake-clock.ts";

test("each kind of event is reported at once, then once a minute with the number of suppressed events", async () => {
  const clock = fakeClock();
  const told: unknown[] = [];
  const report = throttle(clock.now, (kind, details) => told.push([kind, details]));
  report("socketError", { reason: "EMFILE" });
  report("socketError", { reason: "EMFILE" });
  report("socketError", { reason: "EMFILE" });
  report("certificateReloaded", {});
  expect(told).toEqual([
    ["socketError", { reason: "EMFILE" }],
    ["certificateReloaded", {}],
  ]);
  await clock.advance(60_000);
  report("socketError", { reason: "EMFILE" });
  expect(told.at(-1)).toEqual(["socketError", { reason: "EMFILE", missed: 2 }]);
});
