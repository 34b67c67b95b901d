import type { SaidCode } from "../../src/lib/said.ts";
import { visibleText } from "../parts/visible.ts";

/** A sentence of the server: a code with its values, and the English text. */
export interface SaidSentence {
  readonly code: string;
  readonly values: Readonly<Record<string, string | number>>;
  readonly text: string;
}

/** A sentence that is missing is shown in English; `test/web/words.test.ts` finds it. */
export type SaidTexts = { readonly [Code in SaidCode]?: string };

let texts: Readonly<Record<string, string | undefined>> = {};

/** @param sentences of the user's language; empty = the server's English. */
export function setSaidTexts(sentences: SaidTexts): void {
  texts = sentences;
}

/** How values of some places are shown: times, and codes that have a word. The others stand as they are. */
export type ValueTexts = Readonly<Record<string, (value: string) => string>>;

let valueTexts: ValueTexts = {};

export function setValueTexts(shown: ValueTexts): void {
  valueTexts = shown;
}

/** The sentence in the user's language; the server's own English where this page does not know the code. Names in it are as visible as `Text` makes them. */
export function sayText({ code, values, text }: SaidSentence): string {
  const shown = Object.entries(values).map(([place, value]) => [place, valueTexts[place]?.(String(value)) ?? value] as const);
  const template = texts[code];
  const sentence =
    template === undefined
      ? shown.reduce((said, [place, value]) => said.replace(String(values[place]), () => String(value)), text)
      : fillIn(template, Object.fromEntries(shown));
  return visibleText(sentence);
}

/** Sentences one after the other; Chinese has no spaces between them. */
export function sayAll(sentences: readonly SaidSentence[]): string {
  return sentences
    .map(sayText)
    .reduce((text, next) => (/[\u3000-\u303f\uff00-\uffef]$/.test(text) ? text + next : `${text} ${next}`), "")
    .trim();
}

export function fillIn(template: string, values: SaidSentence["values"]): string {
  return template.replace(/\{(\w+)\}/g, (_, place: string) => String(values[place] ?? ""));
}
