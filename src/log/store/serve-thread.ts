import { parentPort } from "node:worker_threads";
import type { Calls, Reply, Request } from "./thread.ts";

type Handlers<C extends Calls> = { readonly [K in keyof C]: (argument: C[K]["argument"]) => C[K]["result"] };

/** Within a worker thread: answers the calls of a `Thread`, one after the other. */
export function serveThread<C extends Calls>(handlers: Handlers<C>): void {
  const port = parentPort;
  if (port === null) throw new Error("this is no worker thread");
  port.on("message", (request: Request) => {
    port.postMessage(reply(handlers, request));
  });
}

function reply<C extends Calls>(handlers: Handlers<C>, { name, argument }: Request): Reply {
  const handler: ((argument: unknown) => unknown) | undefined = handlers[name];
  if (handler === undefined) return { error: `nothing is called ${name}` };
  try {
    return { result: handler(argument) };
  } catch (error) {
    return { error: error instanceof Error ? error.message : String(error) };
  }
}
