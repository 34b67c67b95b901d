import type { NameKind } from "./name-table.ts";
import type { Span } from "./span.ts";

/** Takes the entries of one source while its file is read. Every method returns why the entry cannot be used, or null. */
export interface DomainSink {
  /** @param important whether exceptions do not take it out, unless they are important too. */
  name(kind: NameKind, name: Span, line: number, important?: boolean): string | null;
  /** A name that the set does not hold, whatever its other entries say, but for important ones. */
  exception(kind: NameKind, name: Span, line: number, important?: boolean): string | null;
  text(kind: "keyword" | "regexp", text: string, line: number): string | null;
}

/** Reads one line of a format into the sink. Returns why the line, or a part of it, is not used; null also for a comment. */
export type DomainLineReader = (line: Span, lineNumber: number, sink: DomainSink) => string | null;

/** A line that was not used, and why. */
export interface Warning {
  readonly line: number;
  readonly reason: string;
}

/** Warnings of one source that are stored; later ones are only counted. */
const MAX_STORED_WARNINGS = 20;

/** Counts the lines of one source that could not be used. */
export class WarningLog {
  readonly first: Warning[] = [];
  count = 0;

  add(line: number, reason: string): void {
    this.count++;
    if (this.first.length < MAX_STORED_WARNINGS) this.first.push({ line, reason });
  }
}
