import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { CALLS, conditionsOf, requestOf } from "../../web/api/calls.ts";
import { FILTER_KEYS, HOUSE_PARTS, parseFilters, type Route, readRoute, urlOf } from "../../web/routes.ts";
import { openTestAdmin } from "../admin/support/admin.ts";
import { runs } from "../support/properties.ts";

const read = (address: string) => readRoute(new URL(address, "http://fenliu.lan"));

// `.` and `..` as a whole part of a path are steps, not names.
const text = fc.string({ minLength: 1, unit: "grapheme" }).filter((value) => value.isWellFormed() && !/^\.{1,2}$/.test(value));
const version = fc.stringMatching(/^[0-9a-f]{12}$/);
const moment = fc.option(fc.constantFrom("24h", "7d", "1763758991482"), { nil: null });
const routes: fc.Arbitrary<Route> = fc.oneof(
  fc.constant({ page: "home" } as const),
  fc.record({ page: fc.constant("problems" as const), id: fc.option(text, { nil: null }) }),
  fc.record({
    page: fc.constant("queries" as const),
    filters: fc.array(fc.record({ key: fc.constantFrom(...FILTER_KEYS), value: text }), { maxLength: 5 }),
    from: moment,
    to: moment,
    tail: fc.boolean(),
    open: fc.option(fc.integer({ min: 1, max: 2 ** 50 }), { nil: null }),
  }),
  fc.record({
    page: fc.constant("ask" as const),
    name: fc.oneof(fc.constant(""), text),
    type: fc.constantFrom("A", "HTTPS", "TYPE65"),
    client: fc.constantFrom("", "tv", "fd00::5"),
    a: fc.oneof(fc.constantFrom("now", "live"), version),
    b: fc.option(fc.oneof(fc.constant("now"), version), { nil: null }),
  }),
  fc.record({ page: fc.constant("house" as const), part: fc.constantFrom(...HOUSE_PARTS) }),
  fc.record({
    page: fc.constant("config" as const),
    view: fc.constant("file" as const),
    versions: fc.constant(null),
    line: fc.option(fc.integer({ min: 1, max: 9999 }), { nil: null }),
    rule: fc.option(text, { nil: null }),
  }),
  fc.record({
    page: fc.constant("config" as const),
    view: fc.constant("history" as const),
    versions: fc.option(fc.tuple(version, version), { nil: null }),
    line: fc.constant(null),
    rule: fc.constant(null),
  }),
);

describe("the addresses of the page", () => {
  test("lead back to the view that they were made of", () => {
    fc.assert(
      fc.property(routes, (route) => {
        expect(read(urlOf(route))).toEqual(route);
      }),
      { numRuns: runs(1000) },
    );
  });

  test("are no view of the page where they belong to something else", () => {
    for (const path of ["/docs", "/metrics", "/house/cellar", "/nowhere"]) expect(read(path)).toBeNull();
  });

  test("give no filter, row or line that they do not have", () => {
    expect(read("/queries?token=x&name=&open=-1")).toMatchObject({ filters: [], open: null });
    expect(read("/config?line=0")).toMatchObject({ line: null });
    expect(read("/problems/%E0%A4%A")).toMatchObject({ id: "%E0%A4%A" });
  });
});

test("what is typed as a filter is a name, unless a key stands before it", () => {
  expect(parseFilters(" taobao.com  client:tv rcode:!NOERROR upstream:https://1.1.1.1/ other:x name: ")).toEqual([
    { key: "name", value: "taobao.com" },
    { key: "client", value: "tv" },
    { key: "rcode", value: "!NOERROR" },
    { key: "upstream", value: "https://1.1.1.1/" },
    { key: "name", value: "other:x" },
  ]);
  expect(parseFilters("  ")).toEqual([]);
});

describe("the calls of the page", () => {
  test("are operations of the API's document, with its methods and paths", async () => {
    const operations = (await (await openTestAdmin()).document()).operations();
    const documented = new Map(operations.map(({ method, path, operation }) => [operation.operationId, `${method} ${path}`]));
    for (const [operation, pattern] of Object.entries(CALLS)) expect(documented.get(operation), operation).toBe(pattern);
  });

  test("put each value where the path, the query or the body wants it", () => {
    const filters = [{ key: "name", value: "a b" } as const, { key: "name", value: "c&d" } as const];
    expect(requestOf("searchQueries", { ...conditionsOf(filters), limit: 5 })).toEqual({
      method: "GET",
      url: "/api/v1/queries?name=a+b&name=c%26d&limit=5",
      body: null,
    });
    expect(requestOf("putHost", { name: "*.a/b", body: { address: ["10.0.0.5"] } })).toEqual({
      method: "PUT",
      url: "/api/v1/hosts/*.a%2Fb",
      body: '{"address":["10.0.0.5"]}',
    });
  });
});
