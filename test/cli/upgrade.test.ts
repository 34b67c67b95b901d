import { spawnSync } from "node:child_process";
import { createHash } from "node:crypto";
import { existsSync, mkdirSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { describe, expect, test } from "vitest";
import type { ServiceHost } from "../../src/cli/service.ts";
import { upgrade } from "../../src/cli/upgrade.ts";
import { directory } from "../support/files.ts";
import { testTerminal } from "./terminal.ts";

/** A release whose program notes its calls in `calls`, and fails at the words of `fails`. */
function release(folder: string, name: string, { calls, fails = "never" }: { calls: string; fails?: string }): void {
  mkdirSync(join(folder, "bin"), { recursive: true });
  writeFileSync(
    join(folder, "bin/fenliu"),
    `#!/bin/sh\necho "${name} $*" >> ${calls}\ncase "$*" in *${fails}*) echo "${name} has failed"; exit 1;; esac\n`,
    { mode: 0o755 },
  );
}

function machine(fails = "never") {
  const where = directory();
  const calls = join(where, "calls");
  writeFileSync(calls, "");
  const program = join(where, "fenliu");
  release(program, "old", { calls });
  release(join(where, "made/fenliu-2"), "new", { calls, fails });
  const archive = join(where, "fenliu-2.tar.gz");
  spawnSync("tar", ["-czf", archive, "-C", join(where, "made"), "fenliu-2"]);
  writeFileSync(`${archive}.sha256`, `${createHash("sha256").update(readFileSync(archive)).digest("hex")}  fenliu-2.tar.gz\n`);
  mkdirSync(join(where, "etc/fenliu"), { recursive: true });
  writeFileSync(join(where, "etc/fenliu/fenliu.yaml"), "");
  const host: ServiceHost = {
    root: where,
    program,
    isAdministrator: true,
    isHidden: () => false,
    run(command, ...args) {
      const { status, stdout, stderr } = spawnSync(command, args, { encoding: "utf8" });
      return { code: status ?? 1, text: `${stdout}${stderr}`.trim() };
    },
    answers: async () => true,
  };
  const call = async () => {
    const terminal = testTerminal(where);
    const code = await upgrade({ words: ["fenliu-2.tar.gz"] }, terminal, host);
    return { code, ...terminal.written };
  };
  const running = () => (readFileSync(join(program, "bin/fenliu"), "utf8").includes("new $*") ? "new" : "old");
  return { where, archive, call, running, calls: () => readFileSync(calls, "utf8").trim().split("\n").filter(Boolean) };
}

describe("upgrade", () => {
  test("has the new version check the configuration, swaps, and restarts; the old version is kept", async () => {
    const { call, calls, running, where } = machine();
    expect(await call()).toMatchObject({ code: 0, out: expect.stringContaining("the new version runs and answers") });
    expect(calls()).toEqual([`new check -c ${where}/etc/fenliu/fenliu.yaml`, "new service install"]);
    expect(running()).toBe("new");
    expect(existsSync(join(where, "fenliu.old/bin/fenliu"))).toBe(true);
    expect(existsSync(join(where, "fenliu.new"))).toBe(false);
  });

  test("goes back where the new version does not answer, and shows what it said", async () => {
    const { call, calls, running } = machine("service");
    expect(await call()).toMatchObject({ code: 1, err: expect.stringMatching(/the old one runs again.*\nnew has failed/) });
    expect(calls().slice(1)).toEqual(["new service install", "old service install"]);
    expect(running()).toBe("old");
  });

  test("changes nothing where the new version does not take the configuration", async () => {
    const { call, calls, running } = machine("check");
    expect(await call()).toMatchObject({ code: 1, err: expect.stringContaining("new has failed") });
    expect(calls()).toHaveLength(1);
    expect(running()).toBe("old");
  });

  test("changes nothing with an archive that is not whole", async () => {
    const { call, calls, running, archive } = machine();
    writeFileSync(archive, "half");
    expect(await call()).toMatchObject({ code: 1, err: expect.stringContaining("is not whole") });
    expect(calls()).toEqual([]);
    expect(running()).toBe("old");
  });
});
