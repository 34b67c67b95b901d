import { signal } from "@preact/signals";
import { useEffect, useState } from "preact/hooks";

export const THEMES = ["system", "light", "dark"] as const;
export type Theme = (typeof THEMES)[number];

const STORED = "fenliu.theme";

export const theme = signal<Theme>(THEMES.find((each) => each === localStorage.getItem(STORED)) ?? "system");

export function applyTheme(wanted: Theme = theme.value): void {
  theme.value = wanted;
  localStorage.setItem(STORED, wanted);
  if (wanted === "system") delete document.documentElement.dataset["theme"];
  else document.documentElement.dataset["theme"] = wanted;
}

/** The width below which the style sheets lay things out for a phone. */
const QUERY = "(max-width: 719px)";

export function useIsPhone(): boolean {
  const [list] = useState(() => matchMedia(QUERY));
  const [is, set] = useState(list.matches);
  useEffect(() => {
    const change = () => set(list.matches);
    list.addEventListener("change", change);
    return () => list.removeEventListener("change", change);
  }, [list]);
  return is;
}
