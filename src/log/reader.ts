import type { Clock } from "../lib/clock.ts";
import { unreachable } from "../lib/unreachable.ts";
import { Thread, ThreadError } from "../lib/worker.ts";
import type { Fault } from "./database.ts";
import type { ExportFormat } from "./export.ts";
import type { Page, PageRequest, QueryFilter } from "./filter.ts";
import type { RecordText } from "./record.ts";
import type { FoundRecord } from "./rows.ts";
import type { Volume, VolumeRequest } from "./search.ts";
import type { Summary, SummaryRequest } from "./summary.ts";

/** Why nothing could be read. */
export class ReadError extends Error {
  /** `unavailable`: the store cannot be read now. `slow`: it took too long, or too many want to read. `invalid`: the request is wrong. */
  readonly kind: "unavailable" | "slow" | "invalid";

  constructor(kind: ReadError["kind"], message: string) {
    super(message);
    this.name = "ReadError";
    this.kind = kind;
  }
}

/** For a call and all that wait before it. Searches give what they have after a part of it, so what exceeds it hangs. */
const CALL_MS = 10_000;

const MAX_WAITING = 32;

/** Types are stripped from sources, not from what was built of them. */
const THREAD = import.meta.url.endsWith(".ts")
  ? new URL("./reader-thread.ts", import.meta.url)
  : new URL("./reader-thread.js", import.meta.url);

/** Reads the store in a thread of its own, so that a search never delays what is added. */
export class Reader {
  readonly #thread: Thread<ReaderCalls>;
  readonly #damaged: (fault: Fault) => void;
  #readings = 0;

  /** @param damaged is told that the file is no longer whole. */
  constructor(path: string, { clock, damaged }: { readonly clock: Clock; readonly damaged: (fault: Fault) => void }) {
    this.#thread = new Thread(THREAD, { clock, deadlineMs: CALL_MS, maxWaiting: MAX_WAITING, workerData: path });
    this.#damaged = damaged;
  }

  /** @throws ReadError, as all of these do. */
  search(request: PageRequest): Promise<Page<RecordText>> {
    return this.#read("search", request);
  }

  get(id: number): Promise<FoundRecord | null> {
    return this.#read("get", id);
  }

  /** Everything that fits, newest first, in this format; a text may be empty. Ends early when the signal aborts. */
  async *read(filter: QueryFilter, format: ExportFormat, signal: AbortSignal): AsyncGenerator<string, void, undefined> {
    const reading = this.#readings++;
    try {
      for (let begin: Reading | null = { filter, format }; !signal.aborted; begin = null) {
        const batch = await this.#read("next", { reading, begin });
        if (batch === null) return;
        yield batch;
      }
    } finally {
      // It may be gone with its thread.
      void this.#thread.call("end", reading).catch(() => null);
    }
  }

  summary(request: SummaryRequest): Promise<Summary> {
    return this.#read("summary", request);
  }

  volume(request: VolumeRequest): Promise<Volume> {
    return this.#read("volume", request);
  }

  /** Every version of configuration and lists that a record bears. */
  versions(): Promise<readonly string[]> {
    return this.#read("versions", null);
  }

  close(): Promise<void> {
    return this.#thread.close();
  }

  async #read<K extends Exclude<keyof ReaderCalls, "end">>(name: K, argument: ReaderCalls[K]["argument"]): Promise<ValueOf<K>> {
    const read = await this.#thread.call(name, argument).catch((error: unknown) => {
      throw readErrorOf(error);
    });
    switch (read.kind) {
      case "value":
        // The compiler does not follow the connection between a call and its result through `K`.
        return read.value as ValueOf<K>;
      case "invalid":
        throw new ReadError("invalid", read.reason);
      case "fault":
        if (read.fault.kind === "damaged") this.#damaged(read.fault);
        throw new ReadError("unavailable", cannotRead(read.fault.reason));
      default:
        return unreachable(read);
    }
  }
}

type ValueOf<K extends keyof ReaderCalls> = Extract<ReaderCalls[K]["result"], { readonly kind: "value" }>["value"];

/** What the failure of a thread comes to for who reads. */
export function readErrorOf(error: unknown): unknown {
  if (!(error instanceof ThreadError)) return error;
  return new ReadError(error.kind === "slow" || error.kind === "busy" ? "slow" : "unavailable", cannotRead(error.message));
}

function cannotRead(reason: string): string {
  return `the query log cannot be read: ${reason}`;
}

/** What the thread that reads can be asked. */
export type ReaderCalls = {
  readonly search: { readonly argument: PageRequest; readonly result: Read<Page<RecordText>> };
  readonly get: { readonly argument: number; readonly result: Read<FoundRecord | null> };
  /** The text of the next records of a reading, which the first call begins; null = there are no more. */
  readonly next: {
    readonly argument: { readonly reading: number; readonly begin: Reading | null };
    readonly result: Read<string | null>;
  };
  /** Forgets a reading. */
  readonly end: { readonly argument: number; readonly result: null };
  readonly summary: { readonly argument: SummaryRequest; readonly result: Read<Summary> };
  readonly volume: { readonly argument: VolumeRequest; readonly result: Read<Volume> };
  readonly versions: { readonly argument: null; readonly result: Read<readonly string[]> };
};

export interface Reading {
  readonly filter: QueryFilter;
  readonly format: ExportFormat;
}

/** What was read, or why nothing was: the store's fault, or the caller's. */
export type Read<T> =
  | { readonly kind: "value"; readonly value: T }
  | { readonly kind: "fault"; readonly fault: Fault }
  | { readonly kind: "invalid"; readonly reason: string };
