import { signal } from "@preact/signals";
import { useLayoutEffect, useRef } from "preact/hooks";
import { type Route, readRoute, urlOf } from "./routes.ts";

/** Where the user is; null = at an address that the page does not have. */
export const route = signal<Route | null>(readRoute(new URL(location.href)));

/** Goes to a view. @param replace leaves no entry in the history: for what is typed. */
export function go(to: Route, { replace = false } = {}): void {
  goToUrl(urlOf(to), replace);
}

/** Views that the user came through: going back never leaves the page. */
let passed = 0;

/** To the view before. */
export function goBack(): void {
  if (passed === 0) return;
  passed--;
  history.back();
}

function goToUrl(url: string, replace: boolean): void {
  if (replace) history.replaceState(null, "", url);
  else {
    history.pushState(null, "", url);
    passed++;
  }
  readLocation();
}

function readLocation(): void {
  const before = route.value?.page;
  route.value = readRoute(new URL(location.href));
  if (route.value?.page !== before) scrollTo(0, 0);
}

/** Follows links within the page without loading the page anew. */
export function startNavigation(): void {
  addEventListener("popstate", readLocation);
  document.addEventListener("click", (event) => {
    if (event.defaultPrevented || event.button !== 0 || event.metaKey || event.ctrlKey || event.shiftKey || event.altKey) return;
    const link = event.target instanceof Element ? event.target.closest("a") : null;
    const address = link?.getAttribute("href");
    if (!link || !address?.startsWith("/") || link.hasAttribute("download") || link.hasAttribute("target")) return;
    if (readRoute(new URL(address, location.href)) === null) return;
    event.preventDefault();
    goToUrl(address, false);
  });
}

/** Single keys of a view. Off while the user types, or a dialog is open. */
export function useKeys(keys: Readonly<Record<string, () => void>>): void {
  // Keys work as soon as what they mean is drawn: a plain effect would come later.
  const latest = useRef(keys);
  latest.current = keys;
  useLayoutEffect(() => {
    const listen = (event: KeyboardEvent) => {
      if (event.defaultPrevented || event.ctrlKey || event.metaKey || event.altKey || isTyping(event.target)) return;
      const act = latest.current[event.key];
      if (act === undefined) return;
      event.preventDefault();
      act();
    };
    addEventListener("keydown", listen);
    return () => removeEventListener("keydown", listen);
  });
}

function isTyping(target: EventTarget | null): boolean {
  if (document.querySelector("dialog[open]") !== null) return true;
  return target instanceof Element && target.closest("input, select, textarea") !== null;
}
