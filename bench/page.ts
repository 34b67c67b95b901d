/**
 * The dashboard under load, in Debian's chromium: `npm run bench:page -- [--only=search,tail,tabs] [--rows=5000000] [--store=FILE] [--seconds=60] [--rounds=5]`.
 *
 *     search   a log of millions of rows: how soon the first rows are there, and what is there of a search that takes long
 *     tail     queries come at 5,000 a second while the page shows them: frames, memory, and what is said not to be shown
 *     tabs     how long DNS takes with no page open, with eight tabs, and with eight tabs on another server on the same machine, by turns: the last says what
 *              of it is the browser's own
 */
import { type ChildProcess, fork } from "node:child_process";
import { once } from "node:events";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { parseArgs } from "node:util";
import type { Browser, Page } from "playwright-core";
import { type FenliuProcess, startFenliu } from "../test/clients/fenliu.ts";
import { CHROMIUM, openBrowser } from "../test/clients/web/browser.ts";
import { queryWire } from "../test/support/message.ts";
import type { Asked, Order } from "./log/asker.ts";
import { filledStore } from "./log/filled-store.ts";
import { QuerySource } from "./log/rows.ts";
import { median, percentile } from "./statistics.ts";

const { values } = parseArgs({
  options: {
    only: { type: "string", default: "search,tail,tabs" },
    rows: { type: "string", default: "5000000" },
    store: { type: "string" },
    seconds: { type: "string", default: "60" },
    rounds: { type: "string", default: "5" },
  },
});

const NAMES = 200;
/** Longer than any search may take. */
const LONGEST_MS = 30_000;
const TAIL_PER_SECOND = 5000;
const ORDER: Order = { seconds: 8, perSecond: 1000 };
/** One of each kind; what changes all the time is there twice. */
const TABS = [
  "/",
  "/problems",
  "/queries",
  "/queries?tail=1",
  "/queries?tail=1&type=A",
  "/ask?name=n1.example",
  "/house/upstreams",
  "/config",
];

/** Code of the page: notes how long each frame took, and which tasks were long. */
const WATCH_FRAMES = `(() => {
  window.watched = { times: [], tasks: [] };
  let before = performance.now();
  const frame = (now) => { window.watched.times.push(now - before); before = now; requestAnimationFrame(frame); };
  requestAnimationFrame(frame);
  new PerformanceObserver((list) => { for (const entry of list.getEntries()) window.watched.tasks.push(entry.duration); }).observe({ entryTypes: ["longtask"] });
})()`;

const folder = mkdtempSync(join(tmpdir(), "fenliu-bench-page-"));
const browser = await openBrowser();
const running: FenliuProcess[] = [];
try {
  const wanted = values.only.split(",");
  if (wanted.includes("search")) await searches();
  if (wanted.includes("tail") || wanted.includes("tabs")) {
    const fenliu = await started(join(folder, "queries.db"));
    const asker = await startAsker(fenliu.ports.dns);
    try {
      if (wanted.includes("tail")) await tail(fenliu, asker, Number(values.seconds));
      if (wanted.includes("tabs")) await tabs(fenliu, asker, Number(values.rounds));
    } finally {
      asker.disconnect();
    }
  }
} finally {
  await browser.close();
  for (const fenliu of running) await fenliu.stop();
  rmSync(folder, { recursive: true });
}

/** All names are of the house: what is measured is the page, not an upstream. */
async function started(store: string): Promise<FenliuProcess> {
  const records = Array.from({ length: NAMES }, (_, index) => `    n${index}.example: 192.0.2.${index}`).join("\n");
  const fenliu = await startFenliu(
    mkdtempSync(join(folder, "server-")),
    `listen: { dns: ["127.0.0.1:0"], http: [], admin: "127.0.0.1:0" }
upstreams: { main: { servers: ["127.0.0.1:9"] } }
cache: { file: null }
hosts:
  records:
${records}
log: { queries: { store: ${JSON.stringify(store)}, keep: 365d, max: 20000000 } }
`,
  );
  running.push(fenliu);
  return fenliu;
}

async function startAsker(port: number): Promise<ChildProcess> {
  const asker = fork(new URL("./log/asker.ts", import.meta.url), { serialization: "advanced" });
  const messages = Array.from({ length: NAMES }, (_, index) => queryWire(`n${index}.example`, "A"));
  asker.send({ port, messages } satisfies Asked);
  await ask(asker, { seconds: 2, perSecond: 500 });
  return asker;
}

/** @returns how long each answer took, in ms. */
async function ask(asker: ChildProcess, order: Order): Promise<readonly number[]> {
  asker.send(order);
  return (await once(asker, "message"))[0];
}

async function openPage(on: Browser, fenliu: FenliuProcess): Promise<Page> {
  const context = await on.newContext({ baseURL: `http://127.0.0.1:${fenliu.ports.admin}`, locale: "en" });
  return await context.newPage();
}

async function searches(): Promise<void> {
  const source = new QuerySource({ names: 60_000, clients: 40, seed: 1 });
  const path = values.store ?? join(folder, "filled.db");
  const { rows, fromMs, toMs } = filledStore(path, Number(values.rows), source);
  console.log(`${rows} rows`);
  const fenliu = await started(path);
  const period = `from=${fromMs}&to=${toMs}`;
  const pattern = `${period}&name=${encodeURIComponent("/^zz[0-9]{9}q/")}`;
  const shows: readonly (readonly [what: string, query: string, selector: string, haste?: "hasty"])[] = [
    ["first page, no filter", period, ".list a.row"],
    ["first page, one client", `${period}&client=192.168.88.12`, ".list a.row, .list .empty:not(.loading)"],
    ["first page, names that do not exist", `${period}&rcode=NXDOMAIN`, ".list a.row, .list .empty:not(.loading)"],
    ["a pattern that fits nothing", pattern, ".list .empty:not(.loading)"],
    ["an answer that nobody got", `${period}&answer=198.51.100.99`, ".list .empty:not(.loading)"],
    ["the same pattern, right after another search", pattern, ".list .empty:not(.loading)", "hasty"],
  ];
  const page = await openPage(browser, fenliu);
  for (const [what, query, selector, haste] of shows) {
    const isHasty = haste === "hasty";
    const times: number[] = [];
    let said = "";
    for (let visit = 0; visit < 5; visit++) {
      await page.goto("/ask");
      await page.locator(".ask-form").waitFor();
      // Followed as a link is: the page is loaded already. All in one evaluation: the policy of the page lets no text become code later.
      times.push(
        await page.evaluate(`new Promise((resolve, reject) => {
          const link = Object.assign(document.createElement("a"), { href: ${JSON.stringify(`/queries?${query}`)} });
          document.body.append(link);
          const began = performance.now();
          setTimeout(() => reject(new Error("nothing came")), ${LONGEST_MS});
          new MutationObserver((_, observer) => {
            if (document.querySelector(${JSON.stringify(selector)}) === null) return;
            observer.disconnect();
            resolve(performance.now() - began);
          }).observe(document, { childList: true, subtree: true, attributes: true });
          link.click();
          link.remove();
        })`),
      );
      // The thread that found the rows counts them over time now, and what there is without the filter: the next search would wait for that, too.
      if (!isHasty) {
        await page.locator(".queries-list .bars svg").waitFor();
        await page.evaluate("fetch('/api/v1/queries?limit=1').then((response) => response.text())");
      }
      // Nothing is said while more rows come by themselves.
      said = (await page.locator(".list > p").allTextContents()).join(" ");
    }
    console.log(`${what}: median ${median(times).toFixed(0)} ms, worst ${Math.max(...times).toFixed(0)} ms; ${said.trim()}`);
  }
  await page.context().close();
  await fenliu.stop();
}

interface Frames {
  readonly times: readonly number[];
  /** Tasks of more than 50 ms, in ms. */
  readonly tasks: readonly number[];
}

async function tail(fenliu: FenliuProcess, asker: ChildProcess, seconds: number): Promise<void> {
  const page = await openPage(browser, fenliu);
  const tools = await page.context().newCDPSession(page);
  await page.goto("/queries?tail=1");
  await page.locator(".list").waitFor();
  const warm = ask(asker, { seconds: 5, perSecond: TAIL_PER_SECOND });
  await page.locator(".list a.row").nth(5).waitFor();
  await warm;
  await page.evaluate(WATCH_FRAMES);
  const times = await ask(asker, { seconds, perSecond: TAIL_PER_SECOND });
  const frames: Frames = await page.evaluate("window.watched");
  await tools.send("HeapProfiler.collectGarbage");
  const { usedSize } = await tools.send("Runtime.getHeapUsage");
  const [said, shown] = [await page.locator(".list > p").first().textContent(), await page.locator(".list a.row").count()];
  const { times: drawn, tasks } = frames;
  console.log(
    `tail at ${TAIL_PER_SECOND}/s for ${seconds} s: ${times.length} answered, DNS p99 ${percentile(times, 0.99).toFixed(2)} ms`,
  );
  console.log(
    `${drawn.length} frames: p99 ${percentile(drawn, 0.99).toFixed(1)} ms, longest ${Math.max(...drawn).toFixed(1)} ms, ${drawn.filter((ms) => ms > 50).length} over 50 ms; ${tasks.length} tasks over 50 ms: ${tasks.map((ms) => ms.toFixed(0)).join(" ")}`,
  );
  console.log(`heap ${(usedSize / 2 ** 20).toFixed(1)} MiB; ${shown} rows drawn; ${said?.trim()}`);
  await page.context().close();
}

async function tabs(fenliu: FenliuProcess, asker: ChildProcess, rounds: number): Promise<void> {
  // In a house the browser has a machine of its own: here it takes what the server leaves.
  const niced = join(folder, "chromium");
  writeFileSync(niced, `#!/bin/sh\nexec nice -n 19 ${CHROMIUM} "$@"\n`, { mode: 0o755 });
  const spare = await openBrowser(niced);
  const other = await started(join(folder, "other.db"));
  const otherAsker = await startAsker(other.ports.dns);
  const shows = [
    { what: "no page", on: null, p99s: [] as number[] },
    { what: "eight tabs", on: fenliu, p99s: [] as number[] },
    { what: "eight tabs on another server", on: other, p99s: [] as number[] },
  ];
  for (let round = 0; round < rounds; round++)
    for (const { on, p99s } of shows) {
      // Each is in view and has its own connections, as in eight windows: tabs behind one another would not listen to the server.
      const pages: Page[] = [];
      if (on !== null)
        for (const path of TABS) {
          const page = await openPage(spare, on);
          await page.goto(path);
          pages.push(page);
        }
      await ask(asker, { seconds: 1, perSecond: 200 });
      // Both servers have the same to do and to show.
      const [times] = await Promise.all([ask(asker, ORDER), ask(otherAsker, ORDER)]);
      p99s.push(percentile(times, 0.99));
      for (const page of pages) await page.context().close();
    }
  otherAsker.disconnect();
  await spare.close();
  for (const { what, p99s } of shows)
    console.log(
      `DNS p99 at ${ORDER.perSecond}/s, ${what}: ${median(p99s).toFixed(3)} ms (${p99s.map((ms) => ms.toFixed(3)).join(" ")})`,
    );
}
