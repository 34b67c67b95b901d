/**
 * `node tools/screenshots.ts`: takes the pictures of docs/screenshots from the made-up house of `fenliu demo`, in Debian's chromium. Fonts for Chinese
 * are in the package fonts-noto-cjk.
 */

import { spawn } from "node:child_process";
import { mkdirSync, readdirSync, rmSync, statSync } from "node:fs";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { type Browser, chromium, type Page } from "playwright-core";

const root = fileURLToPath(new URL("..", import.meta.url));
const folder = join(root, "docs/screenshots");

interface Shot {
  readonly name: string;
  readonly language: "en" | "zh-CN";
  readonly theme: "light" | "dark";
  readonly width: 390 | 1280;
  readonly path: string;
  /** Leads from the address to what is shown. */
  readonly act?: (page: Page) => Promise<void>;
}

async function openFirst(page: Page): Promise<void> {
  await page.locator(".list a.row").first().click();
  await page.locator(".query-view .journey, .query-view .facts").first().waitFor();
}

async function openInsisted(page: Page): Promise<void> {
  await page.locator(".list a.row", { hasText: "page.example.cn" }).click();
  await page.locator(".query-view .facts").waitFor();
  await page.locator("input[type=radio]").first().check();
  // With its proof, which takes some seconds.
  const apply = page.locator(".edit-preview button.primary:enabled");
  await apply.waitFor({ timeout: 40_000 });
  await apply.scrollIntoViewIfNeeded();
}

const SHOTS: readonly Shot[] = [
  { name: "home", language: "en", theme: "light", width: 1280, path: "/" },
  { name: "home.zh-CN", language: "zh-CN", theme: "light", width: 1280, path: "/" },
  {
    name: "query",
    language: "en",
    theme: "dark",
    width: 1280,
    path: "/queries?name=office.example&rcode=SERVFAIL&from=7d",
    act: openFirst,
  },
  {
    name: "query.zh-CN",
    language: "zh-CN",
    theme: "dark",
    width: 1280,
    path: "/queries?name=office.example&rcode=SERVFAIL&from=7d",
    act: openFirst,
  },
  { name: "problem", language: "en", theme: "light", width: 1280, path: "/problems", act: openInsisted },
  { name: "problem.zh-CN", language: "zh-CN", theme: "light", width: 1280, path: "/problems", act: openInsisted },
  { name: "phone", language: "en", theme: "dark", width: 390, path: "/" },
  {
    name: "phone.zh-CN",
    language: "zh-CN",
    theme: "dark",
    width: 390,
    path: "/queries?name=office.example&rcode=SERVFAIL&from=7d",
    act: openFirst,
  },
];

const demo = spawn(process.execPath, [join(root, "start.mjs"), "demo"], { stdio: ["ignore", "pipe", "inherit"] });
try {
  const base = await addressOf();
  const browser = await chromium.launch({ executablePath: "/usr/bin/chromium", args: ["--no-sandbox"] });
  rmSync(folder, { recursive: true, force: true });
  mkdirSync(folder, { recursive: true });
  for (const shot of SHOTS) await take(browser, base, shot);
  await browser.close();
  for (const name of readdirSync(folder)) console.log(`${name} ${Math.round(statSync(join(folder, name)).size / 1024)} KiB`);
} finally {
  demo.kill();
}

/** The address of the page, once the demonstration tells it. */
function addressOf(): Promise<string> {
  return new Promise((resolve, reject) => {
    let said = "";
    demo.stdout.on("data", (chunk: Buffer) => {
      said += String(chunk);
      const [address] = /http:\/\/127\.0\.0\.1:\d+(?=\/ in a browser)/.exec(said) ?? [];
      if (address !== undefined && said.includes("Ctrl-C ends it")) resolve(address);
    });
    demo.once("exit", (code) => reject(new Error(`the demonstration ended with ${code}: ${said}`)));
  });
}

async function take(browser: Browser, base: string, { name, language, theme, width, path, act }: Shot): Promise<void> {
  const isPhone = width < 720;
  const context = await browser.newContext({
    viewport: { width, height: isPhone ? 800 : 760 },
    colorScheme: theme,
    locale: language,
    isMobile: isPhone,
    hasTouch: isPhone,
    reducedMotion: "reduce",
  });
  const page = await context.newPage();
  await page.goto(base + path, { waitUntil: "networkidle" });
  await act?.(page);
  await page.mouse.move(0, 0);
  await page.waitForLoadState("networkidle");
  await page.screenshot({ path: join(folder, `${name}.png`) });
  await context.close();
}
