import { readFileSync } from "node:fs";
import { join } from "node:path";
import type { Browser, Page } from "playwright-core";
import { afterAll, afterEach, beforeAll } from "vitest";
import type { ConfigFile } from "../../../src/admin/schemas/edits.ts";
import { projectRoot, type Running, start } from "../processes.ts";
import { openBrowser, type View, WatchedPage } from "./browser.ts";

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

/** The demo and a browser of one file of tests, and the page that a test has opened in it, which is closed after the test. */
export interface DemoInBrowser {
  readonly demo: Demo;
  /** Opens a page. */
  readonly show: (path: string, view?: View) => Promise<Page>;
  /** What was opened last. @throws Error if nothing was. */
  readonly watched: WatchedPage;
}

/** Starts both before the tests of the file, and ends them after. */
export function demoInBrowser(): DemoInBrowser {
  let browser: Browser;
  let demo: Demo;
  let watched: WatchedPage | null = null;
  beforeAll(async () => {
    browser = await openBrowser();
    demo = await startDemo();
  });
  afterEach(async () => {
    await watched?.close();
    watched = null;
  });
  afterAll(async () => {
    await browser.close();
    await demo.stop();
  });
  return {
    get demo() {
      return demo;
    },
    async show(path, view) {
      watched = await WatchedPage.open(browser, demo.base, view);
      return await watched.show(path);
    },
    get watched() {
      if (watched === null) throw new Error("no page is open");
      return watched;
    },
  };
}
