import { Stub } from "./stub.ts";

/** How all questions of a while were answered. */
export interface Answering {
  readonly asked: number;
  /** Without any reply, or with another address than there is. */
  readonly wrong: number;
  /** Until the latest reply. */
  readonly slowestMs: number;
}

/** Asks for one name over and over, whatever becomes of it, as a house full of clients does. */
export class SteadyAsker {
  readonly #stub: Stub;
  readonly #timer: NodeJS.Timeout;
  readonly #answers: Promise<void>[] = [];
  #wrong = 0;
  #slowestMs = 0;

  private constructor(stub: Stub, ask: () => Promise<boolean>) {
    this.#stub = stub;
    this.#timer = setInterval(() => this.#answers.push(this.#time(ask())), INTERVAL_MS);
  }

  /** @param name has this one address. */
  static async open(port: number, name: string, address: string): Promise<SteadyAsker> {
    // Never twice: a lost reply counts.
    const stub = await Stub.open(port, { tries: 1, tryMs: LOST_MS });
    return new SteadyAsker(stub, async () => (await stub.ask(name, "A"))?.answers.join() === address);
  }

  /** Asks no more, and waits for what is under way. */
  async end(): Promise<Answering> {
    clearInterval(this.#timer);
    await Promise.all(this.#answers);
    await this.#stub.close();
    return { asked: this.#answers.length, wrong: this.#wrong, slowestMs: this.#slowestMs };
  }

  async #time(answer: Promise<boolean>): Promise<void> {
    const startMs = performance.now();
    if (!(await answer)) this.#wrong++;
    this.#slowestMs = Math.max(this.#slowestMs, performance.now() - startMs);
  }
}

const INTERVAL_MS = 5;
const LOST_MS = 5000;
