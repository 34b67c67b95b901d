import { writeFileSync } from "node:fs";
import { join } from "node:path";
import { expect, test } from "vitest";
import { run } from "../../src/cli/run.ts";
import { directory } from "../support/files.ts";
import { testTerminal } from "./terminal.ts";

const upstreams = "upstreams: { domestic: { servers: [127.0.0.1] }, overseas: { servers: [127.0.0.2] } }";
const longest = `rules:
  - { name: split, longest: { "list:cn": domestic, "list:world": overseas } }
  - { name: rest, upstream: overseas }`;
const inTurn = `rules:
  - { name: near, domains: "list:cn", upstream: domestic }
  - { name: far, domains: "list:world", upstream: overseas }
  - { name: rest, upstream: overseas }`;

async function check(rules: string, lists: { readonly cn: string; readonly world: string }, ...argv: readonly string[]) {
  const folder = directory();
  writeFileSync(join(folder, "cn.txt"), lists.cn);
  writeFileSync(join(folder, "world.txt"), lists.world);
  const yaml = `${upstreams}\nlists: { cn: { domains: cn.txt }, world: { domains: world.txt } }\n${rules}\n`;
  writeFileSync(join(folder, "fenliu.yaml"), yaml);
  const terminal = testTerminal(folder);
  const code = await run(["check", ...argv], terminal);
  const { out, err } = terminal.written;
  return { code, out, err: err.replaceAll(`${folder}/`, ""), folder };
}

const both = {
  cn: "cn\ntie.example\nboth.example\n",
  world: "a.cn\nb.cn\nc.cn\nd.cn\ntie.example\nfull:both.example\n",
};

test("check warns of conflicts between lists of a `longest`, with list and line", async () => {
  const { code, out, err } = await check(longest, both);
  expect(code).toBe(0);
  expect(out).toMatch(/: nothing wrong\n$/);
  expect(err).toBe(`note: 1 entry of cn stands in world as well: to domestic, as rule split names cn first
    tie.example (cn.txt:2); tie.example (world.txt:5)
note: 1 entry of world stands in cn with all names below: to overseas, as rule split goes by the longest match
    full:both.example (world.txt:6); both.example (cn.txt:3)
note: 4 entries of world lie inside suffixes of cn: to overseas, as rule split goes by the longest match
    a.cn (world.txt:1); cn (cn.txt:1)
    b.cn (world.txt:2); cn (cn.txt:1)
    c.cn (world.txt:3); cn (cn.txt:1)
    and 1 more: --json shows them
`);
});

test("check warns of conflicts between lists of successive rules", async () => {
  const { code, err } = await check(inTurn, both);
  expect(code).toBe(0);
  expect(err.split("\n").filter((line) => line.startsWith("note"))).toEqual([
    "note: 1 entry of cn stands in world as well: to domestic, as rule near comes first",
    "note: 1 entry of world stands in cn with all names below: to domestic, as rule near comes first",
    "note: 4 entries of world lie inside suffixes of cn: to domestic, as rule near comes first",
  ]);
});

test("check --json lists every conflicting entry", async () => {
  const { code, out, err, folder } = await check(longest, { cn: "cn\n", world: "a.cn\nb.cn\nc.cn\nd.cn\n" }, "--json");
  expect([code, err]).toEqual([0, ""]);
  const { ok, conflicts } = JSON.parse(out);
  expect(ok).toBe(true);
  expect(conflicts).toEqual([
    {
      kind: "inside",
      inner: { list: "world", rule: "split", group: "overseas" },
      outer: { list: "cn", rule: "split", group: "domestic" },
      group: "overseas",
      count: 4,
      entries: ["a.cn", "b.cn", "c.cn", "d.cn"].map((pattern, index) => ({
        inner: { list: "world", source: join(folder, "world.txt"), line: index + 1, pattern },
        outer: { list: "cn", source: join(folder, "cn.txt"), line: 1, pattern: "cn" },
      })),
    },
  ]);
});

test("check is silent about lists that agree", async () => {
  expect(await check(longest, { cn: "cn\n", world: "example\n" })).toMatchObject({ code: 0, err: "" });
});
