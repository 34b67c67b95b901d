import { readFileSync } from "node:fs";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { makeCertificate } from "./fenliu.ts";
import { projectRoot, type Running, run, start } from "./processes.ts";
import { Scene } from "./scene.ts";

/** The commands of the README's code blocks that say, after `#`, what they print. */
function readmeLines(block: string): readonly (readonly [command: string, prints: string])[] {
  const readme = readFileSync(join(projectRoot, "README.md"), "utf8");
  return [...readme.matchAll(/```sh(.*)\n([^`]+)```/g)]
    .filter(([, kind = ""]) => kind.trim() === block)
    .flatMap(([, , text = ""]) => text.split("\n"))
    .flatMap((line) => {
      const [, command, prints] = /^((?:dig|kdig|curl|npm run) .*?)\s+# (.+)$/.exec(line) ?? [];
      return command === undefined || prints === undefined ? [] : [[command, prints] as const];
    });
}

// npm puts its own folders first; what a user has is the rest.
const userPath = (process.env["PATH"] ?? "").split(":").filter((folder) => !folder.includes("node_modules"));
const env = { PATH: userPath.join(":"), npm_config_update_notifier: "false" };

const scene = new Scene();
/** A clone of what is committed, with nothing installed. */
const clone = join(scene.folder, "fenliu");

beforeAll(async () => {
  const { status, stderr } = await run("git", ["clone", "-q", projectRoot, clone]);
  expect(status, stderr).toBe(0);
});

afterAll(() => scene.close());

/** `npm start` goes through a shell; its group is ended as a terminal would end it. */
async function startByNpm(args: readonly string[]): Promise<Running> {
  return start("npm", ["start", "--", ...args], /Fenliu is answering/, { cwd: clone, env, limitMs: 170_000 });
}

describe("npm start on a fresh clone", () => {
  let fenliu: Running;

  beforeAll(async () => {
    fenliu = await scene.add(startByNpm([]));
  });

  test.each(readmeLines(""))("%s", async (command, prints) => {
    const { stdout, stderr } = await run(command, [], { shell: true, cwd: clone, env });
    expect(stdout + stderr).toContain(prints);
  });

  test("leaves the tree clean", async () => {
    const { stdout } = await run("git", ["status", "--porcelain"], { cwd: clone });
    expect(stdout).toBe("");
  });

  test("ends on SIGTERM to npm, and no process listens afterwards", async () => {
    await fenliu.stop();
    const { stdout } = await run("dig", ["@127.0.0.1", "-p", "5053", "+time=1", "+tries=1", "fenliu.lan"]);
    expect(stdout).toMatch(/refused|no servers could be reached/);
  });
});

describe("npm start with every listener, over TLS", () => {
  beforeAll(async () => {
    await makeCertificate(clone);
    await scene.add(startByNpm(["-c", "docs/examples/every-transport.yaml"]));
  });

  test.each(readmeLines("tls"))("%s", async (command, prints) => {
    const { stdout, stderr } = await run(command, [], { shell: true, cwd: clone, env });
    expect(stdout + stderr).toContain(prints);
  });
});
