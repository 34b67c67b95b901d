import { expect, test } from "vitest";
import { parseConfig } from "../../src/config/load.ts";
import { groupMarks } from "../../src/upstreams/group.ts";

/** The mark of the first group, `a`. */
function markOf(upstreams: string): string {
  const parsed = parseConfig(`upstreams: ${upstreams}`, null);
  if (parsed.kind === "invalid") throw new Error(parsed.problems.map(({ message }) => message).join());
  return groupMarks(parsed.config.upstreams.groups).get("a") ?? "";
}

const plain = markOf("{ a: { servers: [192.0.2.1, 192.0.2.2] } }");

test.each([
  "{ a: { servers: [192.0.2.2, 192.0.2.1], strategy: race, attempt: 100ms } }",
  "{ a: { servers: [{ url: 192.0.2.1, maxQps: 5 }, { url: 192.0.2.2, weight: 3 }], never: { types: [PTR] }, asksFrom: [192.0.2.9] } }",
  "{ a: { servers: [192.0.2.1, 192.0.2.2], rebinding: nodata }, b: { servers: [192.0.2.3] } }",
])("%s has the same answers", (upstreams) => {
  expect(markOf(upstreams)).toBe(plain);
});

test("every option that answers depend on changes the mark", () => {
  const marks = [
    "{ a: { servers: [192.0.2.1] } }",
    "{ a: { servers: [192.0.2.1, 192.0.2.3] } }",
    "{ a: { servers: [192.0.2.1, tcp://192.0.2.2] } }",
    '{ a: { servers: [192.0.2.1, "192.0.2.2:54"] } }',
    "{ a: { servers: [192.0.2.1, 192.0.2.2], volatile: true } }",
    "{ a: { servers: [192.0.2.1, 192.0.2.2], ecs: 198.51.100.0/24 } }",
    "{ a: { servers: [192.0.2.1, 192.0.2.2], fallback: b }, b: { servers: [192.0.2.3] } }",
    "{ a: { servers: [192.0.2.1, 192.0.2.2], fallback: b }, b: { servers: [192.0.2.4] } }",
    "{ a: { servers: [https://dns.example/dns-query] } }",
    "{ a: { servers: [https://dns.example/other] } }",
    "{ a: { servers: [https://dns.example/dns-query], proxy: socks5://127.0.0.1:1 } }",
    "{ a: { servers: [{ url: https://dns.example/dns-query, addresses: [192.0.2.1] }] } }",
  ].map(markOf);
  expect(new Set([plain, ...marks]).size).toBe(1 + marks.length);
});

test("the password of a proxy does not change the mark", () => {
  const withPassword = (password: string) =>
    markOf(`{ a: { servers: [https://dns.example/dns-query], proxy: "socks5://me:${password}@127.0.0.1:1" } }`);
  expect(withPassword("one")).toBe(withPassword("two"));
});
