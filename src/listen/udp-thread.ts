import { parentPort, workerData } from "node:worker_threads";
import { QueryRing } from "../log/ring.ts";
import { HEADER } from "../replies/layout.ts";
import { ReplyReader, threadBooks } from "../replies/reader.ts";
import { NAME_BYTES, SocketCalls } from "./socket-calls.ts";
import { BATCH, FORWARDED, type ThreadData } from "./udp-ring.ts";

/**
 * The thread of UDP: takes what comes in batches, repeats what it finds in the table of replies, and passes everything else on to the main thread, which
 * answers by itself. It is told to end by a word and a descriptor, because nobody can end a thread inside of a foreign call.
 */
const { sockets, replies, log, queries, now, originMs }: ThreadData = workerData;

/** Readings that fail one after the other, and at once, before the thread gives up. */
const MAX_FAILURES = 100;

/** A reading that fails takes some microseconds. One that a signal interrupts (a profiler sends a thousand a second) has waited, and is no failure. */
const AT_ONCE_MS = 0.2;

const calls = SocketCalls.open();
const header = new Int32Array(replies, 0, HEADER.words);
const ring = new QueryRing(queries);
const clock = threadClock();
const reader = new ReplyReader(replies, threadBooks(replies, log), clock);
const batch = calls.batch(BATCH.messages, BATCH.bytesEach);
const names = new DataView(batch.names.buffer, batch.names.byteOffset, batch.names.byteLength);

function threadClock() {
  if (now !== null) {
    const shared = new Float64Array(now);
    return { now: () => shared[0] ?? 0, wallOffsetMs: () => (shared[1] ?? 0) - (shared[0] ?? 0) };
  }
  // Each thread counts from its own beginning.
  const offsetMs = originMs - (performance.now() - Number(process.hrtime.bigint()) / 1e6);
  const nowMs = () => performance.now() + offsetMs;
  return { now: nowMs, wallOffsetMs: () => Date.now() - nowMs() };
}

function run(): void {
  const [only] = sockets;
  const poller = calls.poller(sockets.map(({ fd }) => fd));
  let failures = 0;
  // From here on what comes is read.
  Atomics.add(header, HEADER.beat, 1);
  parentPort?.postMessage(null);
  while (Atomics.load(header, HEADER.stop) === 0) {
    Atomics.add(header, HEADER.beat, 1);
    const beganMs = performance.now();
    let served = false;
    if (sockets.length === 1 && only !== undefined) served = serve(0, only.fd, true);
    else {
      poller.wait();
      // Each socket once: the others have their turn before the next batch.
      for (const [index, { fd }] of sockets.entries()) if (poller.isReady(index)) served = serve(index, fd, false) || served;
    }
    failures = served || performance.now() - beganMs > AT_ONCE_MS ? 0 : failures + 1;
    if (failures >= MAX_FAILURES) throw new Error("messages cannot be received");
  }
}

/** @returns whether something was read. */
function serve(socket: number, fd: number, waits: boolean): boolean {
  const received = batch.receive(fd, waits);
  // After `stopReceiving` there are messages without bytes, from nobody.
  if (received <= 0 || batch.nameBytes(0) === 0) return false;
  reader.begin();
  let passedOn = false;
  for (let index = 0; index < received; index++) {
    const client = findClient(index);
    const reply = client < 0 ? 0 : reader.answer(batch.bytes, batch.start(index), batch.length(index), client);
    if (reply > 0) batch.reply(index, reply);
    else passedOn = passOn(socket, index) || passedOn;
  }
  reader.end();
  const unsent = batch.flush(fd);
  if (unsent > 0) Atomics.add(header, HEADER.unsent, unsent);
  if ((passedOn || reader.takeLogCall()) && Atomics.exchange(header, HEADER.bell, 1) === 0) parentPort?.postMessage(null);
  return true;
}

/** Where the words of `struct sockaddr_in` and `sockaddr_in6` are. */
const NAME = { room: 32, port: 2, ipv4: 4, ipv6: 8 } as const;
const MAPPED_PREFIX = Buffer.from([0, 0, 0xff, 0xff]).readInt32LE();

function findClient(index: number): number {
  const at = index * NAME.room;
  // No reply can be sent to port 0.
  if (names.getUint16(at + NAME.port) === 0) return -1;
  if (batch.nameBytes(index) !== NAME_BYTES) return reader.findClient(0, 0, MAPPED_PREFIX, names.getInt32(at + NAME.ipv4, true));
  // A link-local address means something beside its interface alone.
  const first = names.getInt32(at + NAME.ipv6, true);
  if ((first & 0xc0ff) === 0x80fe) return -1;
  const six = at + NAME.ipv6;
  return reader.findClient(first, names.getInt32(six + 4, true), names.getInt32(six + 8, true), names.getInt32(six + 12, true));
}

/** @returns whether there was room. */
function passOn(socket: number, index: number): boolean {
  const name = batch.name(index);
  const control = batch.control(index);
  const bytes = batch.length(index);
  const length = (FORWARDED.words + ((name.length + control.length + bytes + 3) >> 2) + 1) & ~1;
  const at = ring.reserve(length);
  if (at < 0) {
    Atomics.add(header, HEADER.unsent, 1);
    return false;
  }
  const { words } = ring;
  words[at + FORWARDED.length] = length;
  words[at + FORWARDED.kind] = FORWARDED.query;
  words[at + FORWARDED.socket] = socket;
  words[at + FORWARDED.nameAndControlBytes] = name.length | (control.length << 16);
  words[at + FORWARDED.bytes] = bytes;
  words[at + FORWARDED.arrivedMs] = clock.now();
  const start = (at + FORWARDED.words) * 4;
  ring.bytes.set(name, start);
  ring.bytes.set(control, start + name.length);
  const from = batch.start(index);
  ring.bytes.set(batch.bytes.subarray(from, from + bytes), start + name.length + control.length);
  ring.publish(length);
  return true;
}

run();
