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

/** The report as a person reads it; ends in a newline. @param shorten a path as it is shown. */
export function reportText(findings: readonly Finding[], shorten: (path: string) => string): string {
  const ordered = inOrder(findings);
  const parts = PARTS.map(({ heading, kinds }) => {
    const lines = ordered
      .filter(({ kind }) => kinds.includes(kind))
      .map(({ kind, file, line, what }) => `  ${shorten(file)}:${line}: ${MARKS[kind]}${what}\n`);
    return lines.length === 0 ? `${heading}: none\n` : `${heading} (${lines.length}):\n${lines.join("")}`;
  });
  return printableText(parts.join("\n"));
}

/** No escape sequence of a file that somebody else wrote reaches the terminal. */
export function printableText(text: string): string {
  return text.replace(/[^\P{Cc}\n]/gu, " ");
}
