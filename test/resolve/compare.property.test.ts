import fc from "fast-check";
import { expect, test } from "vitest";
import { comparing } from "./comparing.ts";

const nears = [
  "honest",
  "honest@300",
  "honest@900",
  "foreign",
  "mixed",
  "poison",
  "bogus",
  "empty",
  "bare",
  "nxdomain",
  "servfail",
  "silent",
];
const fars = ["far", "far@200", "far@2500", "poison", "empty", "nxdomain", "servfail", "silent"];
const steps = fc.array(
  fc.record({
    near: fc.constantFrom(...nears),
    far: fc.constantFrom(...fars),
    type: fc.constantFrom("A", "A", "AAAA", "HTTPS", "TXT"),
    passMs: fc.constantFrom(0, 1000, 6000, 101_000, 400_000, 90_000_000),
  }),
  { minLength: 1, maxLength: 6 },
);

test("with `first: far`, near is never asked about a name before far has given it near addresses", async () => {
  await fc.assert(
    fc.asyncProperty(steps, async (sequence) => {
      const site = await comparing({ near: "silent", far: "silent", compare: ", first: far, verdict: 1h" });
      let isShown = false;
      for (const { near, far, type, passMs } of sequence) {
        site.follow("near", near);
        // Either side may behave in any way.
        const says = far === "far@2500" ? "honest" : far;
        site.follow("far", says);
        const { reply, elapsedMs, toWhom } = await site.ask(type);
        isShown ||= says === "honest";
        if (!isShown) expect(toWhom.filter((asked) => asked.startsWith("near"))).toEqual([]);
        if (type !== "TXT") expect(reply.answers.join(" ")).not.toMatch(/203\.0\.113|db8:bad/);
        expect(elapsedMs).toBeLessThanOrEqual(4000);
        await site.bench.clock.advance(passMs);
      }
    }),
    { numRuns: 12 },
  );
});

test("for any behaviour of both sides: no forged address, no late reply, and a foreign near address only as unproven", async () => {
  await fc.assert(
    fc.asyncProperty(steps, async (sequence) => {
      const site = await comparing({ near: "silent", far: "silent" });
      for (const { near, far, type, passMs } of sequence) {
        site.follow("near", near);
        site.follow("far", far);
        const { reply, action, comparison, elapsedMs, toWhom, source } = await site.ask(type);
        const text = reply.answers.join(" ");
        if (type !== "TXT") expect(text).not.toMatch(/203\.0\.113|db8:bad/);
        expect(elapsedMs).toBeLessThanOrEqual(4000);
        if (type === "A" && comparison?.by !== "failure") expect(text).not.toMatch(/198\.51\.100\.7/);
        if (action === "compare:unproven") expect(reply.ttl).toBeLessThanOrEqual(5);
        if (source === "stale") expect(reply.ttl).toBe(30);
        if (comparison?.by === "verdict" && type === "A") {
          expect(toWhom.filter((asked) => !asked.startsWith(comparison.side))).toEqual([]);
        }
        await site.bench.clock.advance(passMs);
      }
    }),
    { numRuns: 12 },
  );
});
