import type { FastifyReply, FastifyRequest } from "fastify";
import { HttpProblem } from "../problem.ts";

/**
 * Limits how many requests of one connection are under way at once: responses wait in memory for those before them, and one before them may be a
 * stream without end.
 */
export class Pipelines {
  readonly #most: number;
  readonly #underWay = new WeakMap<object, number>();

  constructor(most: number) {
    this.#most = most;
  }

  /** @throws HttpProblem where there are too many; the connection ends with it. */
  enter({ socket }: FastifyRequest, { raw: response }: FastifyReply): void {
    const before = this.#underWay.get(socket) ?? 0;
    this.#underWay.set(socket, before + 1);
    response.once("close", () => this.#underWay.set(socket, (this.#underWay.get(socket) ?? 1) - 1));
    if (before >= this.#most)
      throw new HttpProblem(429, `${before} requests of this connection wait for their responses`, {
        headers: { connection: "close" },
      });
  }
}
