import { type ChildProcess, type SpawnOptions, spawn } from "node:child_process";
import type { Socket } from "node:dgram";
import type { App, Predecessor } from "../app/app.ts";
import { systemClock } from "../lib/clock.ts";
import { awaitWithin } from "../lib/deadline.ts";
import { errorText } from "../lib/text.ts";
import { Inheritance, type Purpose, type SharedSocket } from "../listen/inheritance.ts";
import type { Endpoint } from "../listen/options.ts";
import type { OperationsLog } from "../log/operations.ts";
import type { Supervisor } from "./supervisor.ts";

/**
 * Another process of this program takes the place of this one, without a lost question:
 *
 *     first process                                      second process, started by the first one
 *       stores the cache, starts the second                reads the configuration and builds its state
 *                              <- "sockets, please"        (a fault up to here ends the second; the first goes on)
 *       sends the sockets      ->                          answers on them, beside the first
 *                              <- "I answer"
 *       no more word to the service manager
 *                              -> "speak for us"           tells the service manager its own process id
 *                              <- "you may go"
 *       answers what it has, tells clients to connect anew, closes the query log, ends
 *                              -> end of the channel       opens the query log, then the API: ready
 */

/** In the environment of the second process. */
const MARK = "FENLIU_TAKES_OVER";

/** How long the second process may take to its first answer. */
const START_MS = 120_000;

/** How long the service manager may take to listen. */
const END_MS = 20_000;

/** How long the first process may take to end: to answer what it has, and to store its last records on a busy disk. */
const GONE_MS = 60_000;

type Message =
  | { readonly kind: "sockets, please" }
  | { readonly kind: "socket"; readonly purpose: Purpose; readonly bound: Endpoint; readonly fd: number | null }
  | { readonly kind: "no more sockets" }
  | { readonly kind: "I answer" }
  | { readonly kind: "speak for us" }
  | { readonly kind: "you may go" };

/** The first descriptor after those of stdin, stdout, stderr and the channel. */
const FIRST_FD = 4;

/** How the second process is begun. */
export type Launch = (options: SpawnOptions) => ChildProcess;

/** This program as it lies on the disk now, with the command line of this process. */
const launchAgain: Launch = (options) => spawn(process.execPath, [...process.execArgv, ...process.argv.slice(1)], options);

/** A server that runs, and may have another process take its place. */
export interface FirstProcess {
  readonly app: App;
  readonly supervisor: Supervisor;
  readonly log: OperationsLog;
}

/**
 * Starts the second process.
 * @returns whether it answers, and this process is to close the app and then call `left`; null = it does not, and this process goes on as before.
 */
export async function handOver(
  { app, supervisor, log }: FirstProcess,
  launch: Launch = launchAgain,
): Promise<{ readonly left: () => void } | null> {
  if (!supervisor.isManaged || process.pid === 1) {
    log.error("no other process takes over: nobody who looks after this one could be told (systemd can); restart it instead");
    return null;
  }
  let child: ChildProcess | null = null;
  try {
    const sockets = await app.handOver();
    const descriptors = sockets.map(({ socket }) => socket).filter((socket) => typeof socket === "number");
    child = launch({
      stdio: ["ignore", "inherit", "inherit", "ipc", ...descriptors],
      env: { ...process.env, [MARK]: "1" },
    });
    log.info({ pid: child.pid }, "another process is about to take over");
    const talk = new Talk(child);
    await talk.hear("sockets, please", START_MS);
    sendSockets(child, sockets);
    await talk.hear("I answer", START_MS);
    await supervisor.close();
    talk.say({ kind: "speak for us" });
    await talk.hear("you may go", END_MS);
    child.unref();
    const { pid } = child;
    log.info({ pid }, "the other process answers: this one ends");
    return { left: () => talk.end() };
  } catch (error) {
    child?.kill("SIGKILL");
    app.keepOn();
    await supervisor.noteReady();
    log.error({ reason: errorText(error) }, "no other process takes over: this one goes on");
    return null;
  }
}

function sendSockets(child: ChildProcess, sockets: readonly SharedSocket[]): void {
  let next = FIRST_FD;
  for (const { purpose, bound, socket } of sockets) {
    const fd = typeof socket === "number" ? next++ : null;
    const message: Message = { kind: "socket", purpose, bound, fd };
    if (typeof socket === "number") child.send(message, ignore);
    else child.send(message, socket, ignore);
  }
  child.send({ kind: "no more sockets" } satisfies Message, ignore);
}

/** Those who listen to what a broken channel says hear of it by `Talk`. */
function ignore(): void {}

/**
 * The process whose place this one takes; null = nobody has started this one for that. To be asked once the configuration is read.
 */
export function meetPredecessor(supervisor: Supervisor, log: OperationsLog): Predecessor | null {
  if (process.env[MARK] === undefined || process.send === undefined) return null;
  // Not for the processes that this one starts.
  delete process.env[MARK];
  const talk = new Talk(process);
  const sockets = new Inheritance();
  talk.onSocket = (message, handle) => {
    const socket = message.fd ?? handle;
    if (socket !== undefined) sockets.add({ purpose: message.purpose, bound: message.bound, socket });
  };
  return {
    async sockets() {
      talk.say({ kind: "sockets, please" });
      await talk.hear("no more sockets", END_MS);
      return sockets;
    },
    async relieve() {
      talk.say({ kind: "I answer" });
      await talk.hear("speak for us", END_MS);
      if (!(await supervisor.noteReady())) throw new Error("the service manager cannot be told who answers now");
      talk.say({ kind: "you may go" });
      const isGone = await awaitWithin(
        systemClock,
        GONE_MS,
        talk.ended.then(() => true),
      );
      if (isGone !== true) log.warn("the process before has not ended: the query log is opened beside it");
    },
  };
}

type Handle = Socket | undefined;

/** The channel between the two processes, at either end. */
class Talk {
  /** Settles when the channel or the other process has ended. */
  readonly ended: Promise<string>;
  onSocket: (message: Message & { readonly kind: "socket" }, handle: Handle) => void = () => {};
  readonly #peer: ChildProcess | NodeJS.Process;
  readonly #heard = new Map<Message["kind"], PromiseWithResolvers<void>>();

  constructor(peer: ChildProcess | NodeJS.Process) {
    this.#peer = peer;
    const ended = Promise.withResolvers<string>();
    this.ended = ended.promise;
    const emitter: NodeJS.EventEmitter = peer;
    emitter.on("message", (message: Message, handle: Handle) => {
      if (message.kind === "socket") this.onSocket(message, handle);
      else this.#awaited(message.kind).resolve();
    });
    emitter.on("disconnect", () => ended.resolve("it ended"));
    if (peer !== process) {
      emitter.on("exit", (code: number | null, signal: string | null) => ended.resolve(`it ended with ${signal ?? code}`));
      emitter.on("error", (error: Error) => ended.resolve(error.message));
    }
  }

  say(message: Message): void {
    this.#peer.send?.(message, undefined, undefined, ignore);
  }

  /** @throws Error that says why the word was not heard. */
  async hear(kind: Exclude<Message["kind"], "socket">, withinMs: number): Promise<void> {
    const heard = this.#awaited(kind).promise.then(() => null);
    const outcome = await awaitWithin(systemClock, withinMs, Promise.race([heard.then(() => ""), this.ended]));
    if (outcome === null) throw new Error(`the other process has not come to "${kind}" within ${withinMs / 1000} s`);
    if (outcome !== "") throw new Error(`the other process has not come to "${kind}": ${outcome}`);
  }

  end(): void {
    if (this.#peer.connected) this.#peer.disconnect?.();
  }

  #awaited(kind: Message["kind"]): PromiseWithResolvers<void> {
    const awaited = this.#heard.get(kind) ?? Promise.withResolvers<void>();
    this.#heard.set(kind, awaited);
    return awaited;
  }
}
