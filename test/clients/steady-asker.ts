import { eventually } from "./processes.ts";
import { Stub } from "./stub.ts";

/** How all questions of a while were answered. */
export interface Answering {
  readonly asked: number;
  /** Without any reply, or with another address than there is. */
  readonly wrong: number;
}

/** Asks for one name over and over, whatever becomes of it, as a house full of clients does. */
export class SteadyAsker {
  readonly #stub: Stub;
  readonly #timer: NodeJS.Timeout;
  readonly #answers: Promise<void>[] = [];
  #right = 0;
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

  /**
   * Resolves when some of the questions that are asked from now on are answered. What is the matter before and after did not hold them up: on a busy
   * machine no number of milliseconds tells that.
   */
  async goesOn(): Promise<void> {
    const settled = this.#right + this.#wrong;
    const wanted = this.#right + (this.#answers.length - settled) + FURTHER;
    await eventually(async () => (this.#right >= wanted ? true : null), 30_000);
  }

  /** Asks no more, and waits for what is under way. How long the slowest answer took is printed: it is for people to judge. */
  async end(): Promise<Answering> {
    clearInterval(this.#timer);
    await Promise.all(this.#answers);
    await this.#stub.close();
    console.info(`${this.#answers.length} questions, the slowest ${Math.round(this.#slowestMs)} ms`);
    return { asked: this.#answers.length, wrong: this.#wrong };
  }

  async #time(answer: Promise<boolean>): Promise<void> {
    const startMs = performance.now();
    if (await answer) this.#right++;
    else this.#wrong++;
    this.#slowestMs = Math.max(this.#slowestMs, performance.now() - startMs);
  }
}

const INTERVAL_MS = 5;
const LOST_MS = 5000;

/** Questions beyond those that were under way. */
const FURTHER = 20;
