import type { Socket } from "node:net";
import type { Clock } from "../../lib/clock.ts";
import {
  ConnectionError,
  ERROR,
  type ErrorCode,
  FRAME,
  FRAME_BYTES,
  FRAME_FLAG,
  type Frame,
  FrameReader,
  goawayFrame,
  INITIAL_TABLE_BYTES,
  INITIAL_WINDOW_BYTES,
  MAX_WINDOW_BYTES,
  pingAck,
  readUint31,
  readUint32,
  resetFrame,
  SETTING,
  SETTINGS_ACK,
  settingsFrame,
  unpadded,
  windowUpdateFrame,
} from "./frames.ts";
import { encodeFields, type HeaderField, HpackDecoder } from "./hpack.ts";
import { HpackError } from "./huffman.ts";
import { FrameOutput } from "./output.ts";
import { areTrailers, Http2Stream, requestFields, type StreamOwner, type StreamResponse } from "./request.ts";

interface SessionOptions {
  readonly clock: Clock;
  /** Streams that may be open at once. */
  readonly maxStreams: number;
  /** Of one request, as RFC 9113 §6.5.2 counts them. */
  readonly maxHeaderListBytes: number;
  /** With so much on its way to a client that does not read, nothing more is read from it. */
  readonly backlogBytes: number;
}

interface SessionEvents {
  /** `sink` is to be set at once where the request has a body; all else may come later. */
  request(stream: Http2Stream): void;
  /** A stream began or ended, or bytes went out: deadlines may have moved. */
  moved(): void;
}

/**
 * The server's side of one HTTP/2 connection (RFC 9113) whose preface has been read: header compression, flow control, and what a peer may
 * not do. It never pushes, and has no use for priorities.
 */
export class Http2Session implements StreamOwner {
  readonly #options: SessionOptions;
  readonly #events: SessionEvents;
  readonly #reader = new FrameReader();
  readonly #blocks: HeaderBlocks;
  readonly #out: FrameOutput;
  readonly #conduct: FloodGuard;
  /** Open, the oldest first. */
  readonly #streams = new Map<number, Http2Stream>();
  #peer: PeerSettings = INITIAL_SETTINGS;
  /** The client's first SETTINGS have come. */
  #greeted = false;
  #lastStreamId = 0;
  /** The last one before the farewell, after which none is taken. */
  #lastTakenId = 0;
  #receiveWindow = INITIAL_WINDOW_BYTES;
  #sendWindow = INITIAL_WINDOW_BYTES;
  /** No further stream is taken. */
  #finishing = false;
  /** Nothing more is read or sent. */
  #over = false;

  constructor(socket: Socket, options: SessionOptions, events: SessionEvents) {
    this.#options = options;
    this.#events = events;
    this.#blocks = new HeaderBlocks(options.maxHeaderListBytes);
    this.#conduct = new FloodGuard(options.clock, options.maxStreams);
    this.#out = new FrameOutput(socket, options, () => events.moved());
    // A client that ends its side of an HTTP/2 connection is gone.
    socket.allowHalfOpen = false;
    socket.on("data", (chunk: Buffer) => this.#take(chunk));
    socket.on("close", () => this.#end());
    this.#out.write(
      settingsFrame([
        [SETTING.MAX_CONCURRENT_STREAMS, options.maxStreams],
        [SETTING.MAX_HEADER_LIST_SIZE, options.maxHeaderListBytes],
      ]),
    );
    socket.resume();
  }

  /** When the oldest stream that is open began; null = none is open. */
  get oldestBegunMs(): number | null {
    const [oldest] = this.#streams.values();
    return oldest?.begunMs ?? null;
  }

  get streams(): Iterable<Http2Stream> {
    return this.#streams.values();
  }

  /** Bytes of answers that the client has not read, as far as we know. */
  get unreadBytes(): number {
    let unsent = 0;
    for (const stream of this.#streams.values()) unsent += stream.unsent?.length ?? 0;
    return unsent + this.#out.octets;
  }

  /** Since when the client has read nothing of what waits for it; null = nothing waits. */
  get backlogSinceMs(): number | null {
    return this.#out.backlogSinceMs;
  }

  /** Nothing more is said or heard: what is left is that the client takes what was written, and closes. */
  get isOver(): boolean {
    return this.#over;
  }

  /** Tells the client to open no further stream, and closes the connection when those that are open have ended. May be called again. */
  finish(): void {
    if (this.#finishing || this.#over) return;
    this.#finishing = true;
    this.#out.write(goawayFrame(this.#lastTakenId, ERROR.NO_ERROR));
    this.#closeIfDone();
  }

  respond(stream: Http2Stream, { status, headers, body }: StreamResponse): void {
    const fields = Object.entries(headers).map(([name, value]) => ({ name, value }));
    const block = this.#blocks.encode([{ name: ":status", value: String(status) }, ...fields]);
    const end = body.length === 0 ? FRAME_FLAG.END_STREAM : 0;
    this.#out.frame(FRAME.HEADERS, { flags: FRAME_FLAG.END_HEADERS | end, streamId: stream.id }, block);
    if (body.length === 0) {
      this.#answered(stream);
      return;
    }
    stream.unsent = body;
    this.#send(stream);
  }

  reset(stream: Http2Stream, code: ErrorCode): void {
    this.#out.write(resetFrame(stream.id, code));
    this.#conduct.cutShort(stream.id);
    this.#drop(stream);
  }

  #take(chunk: Buffer): void {
    if (this.#over) return;
    try {
      this.#reader.push(chunk);
      for (let frame = this.#reader.next(); frame !== null && !this.#over; frame = this.#reader.next()) this.#receive(frame);
    } catch (error) {
      if (!(error instanceof ConnectionError)) throw error;
      this.#out.write(goawayFrame(this.#lastTakenId, error.code));
      this.#end();
    }
  }

  #receive(frame: Frame): void {
    if (!this.#greeted && (frame.type !== FRAME.SETTINGS || (frame.flags & FRAME_FLAG.ACK) !== 0))
      throw new ConnectionError(ERROR.PROTOCOL_ERROR, "no SETTINGS at the beginning (§3.4)");
    if (this.#blocks.isOpen && frame.type !== FRAME.CONTINUATION)
      throw new ConnectionError(ERROR.PROTOCOL_ERROR, "a frame within a header block (§4.3)");
    switch (frame.type) {
      case FRAME.DATA:
        this.#receiveData(frame);
        return;
      case FRAME.HEADERS:
      case FRAME.CONTINUATION:
        this.#receiveHeaders(frame);
        return;
      case FRAME.RST_STREAM:
        this.#receiveReset(frame);
        return;
      case FRAME.SETTINGS:
        this.#receiveSettings(frame);
        return;
      case FRAME.WINDOW_UPDATE:
        this.#receiveWindowUpdate(frame);
        return;
      case FRAME.PING:
        demand(frame.streamId === 0, ERROR.PROTOCOL_ERROR);
        demand(frame.payload.length === 8, ERROR.FRAME_SIZE_ERROR);
        if ((frame.flags & FRAME_FLAG.ACK) === 0) this.#out.write(pingAck(frame.payload));
        return;
      case FRAME.GOAWAY:
        demand(frame.streamId === 0, ERROR.PROTOCOL_ERROR);
        this.finish();
        return;
      case FRAME.PRIORITY:
        demand(frame.streamId !== 0, ERROR.PROTOCOL_ERROR);
        demand(frame.payload.length === 5, ERROR.FRAME_SIZE_ERROR);
        return;
      case FRAME.PUSH_PROMISE:
        throw new ConnectionError(ERROR.PROTOCOL_ERROR, "a client that pushes");
      default:
        // §5.5: frames of unknown types are left aside.
        return;
    }
  }

  #receiveHeaders(frame: Frame): void {
    const block = this.#blocks.take(frame);
    if (block === null) return;
    const stream = this.#streams.get(block.streamId);
    if (stream !== undefined) this.#receiveTrailers(stream, block);
    else if (block.streamId > this.#lastStreamId) this.#begin(block);
    else this.#conduct.demandExcuse(block.streamId);
  }

  #begin({ streamId, hasEnded, fields }: ReceivedBlock): void {
    this.#lastStreamId = streamId;
    if (this.#finishing) {
      this.#conduct.cutShort(streamId);
      return;
    }
    this.#lastTakenId = streamId;
    const request = fields === null ? null : requestFields(fields);
    const isWhole = !hasEnded || (request?.contentLength ?? 0) === 0;
    const isMalformed = fields !== null && (request === null || !isWhole);
    if (isMalformed || this.#streams.size >= this.#options.maxStreams) {
      this.#conduct.countReset();
      this.#out.write(resetFrame(streamId, isMalformed ? ERROR.PROTOCOL_ERROR : ERROR.REFUSED_STREAM));
      this.#conduct.cutShort(streamId);
      return;
    }
    const stream = new Http2Stream(streamId, this, {
      fields: request,
      begunMs: this.#options.clock.now(),
      hasEnded,
      sendWindow: this.#peer.initialWindowBytes,
    });
    this.#streams.set(streamId, stream);
    if (request?.expectsContinue === true && !hasEnded) {
      const block = this.#blocks.encode([{ name: ":status", value: "100" }]);
      this.#out.frame(FRAME.HEADERS, { flags: FRAME_FLAG.END_HEADERS, streamId }, block);
    }
    this.#events.request(stream);
    this.#events.moved();
  }

  #receiveTrailers(stream: Http2Stream, { hasEnded, fields }: ReceivedBlock): void {
    if (stream.hasEnded) this.#blame(stream, ERROR.STREAM_CLOSED);
    else if (!hasEnded || fields === null || !areTrailers(fields)) this.#blame(stream, ERROR.PROTOCOL_ERROR);
    else this.#endBody(stream);
  }

  #receiveData({ streamId, flags, payload }: Frame): void {
    demand(streamId !== 0, ERROR.PROTOCOL_ERROR);
    this.#receiveWindow -= payload.length;
    const content = unpadded(payload, { isPadded: (flags & FRAME_FLAG.PADDED) !== 0, before: 0 });
    // All is taken at once, and bounded by whoever reads the body. No frame is larger than the half of a window that is always left.
    if (this.#receiveWindow < INITIAL_WINDOW_BYTES / 2) {
      this.#out.write(windowUpdateFrame(0, INITIAL_WINDOW_BYTES - this.#receiveWindow));
      this.#receiveWindow = INITIAL_WINDOW_BYTES;
    }
    const stream = this.#known(streamId);
    if (stream === null) {
      this.#conduct.demandExcuse(streamId);
      return;
    }
    stream.receiveWindow -= payload.length;
    if (stream.hasEnded) {
      this.#blame(stream, ERROR.STREAM_CLOSED);
      return;
    }
    stream.received += content.length;
    if (content.length > 0) stream.sink?.take(content);
    if ((flags & FRAME_FLAG.END_STREAM) !== 0) this.#endBody(stream);
    else if (stream.receiveWindow < INITIAL_WINDOW_BYTES / 2 && !stream.closed) {
      this.#out.write(windowUpdateFrame(streamId, INITIAL_WINDOW_BYTES - stream.receiveWindow));
      stream.receiveWindow = INITIAL_WINDOW_BYTES;
    }
  }

  #endBody(stream: Http2Stream): void {
    const { fields, received } = stream;
    // RFC 9113 §8.1.1
    if (fields !== null && fields.contentLength !== null && fields.contentLength !== received) {
      this.#blame(stream, ERROR.PROTOCOL_ERROR);
      return;
    }
    stream.hasEnded = true;
    stream.sink?.end();
  }

  #receiveReset({ streamId, payload }: Frame): void {
    demand(payload.length === 4, ERROR.FRAME_SIZE_ERROR);
    demand(streamId !== 0, ERROR.PROTOCOL_ERROR);
    const stream = this.#known(streamId);
    this.#conduct.countReset();
    if (stream !== null) this.#drop(stream);
  }

  #receiveSettings({ streamId, flags, payload }: Frame): void {
    demand(streamId === 0, ERROR.PROTOCOL_ERROR);
    this.#greeted = true;
    if ((flags & FRAME_FLAG.ACK) !== 0) {
      demand(payload.length === 0, ERROR.FRAME_SIZE_ERROR);
      return;
    }
    const before = this.#peer;
    this.#peer = settingsAfter(before, payload);
    // §6.9.2: the windows of streams that are open change along.
    const change = this.#peer.initialWindowBytes - before.initialWindowBytes;
    for (const stream of this.#streams.values()) {
      stream.sendWindow += change;
      demand(stream.sendWindow <= MAX_WINDOW_BYTES, ERROR.FLOW_CONTROL_ERROR);
    }
    if (this.#peer.tableOctets < INITIAL_TABLE_BYTES) this.#blocks.tableMustShrink();
    this.#out.write(SETTINGS_ACK);
    this.#sendAll();
  }

  #receiveWindowUpdate({ streamId, payload }: Frame): void {
    demand(payload.length === 4, ERROR.FRAME_SIZE_ERROR);
    const octets = readUint31(payload, 0);
    if (streamId === 0) {
      demand(octets > 0, ERROR.PROTOCOL_ERROR);
      this.#sendWindow += octets;
      demand(this.#sendWindow <= MAX_WINDOW_BYTES, ERROR.FLOW_CONTROL_ERROR);
      this.#sendAll();
      return;
    }
    const stream = this.#known(streamId);
    if (stream === null) return;
    stream.sendWindow += octets;
    if (octets === 0) this.#blame(stream, ERROR.PROTOCOL_ERROR);
    else if (stream.sendWindow > MAX_WINDOW_BYTES) this.#blame(stream, ERROR.FLOW_CONTROL_ERROR);
    else this.#send(stream);
  }

  /** The stream of a frame; null = it has ended. @throws ConnectionError where it has not begun (§5.1). */
  #known(streamId: number): Http2Stream | null {
    demand(streamId <= this.#lastStreamId && streamId % 2 === 1, ERROR.PROTOCOL_ERROR);
    return this.#streams.get(streamId) ?? null;
  }

  #sendAll(): void {
    for (const stream of this.#streams.values()) {
      if (this.#sendWindow <= 0) return;
      this.#send(stream);
    }
  }

  /** Sends of a response's body what the windows allow. */
  #send(stream: Http2Stream): void {
    while (stream.unsent !== null) {
      const room = Math.min(stream.sendWindow, this.#sendWindow, this.#peer.maxFrameBytes);
      if (room <= 0) return;
      const part = stream.unsent.subarray(0, room);
      const rest = stream.unsent.subarray(part.length);
      stream.sendWindow -= part.length;
      this.#sendWindow -= part.length;
      const flags = rest.length === 0 ? FRAME_FLAG.END_STREAM : 0;
      this.#out.frame(FRAME.DATA, { flags, streamId: stream.id }, part);
      stream.unsent = rest.length === 0 ? null : rest;
      if (rest.length === 0) this.#answered(stream);
    }
  }

  #answered(stream: Http2Stream): void {
    // §8.1: who has a whole response is told to stop sending.
    if (stream.hasEnded) this.#drop(stream);
    else this.reset(stream, ERROR.NO_ERROR);
  }

  /** Ends a stream for what the client did on it. */
  #blame(stream: Http2Stream, code: ErrorCode): void {
    this.#conduct.countReset();
    this.reset(stream, code);
  }

  #drop(stream: Http2Stream): void {
    this.#streams.delete(stream.id);
    stream.close();
    this.#closeIfDone();
    this.#events.moved();
  }

  #closeIfDone(): void {
    if (this.#finishing && this.#streams.size === 0) this.#end();
  }

  /** Ends the connection when what was written is out. */
  #end(): void {
    if (this.#over) return;
    this.#over = true;
    for (const stream of this.#streams.values()) stream.close();
    this.#streams.clear();
    this.#out.end();
    this.#events.moved();
  }
}

/** @throws ConnectionError with this code where it does not hold. */
function demand(holds: boolean, code: ErrorCode): void {
  if (!holds) throw new ConnectionError(code, "the peer broke the protocol");
}

/** Streams that a client may reset, or have us reset, in a burst and per second, before its session is ended (CVE-2023-44487, CVE-2025-8671). */
const RESETS = { burst: 500, perSecond: 50 };

/** What of a client's conduct is held against it, beyond what a frame shows by itself. */
class FloodGuard {
  readonly #clock: Clock;
  readonly #maxCutShort: number;
  #resetsLeft: number = RESETS.burst;
  #resetsAtMs: number;
  /** Streams that ended before the client had said everything: what it sends on them may have been under way. */
  readonly #cutShort = new Set<number>();

  /** @param maxStreams that may be open at once. */
  constructor(clock: Clock, maxStreams: number) {
    this.#clock = clock;
    this.#maxCutShort = 2 * maxStreams;
    this.#resetsAtMs = clock.now();
  }

  /** A stream came to its end for what the client did. @throws ConnectionError where that is a flood. */
  countReset(): void {
    const nowMs = this.#clock.now();
    const regained = ((nowMs - this.#resetsAtMs) * RESETS.perSecond) / 1000;
    this.#resetsLeft = Math.min(RESETS.burst, this.#resetsLeft + regained) - 1;
    this.#resetsAtMs = nowMs;
    if (this.#resetsLeft < 0) throw new ConnectionError(ERROR.ENHANCE_YOUR_CALM, "a flood of resets");
  }

  /** What comes on this stream is excused. */
  cutShort(streamId: number): void {
    this.#cutShort.add(streamId);
    const [oldest] = this.#cutShort;
    if (this.#cutShort.size > this.#maxCutShort && oldest !== undefined) this.#cutShort.delete(oldest);
  }

  /** @throws ConnectionError for what comes on a stream that the client itself had ended (§5.1) or skipped (§5.1.1). */
  demandExcuse(streamId: number): void {
    if (!this.#cutShort.has(streamId)) throw new ConnectionError(ERROR.STREAM_CLOSED, "a frame on a stream that has ended");
  }
}

/** What the peer has told of itself (RFC 9113 §6.5.2), as far as a server that never pushes goes by it. */
interface PeerSettings {
  readonly initialWindowBytes: number;
  readonly maxFrameBytes: number;
  /** The smallest it has ever told, of the dynamic table by which our header blocks would be read. */
  readonly tableOctets: number;
}

const INITIAL_SETTINGS: PeerSettings = {
  initialWindowBytes: INITIAL_WINDOW_BYTES,
  maxFrameBytes: FRAME_BYTES.initial,
  tableOctets: INITIAL_TABLE_BYTES,
};

/** Brings settings up to date with a SETTINGS frame. @throws ConnectionError where a value is not allowed. */
function settingsAfter(settings: PeerSettings, payload: Uint8Array): PeerSettings {
  if (payload.length % 6 !== 0) throw new ConnectionError(ERROR.FRAME_SIZE_ERROR, "half a setting");
  let after = settings;
  for (let at = 0; at < payload.length; at += 6) {
    const value = readUint32(payload, at + 2);
    switch (((payload[at] ?? 0) << 8) | (payload[at + 1] ?? 0)) {
      case SETTING.HEADER_TABLE_SIZE:
        after = { ...after, tableOctets: Math.min(after.tableOctets, value) };
        break;
      case SETTING.ENABLE_PUSH:
        if (value > 1) throw new ConnectionError(ERROR.PROTOCOL_ERROR, "ENABLE_PUSH is neither 0 nor 1");
        break;
      case SETTING.INITIAL_WINDOW_SIZE:
        if (value > MAX_WINDOW_BYTES) throw new ConnectionError(ERROR.FLOW_CONTROL_ERROR, "too large an initial window");
        after = { ...after, initialWindowBytes: value };
        break;
      case SETTING.MAX_FRAME_SIZE:
        if (value < FRAME_BYTES.initial || value > FRAME_BYTES.max)
          throw new ConnectionError(ERROR.PROTOCOL_ERROR, "frames of a size that is not allowed");
        after = { ...after, maxFrameBytes: value };
        break;
      default:
        // Unknown settings are ignored (§6.5.2); the others concern what clients are sent on their own.
        break;
    }
  }
  return after;
}

/** A header block that is whole. */
interface ReceivedBlock {
  readonly streamId: number;
  /** Nothing follows on the stream. */
  readonly hasEnded: boolean;
  /** null = the list is larger than we take. */
  readonly fields: readonly HeaderField[] | null;
}

/** Of a block as it comes, with nine for each of its frames: else it could go on for ever (CVE-2024-27316). */
const MAX_BLOCK_BYTES = 65_536;
const FRAME_HEAD_BYTES = 9;

/** RFC 7541 §6.3: the dynamic table has no entries from now on. */
const EMPTY_TABLE = Uint8Array.of(0x20);

/** The header blocks of one connection, whose compression goes from one to the next (RFC 9113 §4.3). */
class HeaderBlocks {
  readonly #decoder: HpackDecoder;
  /** One whose last frame has not come. */
  #open: { readonly streamId: number; readonly hasEnded: boolean; readonly parts: Uint8Array[]; octets: number } | null = null;
  /** The client has made our table smaller, which has to be said once; we have no use for one. */
  #shrinking: "not asked" | "to be said" | "said" = "not asked";

  constructor(maxListOctets: number) {
    this.#decoder = new HpackDecoder({ tableBytes: INITIAL_TABLE_BYTES, maxListBytes: maxListOctets });
  }

  /** Between the frames of a block no other may come. */
  get isOpen(): boolean {
    return this.#open !== null;
  }

  /** Takes a HEADERS or CONTINUATION frame; null = the block goes on. @throws ConnectionError */
  take({ type, flags, streamId, payload }: Frame): ReceivedBlock | null {
    if (type === FRAME.HEADERS) {
      if (streamId % 2 === 0) throw new ConnectionError(ERROR.PROTOCOL_ERROR, "a stream that no client begins (§5.1.1)");
      this.#open = { streamId, hasEnded: (flags & FRAME_FLAG.END_STREAM) !== 0, parts: [], octets: 0 };
    }
    const block = this.#open;
    if (block === null || block.streamId !== streamId)
      throw new ConnectionError(ERROR.PROTOCOL_ERROR, "a header block without its beginning");
    const isPadded = type === FRAME.HEADERS && (flags & FRAME_FLAG.PADDED) !== 0;
    const before = type === FRAME.HEADERS && (flags & FRAME_FLAG.PRIORITY) !== 0 ? 5 : 0;
    const part = unpadded(payload, { isPadded, before });
    block.octets += part.length + FRAME_HEAD_BYTES;
    if (block.octets > MAX_BLOCK_BYTES) throw new ConnectionError(ERROR.ENHANCE_YOUR_CALM, "a header block without end");
    if ((flags & FRAME_FLAG.END_HEADERS) === 0) {
      // A copy: the frame is only lent.
      block.parts.push(Uint8Array.from(part));
      return null;
    }
    this.#open = null;
    const whole = block.parts.length === 0 ? part : Buffer.concat([...block.parts, part]);
    return { streamId, hasEnded: block.hasEnded, fields: this.#decode(whole) };
  }

  /** From the next block on our table has no entries, which a client may insist on hearing (RFC 7541 §4.2). */
  tableMustShrink(): void {
    if (this.#shrinking === "not asked") this.#shrinking = "to be said";
  }

  encode(fields: readonly HeaderField[]): Uint8Array {
    const block = encodeFields(fields);
    if (this.#shrinking !== "to be said") return block;
    this.#shrinking = "said";
    return Buffer.concat([EMPTY_TABLE, block]);
  }

  #decode(block: Uint8Array): readonly HeaderField[] | null {
    try {
      return this.#decoder.decode(block);
    } catch (error) {
      if (error instanceof HpackError) throw new ConnectionError(ERROR.COMPRESSION_ERROR, error.message);
      throw error;
    }
  }
}
