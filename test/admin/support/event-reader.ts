import { onTestFinished } from "vitest";

export interface ServerEvent {
  readonly event: string;
  readonly id: string | null;
  readonly data: unknown;
}

/** Reads Server-Sent Events one by one, and reads no further than the requested event. */
export class EventReader {
  readonly response: Response;
  readonly #reader: ReadableStreamDefaultReader<Uint8Array>;
  readonly #decoder = new TextDecoder();
  #text = "";
  /** The number of skipped comments. */
  comments = 0;

  constructor(response: Response) {
    this.response = response;
    if (response.body === null) throw new Error("there is no body");
    this.#reader = response.body.getReader();
    onTestFinished(() => this.close());
  }

  static async open(url: string, headers: Readonly<Record<string, string>> = {}): Promise<EventReader> {
    const reader = new EventReader(await fetch(url, { headers }));
    if (reader.response.status !== 200) throw new Error(`status ${reader.response.status}`);
    return reader;
  }

  /** The next event; null = the stream ended. */
  async next(): Promise<ServerEvent | null> {
    for (;;) {
      const end = this.#text.indexOf("\n\n");
      if (end === -1) {
        const { value, done } = await this.#reader.read();
        if (done) return null;
        this.#text += this.#decoder.decode(value, { stream: true });
        continue;
      }
      const event = eventOf(this.#text.slice(0, end));
      this.#text = this.#text.slice(end + 2);
      if (event === null) this.comments++;
      else return event;
    }
  }

  async take(count: number): Promise<readonly (ServerEvent | null)[]> {
    const events: (ServerEvent | null)[] = [];
    while (events.length < count) events.push(await this.next());
    return events;
  }

  async close(): Promise<void> {
    await this.#reader.cancel().catch(() => {});
  }
}

/** null for a block that is no event: a comment, or a `retry` time. */
function eventOf(text: string): ServerEvent | null {
  const fields = new Map(text.split("\n").map((line) => [line.slice(0, line.indexOf(":")), line.slice(line.indexOf(":") + 2)]));
  const data = fields.get("data");
  return data === undefined
    ? null
    : { event: fields.get("event") ?? "message", id: fields.get("id") ?? null, data: JSON.parse(data) };
}
