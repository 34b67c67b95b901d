import { spawn } from "node:child_process";
import { type Clock, systemClock, type Timer } from "../lib/clock.ts";

/**
 * Tells systemd how the server is doing (sd_notify(3)): that it is ready, and again and again that its event loop turns. Node has no datagram sockets
 * of the file system, so `systemd-notify` says it, a program that every host with systemd has. The unit needs `NotifyAccess=all` for that.
 */
export class Supervisor {
  readonly #environment: NodeJS.ProcessEnv;
  readonly #clock: Clock;
  readonly #onFailure: (reason: string) => void;
  #timer: Timer | null = null;
  /** What is being told; true = it arrived. */
  readonly #telling = new Set<Promise<boolean>>();

  /** @param onFailure told why systemd could not be told. */
  constructor(environment: NodeJS.ProcessEnv, onFailure: (reason: string) => void, clock: Clock = systemClock) {
    this.#environment = environment;
    this.#clock = clock;
    this.#onFailure = onFailure;
  }

  /** Whether somebody has started the process who wants to be told. */
  get isManaged(): boolean {
    return this.#environment["NOTIFY_SOCKET"] !== undefined;
  }

  /**
   * The server answers from now on, in this process. Does nothing where no supervisor has started the process. May be called again.
   * @returns whether systemd has heard it.
   */
  async noteReady(): Promise<boolean> {
    if (!this.isManaged) return false;
    const isHeard = this.#notify("READY=1");
    const watchdogMs = Number(this.#environment["WATCHDOG_USEC"] ?? 0) / 1000;
    if (watchdogMs > 0) this.#schedule(watchdogMs / 3);
    return await isHeard;
  }

  /** Says nothing more from now on. Resolves when what was said has arrived. */
  async close(): Promise<void> {
    this.#timer?.cancel();
    await Promise.all(this.#telling);
  }

  #schedule(delayMs: number): void {
    this.#timer?.cancel();
    this.#timer = this.#clock.setTimer(() => {
      void this.#notify("WATCHDOG=1");
      this.#schedule(delayMs);
    }, delayMs);
  }

  #notify(state: string): Promise<boolean> {
    const telling = this.#tell(state);
    this.#telling.add(telling);
    void telling.then(() => this.#telling.delete(telling));
    return telling;
  }

  #tell(state: string): Promise<boolean> {
    const { PATH, NOTIFY_SOCKET } = this.#environment;
    const { promise, resolve } = Promise.withResolvers<boolean>();
    const child = spawn("systemd-notify", [`--pid=${process.pid}`, state], { stdio: "ignore", env: { PATH, NOTIFY_SOCKET } });
    // It waits until systemd has read the message; the end of the server does not wait for it.
    child.unref();
    child.on("error", (error) => {
      this.#onFailure(error.message);
      resolve(false);
    });
    child.on("exit", (code) => {
      if (code !== 0) this.#onFailure(`systemd-notify ended with ${code}`);
      resolve(code === 0);
    });
    return promise;
  }
}
