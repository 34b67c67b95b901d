/**
 * The calls of Linux that `node:dgram` does not make: many messages a call, and the address that a message was sent to. The one file with foreign calls.
 *
 * - Only Linux on 64-bit machines that put the lower byte first is served: there the structures below lie as written here, with any C library.
 * - Memory whose address the kernel is given is a `SharedArrayBuffer` held by an object that lives as long as the sockets: nothing moves or frees it.
 * - No call waits but `poll` and `recvmmsg`, and they wait for at most a second: a thread inside of a foreign call can be ended by nobody.
 * - A call that fails returns -1. Nobody reads `errno`, which the runtime may have overwritten; `bind` of `node:dgram`, which is tried afterwards, says why.
 */
import { closeSync } from "node:fs";
import { endianness } from "node:os";

const AF_INET = 2;
const AF_INET6 = 10;
const SOCK_DGRAM = 2;
const SOCK_CLOEXEC = 0o2000000;
const SOL_SOCKET = 1;
const SO_RCVBUF = 8;
const SO_REUSEPORT = 15;
const SO_RCVTIMEO = 20;
const IPPROTO_IP = 0;
const IP_PKTINFO = 8;
const IPPROTO_IPV6 = 41;
const IPV6_V6ONLY = 26;
const IPV6_RECVPKTINFO = 49;
const MSG_DONTWAIT = 0x40;
const MSG_WAITFORONE = 0x10000;
const SHUT_RD = 0;
const F_SETFD = 2;
const FD_CLOEXEC = 1;
const POLLIN = 1;

/** How long a thread may be inside of a call: a quarter of what the main thread waits for a sign of life. In whole seconds. */
export const WAIT_MS = 1000;

const SIGNATURES = {
  socket: { return: "i32", arguments: ["i32", "i32", "i32"] },
  setsockopt: { return: "i32", arguments: ["i32", "i32", "i32", "u64", "u32"] },
  bind: { return: "i32", arguments: ["i32", "u64", "u32"] },
  getsockname: { return: "i32", arguments: ["i32", "u64", "u64"] },
  fcntl: { return: "i32", arguments: ["i32", "i32", "i32"] },
  dup2: { return: "i32", arguments: ["i32", "i32"] },
  shutdown: { return: "i32", arguments: ["i32", "i32"] },
  poll: { return: "i32", arguments: ["u64", "u64", "i32"] },
  recvmmsg: { return: "i32", arguments: ["i32", "u64", "u32", "i32", "u64"] },
  sendmmsg: { return: "i32", arguments: ["i32", "u64", "u32", "i32"] },
} as const;

type Ffi = typeof import("node:ffi");
type Functions = ReturnType<typeof openLibrary>;

function openLibrary(ffi: Ffi) {
  return ffi.dlopen(null, SIGNATURES).functions;
}

/** One socket of ours, by its file descriptor. */
export interface RawSocket {
  readonly fd: number;
  readonly port: number;
}

/** What was called, and where the kernel can write. */
export class SocketCalls {
  readonly #functions: Functions;
  readonly #addressOf: (memory: Uint8Array) => number;
  readonly #scratch = new Uint8Array(new SharedArrayBuffer(256));

  private constructor(ffi: Ffi) {
    this.#functions = openLibrary(ffi);
    // The types know no views of shared memory.
    this.#addressOf = (memory) => Number(ffi.getRawPointer(memory as Uint8Array<ArrayBuffer>));
  }

  /** @throws Error that says in a few words why there are none here. */
  static open(): SocketCalls {
    if (process.platform !== "linux") throw new Error(`batches of messages are of Linux, and this is ${process.platform}`);
    if (endianness() !== "LE" || !["x64", "arm64"].includes(process.arch)) throw new Error(`the processor is ${process.arch}`);
    // Loading it prints a warning that it is experimental, which says nothing to an operator.
    const emitWarning = process.emitWarning.bind(process);
    process.emitWarning = () => {};
    try {
      const ffi = process.getBuiltinModule("node:ffi") as Ffi | undefined;
      if (ffi === undefined) throw new Error(`Node ${process.versions.node} has no foreign calls (node:ffi)`);
      return new SocketCalls(ffi);
    } finally {
      process.emitWarning = emitWarning;
    }
  }

  /**
   * Opens and binds a socket.
   * @param address 4 or 16 bytes.
   * @param tellsTarget whether each message comes with the address that it was sent to: for wildcards. Such a socket shares its port, as those of `udp.ts`.
   * @returns null where the system refuses.
   */
  openSocket(
    { address, port }: { readonly address: Uint8Array; readonly port: number },
    { tellsTarget, receiveBufferBytes }: { readonly tellsTarget: boolean; readonly receiveBufferBytes: number },
  ): RawSocket | null {
    const isIpv4 = address.length === 4;
    const fd = this.#functions.socket(isIpv4 ? AF_INET : AF_INET6, SOCK_DGRAM | SOCK_CLOEXEC, 0);
    if (fd < 0) return null;
    const options: [level: number, name: number, value: number][] = [];
    if (!isIpv4) options.push([IPPROTO_IPV6, IPV6_V6ONLY, 1]);
    if (tellsTarget) {
      options.push([SOL_SOCKET, SO_REUSEPORT, 1]);
      options.push(isIpv4 ? [IPPROTO_IP, IP_PKTINFO, 1] : [IPPROTO_IPV6, IPV6_RECVPKTINFO, 1]);
    }
    let isSet = options.every((option) => this.#setOption(fd, option));
    if (!this.#setTimeout(fd)) isSet = false;
    // The kernel grants what its limit allows.
    this.#setOption(fd, [SOL_SOCKET, SO_RCVBUF, receiveBufferBytes]);
    const name = this.#scratch.subarray(0, isIpv4 ? 16 : 28);
    name.fill(0);
    name.set([isIpv4 ? AF_INET : AF_INET6, 0, port >> 8, port & 255]);
    name.set(address, isIpv4 ? 4 : 8);
    const bound = isSet ? this.#functions.bind(fd, this.#pointer(name), name.length) : -1;
    const size = new Int32Array(this.#scratch.buffer, 64, 1);
    size[0] = name.length;
    if (bound < 0 || this.#functions.getsockname(fd, this.#pointer(name), this.#pointer(this.#scratch.subarray(64))) < 0) {
      closeSync(fd);
      return null;
    }
    return { fd, port: ((name[2] ?? 0) << 8) | (name[3] ?? 0) };
  }

  /** Takes over a socket of another process, which had opened it as `openSocket` does. */
  adoptSocket(socket: RawSocket): RawSocket {
    this.#functions.fcntl(socket.fd, F_SETFD, FD_CLOEXEC);
    return socket;
  }

  /** Puts a socket that nobody sends to in place of this one. A thread that still uses the number does no harm then. @returns whether it was done. */
  disarm(fd: number): boolean {
    const harmless = this.#functions.socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
    if (harmless < 0) return false;
    const isDone = this.#functions.dup2(harmless, fd) >= 0;
    closeSync(harmless);
    return isDone;
  }

  /** Ends the waiting of another thread for what comes. Replies can still be sent. */
  stopReceiving(fd: number): void {
    // For a socket without a peer this reports an error, and works.
    this.#functions.shutdown(fd, SHUT_RD);
  }

  /** Waits until one of these is readable, at most for `WAIT_MS`. */
  poller(fds: readonly number[]): Poller {
    return new Poller(this.#functions, this.#addressOf, fds);
  }

  /** @param count of messages, up to 1024. @param bytesEach room for each. */
  batch(count: number, bytesEach: number): MessageBatch {
    return new MessageBatch(this.#functions, this.#addressOf, { count, bytesEach });
  }

  /** `struct timeval`. */
  #setTimeout(fd: number): boolean {
    const time = this.#scratch.subarray(128, 144);
    new BigInt64Array(time.buffer, time.byteOffset, 2).set([BigInt(WAIT_MS / 1000), 0n]);
    return this.#functions.setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, this.#pointer(time), time.length) >= 0;
  }

  #setOption(fd: number, [level, name, value]: readonly [number, number, number]): boolean {
    new Int32Array(this.#scratch.buffer, 128, 1)[0] = value;
    return this.#functions.setsockopt(fd, level, name, this.#pointer(this.#scratch.subarray(128)), 4) >= 0;
  }

  #pointer(memory: Uint8Array): bigint {
    return BigInt(this.#addressOf(memory));
  }
}

type AddressOf = (memory: Uint8Array) => number;

/** `struct pollfd` of several descriptors. */
class Poller {
  readonly #functions: Functions;
  readonly #words: Int32Array;
  readonly #pointer: bigint;
  readonly #count: bigint;

  constructor(functions: Functions, addressOf: AddressOf, fds: readonly number[]) {
    this.#functions = functions;
    const bytes = new Uint8Array(new SharedArrayBuffer(fds.length * 8));
    this.#words = new Int32Array(bytes.buffer);
    for (const [index, fd] of fds.entries()) this.#words.set([fd, POLLIN], index * 2);
    this.#pointer = BigInt(addressOf(bytes));
    this.#count = BigInt(fds.length);
  }

  wait(): void {
    this.#functions.poll(this.#pointer, this.#count, WAIT_MS);
  }

  /** Whether there is something to be read, or an error to be told. */
  isReady(index: number): boolean {
    return (this.#words[index * 2 + 1] ?? 0) >>> 16 !== 0;
  }
}

/** Bytes of `struct mmsghdr`, `iovec`, and those that a name and a control message get here. */
const HEADER_BYTES = 64;
const VECTOR_BYTES = 16;
export const NAME_BYTES = 28;
export const CONTROL_BYTES = 40;
const NAME_ROOM = 32;
const CONTROL_ROOM = 64;

/** Words of `struct mmsghdr`: a `struct msghdr`, and how many bytes came. A pointer or a size has two words. */
const MESSAGE = {
  name: 0,
  nameBytes: 2,
  vector: 4,
  vectors: 6,
  control: 8,
  controlBytes: 10,
  flags: 12,
  bytes: 14,
  words: 16,
} as const;

/** Where `struct cmsghdr` has the number of an interface: before the address in `in_pktinfo`, after it in `in6_pktinfo`. */
const CONTROL_DATA = 16;
const INTERFACE6_AT = CONTROL_DATA + 16;

/** Messages that are received together, and replies that are sent together. The reply to a message is written over it. */
export class MessageBatch {
  readonly bytes: Uint8Array;
  readonly bytesEach: number;
  readonly #functions: Functions;
  readonly #count: number;
  readonly #words: Int32Array;
  readonly #names: Uint8Array;
  readonly #controls: Uint8Array;
  readonly #pointer: number;
  /** Of the structures for what comes and what goes. */
  readonly #receiving: bigint;
  readonly #sending: bigint;
  readonly #at: {
    readonly sending: number;
    readonly vectors: number;
    readonly names: number;
    readonly controls: number;
    readonly bytes: number;
  };
  #received = 0;
  #queued = 0;

  constructor(functions: Functions, addressOf: AddressOf, { count, bytesEach }: { count: number; bytesEach: number }) {
    this.#functions = functions;
    this.#count = count;
    this.bytesEach = bytesEach;
    const sending = count * HEADER_BYTES;
    const vectors = 2 * sending;
    const names = vectors + 2 * count * VECTOR_BYTES;
    const controls = names + count * NAME_ROOM;
    const bytes = controls + count * CONTROL_ROOM;
    this.#at = { sending, vectors, names, controls, bytes };
    const memory = new SharedArrayBuffer(bytes + count * bytesEach);
    this.#words = new Int32Array(memory, 0, names / 4);
    this.#names = new Uint8Array(memory, names, count * NAME_ROOM);
    this.#controls = new Uint8Array(memory, controls, count * CONTROL_ROOM);
    this.bytes = new Uint8Array(memory, bytes, count * bytesEach);
    this.#pointer = addressOf(new Uint8Array(memory));
    this.#receiving = BigInt(this.#pointer);
    this.#sending = BigInt(this.#pointer + sending);
    for (let index = 0; index < count; index++) {
      this.#prepare(index, index, bytesEach);
      this.#prepare(count + index, index, 0);
    }
    this.#received = count;
  }

  /** Header `header` gets the name, the control message and the bytes of slot `slot`. */
  #prepare(header: number, slot: number, size: number): void {
    const { vectors, names, controls, bytes } = this.#at;
    const at = header * MESSAGE.words;
    const vector = vectors + header * VECTOR_BYTES;
    this.#setPointer(at + MESSAGE.name, names + slot * NAME_ROOM);
    this.#setPointer(at + MESSAGE.vector, vector);
    this.#words[at + MESSAGE.vectors] = 1;
    this.#setPointer(at + MESSAGE.control, controls + slot * CONTROL_ROOM);
    this.#setPointer(vector / 4, bytes + slot * this.bytesEach);
    this.#words[vector / 4 + 2] = size;
  }

  #setPointer(word: number, offset: number): void {
    const pointer = this.#pointer + offset;
    this.#words[word] = (pointer % 2 ** 32) | 0;
    this.#words[word + 1] = Math.floor(pointer / 2 ** 32);
  }

  /** Takes what has come; `waits`: waits for the first message, at most for `WAIT_MS`. @returns how many messages; -1 = none, or the socket failed. */
  receive(fd: number, waits: boolean): number {
    const words = this.#words;
    for (let index = 0; index < this.#received; index++) {
      const at = index * MESSAGE.words;
      words[at + MESSAGE.nameBytes] = NAME_BYTES;
      words[at + MESSAGE.controlBytes] = CONTROL_BYTES;
    }
    this.#queued = 0;
    const received = this.#functions.recvmmsg(fd, this.#receiving, this.#count, waits ? MSG_WAITFORONE : MSG_DONTWAIT, 0n);
    this.#received = Math.max(0, received);
    return received;
  }

  /** Where message `index` begins in `bytes`, and its length. */
  start(index: number): number {
    return index * this.bytesEach;
  }

  length(index: number): number {
    return this.#words[index * MESSAGE.words + MESSAGE.bytes] ?? 0;
  }

  /** `NAME_BYTES` for IPv6, less for IPv4. */
  nameBytes(index: number): number {
    return this.#words[index * MESSAGE.words + MESSAGE.nameBytes] ?? 0;
  }

  /** A view of the socket address (`struct sockaddr_in` or `sockaddr_in6`) of who sent the message. */
  name(index: number): Uint8Array {
    return this.#names.subarray(index * NAME_ROOM, index * NAME_ROOM + this.nameBytes(index));
  }

  /** All socket addresses, `NAME_ROOM` bytes each: for those who look at every message. */
  get names(): Uint8Array {
    return this.#names;
  }

  /** A view of the control message with the address that the message was sent to; empty where the socket does not tell. */
  control(index: number): Uint8Array {
    const length = this.#words[index * MESSAGE.words + MESSAGE.controlBytes] ?? 0;
    return this.#controls.subarray(index * CONTROL_ROOM, index * CONTROL_ROOM + length);
  }

  /** Queues the first `length` bytes of message `index` as the reply to who sent it, from the address that was asked. */
  reply(index: number, length: number): void {
    const at = index * MESSAGE.words;
    this.#queue(index, length, this.#words[at + MESSAGE.nameBytes] ?? 0, this.#words[at + MESSAGE.controlBytes] ?? 0);
  }

  /** Queues a reply to who has this socket address, from the address in this control message. @returns whether the batch is full now. */
  put(reply: Uint8Array, name: Uint8Array, control: Uint8Array): boolean {
    const slot = this.#queued;
    this.#names.set(name, slot * NAME_ROOM);
    this.#controls.set(control, slot * CONTROL_ROOM);
    this.bytes.set(reply, slot * this.bytesEach);
    this.#queue(slot, reply.length, name.length, control.length);
    return this.#queued === this.#count;
  }

  #queue(slot: number, length: number, nameBytes: number, controlBytes: number): void {
    const words = this.#words;
    const header = this.#count + this.#queued++;
    const at = header * MESSAGE.words;
    const vector = (this.#at.vectors + header * VECTOR_BYTES) / 4;
    // The pointers of the message itself.
    const from = slot * MESSAGE.words;
    const fromVector = (this.#at.vectors + slot * VECTOR_BYTES) / 4;
    for (let word = 0; word < 2; word++) {
      words[at + MESSAGE.name + word] = words[from + MESSAGE.name + word] ?? 0;
      words[at + MESSAGE.control + word] = words[from + MESSAGE.control + word] ?? 0;
      words[vector + word] = words[fromVector + word] ?? 0;
    }
    words[vector + 2] = length;
    words[at + MESSAGE.nameBytes] = nameBytes;
    words[at + MESSAGE.controlBytes] = controlBytes;
    if (controlBytes > 0) this.#freeInterface(slot * CONTROL_ROOM, nameBytes);
  }

  /** The reply takes the route back, whatever interface the message came by; only for a link-local address the interface counts. */
  #freeInterface(control: number, nameBytes: number): void {
    const controls = this.#controls;
    const isIpv6 = nameBytes === NAME_BYTES;
    if (isIpv6 && controls[control + CONTROL_DATA] === 0xfe) return;
    const at = control + (isIpv6 ? INTERFACE6_AT : CONTROL_DATA);
    for (let byte = 0; byte < 4; byte++) controls[at + byte] = 0;
  }

  get queued(): number {
    return this.#queued;
  }

  /** Sends what is queued. @returns how many of the replies the system did not take. */
  flush(fd: number): number {
    let unsent = 0;
    let sent = 0;
    while (sent < this.#queued) {
      const pointer = sent === 0 ? this.#sending : this.#sending + BigInt(sent * HEADER_BYTES);
      const taken = this.#functions.sendmmsg(fd, pointer, this.#queued - sent, MSG_DONTWAIT);
      if (taken <= 0) unsent++;
      // One that cannot be sent keeps the others from nothing.
      sent += Math.max(1, taken);
    }
    this.#queued = 0;
    return unsent;
  }
}
