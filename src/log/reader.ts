import type { Clock } from "../lib/clock.ts";
import { unreachable } from "../lib/unreachable.ts";
import { Thread, ThreadError } from "../lib/worker.ts";
import type { Fault } from "./database.ts";
import type { ExportFormat } from "./export.ts";
import type { Page, PageRequest, QueryFilter } from "./filter.ts";
import type { RecordText } from "./record.ts";
import type { FoundRecord } from "./rows.ts";
import type { SliceBudget, Volume, VolumeRequest } from "./search.ts";
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

/** For a call and all that wait before it. Whatever reads much does so in slices, so what exceeds this hangs. */
const CALL_MS = 10_000;

const MAX_WAITING = 32;

/** Between two slices others have their turn. */
const SLICE: SliceBudget = { budgetMs: 250, lookupMs: 1000 };

/** How long is searched for a page, and counted for a volume; what was found by then is given. People see a page within three seconds. */
const WITHIN_MS = { search: 2500, volume: 3000 } as const;

/** Types are stripped from sources, not from what was built of them. */
const THREAD = import.meta.url.endsWith(".ts")
  ? new URL("./reader-thread.ts", import.meta.url)
  : new URL("./reader-thread.js", import.meta.url);

interface ReaderOptions {
  readonly clock: Clock;
  /** Is told that the file is no longer whole. */
  readonly damaged: (fault: Fault) => void;
  readonly slice?: SliceBudget;
}

/** Reads the store in a thread of its own, so that a search never delays what is added. */
export class Reader {
  readonly #thread: Thread<ReaderCalls>;
  readonly #clock: Clock;
  readonly #damaged: (fault: Fault) => void;
  readonly #slice: SliceBudget;
  #readings = 0;

  constructor(path: string, { clock, damaged, slice = SLICE }: ReaderOptions) {
    const workerData: ReaderData = { path, slice };
    this.#thread = new Thread(THREAD, { clock, deadlineMs: CALL_MS, maxWaiting: MAX_WAITING, workerData });
    this.#clock = clock;
    this.#damaged = damaged;
    this.#slice = slice;
  }

  /**
   * @param signal aborts when nobody waits for the page any more: it ends as it is then.
   * @throws ReadError, as all of these do.
   */
  search(request: PageRequest, signal?: AbortSignal): Promise<Page<RecordText>> {
    return this.#readWithin(WITHIN_MS.search, signal, (reading, isFirst) =>
      this.#read("search", { reading, begin: isFirst ? request : null }),
    );
  }

  get(id: number): Promise<FoundRecord | null> {
    return this.#read("get", id);
  }

  /** Everything that fits, newest first, in this format; a text may be empty. Ends early when the signal aborts. */
  async *read(filter: QueryFilter, format: ExportFormat, signal: AbortSignal): AsyncGenerator<string, void, undefined> {
    const reading = this.#readings++;
    try {
      for (let begin: Export | null = { filter, format }; !signal.aborted; begin = null) {
        const { value, isLast } = await this.#read("export", { reading, begin });
        yield value;
        if (isLast) return;
      }
    } finally {
      this.#end(reading);
    }
  }

  summary(request: SummaryRequest): Promise<Summary> {
    return this.#read("summary", request);
  }

  /** @param signal as for a search. */
  volume(request: VolumeRequest, signal?: AbortSignal): Promise<Volume> {
    return this.#readWithin(WITHIN_MS.volume, signal, (reading, isFirst) =>
      this.#read("volume", { reading, begin: isFirst ? request : null }),
    );
  }

  /** Every version of configuration and lists that a record bears. */
  versions(): Promise<readonly string[]> {
    return this.#read("versions", null);
  }

  close(): Promise<void> {
    return this.#thread.close();
  }

  /** Slice by slice, as far as the time reaches; the first slice in any case. */
  async #readWithin<T>(
    withinMs: number,
    signal: AbortSignal | undefined,
    next: (reading: number, isFirst: boolean) => Promise<Slice<T>>,
  ): Promise<T> {
    const reading = this.#readings++;
    const lastMs = this.#clock.now() + withinMs - this.#slice.budgetMs;
    for (let isFirst = true; ; isFirst = false) {
      const { value, isLast } = await next(reading, isFirst);
      if (isLast) return value;
      if (signal?.aborted !== true && this.#clock.now() < lastMs) continue;
      this.#end(reading);
      return value;
    }
  }

  #end(reading: number): void {
    // It may be gone with its thread.
    void this.#thread.call("end", reading).catch(() => null);
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

export interface ReaderData {
  readonly path: string;
  readonly slice: SliceBudget;
}

/** What the thread that reads can be asked. */
export type ReaderCalls = {
  readonly search: Sliced<PageRequest, Page<RecordText>>;
  readonly volume: Sliced<VolumeRequest, Volume>;
  /** Each slice has the text of further records. */
  readonly export: Sliced<Export, string>;
  readonly get: { readonly argument: number; readonly result: Read<FoundRecord | null> };
  /** Forgets a reading that is under way. */
  readonly end: { readonly argument: number; readonly result: null };
  readonly summary: { readonly argument: SummaryRequest; readonly result: Read<Summary> };
  readonly versions: { readonly argument: null; readonly result: Read<readonly string[]> };
};

/** A reading that takes as many calls as it has slices; only the first has a request. */
interface Sliced<Request, Value> {
  readonly argument: { readonly reading: number; readonly begin: Request | null };
  readonly result: Read<Slice<Value>>;
}

export interface Slice<Value> {
  readonly value: Value;
  readonly isLast: boolean;
}

export interface Export {
  readonly filter: QueryFilter;
  readonly format: ExportFormat;
}

/** What was read, or why nothing was: the store's fault, or the caller's. */
export type Read<T> =
  | { readonly kind: "value"; readonly value: T }
  | { readonly kind: "fault"; readonly fault: Fault }
  | { readonly kind: "invalid"; readonly reason: string };
