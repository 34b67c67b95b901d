import type { Socket } from "node:net";
import { uint16, uint32 } from "../../dns/wire.ts";
import type { Clock, Timer } from "../../lib/clock.ts";
import { BodyReader } from "../body.ts";
import { ConnectionTurns } from "../turns.ts";
import type { HttpResponse, ListenServices } from "../types.ts";
import { FloodGuard } from "./flood-guard.ts";
import {
  ConnectionError,
  ERROR,
  type ErrorCode,
  FRAME,
  FRAME_BYTES,
  FRAME_FLAG,
  FRAME_HEAD_BYTES,
  type Frame,
  FrameReader,
  goawayFrame,
  INITIAL_WINDOW_BYTES,
  insist,
  MAX_WINDOW_BYTES,
  pingAck,
  pingFrame,
  resetFrame,
  SETTING,
  SETTINGS_ACK,
  settingsFrame,
  uint31,
  unpadded,
  windowUpdateFrame,
} from "./frames.ts";
import { encodeFields, type HeaderField, HpackDecoder, INITIAL_TABLE_BYTES } from "./hpack.ts";
import { FrameOutput } from "./output.ts";
import { areTrailers, type Http2Stream, readHead } from "./request.ts";
import { encodeResponse, wholeResponse } from "./response.ts";

/** The largest header list of a request (§6.5.2). The head of a DoH request has a few hundred bytes; a GET adds as many again. */
const MAX_HEADER_LIST_BYTES = 16_384;

interface SessionServices extends Pick<ListenServices, "clock" | "limits" | "turns"> {
  /** The address whose turns are taken. */
  readonly client: string;
}

interface SessionEvents {
  /** The head of a request has come. */
  onRequest(stream: Http2Stream): void;
  /** A stream began or ended, or bytes were sent: deadlines may have changed. */
  onActivity(): void;
}

/**
 * The server side of one HTTP/2 connection (RFC 9113) whose preface has been read: header compression, flow control, and the rules that a
 * client must keep. It never pushes, and ignores priorities. § without a number of an RFC is of RFC 9113.
 *
 *     bytes -> FrameReader -> HeaderBlocks (HEADERS, CONTINUATION) -> Http2Stream -> onRequest
 *                          -> windows, settings, resets            -> FrameOutput -> bytes
 */
export class Http2Session {
  readonly #clock: Clock;
  readonly #socket: Socket;
  readonly #turns: ConnectionTurns;
  readonly #limits: ListenServices["limits"];
  readonly #events: SessionEvents;
  readonly #reader = new FrameReader();
  readonly #blocks = new HeaderBlocks();
  readonly #output: FrameOutput;
  readonly #guard: FloodGuard;
  /** Open streams, the oldest first. */
  readonly #streams = new Map<number, Http2Stream>();
  #peer: PeerSettings = INITIAL_SETTINGS;
  /** Whether the first SETTINGS of the client have come. */
  #hasSettings = false;
  #lastStreamId = 0;
  /** The last stream before our GOAWAY. Later ones are not processed. */
  #lastTakenId = 0;
  #blockBegunMs: number | null = null;
  #receiveWindow = INITIAL_WINDOW_BYTES;
  #sendWindow = INITIAL_WINDOW_BYTES;
  /** The head of the last request, and the fields it was read from. */
  #head: Http2Stream["head"] = null;
  #headFields: readonly HeaderField[] | null = null;
  /** Bytes of bodies for which the windows have no room yet. */
  #unsentBytes = 0;
  /** Ends the time between the two GOAWAYs; null = no GOAWAY has been sent. */
  #draining: Timer | null = null;
  /** No more streams are taken. */
  #isFinishing = false;
  /** Nothing more is read or sent. */
  #isOver = false;

  constructor(socket: Socket, { clock, limits, turns, client }: SessionServices, events: SessionEvents) {
    this.#socket = socket;
    this.#clock = clock;
    this.#limits = limits;
    this.#turns = new ConnectionTurns(turns, client, () => this.#serve());
    this.#events = events;
    this.#guard = new FloodGuard({ clock, limits });
    this.#output = new FrameOutput(socket, { clock, limits }, () => events.onActivity());
    // A client that ends its side of an HTTP/2 connection is gone.
    socket.allowHalfOpen = false;
    socket.on("data", (chunk: Buffer) => this.#read(chunk));
    socket.on("close", () => this.#end());
    this.#output.write(
      settingsFrame([
        [SETTING.MAX_CONCURRENT_STREAMS, limits.outstandingPerConnection],
        [SETTING.MAX_HEADER_LIST_SIZE, MAX_HEADER_LIST_BYTES],
      ]),
    );
    socket.resume();
  }

  /** Since when a header block is incomplete; null = none is. */
  get blockBegunMs(): number | null {
    return this.#blockBegunMs;
  }

  /** When the oldest open stream began; null = none is open. */
  get oldestBegunMs(): number | null {
    if (this.#streams.size === 0) return null;
    const [oldest] = this.#streams.values();
    return oldest?.begunMs ?? null;
  }

  get streams(): Iterable<Http2Stream> {
    return this.#streams.values();
  }

  /** See `Connection`. */
  get heldBytes(): number {
    return this.unreadBytes + this.#reader.unreadBytes;
  }

  /** Bytes of answers that the client has not read, as far as we know. */
  get unreadBytes(): number {
    return this.#unsentBytes + this.#output.unsentBytes;
  }

  /** Since when the client has not read any of the waiting bytes; null = none wait. */
  get backlogSinceMs(): number | null {
    return this.#output.backlogSinceMs;
  }

  /** Whether only one thing is left: the client reads what was written, and closes. */
  get isOver(): boolean {
    return this.#isOver;
  }

  /**
   * Sends GOAWAY, and closes the connection when the open streams have ended. Requests that are on the way when the client reads it are still answered:
   * the first GOAWAY names no last stream, the second one follows when the client has seen the first (§6.8). May be called again.
   */
  finish(): void {
    if (this.#draining !== null || this.#isFinishing || this.#isOver) return;
    this.#output.write(goawayFrame(MAX_STREAM_ID, ERROR.NO_ERROR));
    this.#output.write(DRAIN_PING);
    this.#draining = this.#clock.setTimer(() => this.#finishNow(), DRAIN_MS);
  }

  /** Takes no more streams from now on. */
  #finishNow(): void {
    if (this.#isFinishing || this.#isOver) return;
    this.#isFinishing = true;
    this.#output.write(goawayFrame(this.#lastTakenId, ERROR.NO_ERROR));
    this.#endIfDone();
  }

  /** To be called at most once for a stream. Does nothing on a closed stream. `withoutBody`: the response to HEAD. */
  respond(stream: Http2Stream, response: HttpResponse, { withoutBody } = { withoutBody: false }): void {
    if (stream.isClosed) return;
    const { body } = response;
    const isEmpty = withoutBody || body.length === 0;
    const block = this.#blocks.encodeResponse(response);
    const end = isEmpty ? FRAME_FLAG.END_STREAM : 0;
    const isWhole = !isEmpty && body.length <= Math.min(stream.sendWindow, this.#sendWindow, this.#peer.maxFrameBytes);
    if (isWhole) {
      stream.sendWindow -= body.length;
      this.#sendWindow -= body.length;
      this.#output.write(wholeResponse(stream.id, block, body));
      this.#completeResponse(stream);
      return;
    }
    this.#output.writeFrame(FRAME.HEADERS, { flags: FRAME_FLAG.END_HEADERS | end, streamId: stream.id }, block);
    if (isEmpty) {
      this.#completeResponse(stream);
      return;
    }
    stream.unsent = body;
    this.#unsentBytes += body.length;
    this.#send(stream);
  }

  /** Does nothing on a closed stream. */
  reset(stream: Http2Stream, code: ErrorCode): void {
    if (stream.isClosed) return;
    this.#output.write(resetFrame(stream.id, code));
    this.#guard.noteReset(stream.id);
    this.#remove(stream);
  }

  #read(chunk: Buffer): void {
    if (this.#isOver) return;
    this.#turns.noteRead(chunk.length, this.#reader.unreadBytes, this.#clock.now());
    this.#reader.push(chunk);
    if (!this.#turns.isWaiting) this.#serve();
    else if (!this.#turns.mayReadAhead(this.#reader.unreadBytes)) this.#socket.pause();
  }

  /** Takes what has been read, in this turn of the event loop and, while others wait, in later ones. */
  #serve(): void {
    const wasPaused = this.#socket.isPaused();
    try {
      while (!this.#isOver) {
        if (this.#turns.mustWait()) return;
        const frame = this.#reader.next();
        if (frame === null) break;
        this.#receive(frame);
      }
      // A client that does not read its answers is read from again when it does.
      if (wasPaused && !this.#socket.writableNeedDrain) this.#socket.resume();
    } catch (error) {
      if (!(error instanceof ConnectionError)) throw error;
      this.#output.write(goawayFrame(this.#lastTakenId, error.code));
      this.#end();
    }
  }

  /** When the frame was read whole that was taken last. */
  get #arrivedMs(): number {
    return this.#turns.arrivedMs(this.#reader.unreadBytes);
  }

  #receive(frame: Frame): void {
    const isSettings = frame.type === FRAME.SETTINGS && (frame.flags & FRAME_FLAG.ACK) === 0;
    insist(this.#hasSettings || isSettings, ERROR.PROTOCOL_ERROR, "no SETTINGS at the beginning (§3.4)");
    const isInOrder = !this.#blocks.isOpen || frame.type === FRAME.CONTINUATION;
    insist(isInOrder, ERROR.PROTOCOL_ERROR, "a frame within a header block (§4.3)");
    insist(OF_CONNECTION[frame.type] !== (frame.streamId !== 0), ERROR.PROTOCOL_ERROR);
    insist((PAYLOAD_BYTES[frame.type] ?? frame.payload.length) === frame.payload.length, ERROR.FRAME_SIZE_ERROR);
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
        this.#receivePing(frame);
        return;
      case FRAME.GOAWAY:
        this.#finishNow();
        return;
      case FRAME.PUSH_PROMISE:
        throw new ConnectionError(ERROR.PROTOCOL_ERROR, "a client that pushes");
      default:
        // Priorities and, by §5.5, frames of unknown types are ignored.
        this.#guard.countIdleFrame(this.#arrivedMs);
        return;
    }
  }

  #receivePing({ flags, payload }: Frame): void {
    this.#guard.countIdleFrame(this.#arrivedMs);
    if ((flags & FRAME_FLAG.ACK) === 0) this.#output.write(pingAck(payload));
    else if (this.#draining !== null) this.#finishNow();
  }

  #receiveHeaders(frame: Frame): void {
    const block = this.#blocks.take(frame);
    const wasOpen = this.#blockBegunMs !== null;
    this.#blockBegunMs = block === null ? (this.#blockBegunMs ?? this.#clock.now()) : null;
    if (wasOpen !== (block === null)) this.#events.onActivity();
    if (block === null) return;
    const stream = this.#streams.get(block.streamId);
    if (stream !== undefined) this.#receiveTrailers(stream, block);
    else if (block.streamId > this.#lastStreamId) this.#openStream(block);
    else this.#guard.requireRecentReset(block.streamId);
  }

  #openStream({ streamId, hasEnded, fields }: ReceivedBlock): void {
    this.#lastStreamId = streamId;
    if (this.#isFinishing) {
      this.#guard.noteReset(streamId);
      return;
    }
    this.#lastTakenId = streamId;
    this.#guard.noteRequest();
    // The decoder gives the same list for a repeated block.
    if (fields !== this.#headFields) {
      this.#headFields = fields;
      this.#head = fields === null ? null : readHead(fields);
    }
    const head = this.#head;
    const isWhole = !hasEnded || (head?.contentLength ?? 0) === 0;
    const isMalformed = fields !== null && (head === null || !isWhole);
    if (isMalformed || this.#streams.size >= this.#limits.outstandingPerConnection) {
      this.#guard.countReset(this.#arrivedMs);
      this.#output.write(resetFrame(streamId, isMalformed ? ERROR.PROTOCOL_ERROR : ERROR.REFUSED_STREAM));
      this.#guard.noteReset(streamId);
      return;
    }
    const stream: Http2Stream = {
      id: streamId,
      head,
      begunMs: this.#clock.now(),
      arrivedMs: this.#arrivedMs,
      body: hasEnded ? null : new BodyReader(),
      hasEnded,
      isClosed: false,
      receiveWindow: INITIAL_WINDOW_BYTES,
      sendWindow: this.#peer.initialWindowBytes,
      unsent: null,
    };
    this.#streams.set(streamId, stream);
    if (head?.expectsContinue === true && !hasEnded) {
      const block = this.#blocks.encode([{ name: ":status", value: "100" }]);
      this.#output.writeFrame(FRAME.HEADERS, { flags: FRAME_FLAG.END_HEADERS, streamId }, block);
    }
    this.#events.onRequest(stream);
    this.#events.onActivity();
  }

  #receiveTrailers(stream: Http2Stream, { hasEnded, fields }: ReceivedBlock): void {
    if (stream.hasEnded) this.#punish(stream, ERROR.STREAM_CLOSED);
    else if (!hasEnded || fields === null || !areTrailers(fields)) this.#punish(stream, ERROR.PROTOCOL_ERROR);
    else this.#endBody(stream);
  }

  #receiveData({ streamId, flags, payload }: Frame): void {
    this.#receiveWindow -= payload.length;
    const content = unpadded(payload, { isPadded: (flags & FRAME_FLAG.PADDED) !== 0, before: 0 });
    // Data are taken at once; the reader of the body bounds them. At least half a window is always left, more than the largest frame.
    if (this.#receiveWindow < INITIAL_WINDOW_BYTES / 2) {
      this.#output.write(windowUpdateFrame(0, INITIAL_WINDOW_BYTES - this.#receiveWindow));
      this.#receiveWindow = INITIAL_WINDOW_BYTES;
    }
    const stream = this.#streamOf(streamId);
    if (stream === null) {
      this.#guard.requireRecentReset(streamId);
      return;
    }
    stream.receiveWindow -= payload.length;
    if (content.length === 0 && (flags & FRAME_FLAG.END_STREAM) === 0) this.#guard.countIdleFrame(this.#arrivedMs);
    if (stream.hasEnded) {
      this.#punish(stream, ERROR.STREAM_CLOSED);
      return;
    }
    stream.body?.take(content);
    if ((flags & FRAME_FLAG.END_STREAM) !== 0) this.#endBody(stream);
    else if (stream.receiveWindow < INITIAL_WINDOW_BYTES / 2 && !stream.isClosed) {
      this.#output.write(windowUpdateFrame(streamId, INITIAL_WINDOW_BYTES - stream.receiveWindow));
      stream.receiveWindow = INITIAL_WINDOW_BYTES;
    }
  }

  #endBody(stream: Http2Stream): void {
    // §8.1.1: a body of another length than announced makes the request malformed.
    const receivedBytes = stream.body?.lengthBytes ?? 0;
    if ((stream.head?.contentLength ?? receivedBytes) !== receivedBytes) {
      this.#punish(stream, ERROR.PROTOCOL_ERROR);
      return;
    }
    stream.hasEnded = true;
    stream.arrivedMs = this.#arrivedMs;
    stream.body?.end();
  }

  #receiveReset({ streamId }: Frame): void {
    const stream = this.#streamOf(streamId);
    // The number of open streams bounds how fast a client can give up requests that it has waited for.
    if (stream === null || this.#arrivedMs - stream.arrivedMs < PATIENCE_MS) this.#guard.countReset(this.#arrivedMs);
    if (stream !== null) this.#remove(stream);
  }

  #receiveSettings({ flags, payload }: Frame): void {
    this.#hasSettings = true;
    this.#guard.countIdleFrame(this.#arrivedMs);
    if ((flags & FRAME_FLAG.ACK) !== 0) {
      insist(payload.length === 0, ERROR.FRAME_SIZE_ERROR);
      return;
    }
    const before = this.#peer;
    this.#peer = settingsAfter(before, payload);
    // §6.9.2: the change also applies to the windows of open streams.
    const change = this.#peer.initialWindowBytes - before.initialWindowBytes;
    for (const stream of this.#streams.values()) {
      stream.sendWindow += change;
      insist(stream.sendWindow <= MAX_WINDOW_BYTES, ERROR.FLOW_CONTROL_ERROR);
    }
    if (this.#peer.tableBytes < INITIAL_TABLE_BYTES) this.#blocks.announceEmptyTable();
    this.#output.write(SETTINGS_ACK);
    this.#sendAll();
  }

  #receiveWindowUpdate({ streamId, payload }: Frame): void {
    this.#guard.countIdleFrame(this.#arrivedMs);
    const bytes = uint31(payload, 0);
    if (streamId === 0) {
      insist(bytes > 0, ERROR.PROTOCOL_ERROR);
      this.#sendWindow += bytes;
      insist(this.#sendWindow <= MAX_WINDOW_BYTES, ERROR.FLOW_CONTROL_ERROR);
      this.#sendAll();
      return;
    }
    const stream = this.#streamOf(streamId);
    if (stream === null) return;
    stream.sendWindow += bytes;
    if (bytes === 0) this.#punish(stream, ERROR.PROTOCOL_ERROR);
    else if (stream.sendWindow > MAX_WINDOW_BYTES) this.#punish(stream, ERROR.FLOW_CONTROL_ERROR);
    else this.#send(stream);
  }

  /** The stream of a frame; null = it has ended. @throws ConnectionError when it has not begun (§5.1). */
  #streamOf(streamId: number): Http2Stream | null {
    insist(streamId <= this.#lastStreamId && streamId % 2 === 1, ERROR.PROTOCOL_ERROR);
    return this.#streams.get(streamId) ?? null;
  }

  #sendAll(): void {
    for (const stream of this.#streams.values()) {
      if (this.#sendWindow <= 0) return;
      this.#send(stream);
    }
  }

  /** Sends as much of the response's body as the windows allow. */
  #send(stream: Http2Stream): void {
    while (stream.unsent !== null) {
      const room = Math.min(stream.sendWindow, this.#sendWindow, this.#peer.maxFrameBytes);
      if (room <= 0) return;
      const part = stream.unsent.subarray(0, room);
      const rest = stream.unsent.subarray(part.length);
      stream.sendWindow -= part.length;
      this.#sendWindow -= part.length;
      this.#unsentBytes -= part.length;
      const flags = rest.length === 0 ? FRAME_FLAG.END_STREAM : 0;
      this.#output.writeFrame(FRAME.DATA, { flags, streamId: stream.id }, part);
      stream.unsent = rest.length === 0 ? null : rest;
      if (rest.length === 0) this.#completeResponse(stream);
    }
  }

  #completeResponse(stream: Http2Stream): void {
    // §8.1: a client that still sends its body after the complete response is told to stop.
    if (stream.hasEnded) this.#remove(stream);
    else this.reset(stream, ERROR.NO_ERROR);
  }

  /** Resets a stream because of a fault of the client. */
  #punish(stream: Http2Stream, code: ErrorCode): void {
    this.#guard.countReset(this.#arrivedMs);
    this.reset(stream, code);
  }

  #remove(stream: Http2Stream): void {
    this.#streams.delete(stream.id);
    this.#unsentBytes -= stream.unsent?.length ?? 0;
    close(stream);
    this.#endIfDone();
    this.#events.onActivity();
  }

  #endIfDone(): void {
    if (this.#isFinishing && this.#streams.size === 0) this.#end();
  }

  /** Ends the connection after the bytes that are written. */
  #end(): void {
    if (this.#isOver) return;
    this.#isOver = true;
    this.#draining?.cancel();
    for (const stream of this.#streams.values()) close(stream);
    this.#streams.clear();
    this.#unsentBytes = 0;
    this.#output.end();
    this.#events.onActivity();
  }
}

/** §6: whether frames of a type concern the connection (stream 0) or one stream; undefined = either, or checked elsewhere. */
const OF_CONNECTION: Readonly<Record<number, boolean>> = {
  [FRAME.SETTINGS]: true,
  [FRAME.PING]: true,
  [FRAME.GOAWAY]: true,
  [FRAME.DATA]: false,
  [FRAME.PRIORITY]: false,
  [FRAME.RST_STREAM]: false,
};

/** §6: the payloads that have a fixed length. */
const PAYLOAD_BYTES: Readonly<Record<number, number>> = {
  [FRAME.PRIORITY]: 5,
  [FRAME.RST_STREAM]: 4,
  [FRAME.PING]: 8,
  [FRAME.WINDOW_UPDATE]: 4,
};

function close(stream: Http2Stream): void {
  stream.isClosed = true;
  stream.unsent = null;
  stream.body?.abandon();
}

/** §6.8: names no stream as the last one. */
const MAX_STREAM_ID = 2 ** 31 - 1;

/** How long a client has to answer the PING behind the first GOAWAY. */
const DRAIN_MS = 500;

const DRAIN_PING = pingFrame(Buffer.from("draining", "latin1"));

/** A client that gives up a request sooner did not want the answer. */
const PATIENCE_MS = 100;

/** The settings of the client (§6.5.2) that matter to a server that never pushes. */
interface PeerSettings {
  readonly initialWindowBytes: number;
  readonly maxFrameBytes: number;
  /** The smallest size so far of the dynamic table with which the client decodes our header blocks. */
  readonly tableBytes: number;
}

const INITIAL_SETTINGS: PeerSettings = {
  initialWindowBytes: INITIAL_WINDOW_BYTES,
  maxFrameBytes: FRAME_BYTES.initial,
  tableBytes: INITIAL_TABLE_BYTES,
};

/** Applies a SETTINGS frame. @throws ConnectionError when a value is not allowed. */
function settingsAfter(settings: PeerSettings, payload: Uint8Array): PeerSettings {
  insist(payload.length % 6 === 0, ERROR.FRAME_SIZE_ERROR, "half a setting");
  let after = settings;
  for (let offset = 0; offset < payload.length; offset += 6) {
    const value = uint32(payload, offset + 2);
    switch (uint16(payload, offset)) {
      case SETTING.HEADER_TABLE_SIZE:
        after = { ...after, tableBytes: Math.min(after.tableBytes, value) };
        break;
      case SETTING.ENABLE_PUSH:
        insist(value <= 1, ERROR.PROTOCOL_ERROR, "ENABLE_PUSH is neither 0 nor 1");
        break;
      case SETTING.INITIAL_WINDOW_SIZE:
        insist(value <= MAX_WINDOW_BYTES, ERROR.FLOW_CONTROL_ERROR, "too large an initial window");
        after = { ...after, initialWindowBytes: value };
        break;
      case SETTING.MAX_FRAME_SIZE:
        insist(value >= FRAME_BYTES.initial && value <= FRAME_BYTES.max, ERROR.PROTOCOL_ERROR, "a frame size out of range");
        after = { ...after, maxFrameBytes: value };
        break;
      default:
        // §6.5.2: unknown settings are ignored. The other known ones are about pushed streams and requests.
        break;
    }
  }
  return after;
}

/** A complete header block. */
interface ReceivedBlock {
  readonly streamId: number;
  /** Nothing follows on the stream. */
  readonly hasEnded: boolean;
  /** null = the list is larger than we take. */
  readonly fields: readonly HeaderField[] | null;
}

/** A header block as received, frame heads included: a block of empty frames could go on for ever (CVE-2024-27316). */
const MAX_BLOCK_BYTES = 65_536;

const NO_BYTES = new Uint8Array(0);

/** RFC 7541 §6.3: from now on the dynamic table has no entries. */
const EMPTY_TABLE = Uint8Array.of(0x20);

/** The header blocks of one connection. Compression depends on their order (§4.3). */
class HeaderBlocks {
  readonly #decoder = new HpackDecoder({ tableBytes: INITIAL_TABLE_BYTES, maxListBytes: MAX_HEADER_LIST_BYTES });
  /** A block whose last frame has not come. */
  #open: { readonly streamId: number; readonly hasEnded: boolean; receivedBytes: number; lengthBytes: number } | null = null;
  /** The beginning of the open block. One buffer: an array for each frame would let frames of one byte cost a hundred times their size. */
  #buffer = NO_BYTES;
  /** Whether the client made our table smaller, which we must confirm once. We do not use the table. */
  #shrinking: "no" | "to confirm" | "confirmed" = "no";

  /** While a block is open no other frame may come. */
  get isOpen(): boolean {
    return this.#open !== null;
  }

  /** Takes a HEADERS or CONTINUATION frame; null = the block is not complete. @throws ConnectionError */
  take({ type, flags, streamId, payload }: Frame): ReceivedBlock | null {
    if (type === FRAME.HEADERS) {
      insist(streamId % 2 === 1, ERROR.PROTOCOL_ERROR, "a stream that no client begins (§5.1.1)");
      this.#open = { streamId, hasEnded: (flags & FRAME_FLAG.END_STREAM) !== 0, receivedBytes: 0, lengthBytes: 0 };
    }
    const block = this.#open;
    if (block === null || block.streamId !== streamId)
      throw new ConnectionError(ERROR.PROTOCOL_ERROR, "a header block without its beginning");
    const isPadded = type === FRAME.HEADERS && (flags & FRAME_FLAG.PADDED) !== 0;
    const before = type === FRAME.HEADERS && (flags & FRAME_FLAG.PRIORITY) !== 0 ? 5 : 0;
    const part = unpadded(payload, { isPadded, before });
    block.receivedBytes += part.length + FRAME_HEAD_BYTES;
    insist(block.receivedBytes <= MAX_BLOCK_BYTES, ERROR.ENHANCE_YOUR_CALM, "a header block without end");
    const isWhole = (flags & FRAME_FLAG.END_HEADERS) !== 0;
    // A block of one frame needs no copy.
    if (isWhole && block.lengthBytes === 0) {
      this.#open = null;
      return { streamId, hasEnded: block.hasEnded, fields: this.#decoder.decode(part) };
    }
    this.#append(block, part);
    if (!isWhole) return null;
    const whole = this.#buffer.subarray(0, block.lengthBytes);
    this.#open = null;
    this.#buffer = NO_BYTES;
    return { streamId, hasEnded: block.hasEnded, fields: this.#decoder.decode(whole) };
  }

  #append(block: { lengthBytes: number }, part: Uint8Array): void {
    const lengthBytes = block.lengthBytes + part.length;
    if (lengthBytes > this.#buffer.length) {
      const larger = new Uint8Array(Math.max(lengthBytes, 2 * this.#buffer.length));
      larger.set(this.#buffer.subarray(0, block.lengthBytes));
      this.#buffer = larger;
    }
    this.#buffer.set(part, block.lengthBytes);
    block.lengthBytes = lengthBytes;
  }

  /** Makes the next block say that our table is empty, once. The client may insist on it (RFC 7541 §4.2). */
  announceEmptyTable(): void {
    if (this.#shrinking === "no") this.#shrinking = "to confirm";
  }

  encode(fields: readonly HeaderField[]): Uint8Array {
    return this.#withTableSize(encodeFields(fields));
  }

  encodeResponse(response: HttpResponse): Uint8Array {
    return this.#withTableSize(encodeResponse(response));
  }

  #withTableSize(block: Uint8Array): Uint8Array {
    if (this.#shrinking !== "to confirm") return block;
    this.#shrinking = "confirmed";
    return Buffer.concat([EMPTY_TABLE, block]);
  }
}
