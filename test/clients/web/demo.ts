import { readFileSync } from "node:fs";
import { join } from "node:path";
import type { ConfigFile } from "../../../src/admin/schemas/edits.ts";
import { projectRoot, type Running, start } from "../processes.ts";

/** `fenliu demo`, which makes a house with a week of queries and everything that can be wrong with it. */
export interface Demo {
  readonly base: string;
  /** Of the configuration. */
  readonly file: string;
  /** Calls the API. */
  readonly call: <T = unknown>(
    method: string,
    path: string,
    body?: unknown,
  ) => Promise<{ readonly status: number; readonly body: T }>;
  readonly text: () => string;
  readonly stop: () => ReturnType<Running["stop"]>;
}

export async function startDemo(): Promise<Demo> {
  const args = [join(projectRoot, "start.mjs"), "demo"];
  // It compiles what changed, and makes up a week of queries.
  const demo = await start(join(projectRoot, "node_modules/.bin/node"), args, /Ctrl-C ends it/, { limitMs: 150_000 });
  const base = /http:\/\/127\.0\.0\.1:\d+(?=\/ in a browser)/.exec(demo.output())?.[0] ?? "";
  const call = async <T>(method: string, path: string, body?: unknown): Promise<{ status: number; body: T }> => {
    const response = await fetch(`${base}/api/v1${path}`, {
      method,
      ...(method === "GET" ? {} : { headers: { "content-type": "application/json" } }),
      ...(body === undefined ? {} : { body: JSON.stringify(body) }),
    });
    return { status: response.status, body: (await response.json().catch(() => null)) as T };
  };
  const { path: file } = (await call<ConfigFile>("GET", "/config/file")).body;
  return { base, file, call, text: () => readFileSync(file, "utf8"), stop: () => demo.stop() };
}
