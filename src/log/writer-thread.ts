import { serveThread } from "../lib/worker.ts";
import { faultOf, quarantine, removeJournal, StoreError } from "./database.ts";
import { recordsIn } from "./packing.ts";
import { Store } from "./store.ts";
import type { CallOutcome, Clearing, WriterCalls } from "./writer.ts";

/**
 * A thread that is woken may take the processor from the one that wakes it for a slice of some milliseconds, and with it an answer's time. From this on
 * Linux does not think it urgent. Where the processor is short all the time, a thirtieth is left for it, and records are dropped.
 */
const NICER = 15;

let store: Store | null = null;

serveThread<WriterCalls>(
  {
    open: ({ options, clearing, wallMs }) =>
      attempt(() => {
        closeStore();
        const aside = clear(options.path, clearing, wallMs);
        store = new Store(options);
        return { aside };
      }),
    insert: (chunks) =>
      attempt(() => {
        const { refused, partClosed } = opened().insert(chunks.flatMap(recordsIn));
        return { refused: refused.length, why: refused.length === 0 ? null : faultOf(refused[0]).reason, due: partClosed };
      }),
    tidy: (nowWallMs) => attempt(() => ({ due: opened().tidy(nowWallMs) })),
    close: () => {
      closeStore();
      return null;
    },
  },
  NICER,
);

function attempt<T extends object>(work: () => T): CallOutcome<T> {
  try {
    const result = work();
    return { fault: null, state: opened().state(), ...result };
  } catch (error) {
    return { fault: faultOf(error) };
  }
}

function clear(path: string, clearing: Clearing, wallMs: number): string | null {
  if (clearing === "damaged" || clearing === "outdated") return quarantine(path, clearing, wallMs);
  if (clearing === "moved") removeJournal(path);
  return null;
}

function opened(): Store {
  if (store === null) throw new StoreError("thread", "the thread of the store came to an end");
  return store;
}

function closeStore(): void {
  const closing = store;
  store = null;
  closing?.close();
}
