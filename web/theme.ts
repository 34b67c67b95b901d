import { signal } from "@preact/signals";

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
