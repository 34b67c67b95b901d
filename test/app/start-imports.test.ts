import { readFileSync } from "node:fs";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";
import { expect, test } from "vitest";

const SRC = fileURLToPath(new URL("../../src", import.meta.url));

/** Not `import type`, and not `await import()`, which loads when it is reached. */
const STATIC_IMPORT = /^(?:import|export) (?!type )(?:[^"';]*? from )?"([^"]+)"/gm;

/** The packages that are loaded with a file, and the files that load them. */
function packagesOf(start: string): ReadonlyMap<string, string> {
  const packages = new Map<string, string>();
  const seen = new Set<string>();
  const visit = (path: string) => {
    if (seen.has(path)) return;
    seen.add(path);
    for (const [, specifier = ""] of readFileSync(path, "utf8").matchAll(STATIC_IMPORT)) {
      if (specifier.startsWith(".")) visit(join(dirname(path), specifier));
      else if (!specifier.startsWith("node:")) packages.set(specifier, path);
    }
  };
  visit(start);
  return packages;
}

test("a server starts without the libraries of the API and of HTTP/1.1 upstreams: 60 MiB, and a third of its start", () => {
  expect([...packagesOf(join(SRC, "cli/serve.ts")).keys()].sort()).toEqual(["ipaddr.js", "lru-cache", "pino", "yaml"]);
});

test("the command line loads the command that is named alone", () => {
  expect([...packagesOf(join(SRC, "main.ts")).keys()].sort()).toEqual(["ipaddr.js", "yaml"]);
});
