import { describe, expect, test } from "vitest";
import { TYPE } from "../../src/dns/types.ts";
import { usualLimits as limits, nodata, nxdomain, positive } from "./answers.ts";
import { key, newCache } from "./caches.ts";

describe("an answer", () => {
  test("bears the mark it was put with or got since, until another answer takes its place", () => {
    const { cache } = newCache(1 << 20);
    cache.put(key("page.example"), positive("page.example"), { limits, filterFingerprint: "one" });
    expect(cache.get(key("page.example"))?.filterFingerprint).toBe("one");
    cache.noteFiltered(key("page.example"), "two");
    expect(cache.peek(key("page.example"))?.filterFingerprint).toBe("two");
    cache.put(key("page.example"), positive("page.example"), { limits });
    expect(cache.peek(key("page.example"))?.filterFingerprint).toBeNull();
    cache.noteFiltered(key("other.example"), "two");
    expect(cache.peek(key("other.example"))).toBeNull();
  });

  test("has one mark for all types where it is an NXDOMAIN", () => {
    const { cache } = newCache(1 << 20);
    cache.put(key("page.example"), nxdomain("page.example"), { limits });
    expect(cache.get(key("page.example", TYPE.MX))?.filterFingerprint).toBeNull();
    cache.noteFiltered(key("page.example", TYPE.MX), "one");
    expect(cache.get(key("page.example", TYPE.TXT))?.filterFingerprint).toBe("one");
  });

  test("leaves its mark to nothing else: the NXDOMAIN behind an answer that ends while it is judged stays unmarked", async () => {
    const { cache, clock } = newCache(1 << 20);
    cache.put(key("page.example"), nxdomain("page.example", { ttlSeconds: 60 }), { limits });
    cache.put(key("page.example", TYPE.MX), nodata("page.example", { type: TYPE.MX, ttlSeconds: 1 }), {
      limits,
      synthesized: true,
    });
    expect(cache.get(key("page.example", TYPE.MX))?.synthesized).toBe(true);
    await clock.advance(1000);
    cache.noteFiltered(key("page.example", TYPE.MX), "one");
    expect(cache.get(key("page.example", TYPE.MX))).toMatchObject({ synthesized: false, filterFingerprint: null });
  });
});
