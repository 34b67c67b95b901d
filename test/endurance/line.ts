/**
 * A line between two networks of one machine, each in a namespace of its own, on which packets are lost, late, out of order or too large. Needs Linux, root
 * and `ip`. The packets pass through this process, because not every kernel can spoil them itself (`sch_netem`).
 */
import { execFileSync } from "node:child_process";
import { closeSync, openSync, read, write } from "node:fs";

/** How the line treats each packet, in both directions. Without any of it the line is in order. */
export interface Weather {
  /** Share of the packets that are lost, in [0, 1]. */
  readonly loss?: number;
  /** Each packet takes so long. */
  readonly delayMs?: number;
  /** Each packet takes up to so long on top, by chance: packets overtake each other. */
  readonly jitterMs?: number;
  /** Larger packets vanish, and nobody is told: a black hole of path MTU discovery (RFC 2923 §2.1). */
  readonly maxBytes?: number;
  /** Whether a packet to or from this address of the far side passes; absent = all do. */
  readonly passes?: (farAddress: string) => boolean;
}

/** The addresses of the near side: one at a time. */
const NEAR = ["10.77.0.2", "10.77.0.3"] as const;
/** The addresses of the far side. */
export const FAR = ["192.0.2.1", "192.0.2.2", "192.0.2.3"] as const;

const TUNSETIFF = 0x4004_54can;
const IFF_TUN = 0x0001;
const IFF_NO_PI = 0x1000;
const CLONE_NEWNET = 0x4000_0000;
const MTU = 1500;

type Side = "near" | "far";

const ip = (...args: readonly string[]): void => void execFileSync("ip", args, { stdio: ["ignore", "ignore", "pipe"] });

export class Line {
  weather: Weather = {};
  /** Packets that came, and those of them that were lost. */
  readonly counts = { came: 0, lost: 0 };
  readonly #calls: ReturnType<typeof systemCalls>;
  readonly #devices: Readonly<Record<Side, number>>;
  readonly #home: number;
  #isOpen = true;
  #nearAddress: string = NEAR[0];

  /** @throws Error where the system does not let us. */
  static open(): Line {
    const calls = systemCalls();
    const home = openSync("/proc/self/ns/net", "r");
    try {
      return new Line(calls, home);
    } catch (error) {
      removeNetworks();
      throw error;
    }
  }

  private constructor(calls: ReturnType<typeof systemCalls>, home: number) {
    this.#calls = calls;
    this.#home = home;
    this.#devices = { near: this.#openSide("near", [NEAR[0]]), far: this.#openSide("far", FAR) };
    this.#carry(this.#devices.near, this.#devices.far, DESTINATION);
    this.#carry(this.#devices.far, this.#devices.near, SOURCE);
  }

  /** Moves the thread into a network, or back (`null`): sockets and processes that it makes from now on are there. */
  enter(side: Side | null): void {
    const network = side === null ? this.#home : openSync(`/run/netns/${networkOf(side)}`, "r");
    const failed = this.#calls.setns(network, CLONE_NEWNET);
    if (side !== null) closeSync(network);
    if (failed !== 0) throw new Error("setns failed");
  }

  /** Gives the near side the other one of its addresses, as a redial does. */
  changeAddress(): void {
    const before = this.#nearAddress;
    const now = before === NEAR[0] ? NEAR[1] : NEAR[0];
    this.#nearAddress = now;
    this.#give("near", now);
    ip("-n", networkOf("near"), "address", "del", `${before}/32`, "dev", networkOf("near"));
    ip("-n", networkOf("near"), "route", "replace", "default", "dev", networkOf("near"), "src", now);
  }

  close(): void {
    this.#isOpen = false;
    this.enter(null);
    removeNetworks();
    for (const device of Object.values(this.#devices)) closeSync(device);
  }

  /** A device whose packets this process reads and writes, and which is all that its network has beside the loopback. */
  #openSide(side: Side, addresses: readonly string[]): number {
    const name = networkOf(side);
    const device = openSync("/dev/net/tun", "r+");
    const request = Buffer.alloc(40);
    request.write(name);
    request.writeUInt16LE(IFF_TUN | IFF_NO_PI, 16);
    if (this.#calls.ioctl(device, TUNSETIFF, request) !== 0) throw new Error("there can be no TUN device");
    ip("netns", "add", name);
    ip("link", "set", name, "netns", name);
    ip("-n", name, "link", "set", "lo", "up");
    ip("-n", name, "link", "set", name, "mtu", String(MTU), "up");
    for (const address of addresses) this.#give(side, address);
    ip("-n", name, "route", "add", "default", "dev", name);
    return device;
  }

  #give(side: Side, address: string): void {
    ip("-n", networkOf(side), "address", "add", `${address}/32`, "dev", networkOf(side));
  }

  #carry(from: number, to: number, farAt: number): void {
    const buffer = Buffer.alloc(65_536);
    const next = (): void => {
      read(from, buffer, 0, buffer.length, null, (error, bytes) => {
        if (!this.#isOpen || error !== null) return;
        this.#pass(Buffer.from(buffer.subarray(0, bytes)), to, farAt);
        next();
      });
    };
    next();
  }

  #pass(packet: Buffer, to: number, farAt: number): void {
    // IPv6 has only its own announcements here.
    if ((packet[0] ?? 0) >> 4 !== 4) return;
    const { loss = 0, delayMs = 0, jitterMs = 0, maxBytes = MTU, passes = () => true } = this.weather;
    const farAddress = packet.subarray(farAt, farAt + 4).join(".");
    this.counts.came++;
    if (Math.random() < loss || packet.length > maxBytes || !passes(farAddress)) {
      this.counts.lost++;
      return;
    }
    const deliver = (): void => {
      if (this.#isOpen) write(to, packet, () => {});
    };
    const lateMs = delayMs + Math.random() * jitterMs;
    if (lateMs === 0) deliver();
    else setTimeout(deliver, lateMs);
  }
}

/** Where these addresses are in a packet of IPv4. */
const SOURCE = 12;
const DESTINATION = 16;

/** The network's name, and that of its device: two runs at a time do not meet. */
function networkOf(side: Side): string {
  return `fl${side}${process.pid}`;
}

function removeNetworks(): void {
  for (const side of ["near", "far"] as const) {
    const name = networkOf(side);
    try {
      // Ends the read that waits for packets. The network itself may outlive its name.
      ip("-n", name, "link", "delete", name);
      ip("netns", "delete", name);
    } catch {
      // It was not made.
    }
  }
}

function systemCalls() {
  // Loading it prints a warning that it is experimental.
  const emitWarning = process.emitWarning.bind(process);
  process.emitWarning = () => {};
  try {
    return process.getBuiltinModule("node:ffi").dlopen(null, {
      ioctl: { return: "i32", arguments: ["i32", "u64", "buffer"] },
      setns: { return: "i32", arguments: ["i32", "i32"] },
    }).functions;
  } finally {
    process.emitWarning = emitWarning;
  }
}
