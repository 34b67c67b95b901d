import axe from "axe-core";
import { type Browser, type BrowserContext, chromium, type Page } from "playwright-core";
import { expect } from "vitest";

/** Debian's browser: none is downloaded. */
export const CHROMIUM = "/usr/bin/chromium";

/** @param executablePath the browser, or what starts it. */
export function openBrowser(executablePath = CHROMIUM): Promise<Browser> {
  return chromium.launch({ executablePath, args: ["--no-sandbox"] });
}

export interface View {
  readonly language: "en" | "zh-CN";
  readonly theme: "light" | "dark";
  readonly width: 390 | 1280;
}

export const VIEWS: readonly View[] = (["en", "zh-CN"] as const).flatMap((language) =>
  (["light", "dark"] as const).flatMap((theme) => ([390, 1280] as const).map((width) => ({ language, theme, width }))),
);

export const DESKTOP: View = { language: "en", theme: "light", width: 1280 };

/** A page, and everything that it must not have done: errors, reports of its policy, calls to others. */
export class WatchedPage {
  readonly page: Page;
  readonly faults: string[] = [];
  readonly #context: BrowserContext;

  private constructor(context: BrowserContext, page: Page, base: string) {
    this.#context = context;
    this.page = page;
    page.on("pageerror", (error) => this.faults.push(String(error.stack)));
    page.on("console", (message) => {
      if (message.type() === "error") this.faults.push(`${message.text()} ${message.location().url}`);
    });
    page.on("request", (request) => {
      if (!request.url().startsWith(`${base}/`)) this.faults.push(`asked ${request.url()}`);
    });
  }

  static async open(browser: Browser, base: string, { language, theme, width }: View = DESKTOP): Promise<WatchedPage> {
    const isPhone = width < 720;
    const context = await browser.newContext({
      baseURL: base,
      viewport: { width, height: isPhone ? 844 : 800 },
      colorScheme: theme,
      locale: language,
      isMobile: isPhone,
      hasTouch: isPhone,
      reducedMotion: "reduce",
    });
    return new WatchedPage(context, await context.newPage(), base);
  }

  /** Opens an address and waits until what it shows has come. */
  async show(path: string): Promise<Page> {
    await this.page.goto(path);
    await this.page.locator("main h1").first().waitFor({ state: "attached" });
    await this.page.locator(".loading").first().waitFor({ state: "detached" });
    return this.page;
  }

  /** Pixels by which the page is wider than the window. */
  async overflow(): Promise<number> {
    return Number(
      await this.page.evaluate(
        "Math.max(...[document.documentElement, document.querySelector('main')].map((box) => box.scrollWidth - box.clientWidth))",
      ),
    );
  }

  /** What axe finds wrong, a line each. */
  async violations(): Promise<readonly string[]> {
    await this.page.evaluate(axe.source);
    const found: AxeResults = await this.page.evaluate("axe.run(document, { resultTypes: ['violations'] })");
    return found.violations.flatMap(({ id, nodes }) =>
      nodes.map(({ html, failureSummary }) => `${id}: ${html}\n${failureSummary}`),
    );
  }

  expectNoFault(): void {
    expect(this.faults).toEqual([]);
  }

  close(): Promise<void> {
    return this.#context.close();
  }
}

/** Keeps the answers to these calls back. @returns what lets them come. */
export async function holdBack(page: Page, url: string): Promise<() => void> {
  const { promise, resolve } = Promise.withResolvers<void>();
  await page.route(url, async (route) => {
    await promise;
    await route.continue();
  });
  return resolve;
}

interface AxeResults {
  readonly violations: readonly {
    readonly id: string;
    readonly nodes: readonly { readonly html: string; readonly failureSummary: string }[];
  }[];
}
