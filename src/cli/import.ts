import { existsSync, mkdirSync, rmSync, writeFileSync } from "node:fs";
import { dirname, isAbsolute, join, relative, resolve, sep } from "node:path";
import { parseConfig } from "../config/load.ts";
import { printProblems } from "../config/reading.ts";
import { parseProxy } from "../config/server.ts";
import { systemReason } from "../config/values.ts";
import { type Imported, importConfig, importKinds } from "../import/import.ts";
import { ImportError, type Place } from "../import/model.ts";
import { printableText, reportText } from "../import/report.ts";
import { NO_DIAGNOSTICS, openPolicy } from "../server/policy.ts";
import { checkPolicy } from "../server/preflight.ts";
import { type Command, EXIT, type Invocation, type Terminal, UsageError } from "./invocation.ts";
import { DATA_FOLDER, SERVICE_CONFIG } from "./service.ts";

export const importCommand: Command = {
  usage: `  fenliu import [KIND] PATH [-o FILE] [--proxy URL] [--allow-leaks] [--force]
                                   make a fenliu.yaml of another server's configuration, and say what is not in it
`,
  help: `KIND is one of mosdns, adguardhome, smartdns, dnsmasq, mihomo and chinadns-ng; without it the file says what it is. PATH is the main
configuration, or its folder; what it includes is read too, and nothing is fetched. Without -o the file goes to stdout, and the report to stderr.

  -o, --output FILE   write it there, with the lists that it needs in the folder lists beside it
      --proxy URL     the proxy that a proxy of the source stands for, such as socks5://127.0.0.1:7890
      --allow-leaks   write it although names could go to another side than before
      --force         also where there is a file already

Exit code 1 and nothing written: a name could go to another side than before; the lines stand at the top of the report.
`,
  options: ["json", "output", "force", "allow-leaks", "proxy"],
  run: importFile,
};

/**
 * Makes a `fenliu.yaml` of another server's configuration, and reports what happened to each part. Writes nothing where names could go to another side
 * than before, unless `--allow-leaks` is given.
 */
async function importFile(invocation: Invocation, terminal: Terminal): Promise<number> {
  const { kind, path } = readWords(invocation.words);
  const { proxy = null, json = false } = invocation;
  if (proxy !== null && !("value" in parseProxy(proxy)))
    throw new UsageError(`\`${proxy}\` is no proxy such as socks5://127.0.0.1:7890`);
  const output = invocation.output === undefined ? null : resolve(terminal.directory, invocation.output);
  const fail = (message: string, place: Place) => failed(message, place, invocation, terminal);
  if (output !== null && invocation.force !== true && existsSync(output))
    return fail("a file is there already; --force overwrites it", { file: output, line: 1 });
  try {
    const target = output ?? resolve(terminal.directory, "fenliu.yaml");
    const dataFolder = target === SERVICE_CONFIG ? DATA_FOLDER : null;
    const options = { proxy, relative: (each: string) => pathFrom(dirname(target), each), dataFolder };
    const imported = importConfig(resolve(terminal.directory, path), kind, options);
    const isRefused = imported.leaks && invocation["allow-leaks"] !== true;
    if (!isRefused) await put(imported, target, output !== null);
    const { yaml, findings, kind: read } = imported;
    if (json)
      terminal.out(
        `${JSON.stringify({ ok: !isRefused, kind: read, output: isRefused ? null : output, yaml, findings }, null, 2)}\n`,
      );
    else {
      if (output === null && !isRefused) terminal.out(yaml);
      terminal.err(reportText(findings, (each) => pathFrom(terminal.directory, each)));
      terminal.err(`\n${endText(imported, isRefused, invocation.output)}\n`);
    }
    return isRefused ? EXIT.failed : EXIT.ok;
  } catch (error) {
    if (error instanceof ImportError) return fail(error.message, error.place);
    if (output !== null && error instanceof Error && "code" in error)
      return fail(`cannot write: ${systemReason(error)}`, { file: output, line: 1 });
    throw error;
  }
}

/** What to do next: the top of a long report has left the screen. */
function endText({ findings }: Imported, isRefused: boolean, output: string | undefined): string {
  const kinds = ["leak", "blank", "risk"] as const;
  const counts = kinds.flatMap((kind) => {
    const count = findings.filter((finding) => finding.kind === kind).length;
    return count === 0 ? [] : [`${count} ${kind.toUpperCase()}`];
  });
  const top = counts.length === 0 ? "" : ` Look at the top of the report: ${counts.join(", ")}.`;
  if (isRefused)
    return `Nothing is written: names could go to another side than before.${top} Mend these lines, or add --allow-leaks.`;
  const file = output ?? "fenliu.yaml";
  const done = output === undefined ? "The file went to stdout." : `${file} is written.`;
  return `${done}${top} Next: \`fenliu check -c ${file}\`, then \`fenliu shadow OLD -c ${file} --names FILE\` before the switch.`;
}

function readWords(words: readonly string[]): { readonly kind: string | null; readonly path: string } {
  const [first, second, ...rest] = words;
  const usage = `import takes a path, perhaps after one of ${importKinds().join(", ")}`;
  if (first === undefined || rest.length > 0) throw new UsageError(usage);
  if (second === undefined) return { kind: null, path: first };
  if (!importKinds().includes(first)) throw new UsageError(usage);
  return { kind: first, path: second };
}

/** Writes the file with its lists, once it is valid and decides as the source does. @throws ImportError */
async function put({ yaml, files }: Imported, target: string, isWritten: boolean): Promise<void> {
  const place = { file: target, line: 1 };
  if (!isWritten && files.size > 0)
    throw new ImportError(
      place,
      `this needs ${files.size === 1 ? "a list" : `${files.size} lists`} beside it: say where by -o FILE`,
    );
  const made: string[] = [];
  try {
    for (const [name, text] of files) {
      const path = join(dirname(target), name);
      mkdirSync(dirname(path), { recursive: true });
      if (!existsSync(path)) made.push(path);
      writeFileSync(path, text);
    }
    const checked = parseConfig(yaml, target);
    if (checked.kind === "invalid")
      throw new ImportError(place, `what was made of this is no valid configuration:\n${printProblems(checked.problems, yaml)}`);
    const policy = await openPolicy(checked.config, NO_DIAGNOSTICS);
    const faults = checkPolicy(policy, checked.config, NO_DIAGNOSTICS);
    if (faults.length > 0)
      throw new ImportError(place, `what was made of this does not decide as it should: ${faults.join("; ")}`);
    if (!isWritten) return;
    mkdirSync(dirname(target), { recursive: true });
    writeFileSync(target, yaml);
  } catch (error) {
    for (const path of made) rmSync(path, { force: true });
    throw error;
  }
}

function pathFrom(directory: string, path: string): string {
  const way = relative(directory, path);
  return isAbsolute(way) ? way : way.split(sep).join("/");
}

function failed(message: string, { file, line }: Place, { json = false }: Invocation, terminal: Terminal): number {
  if (json) terminal.out(`${JSON.stringify({ ok: false, error: { file, line, message } }, null, 2)}\n`);
  else terminal.err(printableText(`fenliu: ${file}:${line}: ${message}\n`));
  return EXIT.failed;
}
