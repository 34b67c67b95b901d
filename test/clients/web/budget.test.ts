import type { Browser } from "playwright-core";
import { afterAll, beforeAll, expect, test } from "vitest";
import { openBrowser } from "./browser.ts";
import { type Demo, startDemo } from "./demo.ts";

let browser: Browser;
let demo: Demo;

beforeAll(async () => {
  browser = await openBrowser();
  demo = await startDemo();
});

afterAll(async () => {
  await browser.close();
  await demo.stop();
});

/** What a first visit to Home loads besides the API, in bytes on the wire, and when it can be used. */
async function firstVisit(slowdown: number): Promise<{ readonly bytes: number; readonly usableMs: number }> {
  const context = await browser.newContext({ baseURL: demo.base, locale: "en", viewport: { width: 390, height: 844 } });
  const page = await context.newPage();
  const tools = await context.newCDPSession(page);
  await tools.send("Network.enable");
  await tools.send("Emulation.setCPUThrottlingRate", { rate: slowdown });
  const own = new Set<string>();
  let bytes = 0;
  tools.on("Network.responseReceived", ({ requestId, response }) => {
    if (!new URL(response.url).pathname.startsWith("/api/")) own.add(requestId);
  });
  tools.on("Network.loadingFinished", ({ requestId, encodedDataLength }) => {
    if (own.has(requestId)) bytes += encodedDataLength;
  });
  // Usable: the health is said, the links are there, and the page has run what it loaded.
  await page.addInitScript(`new MutationObserver(() => {
    if (window.usableMs === undefined && document.querySelector("main h1") && document.querySelector(".health-item"))
      requestAnimationFrame(() => setTimeout(() => { window.usableMs ??= performance.now(); }));
  }).observe(document, { childList: true, subtree: true })`);
  await page.goto("/");
  const usable = () => page.evaluate("window.usableMs ?? null");
  await expect.poll(usable, { timeout: 30_000 }).not.toBeNull();
  const usableMs = Number(await usable());
  await context.close();
  return { bytes, usableMs };
}

test("Home loads at most 45 KB; how soon a processor of a quarter of the speed can use it is printed, not judged", async () => {
  const visits: Awaited<ReturnType<typeof firstVisit>>[] = [];
  // The best of some: other programs take the processor, too.
  for (let visit = 0; visit < 5; visit++) visits.push(await firstVisit(4));
  const usableMs = Math.min(...visits.map((visit) => visit.usableMs));
  process.stderr.write(`Home: ${visits[0]?.bytes} bytes, usable after ${usableMs.toFixed(0)} ms at fourfold throttling\n`);
  expect(visits[0]?.bytes).toBeLessThanOrEqual(45_000);
});
