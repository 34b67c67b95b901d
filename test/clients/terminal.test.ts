import { writeFileSync } from "node:fs";
import { join } from "node:path";
import { expect, test } from "vitest";
import { directory } from "../support/files.ts";
import { projectRoot, run } from "./processes.ts";

/** What `fenliu explain` writes where it has a terminal of its own, by script(1), and these variables. */
async function onTerminal(env: Readonly<Record<string, string>>): Promise<string> {
  const file = join(directory(), "fenliu.yaml");
  writeFileSync(file, "listen: { admin: null }\n");
  const command = `'${process.execPath}' '${projectRoot}start.mjs' explain localhost -c '${file}'`;
  const { stdout } = await run("script", ["-qec", command, "/dev/null"], { env });
  return stdout;
}

test("a terminal gets colours, unless its user disables colours or it cannot show colours", async () => {
  expect(await onTerminal({})).toContain("\x1b[1mlocalhost A\x1b");
  for (const env of [{ NO_COLOR: "1" }, { TERM: "dumb" }]) {
    const shown = await onTerminal(env);
    expect(shown).toContain("localhost A  asked by 127.0.0.1");
    expect(shown).not.toContain("\x1b");
  }
});
