import { expect } from "vitest";
import { ERROR, FRAME, FRAME_FLAG, PREFACE } from "../../../src/listen/http2/frames.ts";
import { type HeaderField, HpackDecoder } from "../../../src/listen/http2/hpack.ts";
import type { Listeners } from "../../../src/listen/listeners.ts";
import { string } from "./hpack-blocks.ts";
import { connectRaw, type RawConnection } from "./raw.ts";
import { messageOf, openSite, portOf, type SiteOptions } from "./site.ts";

export interface RawFrame {
  readonly type: number;
  readonly flags: number;
  readonly streamId: number;
  readonly payload: Buffer;
}

/** A frame whole, be it allowed or not (RFC 9113 §4.1). */
export function frameOf(type: number, flags: number, streamId: number, payload: Uint8Array = new Uint8Array()): Buffer {
  const head = Buffer.alloc(9);
  head.writeUIntBE(payload.length, 0, 3);
  head.writeUInt8(type, 3);
  head.writeUInt8(flags, 4);
  head.writeUInt32BE(streamId, 5);
  return Buffer.concat([head, payload]);
}

export function uint32(value: number): Buffer {
  const bytes = Buffer.alloc(4);
  bytes.writeUInt32BE(value);
  return bytes;
}

/** Fields as literals, never indexed, nor compressed (RFC 7541 §6.2.2). */
export function literals(fields: readonly (readonly [name: string, value: string])[]): Buffer {
  return Buffer.concat(fields.flatMap(([name, value]) => [Buffer.of(0), string(name), string(value)]));
}

export type Fields = Readonly<Record<string, string>>;

/** The head of a request, with what every request has. */
export function headOf(fields: Fields): Buffer {
  return literals(Object.entries({ ":method": "GET", ":scheme": "http", ":authority": "localhost", ...fields }));
}

export const ERROR_NAMES = Object.fromEntries(Object.entries(ERROR).map(([name, code]) => [code, name]));

/** One HTTP/2 connection on which a test sends whatever frames it likes. */
export class RawHttp2 {
  readonly raw: RawConnection;
  readonly #decoder = new HpackDecoder({ tableBytes: 4096, maxListBytes: 65_536 });

  constructor(raw: RawConnection) {
    this.raw = raw;
  }

  send(...frames: readonly Uint8Array[]): this {
    this.raw.write(Buffer.concat(frames));
    return this;
  }

  async frame(): Promise<RawFrame> {
    const head = await this.raw.take(9);
    const payload = await this.raw.take(head.readUIntBE(0, 3));
    return { type: head.readUInt8(3), flags: head.readUInt8(4), streamId: head.readUInt32BE(5), payload };
  }

  /** The next frame of this type; others are left out. */
  async next(type: number): Promise<RawFrame> {
    for (;;) {
      const frame = await this.frame();
      // Blocks hang together whether somebody reads them or not.
      const fields = frame.type === FRAME.HEADERS ? this.#decoder.decode(frame.payload) : null;
      if (frame.type === type) {
        if (fields !== null) this.fields = fields;
        return frame;
      }
    }
  }

  /** Of the HEADERS frame that `next` gave last. */
  fields: readonly HeaderField[] = [];

  /** By what code the server ends the connection, or this stream. */
  async errorOf(streamId: number | "connection"): Promise<string | undefined> {
    const frame = await this.next(streamId === "connection" ? FRAME.GOAWAY : FRAME.RST_STREAM);
    return ERROR_NAMES[frame.payload.readUInt32BE(streamId === "connection" ? 4 : 0)];
  }

  /** The status and the body of the next response, which is the next to begin and to end. */
  async response(): Promise<{ readonly streamId: number; readonly status: string | undefined; readonly body: Uint8Array }> {
    const { flags, streamId } = await this.next(FRAME.HEADERS);
    const status = this.fields.find(({ name }) => name === ":status")?.value;
    const parts: Buffer[] = [];
    for (let over = (flags & FRAME_FLAG.END_STREAM) !== 0; !over; ) {
      const data = await this.next(FRAME.DATA);
      parts.push(data.payload);
      over = (data.flags & FRAME_FLAG.END_STREAM) !== 0;
    }
    return { streamId, status, body: new Uint8Array(Buffer.concat(parts)) };
  }
}

/** Connects, and sends the preface and these settings. */
export async function connectHttp2Raw(
  port: number,
  settings: readonly (readonly [setting: number, value: number])[] = [],
): Promise<RawHttp2> {
  const raw = await connectRaw(port);
  raw.socket.setNoDelay(true);
  const payload = Buffer.concat(settings.map(([setting, value]) => Buffer.concat([uint32(setting).subarray(2), uint32(value)])));
  raw.write(PREFACE).write(frameOf(FRAME.SETTINGS, 0, 0, payload));
  return new RawHttp2(raw);
}

/** The same on a site of its own. */
export async function openedHttp2(
  settings: Parameters<typeof connectHttp2Raw>[1] = [],
  options: SiteOptions = {},
): Promise<{ readonly site: Listeners; readonly client: RawHttp2 }> {
  const site = await openSite(options);
  return { site, client: await connectHttp2Raw(portOf(site, "http"), settings) };
}

/** Asks for a message with this id. */
export const pathOf = (id: number): string => `/dns-query?dns=${Buffer.from(messageOf(id)).toString("base64url")}`;

/** A whole request without a body. */
export const get = (streamId: number, fields: Fields = {}): Buffer =>
  frameOf(
    FRAME.HEADERS,
    FRAME_FLAG.END_HEADERS | FRAME_FLAG.END_STREAM,
    streamId,
    headOf({ ":path": pathOf(streamId), ...fields }),
  );

/** The head of a request whose body is to come. */
export const post = (streamId: number, fields: Fields = {}): Buffer =>
  frameOf(
    FRAME.HEADERS,
    FRAME_FLAG.END_HEADERS,
    streamId,
    headOf({ ":method": "POST", ":path": "/dns-query", "content-type": "application/dns-message", ...fields }),
  );

/** The session lives: a further question is answered. */
export async function expectAnswer(client: RawHttp2, streamId: number): Promise<void> {
  expect(await client.send(get(streamId)).response()).toEqual({ streamId, status: "200", body: messageOf(streamId) });
}
