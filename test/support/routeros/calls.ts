import type { Clock } from "../../../src/lib/clock.ts";
import { SerialQueue } from "../../../src/lib/serial-queue.ts";
import { RouterRefusal, type RouterRest } from "../../../src/routeros/rest.ts";
import { serve } from "./rest.ts";
import type { Router } from "./router.ts";

export const READER = ["read", "api", "rest-api"];
export const WRITER = [...READER, "write"];

/** What a filtered call took on a hEX with 1,880 entries. */
export const CALL_MS = 119;

/** Calls of the stand-in of a router that need no socket: they take their time by a clock, one after the other. */
export class RouterCalls implements Pick<RouterRest, "call" | "close"> {
  /** The paths that were called. */
  readonly paths: string[] = [];
  isGone = false;
  policy: readonly string[] = WRITER;
  readonly #queue = new SerialQueue();
  readonly #router: Router;
  readonly #clock: Clock;
  readonly #callMs: number;

  constructor(router: Router, clock: Clock, callMs = CALL_MS) {
    this.#router = router;
    this.#clock = clock;
    this.#callMs = callMs;
  }

  call(method: string, path: string, body?: Readonly<Record<string, unknown>>): Promise<unknown> {
    return this.#queue.add(async () => {
      this.paths.push(path);
      await new Promise<void>((resolve) => void this.#clock.setTimer(resolve, this.#callMs));
      if (this.isGone) throw new RouterRefusal(null, "connect ECONNREFUSED");
      const sent = { method, path: `/rest/${path}`, body: body === undefined ? "" : JSON.stringify(body), policy: this.policy };
      const { status, value } = await serve(this.#router, sent);
      const plain: unknown = JSON.parse(JSON.stringify(value ?? null));
      if (status < 300) return plain;
      throw new RouterRefusal(status, String(Reflect.get(Object(plain), "detail") ?? ""));
    });
  }

  close(): void {}
}
