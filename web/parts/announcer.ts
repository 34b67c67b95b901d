/** Between two announcements. */
const GAP_MS = 10_000;

/**
 * Tells a screen reader what has changed, but not at every change: one announcement in ten seconds, of how it is then. What the page begins with is no
 * change, nor is what came and went in between.
 */
export class Announcer {
  readonly #announce: (text: string) => void;
  /** What was told last. */
  #told: string | null = null;
  #toldMs = Number.NEGATIVE_INFINITY;
  #timer: ReturnType<typeof setTimeout> | undefined;

  constructor(announce: (text: string) => void) {
    this.#announce = announce;
  }

  /**
   * @param state what is told anew when it is another.
   * @param text in words, asked for when it is told, with the state that was told before.
   */
  tell(state: string, text: (told: string) => string): void {
    clearTimeout(this.#timer);
    const told = this.#told ?? state;
    this.#told = told;
    if (state === told) return;
    const tell = () => {
      this.#told = state;
      this.#toldMs = Date.now();
      this.#announce(text(told));
    };
    this.#timer = setTimeout(tell, Math.max(0, this.#toldMs + GAP_MS - Date.now()));
  }

  close(): void {
    clearTimeout(this.#timer);
  }
}
