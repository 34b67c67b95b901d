import { getPriority, setPriority } from "node:os";
import { parentPort } from "node:worker_threads";
import { errorText } from "../../error-text.ts";
import type { Calls, Reply, Request } from "./thread.ts";

type Handlers<C extends Calls> = { readonly [K in keyof C]: (argument: C[K]["argument"]) => C[K]["result"] };

/** Where the processor is short, a third of what the thread that answers gets. */
const NICER = 5;

/**
 * Within a worker thread: does the calls of a `Thread`, one after the other.
 * @param nicer than the rest of the process, 0 to 19: Linux gives a thread less of a short processor by about a fifth with each.
 */
export function serveThread<C extends Calls>(handlers: Handlers<C>, nicer: number = NICER): void {
  const port = parentPort;
  if (port === null) throw new Error("this is no worker thread");
  giveWay(nicer);
  port.on("message", (request: Request) => {
    port.postMessage(reply(handlers, request));
  });
}

/** On Linux a priority is a thread's own, elsewhere it is the whole process's. */
function giveWay(nicer: number): void {
  if (process.platform !== "linux") return;
  try {
    setPriority(0, Math.min(19, getPriority(0) + nicer));
  } catch {
    // Not permitted here: it works as well, only not as politely.
  }
}

function reply<C extends Calls>(handlers: Handlers<C>, { name, argument }: Request): Reply {
  const handler: ((argument: unknown) => unknown) | undefined = handlers[name];
  if (handler === undefined) return { error: `nothing is called ${name}` };
  try {
    return { result: handler(argument) };
  } catch (error) {
    return { error: errorText(error) };
  }
}
