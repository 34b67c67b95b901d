import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import type { Browser } from "playwright-core";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import type { Pause } from "../../../src/admin/schemas/edits.ts";
import { en } from "../../../web/words/en.ts";
import { formatFor } from "../../../web/words/format.ts";
import { zh } from "../../../web/words/zh-CN.ts";
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
    for (const name of ["Queries", "Lists", "Add a name", "Shortcuts"]) expect([...reached]).toContain(name);
    await watched.close();
  });
});

test("the hours of a power cut are hatched, and said not to be recorded, on the last day and over the queries", async () => {
  const watched = await WatchedPage.open(browser, base);
  // A busy server counts no further than time allows, and says so: here it is asked until it has counted all.
  await watched.page.route(/\/queries\/volume\?/, async (route) => {
    for (;;) {
      const response = await route.fetch();
      if ((await response.json()).complete) return await route.fulfill({ response });
    }
  });
  for (const path of ["/", "/queries"]) {
    const page = await watched.show(path);
    const gap = page.locator(".bars rect.gap").first();
    await gap.waitFor();
    // An hour and a half of 24.
    const share = Number(
      await page.evaluate(
        "(([gap, frame]) => gap.width / frame.width)(['.bars rect.gap', '.bars-frame'].map((each) => document.querySelector(each).getBoundingClientRect()))",
      ),
    );
    expect(share).toBeGreaterThan(0.05);
    expect(share).toBeLessThan(0.09);
    expect(await page.evaluate("getComputedStyle(document.querySelector('.bars rect.gap')).fill")).toContain("gap-hatch");
    const pointedAt = async () => {
      // What comes meanwhile moves the bars.
      const box = await gap.boundingBox();
      await page.mouse.move((box?.x ?? 0) + (box?.width ?? 0) / 2, (box?.y ?? 0) + 10);
      return await page.locator(".bars figcaption").first().textContent();
    };
    await expect.poll(pointedAt).toContain("not recorded: the server was not running");
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

const LANGUAGES = [
  { language: "en", words: en, numbers: formatFor("en-GB"), paused: /^Needs a look\..*paused|^In trouble\..*paused/ },
  { language: "zh-CN", words: zh, numbers: formatFor("zh-CN"), paused: /^(需要看看|出了故障)。.*暂停/ },
] as const;

test.each(LANGUAGES)(
  "in $language, numbers of the cache and of upstreams are exact when they are pressed on a phone",
  async ({ language, words, numbers: { count, exact } }) => {
    const watched = await WatchedPage.open(browser, base, { ...DESKTOP, language, width: 390 });
    const { page } = watched;
    const many = 61_210;
    await page.route("**/api/v1/cache", async (route) => {
      const response = await route.fetch();
      const { stats, ...rest } = await response.json();
      const positive = { ...stats.positive, entries: many, evictions: many };
      await route.fulfill({ response, json: { ...rest, stats: { ...stats, positive } } });
    });
    await page.route("**/api/v1/upstreams", async (route) => {
      const response = await route.fetch();
      const [{ members, ...group }] = await response.json();
      await route.fulfill({ response, json: [{ ...group, members: [{ ...members[0], questions: many, failures: many }] }] });
    });
    const house = words.house;
    for (const [path, says] of [
      ["/house/cache", [(text: string) => text, house.evictions]],
      ["/house/upstreams", [house.questions, house.failures]],
    ] as const) {
      await watched.show(path);
      for (const say of says) {
        await page.getByRole("button", { name: say(count(many)), exact: true }).click();
        await page.getByRole("button", { name: say(exact(many)), exact: true }).waitFor();
      }
      expect(await watched.violations()).toEqual([]);
      expect(await watched.overflow()).toBeLessThanOrEqual(0);
    }
    watched.expectNoFault();
    await watched.close();
  },
);

test.each(LANGUAGES)("in $language, screen readers hear what becomes of the health", async ({ language, paused }) => {
  const watched = await WatchedPage.open(browser, base, { ...DESKTOP, language });
  const page = await watched.show("/ask");
  const heard = page.locator(".top [role=status]");
  await page.locator(".health-word:not(.soft)").waitFor();
  const { body } = await demo.call<Pause>("POST", "/pause", { rules: ["ads"], client: "tv", minutes: 5 });
  await expect.poll(() => heard.textContent()).toMatch(paused);
  await demo.call("DELETE", `/pause/${body.id}`);
  await expect.poll(() => heard.textContent()).not.toMatch(paused);
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
    const logged = async () => {
      const headers = { authorization: "Bearer correct-horse-battery" };
      const found = await fetch(`http://127.0.0.1:${fenliu.ports.admin}/api/v1/queries`, { headers });
      return ((await found.json()) as { readonly records: readonly unknown[] }).records.length;
    };
    await expect.poll(logged).toBeGreaterThanOrEqual(names.length);
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
    await expect.poll(() => page.locator(".editor textarea").inputValue()).toContain("token: •••1");
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
    await page.getByText("The server does not answer").waitFor({ timeout: 60_000 });
    await page.getByText("Last heard").waitFor();
    await page.getByText("nas.lan").waitFor();
    await expect.poll(() => page.title()).toContain("Not known");
    await watched.close();
  });
});
