import type { Name } from "../dns/name.ts";
import type { NameKind } from "./name-table.ts";
import type { Span } from "./span.ts";

/** Takes the entries of one source while its file is read. Every method returns why the entry cannot be used, or null. */
export interface DomainSink {
  /** @param important whether exceptions do not take it out, unless they are important too. */
  name(kind: NameKind, name: Span, line: number, important?: boolean): string | null;
  /** A name that the set does not hold, whatever its other entries say, but for important ones. */
  exception(kind: NameKind, name: Span, line: number, important?: boolean): string | null;
  text(kind: "keyword" | "regexp", text: string, line: number): string | null;
  rule(rule: AdguardRule, line: number): string | null;
}

/** A rule in AdGuard's syntax that is more than a name: it holds for some questions alone, or has an answer of its own, or excepts by an expression. */
export interface AdguardRule {
  /** As it is written. */
  readonly text: string;
  readonly pattern: { readonly kind: NameKind; readonly name: Name } | { readonly kind: "regexp"; readonly source: string };
  readonly isException: boolean;
  readonly isImportant: boolean;
  /** `$client`, as in `clients` of a rule; empty = all. */
  readonly clients: readonly string[];
  /** `$dnstype`: type numbers; empty = all. */
  readonly types: readonly number[];
  readonly exceptTypes: readonly number[];
  /** `$denyallow`: these names, and what is below them, are not meant. */
  readonly denyallow: readonly Name[];
  /** `$dnsrewrite`; null = none. */
  readonly rewrite: Rewrite | null;
}

/** An answer of a rule's own. */
export type Rewrite =
  /** 4 or 16 bytes. */
  | { readonly kind: "address"; readonly address: Uint8Array }
  | { readonly kind: "cname"; readonly target: Name }
  | { readonly kind: "nodata" | "nxdomain" | "refused" }
  /** In an exception: every answer of rules. */
  | { readonly kind: "all" };

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
