import { mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import type { Browser, Locator, Page } from "playwright-core";
import { afterAll, afterEach, beforeAll, describe, expect, test } from "vitest";
import { systemClock } from "../../../src/lib/clock.ts";
import type { QueryRecord } from "../../../web/api/calls.ts";
import { en } from "../../../web/words/en.ts";
import { formatFor } from "../../../web/words/format.ts";
import { zh } from "../../../web/words/zh-CN.ts";
import { addresses } from "../../upstreams/messages.ts";
import { type ScriptedServer, scriptedServer } from "../../upstreams/scripted-server.ts";
import { type FenliuProcess, startFenliu } from "../fenliu.ts";
import { run } from "../processes.ts";
import { DESKTOP, openBrowser, type View, WatchedPage } from "./browser.ts";

/** How long the upstream takes for each answer. */
const DELAY_MS = 180;

let browser: Browser;
let folder: string;
let fenliu: FenliuProcess;
let upstream: ScriptedServer;
let watched: WatchedPage | null = null;

const configuration = (port: number, adsAnswer: string) => `
listen: { dns: ["127.0.0.1:0"], http: [], admin: "127.0.0.1:0" }
upstreams: { main: { servers: ["127.0.0.1:${port}"] }, other: { servers: ["127.0.0.1:${port}"] } }
rules:
  - { name: types, types: [TXT], answer: nodata }
  - { name: ads, domains: [ads.example], ${adsAnswer} }
  - { name: all, upstream: main }
cache: { file: null }
log: { queries: { store: queries.db } }
`;

beforeAll(async () => {
  browser = await openBrowser();
  upstream = await scriptedServer(
    "dns",
    (asked) => ({
      kind: "after",
      delayMs: DELAY_MS,
      action: addresses(asked, "192.0.2.7"),
    }),
    { clock: systemClock },
  );
  folder = mkdtempSync(join(tmpdir(), "fenliu-pictures-"));
  fenliu = await startFenliu(folder, configuration(upstream.port, "answer: nodata"));
});

afterEach(async () => {
  await watched?.close();
  watched = null;
});

afterAll(async () => {
  await browser.close();
  await fenliu.stop();
  await upstream.close();
  rmSync(folder, { recursive: true });
});

async function opened(path: string, view: View = DESKTOP): Promise<Page> {
  watched = await WatchedPage.open(browser, `http://127.0.0.1:${fenliu.ports.admin}`, view);
  return await watched.show(path);
}

/** Asks, and waits until the log shows it. @returns its record, the newest for the name. */
async function ask(name: string): Promise<QueryRecord> {
  const records = async () => {
    const found = await fetch(`http://127.0.0.1:${fenliu.ports.admin}/api/v1/queries?name=full:${name}`);
    return ((await found.json()) as { readonly records: readonly QueryRecord[] }).records;
  };
  const before = (await records()).length;
  await run("dig", ["+tries=1", "+time=3", "@127.0.0.1", "-p", String(fenliu.ports.dns), name, "A"]);
  await expect.poll(async () => (await records()).length).toBeGreaterThan(before);
  const [record] = await records();
  if (record === undefined) throw new Error(`${name} is not in the log`);
  return record;
}

interface Box {
  readonly x: number;
  readonly width: number;
}

/** Runs in the page. @returns where a bar begins and how long it is, as shares of its axis. */
function placeOnAxis(bar: {
  getBoundingClientRect(): Box;
  closest(selector: string): { querySelector(selector: string): { getBoundingClientRect(): Box } };
}): readonly [left: number, width: number] {
  const box = bar.getBoundingClientRect();
  const axis = bar.closest(".attempts").querySelector(".attempts-axis").getBoundingClientRect();
  return [(box.x - axis.x) / axis.width, box.width / axis.width];
}

/** What a picture says of the rules, its folded ones too. */
async function rulesOf(picture: Locator): Promise<string> {
  const more = picture.getByRole("button", { name: /did not match/ });
  await more.click();
  await more.waitFor({ state: "detached" });
  return ((await picture.locator(".steps").textContent()) ?? "").replace(/\s+/g, " ");
}

describe("the pictures of one query under one version", () => {
  test("are the same, whether it is past, asked now, or would be asked", async () => {
    await ask("www.shop.example");
    const page = await opened("/queries?name=www.shop.example");
    await page.locator(".list a.row").first().click();
    const past = page.locator(".journey");
    const pastRules = await rulesOf(past);
    await past.getByText("3 tried of 3").waitFor();
    const pastAnswer = await past.locator(".station.last li").allInnerTexts();
    await page.getByRole("link", { name: "Ask now" }).click();
    const live = page.locator(".sides .journey");
    await live.waitFor();
    expect(await rulesOf(live)).toBe(pastRules);
    const records = (texts: readonly string[]) => texts.map((text) => text.replace(/^\d+ /, ""));
    expect(records(await live.locator(".station.last li").allInnerTexts())).toEqual(records(pastAnswer));
    await page.goto("/ask?name=www.shop.example");
    await page.locator(".sides .journey").waitFor();
    expect(await rulesOf(page.locator(".sides .journey"))).toBe(pastRules);
    await page.goto("/ask?name=www.shop.example&b=live");
    await page.getByText("Both go the same way.").waitFor();
    watched?.expectNoFault();
  });

  test("have a time axis that agrees with the upstream within 10 ms, and with what was measured within 2", async () => {
    const [attempt] = (await ask("www.clock.example")).attempts;
    if (attempt === undefined) throw new Error("nobody was asked");
    const page = await opened("/queries?name=www.clock.example");
    await page.locator(".list a.row").first().click();
    const bar = page.locator(".attempts rect.attempt").first();
    await bar.waitFor();
    const [begin = "", , end = ""] = await page.locator(".attempts-axis span").allInnerTexts();
    const [beginMs = 0, endMs = 0] = [begin, end].map((text) => Number.parseFloat(text) * (/\d s$/.test(text) ? 1000 : 1));
    // Both at one moment: what comes meanwhile moves what is around them.
    const [left, width] = await bar.evaluate(placeOnAxis);
    const [startMs, lengthMs] = [beginMs + left * (endMs - beginMs), width * (endMs - beginMs)];
    expect(lengthMs).toBeGreaterThan(DELAY_MS - 10);
    // A busy machine asks late, and hears late: the picture shows what was measured.
    expect(Math.abs(startMs - attempt.startMs)).toBeLessThan(2);
    expect(Math.abs(lengthMs - attempt.ms)).toBeLessThan(2);
    await page.locator(".attempts li p.small", { hasText: formatFor("en-GB").ms(attempt.ms) }).waitFor();
  });
});

test.each([
  ["en", en],
  ["zh-CN", zh],
] as const)("in %s a name of other letters has them beside it, and its picture shows how it came", async (language, words) => {
  const name = "xn--fsqu00a.xn--0zwm56d";
  await ask(name);
  const page = await opened(`/queries?name=${name}`, { ...DESKTOP, language });
  const both = `${name} (例子.测试)`;
  const row = page.locator(".list a.row").first();
  await row.getByText(both).waitFor();
  await row.click();
  await page.locator(".query-view h2", { hasText: both }).waitFor();
  await page.locator(".station", { hasText: words.journey.listener }).getByText("UDP", { exact: true }).waitFor();
  watched?.expectNoFault();
});

describe("two versions that differ in one rule", () => {
  test.each([1280, 390] as const)("differ there and nowhere else, at %d px without scrolling sideways", async (width) => {
    const base = `http://127.0.0.1:${fenliu.ports.admin}/api/v1`;
    const versions = async () => (await (await fetch(`${base}/versions`)).json()) as readonly { readonly version: string }[];
    await ask("www.ads.example");
    const [before] = await versions();
    const file = join(folder, "fenliu.yaml");
    const text = readFileSync(file, "utf8");
    const isBlocked = text.includes("answer: nodata }\n  - { name: all");
    writeFileSync(file, configuration(upstream.port, isBlocked ? "upstream: other" : "answer: nodata"));
    await fetch(`${base}/reload`, { method: "POST", headers: { "content-type": "application/json" } });
    const page = await opened(`/ask?name=www.ads.example&a=${before?.version}&b=now`, { ...DESKTOP, width });
    await page.locator(".in-words .care").first().waitFor();
    const marked = async () => {
      const titles = await page.locator(".station.differs h3").allInnerTexts();
      return [...new Set(titles.map((title) => title.replace("≠ ", "")))];
    };
    await expect.poll(marked).toEqual(["Rules"]);
    await page.locator(".in-words", { hasText: isBlocked ? /after, it goes to other/ : /after, it is answered here/ }).waitFor();
    expect(await watched?.overflow()).toBeLessThanOrEqual(0);
    // The same name under equal rules.
    await page.goto(`/ask?name=www.else.example&a=${before?.version}&b=now`);
    await page.getByText("Both go the same way.").waitFor();
    watched?.expectNoFault();
  });
});
