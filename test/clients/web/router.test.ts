import { X509Certificate } from "node:crypto";
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import type { Browser } from "playwright-core";
import { afterAll, beforeAll, expect, test } from "vitest";
import { tlsFixture } from "../../listen/support/site.ts";
import { openRest, type RestServer } from "../../support/routeros/rest.ts";
import { Router } from "../../support/routeros/router.ts";
import { type FenliuProcess, startFenliu } from "../fenliu.ts";
import { DESKTOP, openBrowser, VIEWS, WatchedPage } from "./browser.ts";
import { Keyboard } from "./keyboard.ts";

const TLS = { cert: readFileSync(tlsFixture("cert.pem")), key: readFileSync(tlsFixture("key.pem")) };

let browser: Browser;
let folder: string;
let rest: RestServer;
let fenliu: FenliuProcess;
let base: string;

beforeAll(async () => {
  browser = await openBrowser();
  folder = mkdtempSync(join(tmpdir(), "fenliu-router-"));
  // Fresh from the box: it asks nobody we know, and believes every certificate.
  const router = new Router();
  rest = await openRest(router, {
    tls: TLS,
    users: { fenliu: { password: "secret", policy: ["read", "write", "api", "rest-api"] } },
  });
  writeFileSync(join(folder, "password"), "secret\n");
  const fingerprint = new X509Certificate(TLS.cert).fingerprint256.replaceAll(":", "").toLowerCase();
  fenliu = await startFenliu(
    folder,
    `
listen: { dns: ["127.0.0.1:0"], http: [], admin: "127.0.0.1:0" }
upstreams: { main: { servers: ["127.0.0.1:9"] } }
rules: [{ name: all, upstream: main }]
hosts: { records: { doh.example.com: 127.0.0.1 } }
routeros: { url: "${rest.url}", user: fenliu, passwordFile: password, fingerprint: "${fingerprint}", doh: "https://doh.example.com", addressLists: [{ rule: all, list: WORLD }] }
cache: { file: null }
log: { queries: { store: queries.db } }
`,
  );
  base = `http://127.0.0.1:${fenliu.ports.admin}`;
});

afterAll(async () => {
  await browser.close();
  await fenliu.stop();
  await rest.close();
  rmSync(folder, { recursive: true });
});

test("what is wrong on the router is shown with what follows of it and the command that mends it; then it is a problem, too", async () => {
  const watched = await WatchedPage.open(browser, base);
  const page = await watched.show("/house/router");
  await page.getByText(/things are not as they should be/).waitFor();
  const finding = page.locator(".findings > li", { hasText: "use-doh-server" });
  await finding.first().waitFor();
  expect(await finding.first().locator("textarea").inputValue()).toContain("/ip dns set use-doh-server");
  await page.locator("tbody", { hasText: "WORLD" }).waitFor();
  const keyboard = new Keyboard(page);
  await keyboard.enter(page.locator("summary"));
  await page.locator("details[open] textarea").waitFor();
  await page.goto("/problems");
  await keyboard.enter(page.locator("a.row", { hasText: "The router does not do as it should" }));
  await keyboard.tabTo(page.getByLabel("See what was found on the router"));
  await keyboard.press("Space");
  await keyboard.enter(page.getByRole("link", { name: "Router ›" }));
  await page.getByText(/things are not as they should be/).waitFor();
  watched.expectNoFault();
  await watched.close();
});

test.each(VIEWS)(
  "in $language, $theme, at $width px the page of the router is within the window, and axe finds nothing",
  async (view) => {
    const watched = await WatchedPage.open(browser, base, view);
    const page = await watched.show("/house/router");
    await page.locator(".findings > li").first().waitFor();
    expect(await watched.violations()).toEqual([]);
    expect(await watched.overflow()).toBeLessThanOrEqual(0);
    watched.expectNoFault();
    await watched.close();
  },
);

test("a router that does not answer is said to be unknown, never well", async () => {
  await rest.close();
  const watched = await WatchedPage.open(browser, base, DESKTOP);
  const page = await watched.show("/house/router");
  await new Keyboard(page).enter(page.getByRole("button", { name: "Check again" }));
  await page.locator("main .bad").first().waitFor({ timeout: 60_000 });
  await page.goto("/");
  await page.getByText("The router could not be checked").first().waitFor();
  await watched.close();
});
