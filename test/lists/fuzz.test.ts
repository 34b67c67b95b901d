import fc from "fast-check";
import { describe, expect, test } from "vitest";
import type { AddressRange } from "../../src/dns/address.ts";
import { type Name, nameFromText } from "../../src/dns/name.ts";
import { runSync } from "../../src/lib/cooperative.ts";
import { DomainSetBuilder } from "../../src/lists/domain-set-builder.ts";
import { readAddresses, readDomains } from "../../src/lists/readers.ts";
import { spanText } from "../../src/lists/span.ts";
import { TEXT_FORMATS } from "../../src/lists/text-formats.ts";
import { type DomainSink, WarningLog } from "../../src/lists/types.ts";
import { runs } from "../support/properties.ts";

/** Small files of every format, the .dat files with a category `CN`. */
const SAMPLES = [
  "# c\na.test @cn\nfull:b.test\nregexp:^a+$ @x\nkeyword:k\n",
  "server=/a.test/b.test/1.1.1.1\nbogus-nxdomain=1.2.3.4\n",
  "0.0.0.0 a.test b.test\n::1 localhost\n",
  "[Adblock]\n||a.test^\n@@||b.a.test^$important\n|c.test^\n/re[g]+/\n||d*.e.test^\n||f.test^$dnstype=A,client=~1.2.3.4,denyallow=g.f.test\n||h.test^$dnsrewrite=NOERROR;A;1.2.3.4\n@@/i/\n",
  "payload:\n  - '+.a.test'\n  - DOMAIN-KEYWORD,b\n",
  "[AutoProxy 0.2.9]\n||a.test\n|http://b.test/x\n",
  "1.0.0.0/8\n2001:db8::/32\n10.0.0.1-10.0.0.9\nIP-CIDR,1.1.1.1/32\n",
].map((text) => Buffer.from(text));
const GEOSITE = Buffer.from("\x0a\x1c\x0a\x02CN\x12\x0a\x08\x02\x12\x06a.test\x12\x0a\x08\x01\x12\x06^r[0]$", "latin1");
const GEOIP = Buffer.from("\x0a\x0e\x0a\x02CN\x12\x08\x0a\x04\x01\x02\x03\x00\x10\x18", "latin1");

const mutated = fc
  .tuple(
    fc.constantFrom(...SAMPLES, GEOSITE, GEOIP),
    fc.array(fc.tuple(fc.nat(), fc.nat(255), fc.constantFrom("set", "cut", "insert")), { maxLength: 6 }),
  )
  .map(([sample, edits]) =>
    edits.reduce((bytes: Buffer, [place, byte, edit]) => {
      const at = place % (bytes.length + 1);
      if (edit === "cut") return bytes.subarray(0, at);
      return Buffer.concat([bytes.subarray(0, at), Buffer.from([byte]), bytes.subarray(edit === "set" ? at + 1 : at)]);
    }, sample),
  );
const anyBytes = fc.oneof(
  fc.uint8Array({ maxLength: 200 }).map((bytes) => Buffer.from(bytes)),
  fc.string({ maxLength: 200 }).map((text) => Buffer.from(text)),
  fc.uint8Array({ maxLength: 200 }).map((bytes) => Buffer.concat([Buffer.from([0x0a]), bytes])),
  mutated,
);
const category = fc.constantFrom(null, "cn", "cn@ads", "@cn", ...TEXT_FORMATS);

function readingOf(bytes: Buffer, category: string | null) {
  const ranges: AddressRange[] = [];
  const take = (range: AddressRange) => void ranges.push(range);
  return { problem: runSync(readAddresses(bytes, category, { take, warnings: new WarningLog() })), ranges };
}

/** Passes everything on but exceptions, and notes the names that were taken and are in the set themselves. */
function recording(sink: DomainSink, taken: Name[]): DomainSink {
  return {
    ...sink,
    name(kind, span, line) {
      const reason = sink.name(kind, span, line);
      const name = nameFromText(spanText(span));
      if (reason === null && name !== null && kind !== "below") taken.push(name);
      return reason;
    },
    exception: () => null,
    rule: (rule, line) => (rule.isException ? null : sink.rule(rule, line)),
  };
}

describe("for any bytes", () => {
  test("the reader of domains returns, and every name that it took is found again", () => {
    fc.assert(
      fc.property(anyBytes, category, (bytes, hint) => {
        const builder = new DomainSetBuilder("x");
        const taken: Name[] = [];
        const problem = runSync(
          readDomains(bytes, hint, { sink: recording(builder.source("x"), taken), warnings: new WarningLog() }),
        );
        expect(problem === null || problem.length > 0).toBe(true);
        const set = builder.build();
        for (const name of taken) expect(set.match(name)?.wireLength).toBe(name.length);
      }),
      { numRuns: runs(3000) },
    );
  });

  test("the reader of addresses returns", () => {
    fc.assert(
      fc.property(anyBytes, fc.constantFrom(null, "cn"), (bytes, hint) => {
        const { ranges, problem } = readingOf(bytes, hint);
        for (const { first, last } of ranges) expect(first.length === last.length && Buffer.compare(first, last) <= 0).toBe(true);
        expect(problem === null || problem.length > 0).toBe(true);
      }),
      { numRuns: runs(3000) },
    );
  });

  test("the samples themselves are read without a problem", () => {
    const problems = [...SAMPLES.slice(0, 6).map((bytes) => [bytes, null] as const), [GEOSITE, "cn"] as const].map(
      ([bytes, hint]) =>
        runSync(readDomains(bytes, hint, { sink: new DomainSetBuilder("x").source("x"), warnings: new WarningLog() })),
    );
    expect(problems).toEqual(Array(7).fill(null));
    expect(readingOf(GEOIP, "cn")).toMatchObject({
      problem: null,
      ranges: [{ first: Uint8Array.from([1, 2, 3, 0]) }],
    });
  });
});
