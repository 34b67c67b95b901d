import { describe, expect, test } from "vitest";
import { readDnsperf, readH2load } from "../../bench/load.ts";

const DNSPERF = `> NOERROR a.bench.example A 0.000100
> T b.bench.example A
> NOERROR c.bench.example A 0.000300
> NOERROR d.bench.example A 0.000200
Statistics:

  Queries sent:         4
  Queries completed:    3 (75.00%)
  Queries lost:         1 (25.00%)

  Response codes:       NOERROR 3 (100.00%)
  Queries per second:   1.500000
`;

const H2LOAD = `finished in 2.00s, 1.50 req/s, 249.98KB/s
requests: 4 total, 4 started, 4 done, 3 succeeded, 1 failed, 1 errored, 0 timeout
status codes: 3 2xx, 0 3xx, 0 4xx, 0 5xx
`;

describe("the output of the load generators", () => {
  test("dnsperf: a lost query is no answer, and has no latency", () => {
    expect(readDnsperf(DNSPERF, true)).toEqual({
      answered: 3,
      lost: 1,
      perSecond: 1.5,
      latency: { medianMicros: expect.closeTo(200), p99Micros: expect.closeTo(300), p999Micros: expect.closeTo(300) },
    });
  });

  test("dnsperf without a fixed rate has no latency", () => {
    expect(readDnsperf(DNSPERF, false).latency).toBeNull();
  });

  test("h2load: failed requests are lost, and latency is in its log", () => {
    const log = "1795268684192053\t200\t300\n1795268684192054\t200\t100\n1795268684192055\t200\t200\n";
    expect(readH2load(H2LOAD, log)).toEqual({
      answered: 3,
      lost: 1,
      perSecond: 1.5,
      latency: { medianMicros: 200, p99Micros: 300, p999Micros: 300 },
    });
  });

  test("h2load: a reply with another status than 2xx is lost once, as h2load counts it among the failed", () => {
    const text = H2LOAD.replace("3 2xx, 0 3xx, 0 4xx", "3 2xx, 0 3xx, 1 4xx");
    expect(readH2load(text, null)).toMatchObject({ answered: 3, lost: 1 });
  });
});
