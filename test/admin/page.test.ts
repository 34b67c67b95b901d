import { spawnSync } from "node:child_process";
import { existsSync, mkdtempSync, readdirSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { gunzipSync } from "node:zlib";
import { afterAll, describe, expect, test } from "vitest";
import { openTestAdmin } from "./support/admin.ts";

const folder = mkdtempSync(join(tmpdir(), "fenliu-page-"));
const built = spawnSync(process.execPath, [fileURLToPath(new URL("../../tools/build-web.mjs", import.meta.url)), folder]);
if (built.status !== 0) throw new Error(String(built.stderr));
afterAll(() => rmSync(folder, { recursive: true }));

const shell = readFileSync(join(folder, "index.html"), "utf8");
const assets = readdirSync(join(folder, "assets"));

describe("the dashboard as it is built", () => {
  test("has nothing inline, and names only files of its own", () => {
    const addresses = [...shell.matchAll(/(?:src|href)="([^"]*)"/g)].map(([, address = ""]) => address);
    expect(addresses).toHaveLength(3);
    for (const address of addresses) expect(existsSync(join(folder, address)), address).toBe(true);
    expect(shell).not.toMatch(/<style|\son\w+=|style=|<script(?![^>]*src=)/);
  });

  test("has a compressed twin of each file", () => {
    for (const name of assets.filter((each) => !each.endsWith(".gz")))
      expect(
        gunzipSync(readFileSync(join(folder, "assets", `${name}.gz`))).equals(readFileSync(join(folder, "assets", name))),
      ).toBe(true);
  });

  test("sends at most 45 KB to show the first page, in either language", () => {
    const size = (name: string) => readFileSync(join(folder, "assets", name)).length;
    // What the first page loads: the script with what it imports at once, one language, the style sheet, one icon.
    const loaded = new Set<string>();
    const load = (name: string) => {
      if (loaded.has(name)) return;
      loaded.add(name);
      const text = readFileSync(join(folder, "assets", name), "utf8");
      for (const [, imported = ""] of text.matchAll(/(?:from|import)"\.\/([^"]+)"/g)) load(imported);
    };
    const named = (prefix: string) => assets.find((name) => name.startsWith(prefix) && !name.endsWith(".gz")) ?? "";
    for (const language of ["en", "zh-CN"]) {
      loaded.clear();
      for (const prefix of ["main-", `${language}-`, "base-", "well-"]) load(named(prefix));
      const bytes = [...loaded].reduce((sum, name) => sum + size(`${name}.gz`), 0);
      expect(bytes).toBeLessThanOrEqual(45 * 1024);
    }
  });
});

describe("the server of the dashboard", () => {
  test.each(["/", "/problems", "/problems/v1%7Ctimeout", "/queries?name=a", "/ask", "/house/lists", "/config/history/a..b"])(
    "gives the shell at %s, to be asked for anew each time, under a policy that lets it run its own files alone",
    async (path) => {
      const admin = await openTestAdmin({ pageFolder: folder });
      const response = await fetch(admin.base + path);
      expect(await response.text()).toBe(shell);
      expect(response.headers.get("cache-control")).toBe("no-cache");
      const policy = response.headers.get("content-security-policy") ?? "";
      expect(policy).toContain("default-src 'none'; script-src 'self'; style-src 'self'");
      expect(policy).toContain("require-trusted-types-for 'script'; trusted-types 'none'");
      expect(policy).not.toMatch(/unsafe|https?:|data:/);
    },
  );

  test("gives a file as it is or compressed, for a browser to hold for good", async () => {
    const admin = await openTestAdmin({ pageFolder: folder });
    const name = assets.find((each) => /^main-.*js$/.test(each)) ?? "";
    for (const encoding of ["gzip, deflate", "identity"]) {
      const response = await fetch(`${admin.base}/assets/${name}`, { headers: { "accept-encoding": encoding } });
      expect(await response.text()).toBe(readFileSync(join(folder, "assets", name), "utf8"));
      expect(response.headers.get("content-encoding")).toBe(encoding === "identity" ? null : "gzip");
      expect(response.headers.get("content-type")).toBe("text/javascript; charset=utf-8");
      expect(response.headers.get("cache-control")).toBe("public, max-age=31536000, immutable");
      expect(response.headers.get("vary")).toBe("accept-encoding");
    }
  });

  test("has nothing else: no other file, no way out of the folder", async () => {
    const admin = await openTestAdmin({ pageFolder: folder });
    for (const path of [
      "/assets/main.js",
      "/assets/..%2findex.html",
      "/assets/%2e%2e%2findex.html",
      "/house/lists/x",
      "/nowhere",
    ])
      expect((await fetch(admin.base + path)).status, path).toBe(404);
  });

  test("says how to build it where it is not built, and serves the API", async () => {
    const admin = await openTestAdmin({ pageFolder: join(folder, "nowhere") });
    const { status, body } = await admin.get("/");
    expect(status).toBe(404);
    expect(body).toMatchObject({ detail: expect.stringContaining("npm run build") });
    expect((await admin.get("/healthz")).status).toBe(200);
  });
});
