import { type Signal, signal } from "@preact/signals";
import { heardAt, isGone, session } from "./call.ts";
import type { Health, QueryRecord } from "./calls.ts";

/** What the server tells of: a page then asks for it again. */
export type Topic = "health" | "problems" | "config";

/** Whether the server tells of changes at present; where it does not, pages ask again and again. */
export const isLive = signal(false);

/** Rises when something of the topic has changed. */
export const changed: Readonly<Record<Topic, Signal<number>>> = {
  health: signal(0),
  problems: signal(0),
  config: signal(0),
};

/** What the server last said of itself; null = nothing yet. */
export const health = signal<Health | null>(null);

/** Who wants records as they come. */
export interface RecordReader {
  /** Filters as parameters of the call. */
  readonly query: URLSearchParams;
  readonly onRecord: (record: QueryRecord) => void;
  /** Told how many more there were. */
  readonly onLeftOut: (count: number) => void;
}

/** What changes all the time is asked for once in so long. */
const SETTLE_MS = 2000;
/** The server shows every five seconds that it is there. */
const SILENCE_MS = 16_000;
const FIRST_RETRY_MS = 1000;
const LAST_RETRY_MS = 30_000;

/**
 * The one stream of this tab: browsers open six connections to a server for all tabs together. It is closed while nobody sees the tab. `EventSource` comes
 * again by itself where a connection ends; where the server refuses, or falls silent, another one is opened.
 */
class Events {
  #source: EventSource | null = null;
  #reader: RecordReader | null = null;
  #retryMs = FIRST_RETRY_MS;
  #retry: ReturnType<typeof setTimeout> | undefined;
  #watchdog: ReturnType<typeof setTimeout> | undefined;
  readonly #settling = new Map<Topic, ReturnType<typeof setTimeout> | "asked">();

  start(): void {
    document.addEventListener("visibilitychange", () => this.open());
    // Signing in makes the server willing.
    session.subscribe(() => this.open());
  }

  /** @param reader null = no records are wanted. */
  read(reader: RecordReader | null): void {
    if (reader === this.#reader) return;
    this.#reader = reader;
    this.open();
  }

  /** @returns whether this reader was the present one. */
  stopReading(reader: RecordReader): void {
    if (this.#reader === reader) this.read(null);
  }

  open(): void {
    this.#close();
    if (document.hidden) return;
    const reader = this.#reader;
    const query = new URLSearchParams(reader?.query);
    query.set("topics", `health,problems,config${reader === null ? "" : ",queries"}`);
    const source = new EventSource(`/api/v1/events?${query}`);
    this.#source = source;
    source.onopen = () => {
      isLive.value = true;
      this.#retryMs = FIRST_RETRY_MS;
      this.#heard();
      // What changed while nobody told is asked for.
      this.#change("problems");
      this.#change("config");
    };
    source.onerror = () => {
      isLive.value = false;
      if (source.readyState === EventSource.CLOSED) this.#openLater();
    };
    this.#on<Health>(source, "health", (data) => {
      health.value = data;
      this.#change("health");
    });
    this.#on(source, "problems", () => this.#change("problems"));
    this.#on(source, "config", () => this.#change("config"));
    this.#on(source, "alive", () => {});
    if (reader === null) return;
    this.#on<QueryRecord>(source, "message", reader.onRecord);
    this.#on<{ readonly records: number | null }>(source, "dropped", ({ records }) => reader.onLeftOut(records ?? 0));
  }

  #on<T>(source: EventSource, event: string, listener: (data: T) => void): void {
    source.addEventListener(event, ({ data }) => {
      this.#heard();
      listener(JSON.parse(data));
    });
  }

  #heard(): void {
    heardAt.value = Date.now();
    isGone.value = false;
    clearTimeout(this.#watchdog);
    this.#watchdog = setTimeout(() => {
      isLive.value = false;
      this.open();
    }, SILENCE_MS);
  }

  #change(topic: Topic): void {
    const state = this.#settling.get(topic);
    if (state !== undefined) {
      this.#settling.set(topic, "asked");
      return;
    }
    changed[topic].value++;
    const settle = () => {
      const again = this.#settling.get(topic) === "asked";
      this.#settling.delete(topic);
      if (again) this.#change(topic);
    };
    this.#settling.set(topic, setTimeout(settle, SETTLE_MS));
  }

  #openLater(): void {
    clearTimeout(this.#retry);
    this.#retry = setTimeout(() => this.open(), this.#retryMs);
    this.#retryMs = Math.min(this.#retryMs * 2, LAST_RETRY_MS);
  }

  #close(): void {
    clearTimeout(this.#retry);
    clearTimeout(this.#watchdog);
    this.#source?.close();
    this.#source = null;
    isLive.value = false;
  }
}

export const events = new Events();
