import { computed, signal } from "@preact/signals";
import { visibleText } from "../parts/visible.ts";
import type { Words } from "./en.ts";
import { formatFor } from "./format.ts";
import { setSaidTexts, setValueTexts, type ValueTexts } from "./said.ts";

export const LANGUAGES = ["en", "zh-CN"] as const;
export type Language = (typeof LANGUAGES)[number];

const LOADERS: Readonly<Record<Language, () => Promise<Words>>> = {
  en: async () => {
    setSaidTexts({});
    return (await import("./en.ts")).en;
  },
  "zh-CN": async () => {
    const { zh, zhSaid } = await import("./zh-CN.ts");
    setSaidTexts(zhSaid);
    return zh;
  },
};

const STORED = "fenliu.language";

export const language = signal<Language>("en");
const loaded = signal<Words | null>(null);
export const format = computed(() => formatFor(language.value === "en" ? "en-GB" : language.value));

/** The words of the user's language. Pages are drawn when they are loaded. */
export function words(): Words {
  if (loaded.value === null) throw new Error("no words are loaded");
  return loaded.value;
}

/** @param wanted null = what the user chose before, or else the browser's language. */
export async function loadWords(wanted: Language | null): Promise<void> {
  if (wanted !== null) localStorage.setItem(STORED, wanted);
  const stored = LANGUAGES.find((each) => each === localStorage.getItem(STORED));
  const chosen = wanted ?? stored ?? (/^zh/i.test(navigator.language) ? "zh-CN" : "en");
  const found = await LOADERS[chosen]();
  setValueTexts(valueTextsOf(found));
  language.value = chosen;
  loaded.value = withVisibleValues(found);
  document.documentElement.lang = chosen;
}

/** The same words; what is put into a sentence, such as the name of a rule, cannot hide or reorder anything in it. */
function withVisibleValues<T>(found: T): T {
  if (typeof found === "function")
    return ((...values: readonly unknown[]) =>
      found(...values.map((value) => (typeof value === "string" ? visibleText(value) : value)))) as T;
  if (typeof found !== "object" || found === null || Array.isArray(found)) return found;
  return Object.fromEntries(Object.entries(found).map(([key, value]) => [key, withVisibleValues(value)])) as T;
}

/** Sentences of the server hold times in UTC, and codes. */
function valueTextsOf(found: Words): ValueTexts {
  const moment = (value: string) => (Number.isNaN(Date.parse(value)) ? value : format.value.moment(value));
  const exact = (value: string) => (/^\d+$/.test(value) ? format.value.exact(Number(value)) : value);
  return {
    line: exact,
    size: exact,
    checked: moment,
    until: moment,
    failure: (code) => found.failures[code] ?? code,
    finding: (code) => found.journey.findings[code] ?? code,
    side: (side) => (side === "near" || side === "far" ? found.journey.sides[side] : side),
  };
}
