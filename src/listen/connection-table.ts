import type { Socket } from "node:net";
import type { Clock } from "../lib/clock.ts";
import type { Connection, ListenCounters } from "./types.ts";

/** How many idle connections are closed at once, so that the search for them is not made for every newcomer. */
const EVICTED_AT_ONCE = 16;

interface Entry {
  readonly address: string;
  readonly acceptedMs: number;
  /** null = not yet served: the PROXY header, the handshake or the first bytes are awaited. */
  connection: Connection | null;
}

/**
 * The open connections of all listeners, at most `limit`. When all places are taken, idle connections give way to newcomers: first those of the address
 * that has the most connections, and of these the ones that have been idle for longest.
 */
export class ConnectionTable {
  readonly #limit: number;
  readonly #counters: ListenCounters;
  readonly #clock: Clock;
  readonly #open = new Map<Socket, Entry>();

  constructor(limit: number, counters: ListenCounters, clock: Clock) {
    this.#limit = limit;
    this.#counters = counters;
    this.#clock = clock;
  }

  /** Returns false if there is no place. */
  add(socket: Socket, address: string): boolean {
    if (this.#open.size >= this.#limit) this.#evict();
    if (this.#open.size >= this.#limit) return false;
    this.#open.set(socket, { address, acceptedMs: this.#clock.now(), connection: null });
    this.#counters.connections = this.#open.size;
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
    for (const { socket } of idle.slice(0, Math.min(EVICTED_AT_ONCE, Math.ceil(this.#limit / EVICTED_AT_ONCE)))) {
      socket.destroy();
      this.delete(socket);
      this.#counters.connectionsEvicted++;
    }
  }
}
