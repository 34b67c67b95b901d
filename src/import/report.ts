import type { Finding } from "./model.ts";

/** The report of an import in three parts: what leaks or goes blank, what is different, what is carried over. */

const PARTS: readonly { readonly heading: string; readonly kinds: readonly Finding["kind"][] }[] = [
  { heading: "Leaks and blanks", kinds: ["leak", "blank", "risk"] },
  { heading: "Changed or left out", kinds: ["changed", "left"] },
  { heading: "Carried over", kinds: ["carried"] },
];

const MARKS: Readonly<Record<Finding["kind"], string>> = {
  leak: "LEAK ",
  blank: "BLANK ",
  risk: "RISK ",
  changed: "",
  left: "left out: ",
  carried: "",
};

/** The findings in the order of the report; within a kind in that of the source. */
export function inOrder(findings: readonly Finding[]): readonly Finding[] {
  const kinds = PARTS.flatMap((part) => part.kinds);
  return findings.toSorted(
    (a, b) => kinds.indexOf(a.kind) - kinds.indexOf(b.kind) || (a.file < b.file ? -1 : a.file > b.file ? 1 : a.line - b.line),
  );
}

/** What tells sentences of one cause apart: quoted words, sources of lists, examples. */
const WORDS = /`[^`]*`|\([\w.*-]+\)|\S+#\w+|(?<=such as )\S+/g;

/** Words that are shown of each sentence that was made several times. */
const MAX_WORDS = 12;
const MAX_WORDS_CARRIED = 3;

/**
 * The report as a person reads it; ends in a newline. A sentence that holds for several lines stands once, with these lines and what differs.
 * @param shorten a path as it is shown.
 */
export function reportText(findings: readonly Finding[], shorten: (path: string) => string): string {
  const ordered = inOrder(findings);
  const parts = PARTS.map(({ heading, kinds }) => {
    const own = ordered.filter(({ kind }) => kinds.includes(kind));
    const sentences = Map.groupBy(own, ({ kind, what }) => `${kind} ${what.replace(WORDS, "`")}`);
    const lines = [...sentences.values()].map((same) => `  ${sentenceOf(same, shorten)}\n`);
    return own.length === 0 ? `${heading}: none\n` : `${heading} (${own.length}):\n${lines.join("")}`;
  });
  return printableText(parts.join("\n"));
}

/** Findings that differ in their places and words alone, as one line. */
function sentenceOf(same: readonly Finding[], shorten: (path: string) => string): string {
  const [first] = same;
  if (first === undefined) return "";
  const places = [...Map.groupBy(same, ({ file }) => file)].map(
    ([file, found]) => `${shorten(file)}:${spansText(found.map(({ line }) => line))}`,
  );
  const words = same.map(({ what }) => what.match(WORDS) ?? []);
  const isShared = words[0]?.map((word, index) => words.every((each) => each[index] === word)) ?? [];
  const [, ...others] = new Set(
    words.map((each) => [...new Set(each.filter((_, index) => isShared[index] === false))].join(" ")),
  );
  const most = first.kind === "carried" ? MAX_WORDS_CARRIED : MAX_WORDS;
  const shown = others.slice(0, most).map((each) => each.replace(/^\((.*)\)$/, "$1"));
  const more = others.length > most ? [`${others.length - most} more (--json has all)`] : [];
  const likewise = others.length === 0 ? "" : `; likewise ${[...shown, ...more].join(", ")}`;
  return `${places.join(", ")}: ${MARKS[first.kind]}${first.what}${likewise}`;
}

/** Numbers, those in a row as a span: `3, 5-7`. */
function spansText(numbers: readonly number[]): string {
  const spans: { readonly first: number; last: number }[] = [];
  for (const number of new Set(numbers)) {
    const span = spans.at(-1);
    if (span !== undefined && number === span.last + 1) span.last = number;
    else spans.push({ first: number, last: number });
  }
  return spans.map(({ first, last }) => (first === last ? String(first) : `${first}-${last}`)).join(", ");
}

/** No escape sequence of a file that somebody else wrote reaches the terminal. */
export function printableText(text: string): string {
  return text.replace(/[^\P{Cc}\n]/gu, " ");
}
