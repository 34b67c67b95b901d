import { writeFileSync } from "node:fs";
import { join } from "node:path";
import { describe, expect, test } from "vitest";
import { run } from "../../src/cli/run.ts";
import { geosite } from "../support/dat.ts";
import { directory } from "../support/files.ts";
import { testTerminal } from "./terminal.ts";

async function check(yaml: string): Promise<{ readonly code: number; readonly err: string }> {
  const folder = directory();
  writeFileSync(join(folder, "fenliu.yaml"), yaml);
  writeFileSync(join(folder, "geosite.dat"), geosite({ "CATEGORY-ADS": ["a.test"], CN: ["a.test"] }));
  writeFileSync(join(folder, "cn.txt"), "cn.example\n");
  writeFileSync(join(folder, "home.txt"), "192.0.2.0/24\n");
  const terminal = testTerminal(folder);
  const code = await run(["check"], terminal);
  return { code, err: terminal.written.err };
}

describe("a category that a .dat file lacks is an error", () => {
  test("with the closest name", async () => {
    const { code, err } = await check('lists: { ads: { domains: "geosite.dat#category-ad" } }');
    expect(code).toBe(1);
    expect(err).toMatch(/list ads: .*geosite\.dat#category-ad: it has no category category-ad; did you mean `category-ads`\?/);
  });

  test("and one that it has is none", async () => {
    expect((await check('lists: { ads: { domains: "geosite.dat#category-ads" } }')).code).toBe(0);
  });
});

describe("while a list has not been downloaded yet", () => {
  const yaml = (expectation: string) => `upstreams: { first: { servers: [192.0.2.1] }, second: { servers: [192.0.2.2] } }
lists: { cn: { domains: cn.txt }, late: { domains: "https://lists.example/late.txt" } }
rules:
  - { name: cn, domains: "list:cn", upstream: first }
  - { name: late, domains: "list:late", upstream: second }
  - { name: rest, domains: ["."], upstream: first }
expect:
  - ${expectation}
`;

  test("an expectation that the list cannot touch is judged, and has its line", async () => {
    const { code, err } = await check(yaml("{ name: cn.example, upstream: second }"));
    expect(code).toBe(1);
    expect(err).toContain("expect, line 8: cn.example A: expected upstream second, got first");
  });

  test("an expectation that the list may mend is only reported", async () => {
    const { code, err } = await check(yaml("{ name: other.example, upstream: second }"));
    expect(code).toBe(0);
    expect(err).toMatch(/expect, line 8: other\.example A: .*; a list has not been downloaded yet/);
  });
});

describe("a comparison that asks far first", () => {
  const yaml = (
    first: string,
    upstream: string,
  ) => `upstreams: { near: { servers: [192.0.2.1] }, far: { servers: [192.0.2.2] }, third: { servers: [192.0.2.3] } }
lists: { home: { addresses: home.txt } }
rules: [{ name: others, compare: { near: near, far: far, keepNearIf: "list:home", first: ${first} } }]
expect: [{ name: a.example, rule: others, upstream: ${upstream} }]
`;

  test.each(["near", "far"])("meets the expectation of its group %s", async (upstream) => {
    expect(await check(yaml("far", upstream))).toMatchObject({ code: 0 });
  });

  test("fails the expectation of another group, which names both of its own", async () => {
    const { code, err } = await check(yaml("far", "third"));
    expect(code).toBe(1);
    expect(err).toContain("expect, line 4: a.example A: expected upstream third, got near, far");
  });

  test("has no other order than near and far", async () => {
    const { code, err } = await check(yaml("third", "near"));
    expect(code).toBe(1);
    expect(err).toContain("fenliu.yaml:3:90: expected `near` or `far`, found `third`");
  });
});
