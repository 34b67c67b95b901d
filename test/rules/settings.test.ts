import fc from "fast-check";
import { describe, expect, test } from "vitest";
import type { Shaping } from "../../src/answers/options.ts";
import { TYPE } from "../../src/dns/types.ts";
import { typeFilter } from "../../src/rules/decider.ts";
import type { RuleModifiers } from "../../src/rules/options.ts";
import { Settings } from "../../src/rules/settings.ts";
import { answers } from "./site.ts";

describe("settings", () => {
  test("without a modifier are those of section `answers`", () => {
    const settings = Settings.initial(answers);
    expect(settings.shaping).toEqual(answers);
    expect(settings).toMatchObject({ stale: true, ecs: null, log: true });
  });

  test("of one modifier the first setting wins, and any rule beats `answers`", () => {
    const settings = Settings.initial({ ...answers, https: "nodata" })
      .after({ https: "pass", log: false })
      .after({ https: ["strip-ech"], ipv6: "nodata", log: true, stale: false, ecs: "strip" });
    expect(settings.shaping).toMatchObject({ https: "pass", ipv6: "nodata" });
    expect(settings).toMatchObject({ log: false, stale: false, ecs: "strip" });
  });

  test("`ttl` and `negative` are merged field by field", () => {
    const settings = Settings.initial(answers)
      .after({ ttl: { minSeconds: 60 }, negative: { blockSeconds: 5 } })
      .after({ ttl: { minSeconds: 120, maxSeconds: 600 }, negative: { blockSeconds: 7, bareSeconds: 3 } });
    expect(settings.shaping.ttl).toEqual({ minSeconds: 60, maxSeconds: 600 });
    expect(settings.shaping.negative).toEqual({ ...answers.negative, blockSeconds: 5, bareSeconds: 3 });
  });

  test("a limit of a rule holds, and the opposite limit moves to it", () => {
    const initial = Settings.initial(answers);
    expect(initial.after({ negative: { maxSeconds: 0 } }).shaping.negative).toMatchObject({ minSeconds: 0, maxSeconds: 0 });
    expect(initial.after({ negative: { minSeconds: 90 } }).shaping.negative).toMatchObject({ minSeconds: 90, maxSeconds: 90 });
  });

  test("equal paths through the rules return the same object", () => {
    const [first, second]: RuleModifiers[] = [{ ipv6: "nodata" }, { https: "nodata" }];
    const initial = Settings.initial(answers);
    expect(initial.after(first ?? {}).after(second ?? {})).toBe(initial.after(first ?? {}).after(second ?? {}));
  });

  test("combinations beyond the remembered ones are right too", () => {
    const initial = Settings.initial(answers);
    for (let seconds = 0; seconds < 1_000; seconds++) {
      expect(initial.after({ ttl: { minSeconds: seconds } }).shaping.ttl.minSeconds).toBe(seconds);
    }
  });

  test("the minimum never exceeds the maximum, whatever the rules say", () => {
    const bounds = fc.record({ minSeconds: fc.nat(100), maxSeconds: fc.nat(100) }, { requiredKeys: [] });
    fc.assert(
      fc.property(fc.array(bounds, { maxLength: 4 }), (changes) => {
        const settings = changes.reduce((before, ttl) => before.after({ ttl }), Settings.initial(answers));
        expect(settings.shaping.ttl.minSeconds).toBeLessThanOrEqual(settings.shaping.ttl.maxSeconds);
      }),
    );
  });
});

describe("the type filter", () => {
  test("lets everything pass by default", () => {
    for (const type of Object.values(TYPE)) expect(typeFilter(answers, type)).toBeNull();
  });

  test("switches off exactly the types that its key names", () => {
    const filtered = (shaping: Partial<Shaping>) =>
      Object.values(TYPE)
        .map((type) => typeFilter({ ...answers, ...shaping }, type))
        .filter((action) => action !== null);
    expect(filtered({ https: "nodata" })).toEqual(["type64:nodata", "type65:nodata"]);
    expect(filtered({ ipv6: "nodata" })).toEqual(["ipv6:nodata"]);
    expect(filtered({ ipv4: "nodata" })).toEqual(["ipv4:nodata"]);
    expect(filtered({ https: ["strip-ech"], ipv6: "prefer-ipv4", ipv4: "prefer-ipv6" })).toEqual([]);
    expect(typeFilter({ ...answers, https: "nodata" }, TYPE.HTTPS)).toBe("type65:nodata");
    expect(typeFilter({ ...answers, ipv6: "nodata" }, TYPE.AAAA)).toBe("ipv6:nodata");
    expect(typeFilter({ ...answers, ipv4: "nodata" }, TYPE.A)).toBe("ipv4:nodata");
  });
});
