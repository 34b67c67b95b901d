import { describe, expect, test } from "vitest";
import { parseConfig } from "../../src/config/load.ts";

const GROUPS = "upstreams: { near: { servers: 10.0.0.1 }, far: { servers: 10.0.0.2 } }\n";

/** What is doubtful in `text`, each as `line:column key: message`; an error in it fails the test. */
function warningsIn(text: string): readonly string[] {
  const result = parseConfig(text, "fenliu.yaml");
  if (result.kind === "invalid") throw new Error(JSON.stringify(result.problems));
  return result.warnings.map(({ line, column, key, message }) => `${line}:${column} ${key}: ${message}`);
}

describe("queries that no rule decides", () => {
  const undecided = "queries that no rule matches go to the first group, `near`";

  test("one group without rules is no warning", () => {
    expect(warningsIn("rules: [{ name: x, domains: a.example, answer: nodata }]")).toEqual([]);
  });

  test("two groups without rules are a warning", () => {
    expect(warningsIn(GROUPS)).toEqual([`1:1 rules: ${undecided}`]);
  });

  test.each([
    "{ name: x, domains: a.example, upstream: far }",
    "{ name: x, clients: tv, upstream: far }",
    "{ name: x, types: A, upstream: far }",
    "{ name: x, domains: ['.', '!a.example'], upstream: far }",
    "{ name: x, longest: { 'list:l': far } }",
    "{ name: x, ipv6: nodata }",
  ])("a last rule %s leaves some of them", (rule) => {
    expect(warningsIn(`${GROUPS}lists: { l: { domains: 'https://x.example/l' } }\nrules: [${rule}]`)).toEqual([
      `3:9 rules[0]: ${undecided}`,
    ]);
  });

  test.each([
    "{ name: x, upstream: far }",
    "{ name: x, domains: '.', upstream: far }",
    "{ name: x, answer: refused }",
    "{ name: x, compare: { near: near, far: far, keepNearIf: 'list:l' } }",
  ])("a last rule %s leaves none", (rule) => {
    expect(warningsIn(`${GROUPS}lists: { l: { addresses: 'https://x.example/l' } }\nrules: [${rule}]`)).toEqual([]);
  });

  test("a rule after one that matches everything is never reached", () => {
    expect(warningsIn("rules: [{ name: all, upstream: domestic }, { name: ads, domains: ads.example, answer: nodata }]")).toEqual(
      ["1:44 rules[1]: the rule `ads` is never reached: `all` before it matches every query"],
    );
  });
});

describe("times that do not fit each other", () => {
  test("a fallback that would be asked after the deadline", () => {
    const text = "upstreams: { a: { servers: 10.0.0.1, fallback: { group: b, after: 6s } }, b: { servers: 10.0.0.2 } }";
    expect(warningsIn(`${text}\nrules: [{ name: x, upstream: a }]`)).toEqual([
      expect.stringContaining("upstreams.a.fallback.after: "),
    ]);
  });

  test("a deadline after which RouterOS gives up", () => {
    expect(warningsIn("answers: { deadline: 5s }")).toEqual([
      "1:22 answers.deadline: RouterOS gives up after 5 s: with this deadline some replies come too late",
    ]);
    expect(warningsIn("answers: { deadline: 4999ms }")).toEqual([]);
  });

  test("waiting beyond the deadline", () => {
    expect(warningsIn("cache: { stale: { after: 4s } }")).toEqual([
      "1:26 cache.stale.after: 4s is not below `answers.deadline` (4s): no client would live to see the stale answer",
    ]);
    expect(warningsIn("upstreams: { a: { servers: 10.0.0.1, attempt: 5s } }")).toEqual([
      "1:47 upstreams.a.attempt: 5s is not below `answers.deadline` (4s): a second server would be asked too late",
    ]);
  });
});

test("bits beyond a prefix are dropped, with a warning", () => {
  const text = "access: { clients: [10.0.9.1/24, 'fd00::1/8'] }";
  expect(warningsIn(text)).toEqual([
    "1:21 access.clients[0]: 10.0.9.1/24 has bits beyond its prefix; it is read as 10.0.9.0/24",
    "1:34 access.clients[1]: fd00::1/8 has bits beyond its prefix; it is read as fd00::/8",
  ]);
  expect(parseConfig(text, null)).toMatchObject({ config: { access: { clients: ["10.0.9.0/24", "fd00::/8"] } } });
});

test("a list over http is a warning unless its checksum is configured", () => {
  const url = "http://x.example/l";
  expect(warningsIn(`lists: { l: { domains: '${url}' } }`)).toEqual([
    "1:24 lists.l.domains: what comes over http:// may have been altered on its way",
  ]);
  expect(warningsIn(`lists: { l: { domains: '${url}', sha256: '${"0a".repeat(32)}' } }`)).toEqual([]);
  expect(warningsIn(`lists: { l: { domains: 'https://x.example/l', mirrors: ['https://y.example/l', '${url}'] } }`)).toEqual([
    "1:80 lists.l.mirrors[1]: what comes over http:// may have been altered on its way",
  ]);
});

test("a rule that changes nothing is a warning", () => {
  expect(warningsIn("rules: [{ name: x, domains: a.example }]")).toEqual([
    "1:9 rules[0]: the rule `x` has neither an action nor a modifier: it changes nothing",
  ]);
});
