import { PerformanceObserver } from "node:perf_hooks";
import { getHeapSpaceStatistics, setFlagsFromString } from "node:v8";
import { runInNewContext } from "node:vm";
import { AdminError } from "../admin/server.ts";
import { App } from "../app/app.ts";
import { loadConfig } from "../config/load.ts";
import type { Problem } from "../config/reading.ts";
import type { Config } from "../config/types.ts";
import { endpointText } from "../dns/address.ts";
import { systemClock } from "../lib/clock.ts";
import { trustSystemCertificates } from "../lib/roots.ts";
import { ListenError } from "../listen/listeners.ts";
import { operationsLog } from "../log/operations.ts";
import { ServerStateError } from "../server/state.ts";
import { greet } from "./greeting.ts";
import { type FirstProcess, handOver, meetPredecessor } from "./hand-over.ts";
import { type Command, configPath, EXIT, type Invocation, readConfig, refuseWords, type Terminal } from "./invocation.ts";
import { Supervisor } from "./supervisor.ts";

export const serveCommand: Command = {
  usage: `  fenliu serve [-c FILE]           answer questions (also without a command)
`,
  options: ["config"],
  run: serve,
};

/** Answers questions until a signal stops the process. SIGHUP reads the configuration again; at SIGUSR2 another process takes over (`hand-over.ts`). */
async function serve(invocation: Invocation, terminal: Terminal): Promise<number> {
  refuseWords(invocation);
  const path = configPath(invocation, terminal);
  // A signal ends a process that does not listen for it. What is asked for during the start follows the start.
  const started = Promise.withResolvers<FirstProcess>();
  const relieved = Promise.withResolvers<{ readonly left: () => void }>();
  terminal.onReload(oneAtATime(async () => reload(await started.promise, path, terminal)));
  terminal.onHandOver(
    oneAtATime(async () => {
      const next = await handOver(await started.promise);
      if (next !== null) relieved.resolve(next);
    }),
  );
  const config = readServed(path, terminal, "fatal");
  if (config === null) return EXIT.failed;
  const log = operationsLog(config.log.level, (line) => terminal.err(line), terminal.interactive);
  const stopped = terminal.untilStopped();
  const supervisor = new Supervisor(process.env, (reason) => log.warn({ reason }, "systemd could not be told"));
  try {
    const predecessor = meetPredecessor(supervisor, log);
    const app = await App.start(config, { clock: systemClock, log, ca: null, resolvConf: "/etc/resolv.conf" }, predecessor);
    if (predecessor === null) void supervisor.noteReady();
    started.resolve({ app, supervisor, log });
    growYoungGeneration();
    setTimeout(completeStart, START_IS_OVER_MS).unref();
    if (terminal.interactive) await Promise.race([greet(app, path, terminal), stopped]);
    else log.info({ config: path ?? "defaults", ...boundTexts(app) }, "Fenliu is answering");
    const end = await Promise.race([stopped, relieved.promise]);
    if (typeof end === "string") log.info({ signal: end }, "stopping");
    void supervisor.close();
    await app.close();
    if (typeof end !== "string") end.left();
    return EXIT.ok;
  } catch (error) {
    if (!(error instanceof ServerStateError) && !(error instanceof ListenError) && !(error instanceof AdminError)) throw error;
    for (const problem of error.problems) {
      if (terminal.interactive) terminal.err(`fenliu: ${problem}\n`);
      else log.fatal(problem);
    }
    return EXIT.failed;
  }
}

/**
 * How large the young generation may be when it grows once more. Larger, it is collected more rarely but not for less: with thousands of queries that wait,
 * each collection copies what they hold, and one of 50 MiB holds the thread for 60 ms.
 */
const YOUNG_BYTES = 8 << 20;

/** Answers leave much behind under load, and a young generation as small as start.mjs wants it would take a fifth of the processor's time. */
function growYoungGeneration(): void {
  let growth = 0;
  const setGrowth = () => {
    const young = getHeapSpaceStatistics().find(({ space_name }) => space_name === "new_space");
    const wanted = (young?.space_size ?? 0) < YOUNG_BYTES ? 2 : 1;
    // Compiled code on the disk is of no use to a runtime with other flags.
    if (wanted !== growth) setFlagsFromString(`--semi-space-growth-factor=${wanted}`);
    growth = wanted;
  };
  setGrowth();
  new PerformanceObserver(setGrowth).observe({ entryTypes: ["gc"] });
}

/** How long after the first answer a start leaves nothing more behind. */
const START_IS_OVER_MS = 2000;

/** Does what the first answers need not wait for. */
function completeStart(): void {
  void trustSystemCertificates();
  collectWhenIdle();
}

/** The process counts as idle after so long a time of which it has worked only this share. */
const IDLE = { ms: 1000, share: 0.01 } as const;

/**
 * Collects what a start leaves behind: 8 MiB would stay for good where little is asked, because the runtime collects when it needs room. That holds the
 * thread for as long as 60 ms: not while much is asked. The runtime collects by itself then.
 */
function collectWhenIdle(): void {
  let before = performance.eventLoopUtilization();
  const timer = setInterval(() => {
    const { utilization } = performance.eventLoopUtilization(before);
    before = performance.eventLoopUtilization();
    if (utilization > IDLE.share) return;
    clearInterval(timer);
    setFlagsFromString("--expose-gc");
    const collect = runInNewContext("gc") as (options: { readonly type: "major"; readonly flavor: "last-resort" }) => void;
    setFlagsFromString("--no-expose-gc");
    collect({ type: "major", flavor: "last-resort" });
  }, IDLE.ms);
  timer.unref();
}

/**
 * Reads the configuration of a server. A person sees problems and warnings as `fenliu check` prints them; a collector of logs gets one line of
 * JSON for each, as for all that a server tells. null = the configuration cannot be used.
 */
function readServed(path: string | null, terminal: Terminal, level: "fatal" | "error"): Config | null {
  if (terminal.interactive) return readConfig(path, terminal);
  const result = loadConfig(path);
  const log = operationsLog("info", (line) => terminal.err(line), false);
  const tell = (as: "fatal" | "error" | "warn", { file, line, column, fix, message }: Problem) =>
    log[as]({ file, line, column, fix }, message);
  for (const warning of result.kind === "ok" ? result.warnings : []) tell("warn", warning);
  if (result.kind === "ok") return result.config;
  for (const problem of result.problems) tell(level, problem);
  return null;
}

/** Runs one call at a time. Calls that come during a run lead to one more run. @param run never rejects. */
function oneAtATime(run: () => Promise<void>): () => void {
  let isRunning = false;
  let isWanted = false;
  const runAll = async (): Promise<void> => {
    isRunning = true;
    while (isWanted) {
      isWanted = false;
      await run();
    }
    isRunning = false;
  };
  return () => {
    isWanted = true;
    if (!isRunning) void runAll();
  };
}

async function reload({ app, log }: FirstProcess, path: string | null, terminal: Terminal): Promise<void> {
  const config = readServed(path, terminal, "error");
  if (config === null) {
    app.reloads.noteFailure();
    return log.error("not reloaded: the configuration has problems; the one before goes on serving");
  }
  try {
    await app.reload(config);
    log.info({ config: path ?? "defaults" }, "reloaded");
  } catch (error) {
    // Nobody awaits this promise: a rejection would end a server that can go on.
    if (error instanceof ServerStateError) for (const problem of error.problems) log.error(problem);
    else log.error({ err: error }, "a fault in Fenliu itself: please report it");
    log.error("not reloaded: the configuration before goes on serving");
  }
}

function boundTexts({ bound, administration }: App): Record<string, string> {
  const admin = administration.bound === null ? [] : [administration.bound];
  const texts = Object.entries({ ...bound, admin }).map(
    ([kind, endpoints]) => [kind, endpoints.map(({ address, port }) => endpointText(address, port)).join(" ")] as const,
  );
  return Object.fromEntries(texts.filter(([, text]) => text !== ""));
}
