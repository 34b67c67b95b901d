import { describe, expect } from "vitest";
import type { ConfigFile, Pause } from "../../../src/admin/schemas/edits.ts";
import { en } from "../../../web/words/en.ts";
import { holdBack } from "./browser.ts";
import { demoInBrowser } from "./demo.ts";
import { type Action, action, button, tryActions } from "./keyboard.ts";

const site = demoInBrowser();

const ASK: readonly Action[] = [
  action("a question is typed, compared, swapped, and its folded rules are shown", "/ask", async (keyboard, page) => {
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
  }),
  action("an example is asked", "/ask", async (keyboard, page) => {
    await keyboard.enter(page.locator(".chips a").first());
    await page.locator(".sides .journey").waitFor();
  }),
  action("a draft is written, and asked about from within", "/ask?name=www.mail.example&b=draft", async (keyboard, page) => {
    const area = page.getByRole("textbox", { name: en.ask.draft });
    const ruleAt = site.demo
      .text()
      .split("\n")
      .findIndex((line) => line.includes("name: ads,"));
    await keyboard.tabTo(area);
    await keyboard.press("Control+Home", ...Array.from({ length: ruleAt }, () => "ArrowDown"));
    await keyboard.type("  - { name: drafted, domains: [mail.example], answer: nodata }\n");
    // What changes on the server meanwhile is drawn, and takes nothing of what was typed.
    const versions = page.waitForResponse("**/api/v1/versions");
    await site.demo.call("POST", "/pause", { rules: ["ads"], minutes: 5 });
    await versions;
    await page.locator(".pause").waitFor();
    expect(await area.inputValue()).toContain("drafted");
    await keyboard.press("Control+Enter");
    await page.locator(".in-words", { hasText: "drafted decides instead of elsewhere" }).waitFor();
    await keyboard.awaits(area);
    for (const { id } of (await site.demo.call<readonly Pause[]>("GET", "/pause")).body)
      expect((await site.demo.call("DELETE", `/pause/${id}`)).status).toBe(204);
  }),
  action("where a list has the name is unfolded", "/ask?name=page.example.cn&client=tv", async (keyboard, page) => {
    await keyboard.enter(page.locator(".match").getByRole("button", { name: /line \d+ of/ }));
    await page.locator(".list-lines li.strong", { hasText: "page.example.cn" }).waitFor();
  }),
  action("where the file has the pattern of a rule is shown there", "/ask?name=shop.example.cn", async (keyboard, page) => {
    await keyboard.enter(page.locator(".match a"));
    await keyboard.awaits(page.locator(".editor textarea"));
  }),
  ...(
    [
      ["what happened", "main .panel h2 a", /queries\?name=full/],
      ["one query of the past", ".happened a:has(time)", /open=\d/],
      ["what would happen now", ".happened a.button", /ask\?.*a=\w+&b=now/],
    ] as const
  ).map(([what, selector, url]) =>
    action(`${what} is followed`, "/ask?name=www.mail.example", (keyboard, page) =>
      keyboard.follow(page.locator(selector).first(), url),
    ),
  ),
];

const HOUSE: readonly Action[] = [
  action("its parts are gone through", "/house/upstreams", async (keyboard, page) => {
    for (const part of ["lists", "hosts", "cache", "devices", "router"] as const)
      await keyboard.follow(
        page.locator(".tabs").getByRole("link", { name: en.house.parts[part] }),
        new RegExp(`/house/${part}`),
      );
  }),
  action("what is shown is asked for again", "/house/upstreams", async (keyboard, page) => {
    // While one answer is awaited, nobody asks for another but by the key.
    await holdBack(page, "**/api/v1/upstreams");
    await page.waitForRequest("**/api/v1/upstreams");
    const asked = page.waitForRequest("**/api/v1/upstreams");
    await keyboard.press("r");
    await asked;
  }),
  action("the queries of a group are followed", "/house/upstreams", (keyboard, page) =>
    keyboard.follow(page.locator(".panel h2 a").first(), /queries\?upstream=/),
  ),
  action(
    "a list is downloaded, its new version taken, or kept away, and its faults are shown",
    "/house/lists",
    async (keyboard, page) => {
      await keyboard.enter(button(page, en.house.download));
      await page.locator(".panel [role=alert]").waitFor();
      const downloadProblem = { reason: "half of it is gone", held: true, since: new Date().toISOString() };
      await page.route("**/api/v1/lists", async (route) => {
        const response = await route.fetch();
        const lists: { readonly sources: readonly object[] }[] = await response.json();
        const warnings = [{ line: 3, reason: "not understood" }];
        await route.fulfill({
          response,
          json: lists.map((list) => ({
            ...list,
            sources: list.sources.map((source) => ({ ...source, downloadProblem, warnings, warningCount: 1 })),
          })),
        });
      });
      await keyboard.press("r");
      const accepted = page.waitForRequest(/\/lists\/world\/refresh\?accept=true/);
      await keyboard.enter(button(page, en.house.accept));
      await accepted;
      const kept = page.waitForRequest(/\/problems\/v1/);
      await keyboard.enter(button(page, en.house.keep(7)));
      await kept;
      await keyboard.enter(page.locator("summary").first());
      await page.locator("details[open]", { hasText: "not understood" }).waitFor();
    },
    // Nobody listens where the list should come from, and no problem is known of it.
    { allowed: /lists\/world\/refresh|problems\/v1/ },
  ),
  action("a host is found, hidden, and taken back", "/house/hosts", async (keyboard, page) => {
    await keyboard.fill(page.getByLabel(en.house.findHost), "lan");
    const rows = page.locator(".host.row");
    await keyboard.tabTo(rows.first());
    await keyboard.press("ArrowDown", "ArrowUp", "Enter");
    const dialog = page.getByRole("dialog");
    await keyboard.enter(dialog.getByRole("button", { name: en.house.hide }));
    await dialog.waitFor({ state: "detached" });
    await page.locator(".host-source", { hasText: en.house.hidden }).waitFor();
    await keyboard.enter(rows.filter({ hasText: en.house.hidden }));
    await keyboard.enter(dialog.getByRole("button", { name: en.house.takeBack }));
    await page.locator(".host-source", { hasText: en.house.hidden }).waitFor({ state: "detached" });
  }),
  action("a host is added, changed, left alone, and taken back", "/house/hosts", async (keyboard, page) => {
    const [opener, dialog] = [button(page, en.house.addHost), page.getByRole("dialog")];
    await keyboard.enter(opener);
    await keyboard.fill(dialog.getByLabel(en.house.hostName), "a-printer.lan");
    await keyboard.fill(dialog.getByLabel(en.house.hostValue), "10.0.0.9");
    await keyboard.tabTo(dialog.getByRole("checkbox"));
    await keyboard.press("Space");
    await keyboard.enter(dialog.getByRole("button", { name: en.house.save }));
    const row = page.locator(".host.row", { hasText: "a-printer.lan" });
    await row.waitFor();
    await keyboard.fill(page.getByLabel(en.house.findHost), "a-printer");
    await keyboard.enter(row);
    await dialog.locator("input:checked").waitFor();
    await keyboard.enter(dialog.getByLabel(en.parts.close));
    await keyboard.awaits(row);
    await keyboard.press("Enter");
    await keyboard.enter(dialog.getByRole("button", { name: en.house.takeBack }));
    await row.waitFor({ state: "detached" });
  }),
  action("the cache is looked into and flushed", "/house/cache", async (keyboard, page) => {
    await keyboard.fill(page.locator("main").getByLabel(en.ask.name), "example.cn");
    await keyboard.enter(button(page, en.house.lookUp));
    for (const name of [en.house.flush, en.house.flushBelow]) {
      await keyboard.enter(button(page, name));
      await page.getByText(/answers? dropped/).waitFor();
    }
  }),
  action("a device gets its values and its profile", "/house/devices", async (keyboard, page) => {
    await keyboard.fill(page.getByLabel(en.devices.server), "fenliu.lan");
    await keyboard.fill(page.getByLabel(en.devices.id), "keys");
    const value = page.locator("textarea.value").first();
    await keyboard.tabTo(value);
    await expect
      .poll(() => page.evaluate("document.activeElement.selectionEnd - document.activeElement.selectionStart"))
      .toBeGreaterThan(5);
    const [download] = await Promise.all([
      page.waitForEvent("download"),
      keyboard.enter(page.getByRole("link", { name: en.devices.profile })),
    ]);
    expect(download.suggestedFilename()).toMatch(/\.mobileconfig$/);
  }),
  action("what arrived of a device is followed", "/house/devices", async (keyboard, page) => {
    await keyboard.fill(page.getByLabel(en.devices.id), "tv");
    await page.route(/\/queries\?/, (route) => route.continue({ url: route.request().url().replace("from=10m", "from=7d") }));
    await keyboard.follow(page.locator(".notice a"), /queries\?client=tv/);
  }),
  action("from the devices to the router", "/house/devices", (keyboard, page) =>
    keyboard.follow(page.locator(".cards").getByRole("link", { name: en.devices.routerSteps }), /house\/router/),
  ),
  action("the script of the router is downloaded", "/house/router", async (keyboard, page) => {
    await keyboard.fill(page.getByLabel(en.devices.server), "fenliu.lan");
    const [download] = await Promise.all([
      page.waitForEvent("download"),
      keyboard.enter(page.getByRole("link", { name: en.devices.script })),
    ]);
    expect(download.suggestedFilename()).toMatch(/\.rsc$/);
  }),
];

const CONFIGURATION: readonly Action[] = [
  action("the file is changed, checked, previewed, tried and discarded", "/config", async (keyboard, page) => {
    const area = page.locator(".editor textarea");
    await keyboard.tabTo(area);
    await keyboard.press("Control+End");
    await keyboard.type("# by keyboard\n");
    await keyboard.press("Control+s");
    await page.getByText(en.config.ok).waitFor();
    await keyboard.tabTo(button(page, en.config.check));
    const checked = page.waitForRequest("**/config/check");
    await keyboard.press("Control+s");
    await checked;
    await keyboard.press("Enter");
    await keyboard.enter(button(page, en.config.preview));
    await page.locator(".diff .added").waitFor();
    await keyboard.enter(page.getByRole("link", { name: en.config.ask }));
    await page.locator(".ask-form").waitFor();
    await keyboard.press("Escape");
    await page.locator(".editor").waitFor();
    await keyboard.enter(button(page, en.config.discard));
    await expect.poll(() => area.inputValue()).not.toContain("by keyboard");
  }),
  action("a fault is gone to, again and again", "/config", async (keyboard, page) => {
    const area = page.locator(".editor textarea");
    await keyboard.tabTo(area);
    await keyboard.press("Control+End");
    await keyboard.type("nonsense: 1\n");
    await keyboard.press("Control+s");
    const fault = page.locator("[role=status] li.bad a").first();
    for (let visit = 0; visit < 2; visit++) {
      await keyboard.enter(fault);
      await keyboard.awaits(area);
    }
    await keyboard.enter(button(page, en.config.discard));
  }),
  action("versions are compared, one is wanted back, left alone, and restored", "/config", async (keyboard, page) => {
    const { digest, text } = (await site.demo.call<ConfigFile>("GET", "/config/file")).body;
    const edited = await site.demo.call("PUT", "/config/file", { text: `${text}# edited\n`, base: digest });
    expect(edited.status).toBe(200);
    await page.route(/\/diff\//, async (route) => {
      const response = await route.fetch();
      await route.fulfill({ response, json: { ...(await response.json()), lists: [{ name: "ads", before: 1, after: 2 }] } });
    });
    await keyboard.follow(page.locator(".tabs").getByRole("link", { name: en.config.views.history }), /history/);
    await keyboard.follow(page.getByRole("link", { name: en.config.difference }).first(), /history\/.+\.\../);
    await page.locator(".diff").first().waitFor();
    await keyboard.enter(page.locator("summary").first());
    await page.locator("details[open] li").waitFor();
    const restore = button(page, en.config.restore).first();
    await keyboard.enter(restore);
    // What would change stands above the buttons: before it has come, they are elsewhere.
    await page.locator(".versions .diff").waitFor();
    await keyboard.enter(button(page, en.parts.cancel));
    await keyboard.enter(restore);
    await page.locator(".versions .diff").waitFor();
    await keyboard.enter(button(page, en.config.restoreThis));
    await page.getByText(en.config.restored).waitFor();
    expect(site.demo.text()).toBe(text);
    await keyboard.follow(page.locator(".tabs").getByRole("link", { name: en.config.views.file }), /config$/);
  }),
];

describe("by keyboard alone", () => {
  tryActions(site, [...ASK, ...HOUSE, ...CONFIGURATION]);
});
