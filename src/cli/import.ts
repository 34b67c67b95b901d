import { existsSync, writeFileSync } from "node:fs";
import { dirname, isAbsolute, relative, resolve, sep } from "node:path";
import { parseConfig } from "../config/load.ts";
import { printProblems } from "../config/reading.ts";
import { systemReason } from "../config/values.ts";
import { type Bundle, readBundle } from "../import/easymosdns/bundle.ts";
import { writeDraft } from "../import/easymosdns/draft.ts";
import { Findings, ImportError, printableText, reportText } from "../import/easymosdns/findings.ts";
import { capabilities, translate } from "../import/easymosdns/translate.ts";
import { EXIT, type Terminal, UsageError } from "./invocation.ts";
import type { Invocation } from "./run.ts";

/** `fenliu import easymosdns DIR [-o FILE] [--force]`: makes a `fenliu.yaml` of a mosdns bundle, and says what became of each part of it. */
export async function importCommand(invocation: Invocation, terminal: Terminal): Promise<number> {
  const [format, directory, ...rest] = invocation.words;
  if (format !== "easymosdns" || directory === undefined || rest.length > 0) throw new UsageError("import takes easymosdns DIR");
  const output = invocation.output === null ? null : resolve(terminal.directory, invocation.output);
  if (output !== null && !invocation.force && existsSync(output)) {
    return failed("a file is there already; --force overwrites it", { file: output, line: 1 }, invocation, terminal);
  }
  try {
    const { yaml, findings } = imported(
      resolve(terminal.directory, directory),
      output ?? resolve(terminal.directory, "fenliu.yaml"),
    );
    if (output !== null) writeFileSync(output, yaml);
    if (invocation.json) {
      terminal.out(`${JSON.stringify({ ok: true, output, yaml, findings: findings.all }, null, 2)}\n`);
      return EXIT.ok;
    }
    if (output === null) terminal.out(yaml);
    terminal.err(reportText(findings.all));
    return EXIT.ok;
  } catch (error) {
    if (error instanceof ImportError) return failed(error.message, error.place, invocation, terminal);
    if (output !== null && error instanceof Error && "code" in error)
      return failed(`cannot write: ${systemReason(error)}`, { file: output, line: 1 }, invocation, terminal);
    throw error;
  }
}

/** @param target where the new file will lie: its paths start there. @throws ImportError */
function imported(
  directory: string,
  target: string,
): { readonly yaml: string; readonly findings: Findings; readonly bundle: Bundle } {
  const reading = new Findings();
  const bundle = readBundle(directory, reading);
  const seeded = (): Findings => {
    const findings = new Findings();
    for (const { kind, file, line, what } of reading.all) findings[kind]({ file, line }, what);
    return findings;
  };
  const { draft, findings } = translate(bundle, seeded, {
    capabilities: capabilities(),
    relative: (path) => pathFrom(dirname(target), path),
  });
  const yaml = writeDraft(draft, bundle.file);
  const checked = parseConfig(yaml, target);
  if (checked.kind === "invalid") {
    // Better no file than one that cannot be used.
    const problems = printProblems(checked.problems, yaml);
    throw new ImportError({ file: bundle.file, line: 1 }, `what was made of this is no valid configuration:\n${problems}`);
  }
  return { yaml, findings, bundle };
}

function pathFrom(directory: string, path: string): string {
  const way = relative(directory, path);
  return isAbsolute(way) ? way : way.split(sep).join("/");
}

function failed(
  message: string,
  { file, line }: { readonly file: string; readonly line: number },
  { json }: Invocation,
  terminal: Terminal,
): number {
  if (json) terminal.out(`${JSON.stringify({ ok: false, error: { file, line, message } }, null, 2)}\n`);
  else terminal.err(printableText(`fenliu: ${file}:${line}: ${message}\n`));
  return EXIT.failed;
}
