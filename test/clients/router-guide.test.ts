/**
 * docs/routeros.md in each language, followed from top to bottom as a new user would: each command is run as it stands there, on the machine of Fenliu or
 * on the router, which is a stand-in. Ports, and the addresses of the two, are other ones.
 */

import { X509Certificate } from "node:crypto";
import { chmodSync, cpSync, existsSync, mkdirSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { parse, stringify } from "yaml";
import { RouterDohClient } from "../support/routeros/doh-client.ts";
import { openRest, type RestServer } from "../support/routeros/rest.ts";
import { Router } from "../support/routeros/router.ts";
import { runScript } from "../support/routeros/script.ts";
import { addresses } from "../upstreams/messages.ts";
import { type ScriptedServer, scriptedServer } from "../upstreams/scripted-server.ts";
import { fenliuCommand, makeCertificate } from "./fenliu.ts";
import { eventually, freePort, projectRoot, type Running, run, start } from "./processes.ts";
import { Scene } from "./scene.ts";

interface Block {
  readonly kind: string;
  readonly lines: readonly string[];
}

/** The blocks of code of a page, without the indent of the list that a block may stand in. */
function blocksOf(page: string): readonly Block[] {
  const text = readFileSync(join(projectRoot, "docs", page), "utf8");
  return [...text.matchAll(/^( *)```(\w*)\n([\s\S]*?)^ *```$/gm)].map(([, indent = "", kind = "", code = ""]) => ({
    kind,
    lines: code
      .trimEnd()
      .split("\n")
      .map((line) => line.slice(indent.length)),
  }));
}

/** What the router is asked within the text of the last chapter. */
function spansOf(page: string): readonly string[] {
  const text = readFileSync(join(projectRoot, "docs", page), "utf8");
  const chapter = text.slice(text.lastIndexOf("\n## "));
  return [...chapter.matchAll(/`(\/[^`]* print\b[^`]*|:execute [^`]+)`/g)].map(([, command = ""]) => command);
}

describe.each(["routeros.md", "zh/routeros.md"])("docs/%s, followed from top to bottom", (page) => {
  const blocks = blocksOf(page);
  const scene = new Scene();
  const router = new Router();
  const client = new RouterDohClient(router);
  let upstream: ScriptedServer;
  let rest: RestServer | null = null;
  let fenliu: Running;
  let here: (text: string) => string;

  beforeAll(async () => {
    upstream = await scriptedServer("dns", (asked) => addresses(asked, "192.0.2.7"));
    const { cert, key } = await makeCertificate(scene.subfolder("router"));
    const [https, dns, http, admin] = [await freePort(), await freePort(), await freePort(), await freePort()];
    here = (text) =>
      text
        .replaceAll("0.0.0.0:443", `127.0.0.1:${https}`)
        .replaceAll("https://doh.example.com", `https://doh.example.com:${https}`)
        .replaceAll("https://192.168.88.1", rest?.url ?? "https://127.0.0.1:1")
        .replaceAll("192.168.88.2", "127.0.0.1");
    router.ownCertificate = readFileSync(cert, "utf8");
    router.plant("ip/dns", { servers: "192.0.2.53" });
    router.plant("ip/address", { address: "127.0.0.1/8", interface: "bridge" });
    router.plant("ip/service", { name: "www-ssl", port: "443", disabled: "true" });
    router.plant("ip/firewall/filter", { chain: "forward", action: "fasttrack-connection" });
    scene.defer(async () => {
      client.close();
      await rest?.close();
      await upstream.close();
    });
    // The file that is shipped; ports are other ones, and all upstreams are one.
    cpSync(join(projectRoot, "rules"), join(scene.folder, "rules"), { recursive: true });
    const servers = [`127.0.0.1:${upstream.port}`];
    change({
      ...parse(readFileSync(join(projectRoot, "fenliu.yaml"), "utf8")),
      listen: { dns: [`127.0.0.1:${dns}`], http: [`127.0.0.1:${http}`], admin: `127.0.0.1:${admin}` },
      upstreams: { domestic: { servers }, overseas: { servers } },
    });
    mkdirSync(join(scene.folder, "bin"));
    mkdirSync(join(scene.folder, "secrets"));
    const [node, main = ""] = fenliuCommand("");
    writeFileSync(join(scene.folder, "bin/fenliu"), `#!/bin/sh\nexec ${node} ${main} "$@"\n`);
    chmodSync(join(scene.folder, "bin/fenliu"), 0o755);
    serveRest = () => openRest(router, { tls: { cert: readFileSync(cert), key: readFileSync(key) }, users: usersOf(router) });
  });

  afterAll(() => scene.close());

  let serveRest: () => Promise<RestServer>;
  const next = remaining(blocks);

  /** Runs each line of the next block in a shell of the machine of Fenliu. */
  async function typeOnHost(): Promise<
    readonly { readonly status: number | null; readonly stdout: string; readonly stderr: string }[]
  > {
    const PATH = `${join(scene.folder, "bin")}:${process.env["PATH"]}`;
    const finished = [];
    for (const line of next("sh")) finished.push(await run(here(line), [], { shell: true, cwd: scene.folder, env: { PATH } }));
    return finished;
  }

  async function typeOnRouter(): Promise<readonly string[]> {
    const printed = [];
    for (const line of next("")) printed.push(await runScript(router, here(line)));
    return printed;
  }

  /** What a user drags to the router. */
  function copyToRouter(name: string): void {
    router.plant("file", { name, contents: readFileSync(join(scene.folder, name), "utf8") });
  }

  /** Adds sections to the file of Fenliu, and lines to those that it has. */
  function change(sections: object): void {
    const file = join(scene.folder, "fenliu.yaml");
    const before: unknown = existsSync(file) ? parse(readFileSync(file, "utf8")) : {};
    writeFileSync(file, stringify(merged(before, sections)));
  }

  function configure(): void {
    change(parse(here(next("yaml").join("\n"))));
  }

  test("the router resolves through Fenliu", async () => {
    expect(await typeOnHost()).toMatchObject([{ status: 0 }]);
    configure();
    expect(await typeOnHost()).toMatchObject([{ status: 0, stderr: "" }]);
    // The lists that are shipped take their time on a busy machine.
    fenliu = await scene.add(start(...serveCommand(scene.folder), /Fenliu is answering/, { limitMs: 90_000 }));
    expect(await typeOnHost()).toEqual([{ status: 0, stdout: "", stderr: "" }]);
    copyToRouter("fenliu.rsc");
    await typeOnRouter();
    expect((await client.ask("www.example.com", "A")).answers).toEqual(["192.0.2.7"]);
    const { stdout } = await run(join(scene.folder, "bin/fenliu"), ["log"], { cwd: scene.folder });
    expect(stdout).toContain("www.example.com");
  });

  test("the removal is written", async () => {
    expect(await typeOnHost()).toEqual([{ status: 0, stdout: "", stderr: "" }]);
  });

  test("the reading account is made, and the check finds nothing that its commands do not put right", async () => {
    const shown = (await typeOnRouter()).at(-1);
    rest = await serveRest();
    const fingerprint = new X509Certificate(router.ownCertificate).fingerprint256.replaceAll(":", "").toLowerCase();
    expect(shown).toContain(`fingerprint="${fingerprint}"`);
    writeFileSync(join(scene.folder, "secrets/routeros"), "SECRET\n", { mode: 0o600 });
    configure();
    const file = join(scene.folder, "fenliu.yaml");
    writeFileSync(file, readFileSync(file, "utf8").replace(/fingerprint: \w+/, `fingerprint: ${fingerprint}`));
    fenliu.signal("SIGHUP");
    await eventually(async () => (/"(not )?reloaded/.test(fenliu.output()) ? true : null), 10_000);
    const [told, asJson, fix] = await typeOnHost();
    expect(told?.stderr).toBe("");
    expect(told?.stdout).toMatch(/^RouterOS 7\.22\.1 \(stable\): /);
    const { findings } = JSON.parse(asJson?.stdout ?? "");
    expect(told?.status).toBe(findings.length === 0 ? 0 : 1);
    for (const line of (fix?.stdout ?? "").split("\n")) await runScript(router, line);
    const again = await run(join(scene.folder, "bin/fenliu"), ["routeros", "check"], { cwd: scene.folder });
    expect(again).toMatchObject({ status: 0, stdout: expect.stringContaining("nothing to do") });
  });

  test("the router marks what goes to an address list, and takes what a user looks at in the end", async () => {
    await typeOnRouter();
    expect(router.rows("ip/firewall/filter")).toMatchObject([{ "connection-mark": "no-mark" }]);
    expect(router.rows("ip/firewall/mangle")).toHaveLength(2);
    expect(next.left()).toBe(0);
    const spans = spansOf(page);
    expect(spans.length).toBeGreaterThanOrEqual(7);
    for (const command of spans) await runScript(router, command);
  });

  test("after the removal the router asks its servers from before", async () => {
    copyToRouter("fenliu-remove.rsc");
    await runScript(router, "/import file-name=fenliu-remove.rsc");
    expect(router.record("ip/dns")).toMatchObject({ "use-doh-server": "", servers: "192.0.2.53" });
  });
});

function merged(before: unknown, more: unknown): unknown {
  if (typeof before !== "object" || typeof more !== "object" || Array.isArray(more)) return more;
  const keys = [...new Set([...Object.keys(before ?? {}), ...Object.keys(more ?? {})])];
  const both = (key: string) => {
    const [old, next] = [Reflect.get(before ?? {}, key), Reflect.get(more ?? {}, key)];
    return old === undefined ? next : next === undefined ? old : merged(old, next);
  };
  return Object.fromEntries(keys.map((key) => [key, both(key)]));
}

/** Gives the blocks of a page one after the other, each of which must be of the kind that is asked for. */
function remaining(blocks: readonly Block[]) {
  let at = 0;
  const next = (kind: string): readonly string[] => {
    const block = blocks[at++];
    if (block?.kind !== kind) throw new Error(`block ${at} is of the kind "${block?.kind}", not "${kind}"`);
    return block.lines;
  };
  return Object.assign(next, { left: () => blocks.length - at });
}

function serveCommand(folder: string): [string, readonly string[]] {
  const [node, ...args] = fenliuCommand(join(folder, "fenliu.yaml"));
  return [node, args];
}

/** The accounts that were made on the router. */
function usersOf(router: Router) {
  const policies = new Map(router.rows("user/group").map(({ name = "", policy = "" }) => [name, policy.split(",")]));
  return Object.fromEntries(
    router
      .rows("user")
      .map(({ name = "", password = "", group = "" }) => [name, { password, policy: policies.get(group) ?? [] }]),
  );
}
