import { chmodSync, mkdirSync, readdirSync, readFileSync, statSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { dig } from "./clients.ts";
import { fenliuCommand } from "./fenliu.ts";
import { type Nsd, startNsd } from "./nsd.ts";
import { freePort, projectRoot, type Running, run, start } from "./processes.ts";
import { answersDns } from "./readiness.ts";
import { Scene } from "./scene.ts";

/** The move to Fenliu on the port of another server, and the way back, as `docs/migration.md` has it. */

const scene = new Scene();
const QUESTIONS = ["www.near.example", "www.far.example", "nas.near.example", "ads.near.example", "none.near.example"];
let near: Nsd;
let far: Nsd;

beforeAll(async () => {
  const server = (name: string, address: string) =>
    startNsd({
      folder: scene.subfolder(name),
      zones: { "near.example": `www 60 IN A ${address}`, "far.example": `www 60 IN A ${address}` },
    });
  [near, far] = await Promise.all([scene.add(server("near", "198.18.0.1")), scene.add(server("far", "198.18.0.2"))]);
});

afterAll(() => scene.close());

/** A dnsmasq with a folder of its own, such as Debian's. */
function writeSource(folder: string, port: number): string {
  const file = join(folder, "dnsmasq.conf");
  mkdirSync(join(folder, "dnsmasq.d"));
  writeFileSync(
    file,
    `port=${port}\nlisten-address=127.0.0.1\nbind-interfaces\nno-resolv\nno-hosts\nserver=127.0.0.1#${near.port}\naddress=/ads.near.example/0.0.0.0\naddress=/nas.near.example/192.168.8.9\nconf-dir=${folder}/dnsmasq.d\n`,
  );
  writeFileSync(join(folder, "dnsmasq.d/far.conf"), `server=/far.example/127.0.0.1#${far.port}\n`);
  return file;
}

/** What a folder holds: names, modes, times and bytes. */
function contentsOf(folder: string): readonly string[] {
  return readdirSync(folder, { recursive: true, withFileTypes: true }).map((entry) => {
    const path = join(entry.parentPath, entry.name);
    const { mode, uid, mtimeMs } = statSync(path);
    return `${path} ${mode} ${uid} ${mtimeMs} ${entry.isFile() ? readFileSync(path, "base64") : ""}`;
  });
}

async function answersAt(port: number): Promise<readonly string[]> {
  return Promise.all(
    QUESTIONS.map(async (name) => {
      const { status, answers } = await dig(port, `${name} A`);
      return `${name} ${status} ${answers.map((record) => record.split(" ").at(-1)).join(" ")}`;
    }),
  );
}

function startFile(file: string): Promise<Running> {
  const [node, ...args] = fenliuCommand(file);
  return start(node, args, /Fenliu is answering/);
}

function fenliu(...args: readonly string[]) {
  return run(join(projectRoot, "node_modules/.bin/node"), [join(projectRoot, "src/main.ts"), ...args]);
}

test("Fenliu takes the place of dnsmasq on its port, and dnsmasq that of Fenliu again, with files that nobody has touched", async () => {
  const port = await freePort();
  const source = scene.subfolder("dnsmasq");
  const config = writeSource(source, port);
  const args = ["--keep-in-foreground", `--conf-file=${config}`, "--pid-file=", "--user=root"];
  const startOld = () => start("dnsmasq", args, () => answersDns(port));
  const file = join(scene.subfolder("new"), "fenliu.yaml");
  const before = contentsOf(source);

  const old = await scene.add(startOld());
  const atFirst = await answersAt(port);
  expect(atFirst).toEqual([
    "www.near.example NOERROR 198.18.0.1",
    "www.far.example NOERROR 198.18.0.2",
    "nas.near.example NOERROR 192.168.8.9",
    "ads.near.example NOERROR 0.0.0.0",
    "none.near.example NXDOMAIN ",
  ]);
  const imported = await fenliu("import", source, "-o", file);
  expect(imported.status, imported.stderr).toBe(0);
  const early = await run(...commandOf(file));
  expect(early.status).toBe(1);
  expect(early.stdout + early.stderr).toMatch(/port is taken by dnsmasq .*stop it with `systemctl disable --now dnsmasq`/);
  await old.stop();

  const replacement = await scene.add(startFile(file));
  expect(await answersAt(port)).toEqual(atFirst);
  const tooEarly = await run("dnsmasq", args);
  expect(tooEarly.status).not.toBe(0);
  expect(tooEarly.stderr).toMatch(/address already in use/i);
  expect(await replacement.stop()).toBe(0);

  await scene.add(startOld());
  expect(await answersAt(port)).toEqual(atFirst);
  expect(contentsOf(source)).toEqual(before);
});

function commandOf(file: string): readonly [string, readonly string[]] {
  const [node, ...args] = fenliuCommand(file);
  return [node, args];
}

describe("a list that the user of the service may not read", () => {
  test("is told with what to do, and no other path is looked for", async () => {
    const source = scene.subfolder("smartdns");
    writeFileSync(
      join(source, "smartdns.conf"),
      `server 127.0.0.1:${near.port}\nserver 127.0.0.1:${far.port} -group far -exclude-default-group\ndomain-set -name gfw -file gfw.txt\nnameserver /domain-set:gfw/far\n`,
    );
    writeFileSync(join(source, "gfw.txt"), "far.example\n");
    chmodSync(scene.folder, 0o755);
    const file = join(scene.subfolder("unread"), "fenliu.yaml");
    expect((await fenliu("import", source, "-o", file)).status).toBe(0);
    const asNobody = () =>
      run("setpriv", [
        "--reuid=65534",
        "--regid=65534",
        "--clear-groups",
        join(projectRoot, "node_modules/.bin/node"),
        join(projectRoot, "src/main.ts"),
        "check",
        "-c",
        file,
      ]);
    expect((await asNobody()).status).toBe(0);
    chmodSync(source, 0o700);
    const { status, stdout, stderr } = await asNobody();
    expect(status).toBe(1);
    expect(stdout + stderr).toMatch(
      /gfw\.txt: permission denied.*fix: let the user that Fenliu runs as read the file and enter its folders/s,
    );
  });
});
