import { serveThread } from "../../../src/lib/worker.ts";

export type SleeperCalls = {
  readonly echo: { readonly argument: string; readonly result: string };
  readonly block: { readonly argument: SharedArrayBuffer; readonly result: null };
  readonly fail: { readonly argument: string; readonly result: never };
  readonly exit: { readonly argument: null; readonly result: never };
};

/** A thread that does what a test wants of it. */
serveThread<SleeperCalls>({
  echo: (text) => text,
  // Like a call of SQLite it cannot be interrupted: the flag ends it.
  block: (flag) => {
    Atomics.wait(new Int32Array(flag), 0, 0);
    return null;
  },
  fail: (message) => {
    throw new Error(message);
  },
  exit: () => process.exit(3),
});
