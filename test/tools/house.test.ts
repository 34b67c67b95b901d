import { existsSync, mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { expect, test } from "vitest";
import { DOORS, findBreaches } from "../../tools/house.ts";

/** What the check of the house says of a tree that has these files below `src`. */
function check(files: Readonly<Record<string, string>>): string {
  const tree = mkdtempSync(join(tmpdir(), "fenliu-house-"));
  try {
    for (const [path, text] of Object.entries(files)) {
      mkdirSync(join(tree, "src", dirname(path)), { recursive: true });
      writeFileSync(join(tree, "src", path), text);
    }
    return findBreaches(tree).join("\n");
  } finally {
    rmSync(tree, { recursive: true });
  }
}

const importing = (...specifiers: string[]) => specifiers.map((from) => `import { x } from "${from}";\n`).join("");

const breaches: readonly (readonly [string, string])[] = [
  ["lib/planted.ts", "../dns/name.ts"],
  ["dns/planted.ts", "../lists/load.ts"],
  ["log/planted.ts", "../rules/rule.ts"],
  ["lists/planted.ts", "../rules/rule.ts"],
  ["lists/formats/planted.ts", "../../rules/rule.ts"],
  ["hosts/planted.ts", "../lists/load.ts"],
  ["access/planted.ts", "../hosts/table.ts"],
  ["cache/planted.ts", "../upstreams/group.ts"],
  ["upstreams/planted.ts", "../cache/key.ts"],
  ["answers/planted.ts", "../rules/rule.ts"],
  ["rules/planted.ts", "../cache/key.ts"],
  ["resolve/planted.ts", "../listen/udp.ts"],
  ["listen/planted.ts", "../resolve/resolve.ts"],
  ["stats/planted.ts", "../dns/name.ts"],
  ["admin/planted.ts", "../control/control.ts"],
  ["config/planted.ts", "../rules/rule.ts"],
  ["import/planted.ts", "../server/state.ts"],
  ["control/planted.ts", "../app/app.ts"],
  ["server/planted.ts", "../control/control.ts"],
  ["app/planted.ts", "../cli/run.ts"],
  ["cli/planted.ts", "../cache/key.ts"],
  ["routeros/planted.ts", "../control/control.ts"],
  ["devices/planted.ts", "../ddns/update.ts"],
  ["ddns/planted.ts", "../hosts/table.ts"],
  ["replies/planted.ts", "../cache/key.ts"],
  ["main.ts", "./dns/name.ts"],
];

test.each(breaches)("the check refuses in src/%s an import of %s", (file, specifier) => {
  expect(check({ [file]: importing(specifier) })).toContain(`src/${file} imports `);
});

test("a breach is planted in every room", () => {
  const rooms = readdirSync("src", { withFileTypes: true }).filter((entry) => entry.isDirectory());
  const planted = new Set(breaches.map(([file]) => file.split("/")[0]));
  expect(rooms.map(({ name }) => name).filter((room) => !planted.has(room))).toEqual([]);
});

test("the check refuses an import at run time like any other", () => {
  expect(check({ "dns/planted.ts": 'export const later = async () => await import("../lists/load.ts");\n' })).toContain(
    "src/dns/planted.ts imports lists/load.ts",
  );
});

test("the check refuses a file at the root of src, and one in a room without a row", () => {
  const said = check({ "planted.ts": "", "attic/planted.ts": "" });
  expect(said).toContain("src/planted.ts: only main.ts may lie at the root");
  expect(said).toContain("src/attic/planted.ts: the room attic/ has no row");
});

test("the check refuses a name that two rooms export, and a file of more than 700 lines", () => {
  const said = check({
    "dns/a.ts": "export const twin = 1;\n",
    "log/b.ts": "export function twin() {}\n",
    "dns/long.ts": "\n".repeat(701),
  });
  expect(said).toContain("twin is exported by src/dns/a.ts and src/log/b.ts");
  expect(said).toContain("src/dns/long.ts: 701 lines");
});

test("the check refuses a file that the door of its room does not name", () => {
  const files = { "dns/wire.ts": "// Read `name.ts` next.\n", "dns/name.ts": "", "dns/lost.ts": "", "dns/options.ts": "" };
  expect(check(files)).toBe("src/dns/lost.ts: the door of the room, src/dns/wire.ts, does not name it");
});

test("the check refuses a word that was replaced", () => {
  expect(check({ "dns/planted.ts": "/** Length in octets. */\n" })).toBe("src/dns/planted.ts: octets is called bytes");
});

test("every room has its door, and docs/architecture.md names it", () => {
  const rooms = readdirSync("src", { withFileTypes: true }).filter((entry) => entry.isDirectory() && entry.name !== "lib");
  const table = readFileSync("docs/architecture.md", "utf8").split("## The rooms")[1] ?? "";
  for (const { name } of rooms) {
    const row = table.split("\n").find((line) => line.startsWith("|") && line.includes(`\`${name}/\``)) ?? "";
    for (const door of DOORS[name] ?? ["no door"]) {
      expect(existsSync(`src/${name}/${door}`), `${name}/${door}`).toBe(true);
      expect(row).toContain(`\`${door}\``);
    }
  }
});

test("the check refuses in the dashboard what would take the server into the browser", () => {
  const said = check({
    "../web/pages/a.tsx":
      'import { readRoute } from "../routes.ts";\nimport { queryOutcome } from "../../src/log/outcome.ts";\nimport { Control } from "../../src/admin/schemas/views.ts";\n',
    "../web/api/b.ts":
      'import type { Explained } from "../../src/admin/schemas/record.ts";\nimport type { Name } from "../../src/dns/name.ts";\n',
    "../web/long.ts": "\n".repeat(701),
  });
  expect(said.split("\n")).toEqual([
    "web/api/b.ts imports src/dns/name.ts: the dashboard may import types of src/admin/schemas and src/lib/said.ts, and log/outcome.ts",
    "web/pages/a.tsx imports src/admin/schemas/views.ts: the dashboard may import types of src/admin/schemas and src/lib/said.ts, and log/outcome.ts",
    "web/long.ts: 701 lines, at most 700",
  ]);
});

test("what the table allows passes the check", () => {
  const allowed = importing("../dns/name.ts", "../rules/rule.ts", "../hosts/table.ts", "../lib/clock.ts", "./types.ts");
  const types = 'import type { LogOptions } from "../log/options.ts";\n';
  expect(check({ "resolve/planted.ts": allowed + types, "main.ts": importing("./cli/run.ts") })).toBe("");
});
