import { writeFileSync } from "node:fs";
import { join } from "node:path";
import { describe, expect, test } from "vitest";
import { run } from "../../src/cli/run.ts";
import { directory } from "../support/files.ts";
import { testTerminal } from "./terminal.ts";

/** A message of protobuf with one field of bytes. */
function field(number: number, bytes: Uint8Array): Buffer {
  return Buffer.concat([Uint8Array.of((number << 3) | 2, bytes.length), bytes]);
}

/** A geosite file with one entry, the suffix a.test, in each of these categories. */
function geosite(...codes: readonly string[]): Buffer {
  const entry = field(2, Buffer.concat([Uint8Array.of(8, 2), field(2, Buffer.from("a.test"))]));
  return Buffer.concat(codes.map((code) => field(1, Buffer.concat([field(1, Buffer.from(code)), entry]))));
}

async function check(yaml: string): Promise<{ readonly code: number; readonly err: string }> {
  const folder = directory();
  writeFileSync(join(folder, "fenliu.yaml"), yaml);
  writeFileSync(join(folder, "geosite.dat"), geosite("CATEGORY-ADS", "CN"));
  writeFileSync(join(folder, "cn.txt"), "cn.example\n");
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
