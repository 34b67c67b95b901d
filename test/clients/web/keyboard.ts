import type { Locator, Page } from "playwright-core";
import { expect, test } from "vitest";
import type { View } from "./browser.ts";
import type { DemoInBrowser } from "./demo.ts";

/** More presses than any view has places. */
const MOST_PRESSES = 400;

/** Code of the page: what is known of the element that has the focus. */
const FOCUS = `(() => {
  const on = document.activeElement;
  if (on === null || on === document.body) return null;
  const style = getComputedStyle(on);
  const ring = on.matches('.bar') ? getComputedStyle(on.querySelector('.span')).stroke : style.outlineStyle;
  const box = on.getBoundingClientRect();
  const [x, y] = [Math.min(innerWidth - 1, Math.max(0, box.x + box.width / 2)), Math.min(innerHeight - 1, Math.max(0, box.y + Math.min(box.height, 20) / 2))];
  const top = document.elementFromPoint(x, y);
  const field = on.closest('label');
  const name = on.getAttribute('aria-label') ?? (on.matches('input, select, textarea') ? field?.textContent ?? '' : on.textContent);
  return {
    name: on.tagName.toLowerCase() + ' ' + name.trim().slice(0, 60),
    hasRing: ring !== 'none',
    isCovered: top !== null && !on.contains(top) && !top.contains(on) && !(field?.contains(top) ?? false),
  };
})()`;

interface Focus {
  /** Tag and name, of fields with their label. */
  readonly name: string;
  readonly hasRing: boolean;
  readonly isCovered: boolean;
}

/** The page through a keyboard alone: nothing is pressed with a pointer, nothing gets the focus but by a key. */
export class Keyboard {
  readonly page: Page;

  constructor(page: Page) {
    this.page = page;
  }

  press(...keys: readonly string[]): Promise<void> {
    return keys.reduce((before, key) => before.then(() => this.page.keyboard.press(key)), Promise.resolve());
  }

  type(text: string): Promise<void> {
    return this.page.keyboard.type(text);
  }

  /** Goes on by Tab until this has the focus. */
  async tabTo(wanted: Locator): Promise<void> {
    await wanted.waitFor();
    for (let presses = 0; presses < MOST_PRESSES; presses++) {
      if (await this.has(wanted)) return this.#expectVisible();
      await this.press("Tab");
    }
    throw new Error(`Tab does not reach ${String(wanted)}`);
  }

  async enter(wanted: Locator): Promise<void> {
    await this.tabTo(wanted);
    await this.press("Enter");
  }

  /** Follows a link, and waits until the address is what it leads to. */
  async follow(link: Locator, address: RegExp): Promise<void> {
    await this.enter(link);
    await expect.poll(() => this.page.url()).toMatch(address);
  }

  /** Replaces what stands in a field. */
  async fill(field: Locator, text: string): Promise<void> {
    await this.tabTo(field);
    await this.press("Control+a");
    await this.type(text);
  }

  /** Chooses an entry of a closed list by arrow keys, as Windows and Linux have it. */
  async choose(list: Locator, value: string): Promise<void> {
    await this.tabTo(list);
    // Some lists are filled when the server has answered.
    await list.locator(`option[value=${JSON.stringify(value)}]`).waitFor({ state: "attached" });
    for (const key of ["ArrowDown", "ArrowUp"])
      for (let presses = 0; presses < 30 && (await list.inputValue()) !== value; presses++) await this.press(key);
    await expect.poll(() => list.inputValue()).toBe(value);
  }

  has(wanted: Locator): Promise<boolean> {
    return wanted.evaluate(hasFocus);
  }

  /** Waits until it has the focus: the page moves it when it is drawn anew. */
  async awaits(wanted: Locator): Promise<void> {
    await wanted.waitFor();
    await expect.poll(() => this.has(wanted)).toBe(true);
  }

  async #expectVisible(): Promise<void> {
    // What comes meanwhile moves what has the focus, and the browser moves with it.
    await expect
      .poll((): Promise<Focus | null> => this.page.evaluate(FOCUS), { message: "the focus shows" })
      .toMatchObject({ hasRing: true, isCovered: false });
  }
}

/** Runs in the page. */
function hasFocus(element: { readonly ownerDocument: { readonly activeElement: unknown } }): boolean {
  return element.ownerDocument.activeElement === element;
}

/** What a user does: where, with which keys, and how one sees that it is done. */
export interface Action {
  readonly what: string;
  readonly path: string;
  readonly run: (keyboard: Keyboard, page: Page) => Promise<unknown>;
  readonly view?: View;
  /** What the browser may tell of: it does so of every answer that is no success. */
  readonly allowed?: RegExp;
}

/** The common form of an action. */
export function action(what: string, path: string, run: Action["run"], more: Pick<Action, "view" | "allowed"> = {}): Action {
  return { what, path, run, ...more };
}

/** A button of the view itself. */
export function button(page: Page, name: string | RegExp): Locator {
  return page.locator("main").getByRole("button", { name, exact: true });
}

/** Tries each action on a page of its own. */
export function tryActions(site: DemoInBrowser, actions: readonly Action[]): void {
  test.each(actions)("$what ($path)", async ({ path, run, view, allowed }) => {
    const keyboard = new Keyboard(await site.show(path, view));
    await run(keyboard, keyboard.page);
    expect(site.watched.faults.filter((fault) => allowed?.test(fault) !== true)).toEqual([]);
  });
}
