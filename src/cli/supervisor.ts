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

  /** @param onFailure told why systemd could not be told. */
  constructor(environment: NodeJS.ProcessEnv, onFailure: (reason: string) => void, clock: Clock = systemClock) {
    this.#environment = environment;
    this.#clock = clock;
    this.#onFailure = onFailure;
  }

  /** The server answers from now on. Does nothing where no supervisor has started the process. */
  noteReady(): void {
    if (this.#environment["NOTIFY_SOCKET"] === undefined) return;
    this.#notify("READY=1");
    const watchdogMs = Number(this.#environment["WATCHDOG_USEC"] ?? 0) / 1000;
    if (watchdogMs > 0) this.#schedule(watchdogMs / 3);
  }

  close(): void {
    this.#timer?.cancel();
  }

  #schedule(delayMs: number): void {
    this.#timer = this.#clock.setTimer(() => {
      this.#notify("WATCHDOG=1");
      this.#schedule(delayMs);
    }, delayMs);
  }

  #notify(state: string): void {
    const { PATH, NOTIFY_SOCKET } = this.#environment;
    const child = spawn("systemd-notify", [`--pid=${process.pid}`, state], { stdio: "ignore", env: { PATH, NOTIFY_SOCKET } });
    // It waits until systemd has read the message; the end of the server does not wait for it.
    child.unref();
    child.on("error", (error) => this.#onFailure(error.message));
    child.on("exit", (code) => {
      if (code !== 0) this.#onFailure(`systemd-notify ended with ${code}`);
    });
  }
}
