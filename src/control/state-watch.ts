import type { StateChange } from "../admin/control.ts";
import type { Pause } from "../admin/schemas/edits.ts";
import type { Health } from "../admin/schemas/health.ts";
import type { Clock, Timer } from "../lib/clock.ts";

/** What is watched: reading it costs next to nothing. */
interface StateWatchParts {
  readonly clock: Clock;
  readonly health: { read(): Health; follow(listener: (health: Health) => void): () => void };
  readonly problemRevision: () => number;
  /** Differs when configuration, lists, hosts or pauses have changed. */
  readonly config: () => { readonly version: string; readonly pauses: readonly Pause[] };
}

type Listener = (change: StateChange) => void;

const LOOK_MS = 1000;

/** Tells pages what has changed, so that they ask for it again at once and never otherwise. Looks only while somebody follows. */
export class StateWatch {
  readonly #parts: StateWatchParts;
  readonly #listeners = new Set<Listener>();
  /** The last change of each topic, as text. */
  readonly #told = new Map<StateChange["topic"], string>();
  #timer: Timer | null = null;
  #stopHealth: (() => void) | null = null;

  constructor(parts: StateWatchParts) {
    this.#parts = parts;
  }

  /** Calls the listener with the present state of each topic, then with each change. @returns what ends it. */
  follow(listener: Listener): () => void {
    const states = this.#read();
    if (this.#listeners.size === 0) this.#begin(states);
    this.#listeners.add(listener);
    for (const state of states) listener(state);
    return () => {
      this.#listeners.delete(listener);
      if (this.#listeners.size === 0) this.close();
    };
  }

  /** Looks now: something was changed that people await. */
  look(): void {
    if (this.#listeners.size === 0) return;
    for (const state of this.#read()) this.#tell(state);
  }

  close(): void {
    this.#timer?.cancel();
    this.#stopHealth?.();
    this.#timer = null;
    this.#stopHealth = null;
  }

  #begin(states: readonly StateChange[]): void {
    for (const state of states) this.#told.set(state.topic, JSON.stringify(state.data));
    this.#stopHealth = this.#parts.health.follow((data) => this.#tell({ topic: "health", data }));
    this.#timer = this.#schedule();
  }

  #schedule(): Timer {
    return this.#parts.clock.setTimer(() => {
      this.look();
      if (this.#timer !== null) this.#timer = this.#schedule();
    }, LOOK_MS);
  }

  #read(): readonly StateChange[] {
    const { health, problemRevision, config } = this.#parts;
    return [
      { topic: "health", data: health.read() },
      { topic: "problems", data: { revision: problemRevision() } },
      { topic: "config", data: config() },
    ];
  }

  #tell(state: StateChange): void {
    const text = JSON.stringify(state.data);
    if (this.#told.get(state.topic) === text) return;
    this.#told.set(state.topic, text);
    for (const listener of this.#listeners) listener(state);
  }
}
