import type { Socket } from "node:net";
import type { Clock, Timer } from "../lib/clock.ts";
import type { ListenLimits } from "./limits.ts";
import type { Connection, ListenCounters } from "./types.ts";

/** How many idle connections are closed at once, so that the search for them is not made for every newcomer. */
const EVICTED_AT_ONCE = 16;

/** How often what is held is counted. */
const COUNT_MS = 1000;

interface Entry {
  readonly address: string;
  readonly acceptedMs: number;
  /** null = not yet served: the PROXY header, the handshake or the first bytes are awaited. */
  connection: Connection | null;
}

/**
 * The open connections of all listeners, at most `limits.connections`. When all places are taken, idle connections give way to newcomers: first those of the address
 * that has the most connections, and of these the ones that have been idle for longest. When more than `limits.heldBytes` are held for connections, the connections
 * with the most are cut.
 */
export class ConnectionTable {
  readonly #limits: Pick<ListenLimits, "connections" | "heldBytes">;
  readonly #counters: ListenCounters;
  readonly #clock: Clock;
  readonly #open = new Map<Socket, Entry>();
  #counting: Timer | null = null;

  constructor(limits: Pick<ListenLimits, "connections" | "heldBytes">, counters: ListenCounters, clock: Clock) {
    this.#limits = limits;
    this.#counters = counters;
    this.#clock = clock;
  }

  /** Returns false if there is no place. */
  add(socket: Socket, address: string): boolean {
    const { connections } = this.#limits;
    if (this.#open.size >= connections) this.#evict();
    if (this.#open.size >= connections) return false;
    this.#open.set(socket, { address, acceptedMs: this.#clock.now(), connection: null });
    this.#counters.connections = this.#open.size;
    this.#counting ??= this.#clock.setTimer(() => this.#countHeld(), COUNT_MS);
    return true;
  }

  /** The connection is served from now on. */
  serve(socket: Socket, connection: Connection): void {
    const entry = this.#open.get(socket);
    if (entry !== undefined) entry.connection = connection;
  }

  delete(socket: Socket): void {
    this.#open.delete(socket);
    this.#counters.connections = this.#open.size;
    if (this.#open.size > 0) return;
    this.#counting?.cancel();
    this.#counting = null;
  }

  #countHeld(): void {
    this.#counting = this.#clock.setTimer(() => this.#countHeld(), COUNT_MS);
    const held = [...this.#open].map(([socket, { connection }]) => ({ socket, bytes: connection?.heldBytes ?? 0 }));
    let left = held.reduce((sum, { bytes }) => sum + bytes, 0);
    if (left <= this.#limits.heldBytes) return;
    held.sort((a, b) => b.bytes - a.bytes);
    for (const { socket, bytes } of held) {
      if (left <= this.#limits.heldBytes) return;
      this.#cut(socket);
      left -= bytes;
    }
  }

  #evict(): void {
    const counts = new Map<string, number>();
    const idle: { readonly socket: Socket; readonly address: string; readonly sinceMs: number }[] = [];
    for (const [socket, { address, acceptedMs, connection }] of this.#open) {
      counts.set(address, (counts.get(address) ?? 0) + 1);
      const sinceMs = connection === null ? acceptedMs : connection.idleSinceMs;
      if (sinceMs !== null) idle.push({ socket, address, sinceMs });
    }
    const countOf = (address: string): number => counts.get(address) ?? 0;
    idle.sort((a, b) => countOf(b.address) - countOf(a.address) || a.sinceMs - b.sinceMs);
    const count = Math.min(EVICTED_AT_ONCE, Math.ceil(this.#limits.connections / EVICTED_AT_ONCE));
    for (const { socket } of idle.slice(0, count)) this.#cut(socket);
  }

  #cut(socket: Socket): void {
    socket.destroy();
    this.delete(socket);
    this.#counters.connectionsEvicted++;
  }
}
