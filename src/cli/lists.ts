import { listFetcher } from "../app/list-refresh.ts";
import type { Config } from "../config/types.ts";
import { systemClock } from "../lib/clock.ts";
import { unreachable } from "../lib/unreachable.ts";
import { listCacheOf } from "../lists/cache.ts";
import { type ListReport, reportLists, type SourceReport } from "../lists/load.ts";
import type { ListOptions } from "../lists/options.ts";
import { type Activate, type Progress, type UpdateResult, updateList, urlsOf } from "../lists/update.ts";
import { operationsLog } from "../log/operations.ts";
import { NO_DIAGNOSTICS, openPolicy, type Policy, withList } from "../server/policy.ts";
import { closeShared, openShared } from "../server/state.ts";
import {
  ageText,
  CA_HELP,
  type Command,
  caText,
  configPath,
  EXIT,
  type Invocation,
  readConfig,
  stopSignal,
  type Terminal,
  UsageError,
} from "./invocation.ts";
import { alignColumns } from "./record-table.ts";

export const listsCommand: Command = {
  usage: `  fenliu lists [-c FILE]           what the lists hold, how old it is, and what is wrong with it
  fenliu lists update [NAME…] [--accept NAME]… [--ca FILE]
                                   download lists now, all or these; --accept takes one whose size has changed by more than a third
`,
  help: CA_HELP,
  options: ["config", "json", "ca", "accept"],
  run: lists,
};

async function lists(invocation: Invocation, terminal: Terminal): Promise<number> {
  const [verb, ...names] = invocation.words;
  if (verb !== undefined && verb !== "update") throw new UsageError("lists takes nothing, or `update` and the names of lists");
  if (verb === undefined && invocation.accept !== undefined) throw new UsageError("--accept goes with `lists update`");
  const config = readConfig(configPath(invocation, terminal), terminal);
  if (config === null) return EXIT.failed;
  return verb === undefined ? await show(config, invocation, terminal) : await update(config, names, { invocation, terminal });
}

async function show(config: Config, { json = false }: Invocation, terminal: Terminal): Promise<number> {
  const copies = listCacheOf(config);
  const { lists: loaded } = await openPolicy(config, NO_DIAGNOSTICS);
  const reports = await reportLists(config.lists, loaded.status(), copies);
  terminal.out(json ? `${JSON.stringify(reports, null, 2)}\n` : table(rowsOf(reports)));
  return EXIT.ok;
}

const HEADINGS = ["LIST", "KIND", "ENTRIES", "SOURCE", "FROM", "AGE", "PROBLEM"];

function rowsOf(reports: readonly ListReport[]): readonly (readonly string[])[] {
  return reports.flatMap(({ name, kind, sources }) =>
    sources.map((source) => [
      name,
      kind,
      String(source.entries),
      source.source,
      source.servedFrom,
      ageText(source),
      problemText(source),
    ]),
  );
}

function problemText({ problem, downloadProblem, warnings, warningCount }: SourceReport): string {
  if (downloadProblem !== null) return `${downloadProblem.held ? "held: " : ""}${downloadProblem.reason}`;
  const [first] = warnings;
  if (problem !== null || first === undefined) return problem ?? "";
  const where = `line ${first.line}: ${first.reason}`;
  return warningCount === 1 ? `passed over ${where}` : `passed over ${warningCount} lines, the first is ${where}`;
}

function table(rows: readonly (readonly string[])[]): string {
  return rows.length === 0 ? "the configuration has no lists\n" : alignColumns([HEADINGS, ...rows]);
}

interface CommandContext {
  readonly invocation: Invocation;
  readonly terminal: Terminal;
}

async function update(config: Config, names: readonly string[], { invocation, terminal }: CommandContext): Promise<number> {
  const { accept = [], json = false } = invocation;
  const chosen = chooseLists(config, [...names, ...accept]);
  if (chosen.length === 0) terminal.err("fenliu: the configuration has no list with a URL to download\n");
  const log = operationsLog("silent", () => {}, false);
  const dependencies = { clock: systemClock, log, ca: caText(invocation, terminal), resolvConf: "/etc/resolv.conf" };
  const copies = listCacheOf(config);
  // The cache file belongs to the running server.
  const resources = await openShared({ ...config, cache: { ...config.cache, file: null } }, dependencies, null);
  const current = { policy: await openPolicy(config, NO_DIAGNOSTICS) };
  const parts = {
    cache: copies,
    fetch: listFetcher(resources, dependencies),
    activate: activateIn(current, config),
    clock: systemClock,
  };
  const results: { list: string; updated: UpdateResult[] }[] = [];
  const signal = stopSignal(terminal);
  try {
    for (const list of chosen) {
      const line = progressLine(list.name, terminal);
      const acceptsAnySize = accept.includes(list.name);
      // The progress line is erased also when the download fails.
      const updated = await updateList(list, parts, { acceptsAnySize, signal, progress: line.show }).finally(line.clear);
      results.push({ list: list.name, updated });
      if (!json) for (const { url, outcome } of updated) terminal.out(`${list.name}  ${url}  ${outcomeText(outcome)}\n`);
    }
  } catch (error) {
    if (!signal.aborted) throw error;
    const left = chosen.slice(results.length).map(({ name }) => name);
    terminal.err(`fenliu: stopped; as they were before: ${left.join(", ")}\n`);
  } finally {
    await closeShared(resources, null);
  }
  if (json) terminal.out(`${JSON.stringify(results, null, 2)}\n`);
  const isFine =
    results.length === chosen.length &&
    results.every(({ updated }) => updated.every(({ outcome }) => outcome.kind === "new" || outcome.kind === "unchanged"));
  return isFine ? EXIT.ok : EXIT.failed;
}

/** The lists with these names; without names all lists that have a URL. */
function chooseLists(config: Config, names: readonly string[]): readonly ListOptions[] {
  const downloaded = config.lists.filter((list) => urlsOf(list).length > 0);
  for (const name of names) {
    if (!config.lists.some((list) => list.name === name)) throw new UsageError(`the configuration has no list \`${name}\``);
    if (!downloaded.some((list) => list.name === name)) throw new UsageError(`\`${name}\` has no URL to download`);
  }
  return names.length === 0 ? downloaded : downloaded.filter(({ name }) => names.includes(name));
}

/** Activates lists as a running server does, in a policy of its own: each list is checked together with the lists before it. */
function activateIn(current: { policy: Policy }, config: Config): Activate {
  return async (list, copies, commit) => {
    const { policy, faults } = await withList(current.policy, { config, list, cache: copies });
    if (faults.length > 0) return faults;
    await commit();
    current.policy = policy;
    return [];
  };
}

function outcomeText(outcome: UpdateResult["outcome"]): string {
  switch (outcome.kind) {
    case "new":
      return `${outcome.entries} entries`;
    case "unchanged":
      return "unchanged";
    case "failed":
      return `failed: ${outcome.reason}`;
    case "held":
      return `held: ${outcome.reason}`;
    default:
      return unreachable(outcome);
  }
}

/** The progress line is drawn again after so many bytes. */
const DRAW_BYTES = 256 * 1024;
const BAR_CELLS = 20;

interface ProgressLine {
  readonly show: (progress: Progress) => void;
  readonly clear: () => void;
}

/** A line that is drawn again and again; only where a person reads the output. */
function progressLine(list: string, terminal: Terminal): ProgressLine {
  let drawnBytes: number | null = null;
  return {
    show({ receivedBytes, totalBytes }) {
      const isDue = drawnBytes === null || receivedBytes < drawnBytes || receivedBytes - drawnBytes >= DRAW_BYTES;
      if (!terminal.interactive || (!isDue && receivedBytes !== totalBytes)) return;
      drawnBytes = receivedBytes;
      const full = totalBytes === null || totalBytes === 0 ? 0 : Math.round((receivedBytes / totalBytes) * BAR_CELLS);
      const bar = totalBytes === null ? "" : `  [${"#".repeat(full)}${" ".repeat(BAR_CELLS - full)}]`;
      terminal.err(`\r\x1b[K${list}${bar}  ${(receivedBytes / 1024).toFixed(0)} KiB`);
    },
    clear() {
      if (drawnBytes !== null) terminal.err("\r\x1b[K");
    },
  };
}
