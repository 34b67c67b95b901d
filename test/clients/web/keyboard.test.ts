import type { Locator, Page } from "playwright-core";
import { describe, expect } from "vitest";
import { en } from "../../../web/words/en.ts";
import { DESKTOP, holdBack } from "./browser.ts";
import { demoInBrowser } from "./demo.ts";
import { type Action, action, button, type Keyboard, tryActions } from "./keyboard.ts";

const site = demoInBrowser();
const PHONE = { ...DESKTOP, width: 390 } as const;

const EVERYWHERE: readonly Action[] = [
  action("the content is reached without the navigation", "/", async (keyboard, page) => {
    await keyboard.enter(page.getByText(en.shell.skip));
    await keyboard.awaits(page.locator("main"));
  }),
  action("a name is asked about", "/", async (keyboard, page) => {
    await keyboard.press("/");
    await keyboard.type("page.example.cn");
    await keyboard.press("Enter");
    await page.getByText("Rule ads answers with NODATA").waitFor();
  }),
  action("each page is opened by two keys", "/", async (keyboard, page) => {
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
  }),
  action("each page is opened by its link", "/", async (keyboard, page) => {
    const rail = page.locator(".rail");
    for (const [name, path] of [
      [en.pages.problems, /\/problems$/],
      [en.pages.queries, /\/queries$/],
      [en.pages.ask, /\/ask$/],
      [en.pages.house, /\/house\/upstreams$/],
      [en.pages.config, /\/config$/],
      [en.pages.home, /:\d+\/$/],
    ] as const)
      await keyboard.follow(rail.getByRole("link", { name }), path);
    await keyboard.follow(rail.getByRole("link", { name: "API" }), /\/docs/);
  }),
  action("the way home is in the header, twice", "/ask", async (keyboard, page) => {
    for (const link of [".brand", ".health-word"]) {
      await keyboard.follow(page.locator(link), /:\d+\/$/);
      await keyboard.press("g", "a");
      await page.locator(".ask-form").waitFor();
    }
  }),
  action("the keys are shown and put away, and the focus is where it was", "/", async (keyboard, page) => {
    const dialog = page.getByRole("dialog", { name: en.shell.keys });
    await keyboard.press("?");
    await dialog.waitFor();
    await keyboard.press("Escape");
    await dialog.waitFor({ state: "detached" });
    const opener = page.locator(".rail").getByRole("button", { name: en.shell.keys });
    await keyboard.enter(opener);
    await keyboard.enter(dialog.getByLabel(en.parts.close));
    await dialog.waitFor({ state: "detached" });
    await keyboard.awaits(opener);
  }),
  action("language and colours are chosen", "/", async (keyboard, page) => {
    const [language, theme] = [page.locator(".rail select").first(), page.locator(".rail select").last()];
    await keyboard.choose(theme, "dark");
    await keyboard.choose(language, "zh-CN");
    await expect
      .poll(() => page.evaluate("document.documentElement.lang + document.documentElement.dataset.theme"))
      .toBe("zh-CNdark");
  }),
  action("a pause is ended", "/", async (keyboard, page) => {
    await site.demo.call("POST", "/pause", { rules: ["ads"], minutes: 5 });
    await keyboard.enter(page.locator(".pause"));
    await page.locator(".pause").waitFor({ state: "detached" });
  }),
  action("an address that the page does not have leads home", "/", async (keyboard, page) => {
    await page.goto("/house/attic");
    await keyboard.follow(page.locator("main .empty a"), /:\d+\/$/);
  }),
  action(
    "a page that the server has anew is loaded",
    "/",
    async (keyboard, page) => {
      await page.route("**/assets/*.js", (route) => route.abort());
      await keyboard.press("g", "c");
      await page.getByText(en.shell.renewed).waitFor();
      await page.unroute("**/assets/*.js");
      await keyboard.enter(button(page, en.shell.reload));
      await page.locator(".editor").waitFor();
    },
    { allowed: /Failed to load resource/ },
  ),
  action(
    "on a narrow window what does not fit is behind one button",
    "/",
    async (keyboard, page) => {
      const more = page.locator(".rail").getByRole("button", { name: en.shell.more });
      const dialog = page.getByRole("dialog", { name: en.shell.more });
      await keyboard.enter(more);
      await keyboard.choose(dialog.getByLabel(en.shell.theme), "light");
      await keyboard.press("Escape");
      await keyboard.awaits(more);
      await keyboard.press("Enter");
      await keyboard.follow(dialog.getByRole("link", { name: en.pages.house }), /house\/upstreams/);
      await dialog.waitFor({ state: "detached" });
    },
    { view: PHONE },
  ),
];

const HOME: readonly Action[] = [
  action("the bars are walked, and one leads to its queries", "/", async (keyboard, page) => {
    await keyboard.tabTo(page.locator(".bars a.bar").last());
    await keyboard.press("ArrowLeft", "ArrowLeft");
    await page.locator(".bars figcaption", { hasText: /\d\d:\d\d:\d\d – \d\d:\d\d:\d\d/ }).waitFor();
    await keyboard.press("Enter");
    await page.locator(".list a.row").first().waitFor();
    expect(page.url()).toMatch(/from=\d+&to=\d+/);
  }),
  ...(
    [
      ["what is not well", ".health-item.care", /problems|house|config/],
      ["a problem", ".problem-list a.row", /problems\/./],
      ["all problems", ".home-grid h2 a", /problems$/],
      ["an outcome of the legend", ".legend a", /queries\?/],
      ["a new configuration", ".bars-mark", /config\/history/],
      ["a failing name", ".tops .panel:nth-child(1) a", /name=.*rcode=SERVFAIL/],
      ["a name", ".tops .panel:nth-child(2) a", /name=full/],
      ["a client", ".tops .panel:nth-child(3) a", /client=/],
      ["a rule", ".tops .panel:nth-child(4) a", /rule=/],
      ["an upstream", ".tops .panel:nth-child(5) a", /upstream=/],
    ] as const
  ).map(([what, selector, url]) =>
    action(`${what} is followed`, "/", (keyboard, page) => keyboard.follow(page.locator(selector).first(), url)),
  ),
  action(
    "on a narrow window what is well is unfolded, and followed",
    "/",
    async (keyboard, page) => {
      await keyboard.enter(page.locator(".health summary"));
      await keyboard.follow(page.locator(".health details a").first(), /house/);
    },
    { view: PHONE },
  ),
];

const INSISTED = `/problems/${encodeURIComponent("v1|insisted|rule:ads|example.cn")}`;
const VANISHED = `/problems/${encodeURIComponent("v1|vanished|group:overseas|album.example")}`;

/** To a fix: `f`, and so many entries down. */
async function chooseFix(keyboard: Keyboard, page: Page, index: number): Promise<void> {
  await page.locator(".problem-view fieldset").waitFor();
  await keyboard.press("f", "Space", ...Array.from({ length: index }, () => "ArrowDown"));
  await keyboard.awaits(page.locator(".problem-view input[type=radio]:checked"));
}

/** The row that has the focus, wherever it stands later: what fails more often moves up. */
async function focusedRow(page: Page): Promise<Locator> {
  const id = await page.evaluate("document.activeElement.dataset.row");
  expect(id).toBeTypeOf("string");
  return page.locator(`a.row[data-row=${JSON.stringify(id)}]`);
}

const PROBLEMS: readonly Action[] = [
  action(
    "the list is walked, one is opened and closed, and the focus is on its row again",
    "/problems",
    async (keyboard, page) => {
      await page.locator("a.row").nth(1).waitFor();
      await keyboard.press("j", "j", "k", "j");
      const row = await focusedRow(page);
      await keyboard.press("o");
      await page.locator(".problem-view").waitFor();
      await keyboard.press("Escape");
      await page.locator(".problem-view").waitFor({ state: "detached" });
      await keyboard.awaits(row);
    },
  ),
  action("a problem is closed", "/problems", async (keyboard, page) => {
    await keyboard.tabTo(page.locator("a.row").first());
    const row = await focusedRow(page);
    await keyboard.press("Enter");
    await keyboard.enter(page.locator(".query-view").getByLabel(en.parts.close));
    await page.locator(".problem-view").waitFor({ state: "detached" });
    await keyboard.awaits(row);
  }),
  action("muted and fixed ones are shown, too", "/problems", async (keyboard, page) => {
    await keyboard.choose(page.getByLabel(en.problems.show), "all");
  }),
  action("more of many are shown", "/problems", async (keyboard, page) => {
    await page.route(/\/problems\?limit=100$/, async (route) => {
      const response = await route.fetch();
      await route.fulfill({ response, json: { ...(await response.json()), cursor: "more" } });
    });
    await page.reload();
    const asked = page.waitForRequest(/\/problems\?limit=200$/);
    await keyboard.enter(button(page, en.problems.more));
    await asked;
  }),
  action("a problem is muted by a key, and heard again by its button", VANISHED, async (keyboard, page) => {
    await page.locator(".problem-view fieldset").waitFor();
    await keyboard.press("m");
    await keyboard.enter(button(page, en.problems.unmute));
    await keyboard.tabTo(button(page, en.problems.mute(7)));
  }),
  ...(
    [
      ["its rule", 'dd a[href*="rule=ads"]', /rule=ads/],
      ["its list", 'dl.facts > div:first-child a[href="/house/lists"]', /house\/lists/],
      ["a name of it", 'dd a[href*="name=full"]', /name=full/],
      ["a client of it", 'dd a[href*="client=tv"]', /client=tv/],
      ["its newest query", `a.button:text-is("${en.problems.newest}")`, /open=\d/],
      ["the question asked now", `a.button:text-is("${en.queries.askNow}")`, /ask\?.*a=live/],
    ] as const
  ).map(([what, selector, url]) =>
    action(`${what} is followed`, INSISTED, (keyboard, page) => keyboard.follow(page.locator(`.problem-view ${selector}`), url)),
  ),
  action("a fix is tried, compared, applied, undone, and found in the history", INSISTED, async (keyboard, page) => {
    await chooseFix(keyboard, page, 0);
    await page.locator(".diff .added", { hasText: "!page.example.cn" }).waitFor();
    await keyboard.enter(page.getByRole("link", { name: en.edit.compare }));
    await keyboard.enter(button(page, en.ask.wholeFile));
    await page.locator(".draft textarea").waitFor();
    await keyboard.press("Escape");
    await page.locator(".problem-view fieldset").waitFor();
    await chooseFix(keyboard, page, 0);
    await keyboard.enter(page.locator(".proof summary"));
    await page.locator(".proof details[open] li").first().waitFor();
    await expect.poll(() => button(page, en.parts.apply).isEnabled(), { timeout: 40_000 }).toBe(true);
    await keyboard.enter(button(page, en.parts.apply));
    await page.getByText(/now NOERROR, \d record/).waitFor();
    await keyboard.enter(button(page, en.edit.undo));
    await page.getByText(en.edit.undone).waitFor();
    await keyboard.follow(page.locator(".problem-view").getByRole("link", { name: en.edit.inHistory }), /config\/history/);
    await page.locator(".diff .added", { hasText: "!page.example.cn" }).waitFor();
  }),
  action("rules are paused, and a host is added", INSISTED, async (keyboard, page) => {
    await chooseFix(keyboard, page, 1);
    await keyboard.enter(button(page, en.parts.apply));
    await page.getByText(en.problems.paused).waitFor();
    await keyboard.enter(page.locator(".pause"));
    await page.locator(".pause").waitFor({ state: "detached" });
    await chooseFix(keyboard, page, 2);
    await keyboard.enter(button(page, en.house.addHost));
    const dialog = page.getByRole("dialog");
    await keyboard.fill(dialog.getByLabel(en.house.hostValue), "10.0.0.77");
    await keyboard.enter(dialog.getByRole("button", { name: en.house.save }));
    await page.getByText(en.problems.done).waitFor();
    expect((await site.demo.call("DELETE", "/hosts/page.example.cn")).status).toBeLessThan(300);
  }),
  action("what the cache holds is dropped", VANISHED, async (keyboard, page) => {
    await chooseFix(keyboard, page, 0);
    await keyboard.enter(button(page, en.parts.apply));
    await page.getByText(/answers? dropped/).waitFor();
  }),
  action(
    "a preview that failed is asked for again",
    INSISTED,
    async (keyboard, page) => {
      await page.route("**/config/edits", (route) => route.fulfill({ status: 500, json: { detail: "not so" } }), { times: 1 });
      await chooseFix(keyboard, page, 0);
      await keyboard.enter(button(page, en.edit.again));
      await page.locator(".diff .added").waitFor();
    },
    { allowed: /500/ },
  ),
  action(
    "a preview comes by itself from a server that was busy",
    INSISTED,
    async (keyboard, page) => {
      await page.route("**/config/edits", (route) => route.fulfill({ status: 503, json: { detail: "not now" } }), { times: 2 });
      await chooseFix(keyboard, page, 0);
      await page.locator(".diff .added").waitFor();
    },
    { allowed: /503/ },
  ),
];

const MAIL = "/queries?name=full%3Awww.mail.example&from=7d";

/** Opens the first row. */
async function openRow(keyboard: Keyboard, page: Page): Promise<void> {
  await keyboard.enter(page.locator(".list a.row").first());
  await page.locator(".query-view .journey").waitFor();
}

const QUERIES: readonly Action[] = [
  action("a filter is typed, and taken away", "/queries", async (keyboard, page) => {
    await keyboard.fill(page.getByLabel(en.queries.filter, { exact: true }), "client:tv");
    await keyboard.press("Enter");
    await expect.poll(() => page.url()).toContain("client=tv");
    await keyboard.enter(button(page, en.queries.removeFilter("client:tv")));
    await expect.poll(() => page.url()).not.toContain("client=tv");
  }),
  action("another period is chosen", "/queries", async (keyboard, page) => {
    await keyboard.choose(page.getByLabel(en.queries.period), "7d");
    await expect.poll(() => page.url()).toContain("from=7d");
  }),
  action("queries are followed as they come, and no more", "/queries", async (keyboard, page) => {
    await keyboard.enter(button(page, en.queries.tail));
    await expect.poll(() => page.url()).toContain("tail=1");
    await keyboard.press("p");
    await expect.poll(() => page.url()).not.toContain("tail=1");
  }),
  action("a long list is walked beyond what is drawn, a row is opened and closed", "/queries?from=7d", async (keyboard, page) => {
    await keyboard.tabTo(page.locator(".list a.row").first());
    const place = () => page.evaluate("Number(document.activeElement.closest('li')?.getAttribute('aria-posinset'))");
    for (let row = 2; row <= 60; row++) {
      await keyboard.press("ArrowDown");
      await expect.poll(place).toBe(row);
    }
    await keyboard.press("ArrowUp", "Enter");
    await page.locator(".query-view .journey").waitFor();
    await keyboard.enter(page.locator(".query-view").getByLabel(en.parts.close));
    await page.locator(".query-view").waitFor({ state: "detached" });
    await expect.poll(place).toBe(59);
  }),
  action("a longer time is drawn over the bars", "/queries", async (keyboard, page) => {
    await keyboard.tabTo(page.locator(".bars a.bar").last());
    await keyboard.press("Shift+ArrowLeft", "Shift+ArrowLeft", "Shift+ArrowLeft", "Enter");
    await expect.poll(() => page.url()).toMatch(/from=\d+&to=\d+/);
    const { searchParams } = new URL(page.url());
    expect(Number(searchParams.get("to")) - Number(searchParams.get("from"))).toBe(4 * 15 * 60_000);
  }),
  action("a search that takes long goes on", "/", async (keyboard, page) => {
    // Nothing yet, and more to search.
    await page.route(/\/queries\?/, async (route) => {
      const response = await route.fetch();
      await route.fulfill({ response, json: { ...(await response.json()), records: [], cursor: "0" } });
    });
    await keyboard.press("g", "q");
    await button(page, en.queries.goOn).waitFor();
    await page.unroute(/\/queries\?/);
    await page.route(/cursor=0/, (route) => route.continue({ url: route.request().url().replace("&cursor=0", "") }));
    await keyboard.enter(button(page, en.queries.goOn));
    await page.locator(".list a.row").first().waitFor();
  }),
  action("where nothing fits, the filter to blame is left out", `${MAIL}&client=nobody`, async (keyboard, page) => {
    await keyboard.enter(page.locator(".list .empty a"));
    await page.locator(".list a.row").first().waitFor();
    expect(page.url()).not.toContain("nobody");
  }),
  action("where nobody asked, a device is set up", "/queries?from=1000000000000&to=1000000060000", (keyboard, page) =>
    keyboard.follow(page.locator(".list .empty a"), /house\/devices/),
  ),
  ...(
    [
      ["asked now", en.queries.askNow, /ask\?.*a=live/],
      ["compared with now", en.queries.compareNow, /ask\?.*b=now/],
      ["shown among what its client asked then", en.queries.around, /queries\?client=.*from=\d+&to=\d+/],
      ["shown among the queries for its name", en.queries.sameName, /queries\?name=full/],
    ] as const
  ).map(([what, name, url]) =>
    action(`a query is ${what}`, MAIL, async (keyboard, page) => {
      await openRow(keyboard, page);
      await keyboard.follow(page.locator(".query-view").getByRole("link", { name, exact: true }), url);
    }),
  ),
  action("the rule of a query is shown in the file", MAIL, async (keyboard, page) => {
    await openRow(keyboard, page);
    await keyboard.enter(page.locator(".steps a").last());
    const area = page.locator(".editor textarea");
    await keyboard.awaits(area);
    await expect
      .poll(() => page.evaluate("document.activeElement.value.slice(document.activeElement.selectionStart).split('\\n')[0]"))
      .toContain("elsewhere");
  }),
  action("a query is flushed, made a rule of, and its name added to the hosts", MAIL, async (keyboard, page) => {
    await openRow(keyboard, page);
    await keyboard.enter(button(page, en.queries.flush));
    await page.getByText(/answers? dropped/).waitFor();
    const opener = button(page, en.queries.makeRule);
    const dialog = page.getByRole("dialog");
    // Nothing is to be chosen before the groups have come: it would be another choice a moment later.
    const release = await holdBack(page, "**/api/v1/upstreams");
    await keyboard.enter(opener);
    await dialog.waitFor();
    expect(await dialog.locator("select").count()).toBe(0);
    release();
    await keyboard.choose(dialog.locator("select").first(), "full:www.mail.example");
    await keyboard.choose(dialog.locator("select").last(), "block");
    await keyboard.tabTo(dialog.getByRole("checkbox"));
    await keyboard.press("Space");
    await dialog.locator(".diff .added", { hasText: "answer: nodata" }).waitFor();
    await expect.poll(() => dialog.getByRole("button", { name: en.parts.apply }).isEnabled(), { timeout: 40_000 }).toBe(true);
    await keyboard.enter(dialog.getByRole("button", { name: en.parts.apply }));
    await keyboard.enter(dialog.getByRole("button", { name: en.edit.undo }));
    await dialog.getByText(en.edit.undone).waitFor();
    await keyboard.press("Escape");
    await keyboard.awaits(opener);
    await keyboard.enter(button(page, en.queries.addHost));
    await keyboard.fill(dialog.getByLabel(en.house.hostValue), "10.0.0.78");
    await keyboard.press("Enter");
    await dialog.waitFor({ state: "detached" });
    expect((await site.demo.call("DELETE", "/hosts/www.mail.example")).status).toBeLessThan(300);
  }),
  action("a long name is shown whole", "/queries", async (keyboard, page) => {
    const name = `${`${"long".repeat(15)}.`.repeat(3)}example`;
    const [, http] = /http: +\["([^"]+)"/.exec(site.demo.text()) ?? [];
    await fetch(`http://${http}/dns-query?name=${name}&type=A`, { headers: { accept: "application/dns-json" } });
    await expect
      .poll(async () => (await site.demo.call<{ records: unknown[] }>("GET", `/queries?name=full:${name}`)).body.records.length)
      .toBeGreaterThan(0);
    await page.goto(`/queries?name=full:${name}`);
    await openRow(keyboard, page);
    await keyboard.enter(page.locator(".query-view h2").getByRole("button", { name: en.parts.showWhole }));
    await expect.poll(() => page.locator(".query-view h2").textContent()).toContain(name);
    await page.locator(".station", { hasText: en.journey.listener }).getByText("DoH · HTTP/1.1 · GET").waitFor();
  }),
];

describe("by keyboard alone", () => {
  tryActions(site, [...EVERYWHERE, ...HOME, ...PROBLEMS, ...QUERIES]);
});
