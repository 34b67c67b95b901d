/** Address questions in a row without any reply that make a member ill: one or two are lost on any line. */
export const SILENCES_UNTIL_ILL = 3;

/** How often the ill are probed: at `leastMs` while no member of the group is well, else ever less often up to `mostMs`. */
export const PROBE_DELAY = { leastMs: 1000, mostMs: 30_000 } as const;

/** Whether one member can be relied on, judged only by whether it replies and never by what it replies. */
export class Health {
  readonly #changed: (well: boolean) => void;
  #well = true;
  #silences = 0;
  #probeDelayMs: number = PROBE_DELAY.leastMs;

  /** `changed` is called after each turn from well to ill and back. */
  constructor(changed: (well: boolean) => void) {
    this.#changed = changed;
  }

  get well(): boolean {
    return this.#well;
  }

  /** How long to wait before the next probe if another member of the group is well. */
  get probeDelayMs(): number {
    return this.#probeDelayMs;
  }

  /**
   * A reply came, good or bad. Only one to a client's question starts the probing over: a member that answers probes and then falls
   * silent again is probed ever more seldom, so that clients wait for it ever more seldom.
   */
  replied(to: "client" | "probe"): void {
    this.#silences = 0;
    if (to === "client") this.#probeDelayMs = PROBE_DELAY.leastMs;
    this.#turn(true);
  }

  /** An address question got no reply. */
  silent(): void {
    this.#silences += 1;
    if (this.#silences >= SILENCES_UNTIL_ILL) this.#turn(false);
  }

  /** Nobody listens there. */
  refused(): void {
    this.#turn(false);
  }

  /** A probe has been sent; the next one waits twice as long. */
  probed(): void {
    this.#probeDelayMs = Math.min(2 * this.#probeDelayMs, PROBE_DELAY.mostMs);
  }

  #turn(well: boolean): void {
    if (this.#well === well) return;
    this.#well = well;
    this.#changed(well);
  }
}
