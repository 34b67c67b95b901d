import { once } from "node:events";
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { createServer, type Server } from "node:http";
import { tmpdir } from "node:os";
import { join } from "node:path";
import type { Browser, Page } from "playwright-core";
import { afterAll, beforeAll, describe, expect, test, vi } from "vitest";
import { buildAnswer } from "../../../src/dns/answer.ts";
import { ednsRecord } from "../../../src/dns/edns.ts";
import { EDE, RCODE, TYPE } from "../../../src/dns/types.ts";
import { type Action, type Asked, type ScriptedServer, scriptedServer } from "../../upstreams/scripted-server.ts";
import { type FenliuProcess, startFenliu } from "../fenliu.ts";
import { run } from "../processes.ts";
import { openBrowser, WatchedPage } from "./browser.ts";
import { button, Keyboard } from "./keyboard.ts";

const HOSTILE = [
  `"><img src=x onerror=alert(1)>`,
  "\u202egpj.exe",
  "a\u0000b\u0007\u200b",
  "{{constructor}}",
  "&lt;b&gt;",
  "</textarea><script>",
];
/** As far as rules may be called so: 63 characters, no control characters. */
const RULES = [`"><img src=x onerror=alert(1)>\u202e`, "\u202egpj.exe<script>alert(1)</script>\u200b"] as const;
/** Names of lists are words: their files may be called anything. */
const LIST_FILE = "ads<img src=x onerror=alert(1)>\u202e.txt";
const TOKEN = "correct-horse-battery";

let browser: Browser;
let folder: string;
let fenliu: FenliuProcess;
let upstream: ScriptedServer;
let stranger: Server;
let base: string;

/** Fails below `failing.example` and says why in hostile words, whatever else is asked; other questions get TXT with hostile text. */
function hostileAnswer(asked: Asked): Action {
  const { name, type, class: klass } = asked.query;
  if (asked.name.endsWith("failing.example")) return { kind: "reply", message: failure(asked) };
  const text = Buffer.from(HOSTILE.join(" ")).subarray(0, 255);
  const data = Buffer.concat([Uint8Array.of(text.length), text]);
  const answers = [{ owner: name, type: TYPE.TXT, ttlSeconds: 60, data }];
  const { wire } = buildAnswer({ name, type, class: klass, rcode: RCODE.NOERROR, answers, authority: [] });
  return { kind: "reply", message: wire };
}

/** SERVFAIL with an extended error (RFC 8914) whose text is of 255 bytes, and one whose bytes are no text. */
function failure({ query: { name, type, class: klass } }: Asked): Uint8Array {
  const { wire } = buildAnswer({ name, type, class: klass, rcode: RCODE.SERVFAIL, answers: [], authority: [] });
  const text = HOSTILE.join(" ");
  const errors = [
    { code: EDE.NO_REACHABLE_AUTHORITY, text: text + "y".repeat(255 - Buffer.byteLength(text)) },
    { code: 65_535, text: "</li>\r\n\u001b[31m\u2066\ufeffred" },
  ];
  const opt = ednsRecord(
    {
      udpPayloadBytes: 1232,
      extendedRcode: 0,
      dnssecOk: false,
      clientSubnet: null,
      extendedErrors: errors,
      paddingBlockBytes: 0,
    },
    wire.length,
  );
  const message = Buffer.concat([wire, opt]);
  message.writeUInt16BE(1, 10);
  return message;
}

const configuration = (port: number, token: string) => `
listen: { dns: ["127.0.0.1:0"], http: [], admin: "127.0.0.1:0" }
admin: { token: ${token} }
upstreams: { main: { servers: ["127.0.0.1:${port}"] } }
lists: { ads: { domains: [${JSON.stringify(LIST_FILE)}] } }
rules:
  - { name: ${JSON.stringify(RULES[0])}, domains: ["list:ads"], answer: nodata }
  - { name: ${JSON.stringify(RULES[1])}, upstream: main }
cache: { file: null }
log: { queries: { store: queries.db } }
`;

beforeAll(async () => {
  browser = await openBrowser();
  upstream = await scriptedServer("dns", hostileAnswer);
  folder = mkdtempSync(join(tmpdir(), "fenliu-hostile-"));
  writeFileSync(join(folder, LIST_FILE), "# nothing yet\n");
  fenliu = await startFenliu(folder, configuration(upstream.port, TOKEN));
  base = `http://127.0.0.1:${fenliu.ports.admin}`;
  writeFileSync(join(folder, LIST_FILE), "# <img src=x onerror=alert(1)> \u202egpj\nblocked.example\n# </script>\n");
  const headers = { authorization: `Bearer ${TOKEN}`, "content-type": "application/json" };
  const renewed = await fetch(`${base}/api/v1/lists/ads/refresh`, { method: "POST", headers });
  expect(renewed.status).toBe(200);
  const names = [
    "<img src=x onerror=alert(1)>.example",
    "\\226\\128\\174gpj.example",
    "a\\000b\\010.example",
    `${`${"x".repeat(62)}.`.repeat(3)}${"y".repeat(60)}`,
  ];
  // Asked so often, the blocked name is a problem, whose words bear the names of rule and file.
  const blocked = Array.from({ length: 12 }, () => ["blocked.example", "A"] as const);
  const failing = ["a", "b", "c"].map((label) => [`${label}.failing.example`, "A"] as const);
  for (const [name, type] of [...blocked, ...failing, ...names.map((each) => [each, "TXT"] as const)])
    await run("dig", ["+tries=1", "+time=2", "@127.0.0.1", "-p", String(fenliu.ports.dns), name, type]);
  const logged = async () => {
    const found = await fetch(`${base}/api/v1/queries`, { headers: { authorization: `Bearer ${TOKEN}` } });
    return ((await found.json()) as { readonly records: readonly unknown[] }).records.length;
  };
  await vi.waitUntil(async () => (await logged()) === blocked.length + failing.length + names.length, { timeout: 30_000 });
  stranger = createServer((_, response) => response.setHeader("content-type", "text/html").end("<!doctype html><p>a stranger"));
  stranger.listen(0, "127.0.0.1");
  await once(stranger, "listening");
});

afterAll(async () => {
  await browser.close();
  await fenliu.stop();
  await upstream.close();
  stranger.close();
  rmSync(folder, { recursive: true });
});

async function signedIn(path = "/queries"): Promise<WatchedPage> {
  const watched = await WatchedPage.open(browser, base);
  const page = await watched.show(path);
  await page.getByLabel("Token").fill(TOKEN);
  await page.getByRole("button", { name: "Sign in" }).click();
  await page.locator("dialog").waitFor({ state: "detached" });
  watched.faults.length = 0;
  return watched;
}

function strangerUrl(): string {
  const address = stranger.address();
  return `http://127.0.0.1:${typeof address === "object" && address !== null ? address.port : 0}`;
}

/** No markup, nothing hidden in what is read, in titles and in labels, and nothing beyond the window. */
async function expectClean(watched: WatchedPage, where: string): Promise<void> {
  const { page } = watched;
  expect(await page.locator("body img, body script:not([src]), main b").count(), where).toBe(0);
  const attributes: string = await page.evaluate(
    "[...document.body.querySelectorAll('[title], [aria-label]')].map((each) => each.title + each.getAttribute('aria-label')).join(' ')",
  );
  expect(`${await page.locator("body").textContent()} ${attributes}`, where).not.toMatch(/(?![\t\n])[\p{Cc}\p{Cf}]/u);
  expect(await watched.overflow(), where).toBeLessThanOrEqual(0);
}

/** Makes a rule of the query that is open, applies it and takes it back; each step is looked at. */
async function ruleMadeAndUndone(page: Page, clean: (where: string) => Promise<void>): Promise<void> {
  await button(page, "Make a rule").click();
  const dialog = page.getByRole("dialog");
  await dialog.getByLabel("What becomes of it").selectOption("block");
  await dialog.locator(".diff .added").first().waitFor();
  await expect.poll(() => dialog.getByRole("button", { name: "Apply" }).isEnabled(), { timeout: 40_000 }).toBe(true);
  await dialog.locator(".proof summary").click();
  await clean("a preview");
  await dialog.getByRole("button", { name: "Apply" }).click();
  await dialog.getByText(/now NOERROR/).waitFor();
  await clean("an edit that is applied");
  await dialog.getByRole("button", { name: "Undo" }).click();
  await dialog.getByText("Undone.").waitFor();
  await clean("an edit that is undone");
  await dialog.getByRole("link", { name: "History" }).click();
  await page.locator(".diff .removed, .diff .added").first().waitFor();
  await clean("the history");
}

describe("what strangers write", () => {
  test("in names, TXT records, rules and lists is text on every page: no markup, nothing hidden, nothing that runs, no report of the policy", async () => {
    const watched = await signedIn();
    const { page } = watched;
    await page.locator(".list a.row").nth(15).waitFor();
    const rows = await page.locator(".list a.row").count();
    const clean = (where: string) => expectClean(watched, where);
    await clean("rows");
    for (let row = 0; row < rows; row++) {
      await page.locator(".list a.row").nth(row).click();
      await page.locator(`.list li:nth-child(${row + 1}) a.row.open`).waitFor();
      await page.locator(".journey").waitFor();
      await clean(`record ${row}`);
    }
    await page.goto("/ask?name=blocked.example");
    await page.locator(".journey").waitFor();
    await page.getByRole("button", { name: /line 2 of/ }).click();
    await page.locator(".list-lines li").first().waitFor();
    expect(await page.locator(".list-lines").textContent()).toContain("⟨U+202E⟩");
    await clean("lines of a list");
    for (const path of ["/", "/problems", "/house/lists", "/config"]) {
      await watched.show(path);
      await clean(path);
    }
    watched.expectNoFault();
    await watched.close();
  });
});

test("why an upstream failed is read as it said it: in the record, in what a question of now comes to, and beside the problem", async () => {
  const watched = await signedIn("/queries?rcode=SERVFAIL");
  const { page } = watched;
  await page.locator(".list a.row", { hasText: "a.failing.example" }).click();
  const reasons = page.locator(".journey li.soft", { hasText: "EDE" });
  await reasons.nth(1).waitFor();
  await reasons.first().getByRole("button").click();
  expect(await reasons.first().textContent()).toContain(
    `"><img src=x onerror=alert(1)> \\u{202e}gpj.exe a\\u{0}b\\u{7}\\u{200b} {{constructor}}`,
  );
  expect(await reasons.nth(1).textContent()).toContain("</li>\\u{d}\\u{a}\\u{1b}[31m\\u{2066}\\u{feff}red");
  await expectClean(watched, "the record");
  await page.goto("/ask?name=d.failing.example&a=live");
  await reasons.nth(1).waitFor();
  await expectClean(watched, "a question of now");
  await watched.show("/problems");
  await page.locator("a.row", { hasText: "failing.example" }).click();
  await page.locator(".problem-view").waitFor();
  await expectClean(watched, "the problem");
  watched.expectNoFault();
  await watched.close();
});

test("what is done about them is shown as text, too: problems, previews, edits that are undone, versions compared, pauses, gaps of the log", async () => {
  const watched = await signedIn("/problems");
  const { page } = watched;
  const clean = (where: string) => expectClean(watched, where);
  await page.locator("a.row", { hasText: "blocked.example" }).click();
  await page.locator(".problem-view fieldset").waitFor();
  await page.getByText(/^began .+ after list ads changed/).waitFor();
  await clean("a problem");
  await page.getByLabel(/^Except/).check();
  await page.locator(".diff .added").first().waitFor();
  await clean("a fix");
  await page.getByRole("link", { name: "Compare before and after" }).click();
  await page.locator(".in-words p").first().waitFor();
  await clean("before and after");
  await button(page, "Change the whole file instead").click();
  await clean("the draft");
  await page.evaluate(
    `fetch("/api/v1/pause", { method: "POST", headers: { "content-type": "application/json" }, body: JSON.stringify({ rules: [${JSON.stringify(RULES[0])}], client: "127.0.0.1", minutes: 5 }) })`,
  );
  await page.locator(".pause").waitFor();
  await clean("a pause");
  await page.goto("/");
  await page.locator(".health-item", { hasText: "paused" }).waitFor();
  await clean("health");
  await page.locator(".pause").click();
  await page.locator(".pause").waitFor({ state: "detached" });
  await page.goto("/queries?type=TXT");
  // Of 255 bytes, which is more than the name of a rule may have.
  await page.locator(".list a.row", { hasText: "xxxxx" }).first().click();
  await page.locator(".journey").waitFor();
  await ruleMadeAndUndone(page, clean);
  await page.goto("/queries?type=TXT");
  await page.locator(".list a.row", { hasText: "img" }).first().click();
  await button(page, "Make a rule").click();
  // No rule can have such a name for its domain.
  await page.locator(".proof li.bad").first().waitFor();
  await clean("a preview that is refused");
  watched.expectNoFault();
  await watched.close();
});

describe("a page of another port of the same host", () => {
  test("cannot show this one in a frame", async () => {
    const page = await browser.newPage();
    await page.goto(strangerUrl());
    await page.evaluate(`document.body.innerHTML = '<iframe src="${base}/"></iframe>'`);
    await expect.poll(() => page.frames().some((frame) => frame.url().startsWith("chrome-error:"))).toBe(true);
    await page.close();
  });

  test("cannot change anything, though the browser sends it the cookie", async () => {
    const watched = await signedIn();
    const { page } = watched;
    await page.goto(strangerUrl());
    const cookies = await page.context().cookies(base);
    expect(cookies).toHaveLength(1);
    await page.evaluate(
      `fetch("${base}/api/v1/pause", { method: "POST", mode: "no-cors", credentials: "include", body: JSON.stringify({ minutes: 5 }) }).catch(() => null)`,
    );
    const headers = { cookie: `fenliu=${cookies[0]?.value}`, "content-type": "application/json" };
    const forged = await fetch(`${base}/api/v1/pause`, {
      method: "POST",
      headers: { ...headers, origin: strangerUrl() },
      body: '{"minutes":5}',
    });
    expect(forged.status).toBe(403);
    expect(await (await fetch(`${base}/api/v1/pause`, { headers })).json()).toEqual([]);
    await watched.close();
  });
});

test("who signs out is out, and a cookie that was copied ends with the token", async () => {
  const watched = await signedIn("/house/lists");
  const { page } = watched;
  const [cookie] = await page.context().cookies(base);
  const headers = { cookie: `fenliu=${cookie?.value}` };
  expect((await fetch(`${base}/api/v1/lists`, { headers })).status).toBe(200);
  await new Keyboard(page).enter(page.getByRole("button", { name: "Sign out" }));
  await page.getByLabel("Token").waitFor();
  expect(await page.context().cookies(base)).toEqual([]);
  const file = join(folder, "fenliu.yaml");
  writeFileSync(file, readFileSync(file, "utf8").replace(TOKEN, "another-token-altogether"));
  await fetch(`${base}/api/v1/reload`, {
    method: "POST",
    headers: { authorization: `Bearer ${TOKEN}`, "content-type": "application/json" },
  });
  expect((await fetch(`${base}/api/v1/lists`, { headers })).status).toBe(401);
  await watched.close();
});
