import { spawnSync } from "node:child_process";
import { mkdirSync, mkdtempSync, rmSync, symlinkSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";
import { expect, test } from "vitest";

const root = fileURLToPath(new URL("..", import.meta.url));

/** What the linter says of a file with these imports, were it at this place in the tree. */
function lint(file: string, imports: readonly string[]): string {
  const tree = mkdtempSync(join(tmpdir(), "fenliu-layers-"));
  try {
    for (const config of ["biome.json", "biome-layers.json"]) symlinkSync(join(root, config), join(tree, config));
    mkdirSync(join(tree, dirname(file)), { recursive: true });
    const lines = imports.map((specifier, index) => `import { x as x${index} } from "${specifier}";`);
    const names = imports.map((_, index) => `x${index}`);
    writeFileSync(join(tree, file), `${lines.join("\n")}\n\nexport const all = [${names.join(", ")}];\n`);
    const { stdout, stderr } = spawnSync("biome", ["lint", "--vcs-enabled=false", file], { cwd: tree, encoding: "utf8" });
    return stdout + stderr;
  } finally {
    rmSync(tree, { recursive: true });
  }
}

const breaches: readonly (readonly [string, string])[] = [
  ["src/dns/planted.ts", "../lists/planted.ts"],
  ["src/lists/planted.ts", "../rules/planted.ts"],
  ["src/hosts/planted.ts", "../lists/planted.ts"],
  ["src/access/planted.ts", "../hosts/planted.ts"],
  ["src/rules/planted.ts", "../cache/planted.ts"],
  ["src/cache/planted.ts", "../upstreams/planted.ts"],
  ["src/upstreams/planted.ts", "../cache/planted.ts"],
  ["src/answers/planted.ts", "../rules/planted.ts"],
  ["src/resolve/planted.ts", "../listen/planted.ts"],
  ["src/listen/planted.ts", "../dns/name.ts"],
  ["src/listen/doh/planted.ts", "../../dns/name.ts"],
  ["src/log/planted.ts", "../dns/name.ts"],
  ["src/stats/planted.ts", "../dns/name.ts"],
  ["src/admin/planted.ts", "../resolve/planted.ts"],
  ["src/config/planted.ts", "../rules/planted.ts"],
  ["src/upstreams/planted.ts", "../app.ts"],
  ["src/admin/planted.ts", "../control/planted.ts"],
  ["src/config/planted.ts", "../control/planted.ts"],
];

test.each(breaches)("the linter refuses in %s an import of %s", (file, specifier) => {
  expect(lint(file, [specifier])).toContain("may import");
});

test("what the layer table allows passes the linter", () => {
  const allowed = [
    "../dns/name.ts",
    "../rules/planted.ts",
    "../hosts/planted.ts",
    "../cache/planted.ts",
    "../clock.ts",
    "../log/options.ts",
  ];
  expect(lint("src/resolve/planted.ts", allowed)).not.toContain("may import");
});
