import { existsSync, mkdirSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { describe, expect, test } from "vitest";
import { type ServiceHost, SYSTEM, service } from "../../src/cli/service.ts";
import { directory } from "../support/files.ts";
import { testTerminal } from "./terminal.ts";

const PROGRAM = fileURLToPath(new URL("../..", import.meta.url)).replace(/\/$/, "");
const isRoot = process.getuid?.() === 0;

function machine(changes: Partial<ServiceHost> = {}, failing: readonly string[] = ["id -u fenliu"]) {
  const root = directory();
  mkdirSync(join(root, "run/systemd/system"), { recursive: true });
  mkdirSync(join(root, "etc/systemd/system"), { recursive: true });
  const commands: string[] = [];
  const host: ServiceHost = {
    root,
    program: PROGRAM,
    isAdministrator: true,
    isHidden: () => false,
    run(...words) {
      const line = words.join(" ");
      commands.push(line);
      return {
        code: failing.some((each) => line.startsWith(each)) ? 1 : 0,
        text: line.startsWith("id") ? "0" : `said by ${line}`,
      };
    },
    answers: async () => true,
    ...changes,
  };
  const call = async (words: readonly string[], purge = false) => {
    const terminal = testTerminal();
    const code = await service({ words, ...(purge ? { purge } : {}) }, terminal, host);
    return { code, ...terminal.written };
  };
  return { root, commands, call, read: (path: string) => readFileSync(join(root, path), "utf8") };
}

describe("service install", () => {
  // Only root may give files to a group.
  test.skipIf(!isRoot)(
    "makes the user, the configuration and the unit, starts the service, and asks it (needs root)",
    async () => {
      const { call, commands, read } = machine();
      expect(await call(["install"])).toMatchObject({ code: 0, out: expect.stringContaining("the service runs and answers") });
      expect(commands).toEqual([
        "id -u fenliu",
        expect.stringMatching(/^useradd --system .*fenliu$/),
        "id -g fenliu",
        "systemctl daemon-reload",
        "systemctl enable fenliu",
        "systemctl restart fenliu",
      ]);
      expect(read("etc/fenliu/fenliu.yaml")).toContain(`domains: [${PROGRAM}/rules/cn-domains.txt]`);
      expect(read("etc/fenliu/fenliu.yaml")).toContain('dns:   ["0.0.0.0:53"]');
      expect(read("etc/systemd/system/fenliu.service")).toContain(
        `ExecStart=${process.execPath} --disable-warning=ExperimentalWarning ${PROGRAM}/start.mjs serve -c /etc/fenliu/fenliu.yaml`,
      );
    },
  );

  test("keeps a configuration that is there, and changes nothing where it has faults", async () => {
    const { call, commands, root, read } = machine();
    mkdirSync(join(root, "etc/fenliu"));
    writeFileSync(join(root, "etc/fenliu/fenliu.yaml"), "lisen: {}\n");
    expect(await call(["install"])).toMatchObject({ code: 1, err: expect.stringContaining("nothing is changed") });
    expect(read("etc/fenliu/fenliu.yaml")).toBe("lisen: {}\n");
    expect(commands.filter((line) => line.startsWith("systemctl"))).toEqual([]);
  });

  test("called again, lets another process take over from the one that runs, without a restart", async () => {
    let pid = 100;
    const run: ServiceHost["run"] = (...words) => {
      commands.push(words.join(" "));
      if (words.includes("kill -USR2 100")) pid = 200;
      return { code: 0, text: words.includes("show") ? String(pid) : "0" };
    };
    const { call, root, commands } = machine({ run });
    mkdirSync(join(root, "etc/fenliu"));
    writeFileSync(join(root, "etc/fenliu/fenliu.yaml"), "");
    expect(await call(["install"])).toMatchObject({ code: 0 });
    expect(commands).toContain("systemctl restart fenliu");
    commands.length = 0;
    expect(await call(["install"])).toMatchObject({ code: 0, out: expect.stringContaining("the service runs and answers") });
    expect(commands).toContain("/bin/sh -c kill -USR2 100");
    expect(commands).not.toContain("systemctl restart fenliu");
  });

  test("shows what the service said where it does not start", async () => {
    const { call, root } = machine({}, ["systemctl restart"]);
    mkdirSync(join(root, "etc/fenliu"));
    writeFileSync(join(root, "etc/fenliu/fenliu.yaml"), "");
    expect(await call(["install"])).toMatchObject({ code: 1, err: expect.stringContaining("said by journalctl -u fenliu") });
  });

  test.each([
    ["without root", { isAdministrator: false }, "sudo fenliu service install"],
    ["from a home, which the service may not see", { program: "/home/me/fenliu", isHidden: SYSTEM.isHidden }, "move this folder"],
    ["without systemd", { root: "/nowhere" }, "not run by systemd"],
  ])("is refused %s, and says what to do", async (_, changes, reason) => {
    const { call, commands } = machine(changes);
    expect(await call(["install"])).toMatchObject({ code: 1, err: expect.stringContaining(reason) });
    expect(commands).toEqual([]);
  });
});

describe("service uninstall", () => {
  test("leaves configuration and data unless told", async () => {
    const { call, root, commands } = machine({}, []);
    mkdirSync(join(root, "etc/fenliu"));
    writeFileSync(join(root, "etc/systemd/system/fenliu.service"), "");
    expect((await call(["uninstall"])).code).toBe(0);
    expect(existsSync(join(root, "etc/systemd/system/fenliu.service"))).toBe(false);
    expect(existsSync(join(root, "etc/fenliu"))).toBe(true);
    expect(commands).toEqual(["systemctl disable --now fenliu", "systemctl daemon-reload"]);
    expect((await call(["uninstall"], true)).code).toBe(0);
    expect(existsSync(join(root, "etc/fenliu"))).toBe(false);
    expect(commands.at(-1)).toBe("userdel fenliu");
  });
});

test("service status says whether the service answers", async () => {
  const { call, root } = machine({ answers: async () => false }, []);
  expect(await call(["status"])).toMatchObject({ code: 1, err: expect.stringContaining("there is no service") });
  writeFileSync(join(root, "etc/systemd/system/fenliu.service"), "");
  expect(await call(["status"])).toMatchObject({ code: 1, out: expect.stringContaining("it does not answer") });
});
