import type { Locator, Page } from "playwright-core";
import { describe, expect, test } from "vitest";
import { en } from "../../../web/words/en.ts";
import { demoInBrowser } from "./demo.ts";
import { Keyboard } from "./keyboard.ts";

const site = demoInBrowser();

async function keyboardOn(path: string): Promise<Keyboard> {
  return new Keyboard(await site.show(path));
}

/** What a user does: where, with which keys, and how one sees that it is done. */
type Action = readonly [what: string, path: string, run: (keyboard: Keyboard, page: Page) => Promise<unknown>];

const button = (page: Page, name: string | RegExp): Locator => page.locator("main").getByRole("button", { name, exact: true });
const EVERYWHERE: readonly Action[] = [
  [
    "the content is reached without the navigation",
    "/",
    async (keyboard, page) => {
      await keyboard.enter(page.getByText(en.shell.skip));
      expect(await keyboard.has(page.locator("main"))).toBe(true);
    },
  ],
  [
    "a name is asked about",
    "/",
    async (keyboard, page) => {
      await keyboard.press("/");
      await keyboard.type("page.example.cn");
      await keyboard.press("Enter");
      await page.getByText("Rule ads answers with NODATA").waitFor();
    },
  ],
  [
    "each page is opened by two keys",
    "/",
    async (keyboard, page) => {
      for (const [key, path] of Object.entries({
        p: "/problems",
        q: "/queries",
        a: "/ask",
        u: "/house/upstreams",
        c: "/config",
        h: "/",
      })) {
        await keyboard.press("g", key);
        await expect.poll(() => new URL(page.url()).pathname).toBe(path);
      }
      await keyboard.press("g", "q");
      await keyboard.press("Escape");
      await expect.poll(() => new URL(page.url()).pathname).toBe("/");
    },
  ],
  [
    "a pause is ended",
    "/",
    async (keyboard, page) => {
      await site.demo.call("POST", "/pause", { rules: ["ads"], minutes: 5 });
      await keyboard.enter(page.locator(".pause"));
      await page.locator(".pause").waitFor({ state: "detached" });
    },
  ],
];

const HOME: readonly Action[] = [
  [
    "the bars are walked, and one leads to its queries",
    "/",
    async (keyboard, page) => {
      await keyboard.tabTo(page.locator(".bars a.bar").last());
      await keyboard.press("ArrowLeft", "ArrowLeft");
      expect(await page.locator(".bars figcaption").first().textContent()).toMatch(/\d\d:\d\d:\d\d – \d\d:\d\d:\d\d/);
      await keyboard.press("Enter");
      await page.locator(".list a.row").first().waitFor();
      expect(page.url()).toMatch(/from=\d+&to=\d+/);
    },
  ],
  ...(
    [
      ["what is not well", ".health-item.care", /problems|house|config/],
      ["a problem", ".problem-list a.row", /problems\/./],
      ["an outcome of the legend", ".legend a", /queries\?/],
      ["a failing name", ".top-list a", /queries\?/],
      ["a new configuration", ".bars-mark", /config\/history/],
    ] as const
  ).map(
    ([what, selector, url]): Action => [
      `${what} is followed`,
      "/",
      async (keyboard, page) => {
        await keyboard.enter(page.locator(selector).first());
        await expect.poll(() => page.url()).toMatch(url);
      },
    ],
  ),
];

const PROBLEMS: readonly Action[] = [
  [
    "the list is walked, one is opened and closed, and the focus is on its row again",
    "/problems",
    async (keyboard, page) => {
      await page.locator("a.row").nth(1).waitFor();
      await keyboard.press("j", "j", "k", "j", "o");
      await page.locator(".problem-view").waitFor();
      await keyboard.press("Escape");
      await page.locator(".problem-view").waitFor({ state: "detached" });
      expect(await keyboard.has(page.locator("a.row").nth(1))).toBe(true);
    },
  ],
  [
    "a problem is closed",
    "/problems",
    async (keyboard, page) => {
      await keyboard.enter(page.locator("a.row").first());
      await keyboard.enter(page.locator(".query-view").getByLabel(en.parts.close));
      await page.locator(".problem-view").waitFor({ state: "detached" });
    },
  ],
];

const ASK: readonly Action[] = [
  [
    "a question is typed, compared, swapped, and its folded rules are shown",
    "/ask",
    async (keyboard, page) => {
      const form = page.locator(".ask-form");
      await keyboard.fill(form.getByLabel(en.ask.name), "shop.example.cn");
      await keyboard.fill(form.getByLabel(en.ask.type), "aaaa");
      await keyboard.fill(form.getByLabel(en.ask.client), "tv");
      await keyboard.choose(form.getByLabel(en.ask.under), "live");
      await keyboard.choose(form.getByLabel(en.ask.comparedWith), "now");
      await keyboard.press("Control+Enter");
      await page.locator(".sides .journey").nth(1).waitFor();
      expect(page.url()).toContain("type=AAAA&client=tv&a=live&b=now");
      await keyboard.press("Escape");
      await keyboard.enter(button(page, `⇄ ${en.ask.swap}`));
      await expect.poll(() => page.url()).toContain("b=live");
      await keyboard.press("x");
      await expect.poll(() => page.url()).toContain("a=live");
      const folded = page
        .locator(".sides")
        .getByRole("button", { name: /did not match/ })
        .first();
      await keyboard.enter(folded);
    },
  ],
  [
    "an example is asked",
    "/ask",
    async (keyboard, page) => {
      await keyboard.enter(page.locator(".chips a").first());
      await page.locator(".sides .journey").waitFor();
    },
  ],
];

const HOUSE: readonly Action[] = [
  [
    "its parts are gone through",
    "/house/upstreams",
    async (keyboard, page) => {
      for (const part of ["lists", "hosts", "cache", "devices", "router"] as const) {
        await keyboard.enter(page.locator(".tabs").getByRole("link", { name: en.house.parts[part] }));
        await expect.poll(() => page.url()).toContain(`/house/${part}`);
      }
    },
  ],
  [
    "what is shown is asked for again",
    "/house/upstreams",
    async (keyboard, page) => {
      await page.locator(".panel").first().waitFor();
      const asked = page.waitForRequest((request) => request.url().endsWith("/upstreams"), { timeout: 3000 });
      await keyboard.press("r");
      await asked;
    },
  ],
  [
    "the cache is looked into and flushed",
    "/house/cache",
    async (keyboard, page) => {
      await keyboard.fill(page.locator("main").getByLabel(en.ask.name), "example.cn");
      await keyboard.enter(button(page, en.house.lookUp));
      for (const name of [en.house.flush, en.house.flushBelow]) {
        await keyboard.enter(button(page, name));
        await page.getByText(/answers? dropped/).waitFor();
      }
    },
  ],
  [
    "a device gets its values, its profile, and the link of what arrived",
    "/house/devices",
    async (keyboard, page) => {
      await keyboard.fill(page.getByLabel(en.devices.server), "fenliu.lan");
      await keyboard.fill(page.getByLabel(en.devices.id), "keys");
      const value = page.locator("textarea.value").first();
      await keyboard.tabTo(value);
      expect(await page.evaluate("document.activeElement.selectionEnd - document.activeElement.selectionStart")).toBeGreaterThan(
        5,
      );
      const [download] = await Promise.all([
        page.waitForEvent("download"),
        keyboard.enter(page.getByRole("link", { name: en.devices.profile })),
      ]);
      expect(download.suggestedFilename()).toMatch(/\.mobileconfig$/);
    },
  ],
  [
    "the script of the router is downloaded",
    "/house/router",
    async (keyboard, page) => {
      await keyboard.fill(page.getByLabel(en.devices.server), "fenliu.lan");
      const [download] = await Promise.all([
        page.waitForEvent("download"),
        keyboard.enter(page.getByRole("link", { name: en.devices.script })),
      ]);
      expect(download.suggestedFilename()).toMatch(/\.rsc$/);
    },
  ],
];

const CONFIGURATION: readonly Action[] = [
  [
    "the file is changed, checked, previewed, tried and discarded",
    "/config",
    async (keyboard, page) => {
      const area = page.locator(".editor textarea");
      await keyboard.tabTo(area);
      await keyboard.press("Control+End");
      await keyboard.type("# by keyboard\n");
      await keyboard.press("Control+s");
      await page.getByText(en.config.ok).waitFor();
      await keyboard.enter(button(page, en.config.check));
      await keyboard.enter(button(page, en.config.preview));
      await page.locator(".diff .added").waitFor();
      await keyboard.enter(page.getByRole("link", { name: en.config.ask }));
      await page.locator(".ask-form").waitFor();
      await keyboard.press("Escape");
      await page.locator(".editor").waitFor();
      await keyboard.enter(button(page, en.config.discard));
      expect(await area.inputValue()).not.toContain("by keyboard");
    },
  ],
];

describe("by keyboard alone", () => {
  test.each([...EVERYWHERE, ...HOME, ...PROBLEMS, ...ASK, ...HOUSE, ...CONFIGURATION])("%s (%s)", async (_, path, run) => {
    const keyboard = await keyboardOn(path);
    await run(keyboard, keyboard.page);
    site.watched.expectNoFault();
  });
});
