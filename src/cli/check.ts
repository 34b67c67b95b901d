import { loadConfig } from "../config/load.ts";
import { printProblems } from "../config/reading.ts";
import type { Config } from "../config/types.ts";
import { systemClock } from "../lib/clock.ts";
import { errorText } from "../lib/text.ts";
import { unreachable } from "../lib/unreachable.ts";
import { inspectCertificate } from "../listen/tls.ts";
import type { DomainEntry } from "../lists/domain-set.ts";
import type { ListStatus } from "../lists/load.ts";
import { type ListConflict, listConflicts } from "../rules/conflicts.ts";
import { type DiagnosticPlace, type Diagnostics, openPolicy } from "../server/policy.ts";
import { checkPolicy, checkServable } from "../server/preflight.ts";
import { type Command, configPath, EXIT, type Invocation, refuseWords, type Terminal, warningsText } from "./invocation.ts";

export const checkCommand: Command = {
  usage: `  fenliu check [-c FILE]           read the configuration, report every problem, change nothing
`,
  options: ["config", "json"],
  run: check,
};

/** Reports everything that `serve` would refuse, and where lists disagree. Opens no socket. */
async function check(invocation: Invocation, terminal: Terminal): Promise<number> {
  refuseWords(invocation);
  const { json } = invocation;
  const path = configPath(invocation, terminal);
  const result = loadConfig(path);
  const { refusals, conflicts, diagnostics, lists } = result.kind === "ok" ? await examine(result.config) : NOTHING_FOUND;
  const problems = result.kind === "ok" ? [] : result.problems;
  const warnings = result.kind === "ok" ? result.warnings : [];
  const ok = problems.length + refusals.length === 0;
  if (json === true) {
    terminal.out(
      `${JSON.stringify({ file: path, ok, problems, warnings, refusals, conflicts, shortcomings: diagnostics }, null, 2)}\n`,
    );
  } else {
    terminal.err(result.kind === "ok" ? warningsText(result) : printProblems(problems, result.text));
    terminal.err(diagnosticNotes(diagnostics, lists));
    terminal.err(conflictNotes(conflicts));
    for (const refusal of refusals) terminal.err(`fenliu: ${refusal}\n`);
    if (ok) terminal.out(`${path ?? "the defaults"}: ${verdictWith(warnings.length + diagnostics.length)}\n`);
  }
  return ok ? EXIT.ok : EXIT.failed;
}

interface Findings {
  /** Why the configuration cannot be served, one sentence each. */
  readonly refusals: readonly string[];
  /** Not faults, but worth knowing. */
  readonly conflicts: readonly ListConflict[];
  /** Lines of lists and hosts files that cannot be used. */
  readonly diagnostics: readonly Diagnostic[];
  readonly lists: readonly ListStatus[];
}

const NOTHING_FOUND: Findings = { refusals: [], conflicts: [], diagnostics: [], lists: [] };

async function examine(config: Config): Promise<Findings> {
  const diagnostics: Diagnostic[] = [];
  const sink: Diagnostics = { warn: (place, text) => void diagnostics.push({ ...place, text }) };
  const refusals = [...checkServable(config), ...(await certificateFaults(config, sink))];
  if (refusals.length > 0) return { ...NOTHING_FOUND, refusals, diagnostics };
  const policy = await openPolicy(config, sink);
  return {
    refusals: checkPolicy(policy, config, sink),
    conflicts: listConflicts(config.rules, policy.lists),
    diagnostics,
    lists: policy.lists.status(),
  };
}

/** Why the certificate cannot be used; what some clients will not accept is only reported. */
async function certificateFaults({ tls }: Config, diagnostics: Diagnostics): Promise<readonly string[]> {
  if (tls === null) return [];
  try {
    const { warnings } = await inspectCertificate(tls, systemClock.wallMs());
    for (const warning of warnings) diagnostics.warn({}, warning);
    return [];
  } catch (error) {
    return [`tls: ${errorText(error)}`];
  }
}

function verdictWith(warnings: number): string {
  if (warnings === 0) return "nothing wrong";
  return warnings === 1 ? "usable, with one warning" : `usable, with ${warnings} warnings`;
}

/** Entries shown of each conflict; --json shows all. */
const CONFLICT_EXAMPLES = 3;

/** Lists that disagree: how often, which group gets such names and why, and a few of the names. Ends in a newline unless empty. */
function conflictNotes(conflicts: readonly ListConflict[]): string {
  return conflicts.map(conflictNote).join("");
}

function conflictNote(conflict: ListConflict): string {
  const { group, count, entries } = conflict;
  const shown = entries.slice(0, CONFLICT_EXAMPLES).map(({ inner, outer }) => `    ${placed(inner)}; ${placed(outer)}\n`);
  const rest = count - shown.length;
  const more = rest > 0 ? `    and ${rest} more: --json shows them\n` : "";
  return `note: ${meeting(conflict)}: to ${group}, ${reason(conflict)}\n${shown.join("")}${more}`;
}

function meeting({ kind, inner, outer, count }: ListConflict): string {
  const [entries, verbEnding] = count === 1 ? ["1 entry", "s"] : [`${count} entries`, ""];
  switch (kind) {
    case "tie":
      return `${entries} of ${inner.list} stand${verbEnding} in ${outer.list} as well`;
    case "split":
      return `${entries} of ${inner.list} stand${verbEnding} in ${outer.list} with all names below`;
    case "inside":
      return `${entries} of ${inner.list} ${count === 1 ? "lies" : "lie"} inside suffixes of ${outer.list}`;
    default:
      return unreachable(kind);
  }
}

function reason({ kind, inner, outer, group }: ListConflict): string {
  if (inner.rule !== outer.rule) return `as rule ${inner.group === group ? inner.rule : outer.rule} comes first`;
  return kind === "tie" ? `as rule ${inner.rule} names ${inner.list} first` : `as rule ${inner.rule} goes by the longest match`;
}

function placed({ pattern, source, line }: DomainEntry): string {
  return `${pattern} (${source}:${line})`;
}

/** A line or a source that cannot be read and is left out. */
interface Diagnostic extends DiagnosticPlace {
  readonly text: string;
}

/** Lines shown of each source; `fenliu lists --json` shows more. */
const DIAGNOSTIC_EXAMPLES = 3;

/** A warning for each, and below it the lines. Ends in a newline unless empty. */
function diagnosticNotes(diagnostics: readonly Diagnostic[], lists: readonly ListStatus[]): string {
  return diagnostics.map((diagnostic) => note(diagnostic, lists)).join("");
}

function note({ list, source, line, lines, text }: Diagnostic, lists: readonly ListStatus[]): string {
  const file = line === undefined || source === undefined ? source : `${source}:${line}`;
  const place = [list === undefined ? undefined : `list ${list}`, file].filter((part) => part !== undefined);
  const said = `warning: ${[...place, lines === undefined ? text : `${lines} ${text}`].join(": ")}\n`;
  if (lines === undefined) return said;
  const sources = lists.find(({ name }) => name === list)?.sources ?? [];
  const warnings = sources.find((each) => each.source === source)?.warnings.slice(0, DIAGNOSTIC_EXAMPLES) ?? [];
  const more = lines > warnings.length ? `    and ${lines - warnings.length} more\n` : "";
  return `${said}${warnings.map((warning) => `    line ${warning.line}: ${warning.reason}\n`).join("")}${more}`;
}
