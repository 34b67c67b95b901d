import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import type { Browser } from "playwright-core";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { type FenliuProcess, startFenliu } from "../fenliu.ts";
import { run } from "../processes.ts";
import { DESKTOP, openBrowser, VIEWS, type View, WatchedPage } from "./browser.ts";
import { type Demo, startDemo } from "./demo.ts";
import { Keyboard } from "./keyboard.ts";

/** The views that a user can reach, beside those of one record or problem. */
const PATHS = [
  "/",
  "/problems",
  "/queries",
  "/queries?name=office.example&rcode=SERVFAIL&from=7d",
  "/ask",
  "/ask?name=page.example.cn&client=tv",
  "/ask?name=www.cloud.example&a=live",
  "/ask?name=page.example.cn&client=tv&b=draft",
  "/house/upstreams",
  "/house/lists",
  "/house/hosts",
  "/house/cache",
  "/house/devices",
  "/house/router",
  "/config",
  "/config/history",
];

let browser: Browser;
let demo: Demo;
let base: string;

beforeAll(async () => {
  browser = await openBrowser();
  demo = await startDemo();
  base = demo.base;
});

afterAll(async () => {
  await browser.close();
  await demo.stop();
});

test.each(VIEWS)(
  "in $language, $theme, at $width px every view is within the window, without an error, and axe finds nothing",
  async (view) => {
    const watched = await WatchedPage.open(browser, base, view);
    const found: Record<string, unknown> = {};
    for (const path of PATHS) {
      await watched.show(path);
      const faults = [...watched.faults.splice(0), ...(await watched.violations())];
      const overflow = await watched.overflow();
      if (overflow > 0) faults.push(`${overflow} px too wide`);
      if (faults.length > 0) found[path] = faults;
    }
    await watched.close();
    expect(found).toEqual({});
  },
);

describe("by keyboard alone", () => {
  test("every link, button and field of a view is reached by Tab, and shows where the focus is", async () => {
    const watched = await WatchedPage.open(browser, base);
    const page = await watched.show("/house/hosts");
    const reached = new Set<string>();
    for (let presses = 0; presses < 60; presses++) {
      await page.keyboard.press("Tab");
      const focus: { readonly name: string; readonly outline: string; readonly isBody: boolean } = await page.evaluate(
        "(() => { const on = document.activeElement; return { name: on.textContent.trim() || on.getAttribute('aria-label'), outline: getComputedStyle(on).outlineStyle, isBody: on === document.body } })()",
      );
      if (reached.has(focus.name)) break;
      reached.add(focus.name);
      if (!focus.isBody) expect(focus.outline, focus.name).not.toBe("none");
    }
    for (const name of ["Queries", "Lists", "Add a name", "Keys"]) expect([...reached]).toContain(name);
    await watched.close();
  });
});

test("the hours of a power cut are hatched, and said not to be recorded, on the last day and over the queries", async () => {
  const watched = await WatchedPage.open(browser, base);
  for (const path of ["/", "/queries"]) {
    const page = await watched.show(path);
    const gap = page.locator(".bars rect.gap").first();
    await gap.waitFor();
    const [box, frame] = [await gap.boundingBox(), await page.locator(".bars-frame").first().boundingBox()];
    // An hour and a half of 24.
    expect((box?.width ?? 0) / (frame?.width ?? 1)).toBeGreaterThan(0.05);
    expect((box?.width ?? 0) / (frame?.width ?? 1)).toBeLessThan(0.09);
    expect(await page.evaluate("getComputedStyle(document.querySelector('.bars rect.gap')).fill")).toContain("gap-hatch");
    await page.mouse.move((box?.x ?? 0) + (box?.width ?? 0) / 2, (box?.y ?? 0) + 10);
    await page.locator(".bars figcaption", { hasText: "not recorded: the server was not running" }).waitFor();
  }
  watched.expectNoFault();
  await watched.close();
});

test("on a phone a shortened number is exact when it is pressed", async () => {
  const watched = await WatchedPage.open(browser, base, { ...DESKTOP, width: 390 });
  await watched.page.route(/\/stats\?/, async (route) => {
    const response = await route.fetch();
    const stats: { readonly topNames: readonly object[] } = await response.json();
    await route.fulfill({ response, json: { ...stats, topNames: [{ key: "a.example", count: 61_210 }], total: 122_420 } });
  });
  const page = await watched.show("/");
  await page.getByRole("button", { name: "61.2k · 50%" }).click();
  await page.getByRole("button", { name: "61,210 · 50%" }).waitFor();
  expect(await watched.violations()).toEqual([]);
  watched.expectNoFault();
  await watched.close();
});

test("an own name is added, answered, and taken back", async () => {
  const watched = await WatchedPage.open(browser, base);
  const page = await watched.show("/house/hosts");
  await page.getByRole("button", { name: "Add a name" }).click();
  await page.getByLabel("Name, or").fill("printer.lan");
  await page.getByLabel("Addresses, or").fill("10.0.0.9");
  await page.getByRole("button", { name: "Save" }).click();
  await page.getByText("printer.lan").waitFor();
  await page.goto("/ask?name=printer.lan&a=live");
  await page.getByText("A 10.0.0.9").waitFor();
  await page.goto("/house/hosts");
  await page.getByText("printer.lan").click();
  await page.getByRole("button", { name: "Take back" }).click();
  await page.getByText("printer.lan").waitFor({ state: "detached" });
  watched.expectNoFault();
  await watched.close();
});

test("a tail shows queries as they come, newest first", async () => {
  const watched = await WatchedPage.open(browser, base);
  const page = await watched.show("/queries?tail=1&client=phone");
  await page.locator(".list a.row").nth(1).waitFor({ timeout: 60_000 });
  expect(await page.locator(".list a.row .row-client").allTextContents()).not.toContain("laptop");
  watched.expectNoFault();
  await watched.close();
});

test("a tail says how many queries a second it does not show, and how many it did not show so far", async () => {
  const watched = await WatchedPage.open(browser, base);
  const body = 'event: dropped\ndata: {"records":4950}\n\n';
  await watched.page.route(/\/events\?.*queries/, (route) => route.fulfill({ contentType: "text/event-stream", body }));
  const page = await watched.show("/queries?tail=1");
  await page.getByText(/[\d,]+\/s not shown · [\d,]+ in all/).waitFor();
  watched.expectNoFault();
  await watched.close();
});

describe("a server with a token", () => {
  let fenliu: FenliuProcess;
  let folder: string;
  const QUIET_HOUSE = `
listen: { dns: ["127.0.0.1:0"], http: [], admin: "127.0.0.1:0" }
admin: { token: correct-horse-battery }
upstreams: { main: { servers: ["127.0.0.1:9"] } }
hosts: { records: { nas.lan: 10.0.0.5 } }
cache: { file: null }
`;

  beforeAll(async () => {
    folder = mkdtempSync(join(tmpdir(), "fenliu-web-"));
    fenliu = await startFenliu(folder, `${QUIET_HOUSE}log: { queries: { store: ${folder}/queries.db } }\n`);
  });

  afterAll(async () => {
    await fenliu.stop();
    rmSync(folder, { recursive: true });
  });

  async function signedIn(view: View = DESKTOP): Promise<WatchedPage> {
    const watched = await WatchedPage.open(browser, `http://127.0.0.1:${fenliu.ports.admin}`, view);
    const page = await watched.show("/queries");
    const keyboard = new Keyboard(page);
    await keyboard.fill(page.getByLabel("Token"), "wrong");
    await keyboard.press("Enter");
    await page.getByText("This is not the token.").waitFor();
    await keyboard.fill(page.getByLabel("Token"), "correct-horse-battery");
    await keyboard.enter(page.getByRole("button", { name: "Sign in" }));
    await page.locator("dialog").waitFor({ state: "detached" });
    watched.faults.length = 0;
    return watched;
  }

  test("lets a user in by the token, which no script can read afterwards", async () => {
    const watched = await signedIn();
    expect(await watched.page.evaluate("JSON.stringify([document.cookie, { ...localStorage }])")).not.toContain("correct");
    expect(await watched.page.evaluate("document.cookie")).toBe("");
    await watched.page.reload();
    await watched.page.getByText("No query in this period").waitFor();
    watched.expectNoFault();
    await watched.close();
  });

  test("has hostile names shown as text: no markup, no hidden characters, nothing that runs", async () => {
    const names = [
      "<img src=x onerror=alert(1)>.example",
      "\\226\\128\\174gpj.example",
      "a\\000b\\010.example",
      "&lt;b&gt;.example",
    ];
    for (const name of names) await run("dig", ["+tries=1", "+time=1", "@127.0.0.1", "-p", String(fenliu.ports.dns), name, "A"]);
    const watched = await signedIn();
    const page = await watched.show("/queries");
    await page
      .locator(".list a.row")
      .nth(names.length - 1)
      .waitFor();
    expect(await page.locator(".list img, .list b").count()).toBe(0);
    const text = (await page.locator(".list").textContent()) ?? "";
    expect(text).toContain("<img");
    expect(text).not.toMatch(/[\p{Cc}\p{Cf}]/u);
    watched.expectNoFault();
    await watched.close();
  });

  test("checks a file whose secrets are hidden, by what they are", async () => {
    const watched = await signedIn();
    const page = await watched.show("/config");
    expect(await page.locator(".editor textarea").inputValue()).toContain("token: •••1");
    await page.getByRole("button", { name: "Check" }).click();
    await page.getByText("The server would take it.").waitFor();
    watched.expectNoFault();
    await watched.close();
  });

  test("that ends leaves what was seen, and says since when it is not heard", async () => {
    const watched = await signedIn();
    const page = await watched.show("/house/hosts");
    await page.getByText("nas.lan").waitFor();
    await fenliu.stop();
    await page.getByText("The server does not answer").waitFor({ timeout: 30_000 });
    expect(await page.getByText("Last heard").count()).toBe(1);
    expect(await page.getByText("nas.lan").count()).toBe(1);
    expect(await page.title()).toContain("Not known");
    await watched.close();
  });
});
