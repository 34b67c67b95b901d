import { createSocket, type RemoteInfo, type Socket } from "node:dgram";
import { once } from "node:events";
import { describe, expect, onTestFinished, test } from "vitest";
import { AddressSet } from "../../src/dns/address.ts";
import type { Client } from "../../src/lib/client.ts";
import { type Clock, systemClock } from "../../src/lib/clock.ts";
import { ConnectionTable } from "../../src/listen/connection-table.ts";
import { Inheritance } from "../../src/listen/inheritance.ts";
import { LISTEN_LIMITS } from "../../src/listen/limits.ts";
import { SocketCalls } from "../../src/listen/socket-calls.ts";
import { selfTest } from "../../src/listen/socket-self-test.ts";
import { Turns } from "../../src/listen/turns.ts";
import type { Handler, ListenEvent } from "../../src/listen/types.ts";
import { BatchedUdp } from "../../src/listen/udp-batch.ts";
import { QueryRing } from "../../src/log/ring.ts";
import { HEADER } from "../../src/replies/layout.ts";
import { ReplyTable } from "../../src/replies/table.ts";
import { fakeClock } from "../support/fake-clock.ts";
import { hasIpv6 } from "../support/ipv6.ts";
import { queryWire } from "../support/message.ts";
import { echo, handlerOf, messageOf, openSite, slowHandler } from "./support/site.ts";

interface Settings {
  readonly handler?: Handler;
  readonly address?: string;
  readonly thread?: string;
  readonly watchMs?: number;
  readonly clock?: Clock;
}

async function open({ handler = echo, address = "127.0.0.1", thread, watchMs = 1000, clock = systemClock }: Settings = {}) {
  const events: ListenEvent[] = [];
  const counters = { udpInFlight: 0, udpUnsent: 0, udpShed: 0, connections: 0, connectionsRefused: 0, connectionsEvicted: 0 };
  const table = new ReplyTable();
  const services = {
    handler,
    clock,
    limits: LISTEN_LIMITS,
    counters,
    connections: new ConnectionTable(LISTEN_LIMITS, counters, clock),
    turns: new Turns(),
    inherited: null,
    proxyPeers: AddressSet.of(),
    trustedProxies: AddressSet.of(),
    report: (event: ListenEvent) => events.push(event),
  };
  const memory = { replies: table.memory, log: new QueryRing(4096).memory, called: () => {} };
  const settings = thread === undefined ? {} : { thread: new URL(`support/${thread}`, import.meta.url), watchMs };
  const udp = new BatchedUdp(services, memory, settings);
  const port = await freePort(address);
  expect(udp.bind({ address, port })).toBe(true);
  const started = udp.start();
  onTestFinished(() => udp.close(0));
  return { udp, port, table, events, counters, started };
}

async function freePort(address: string): Promise<number> {
  const socket = createSocket(address.includes(":") ? "udp6" : "udp4");
  socket.bind(0, address);
  await once(socket, "listening");
  const { port } = socket.address();
  socket.close();
  return port;
}

async function clientSocket(type: "udp4" | "udp6" = "udp4"): Promise<Socket> {
  const socket = createSocket(type);
  onTestFinished(() => new Promise<void>((resolve) => socket.close(() => resolve())));
  socket.bind(0, type === "udp4" ? "127.0.0.1" : "::1");
  await once(socket, "listening");
  return socket;
}

/** Asks without connecting, so that a reply from another address is seen too. */
async function ask(socket: Socket, port: number, message = messageOf(1), address = "127.0.0.1"): Promise<[Buffer, RemoteInfo]> {
  const replied = once(socket, "message") as Promise<[Buffer, RemoteInfo]>;
  socket.send(message, port, address);
  return await replied;
}

describe.runIf(process.platform === "linux")("a thread that reads UDP in batches", () => {
  test("fits this system", () => {
    selfTest(SocketCalls.open());
  });

  test("hands on every byte, and the reply comes from the address that was asked", async () => {
    const asked: Client[] = [];
    const handler = handlerOf((wire, client) => {
      asked.push(client);
      return { wire, maxAgeSeconds: null };
    });
    const { port } = await open({ handler, address: "0.0.0.0" });
    const socket = await clientSocket();
    for (const address of ["127.0.0.1", "127.0.0.2", "127.0.0.77"]) {
      const message = messageOf(1, 60 + address.length);
      const [reply, from] = await ask(socket, port, message, address);
      expect(new Uint8Array(reply)).toEqual(message);
      expect(from).toMatchObject({ address, port });
    }
    const { port: from } = socket.address();
    expect(asked).toEqual(
      Array(3).fill({ address: "127.0.0.1", port: from, transport: "udp", http: null, method: null, clientId: null }),
    );
  });

  test.runIf(hasIpv6)("serves IPv6", async () => {
    const { port } = await open({ address: "::" });
    const [reply, from] = await ask(await clientSocket("udp6"), port, messageOf(9), "::1");
    expect(new Uint8Array(reply)).toEqual(messageOf(9));
    expect(from).toMatchObject({ address: "::1", port });
  });

  test("loses none of many at once, and takes the longest message", async () => {
    const { port } = await open();
    const socket = await clientSocket();
    const ids = new Set<number>();
    socket.on("message", (reply) => ids.add(reply.readUInt16BE(0)));
    // More than a batch, and no more than a client's own buffer holds.
    for (let wave = 1; wave <= 10; wave++) {
      for (let id = 0; id < 100; id++) socket.send(messageOf(wave * 100 + id), port, "127.0.0.1");
      await expect.poll(() => ids.size, { interval: 5 }).toBe(wave * 100);
    }
    const long = messageOf(5, 60_000);
    expect(new Uint8Array((await ask(socket, port, long))[0])).toEqual(long);
  });

  test("sends late answers to those who asked, also when it is closed meanwhile", async () => {
    const { handler, reply } = slowHandler();
    const { udp, port, counters } = await open({ handler });
    const socket = await clientSocket();
    const replied = ask(socket, port, messageOf(3));
    await expect.poll(() => counters.udpInFlight).toBe(1);
    const closed = udp.close(5000);
    reply({ wire: messageOf(3), maxAgeSeconds: null });
    expect((await replied)[0].readUInt16BE(0)).toBe(3);
    await closed;
    expect(counters.udpInFlight).toBe(0);
  });

  test("repeats a published reply by itself", async () => {
    const seen: number[] = [];
    const handler = handlerOf((wire) => {
      seen.push(wire[1] ?? 0);
      return { wire, maxAgeSeconds: null };
    });
    const { port, table } = await open({ handler });
    const query = queryWire("page.example", "A", { edns: null, id: 7 });
    const wire = Buffer.concat([query, Uint8Array.of(1, 2, 3)]);
    wire[2] = 0x80;
    const mapped = Uint8Array.of(0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff, 127, 0, 0, 1);
    table.addClient(mapped, 1, { address: "127.0.0.1", clientId: "" });
    const times = { lifeSeconds: 60, storedAtMs: performance.now(), usableMs: 60_000 };
    const key = { name: "\x04page\x07example\0", type: 1, shape: 0, clientClass: 1 };
    table.publish({}, { ...key, ...times, wire, ttls: [], answerTtls: 0, isNegative: false, log: null, tally: () => {} });
    const [reply] = await ask(await clientSocket(), port, queryWire("pAge.example", "A", { edns: null, id: 9 }));
    expect(reply.toString("hex")).toBe(`000981${wire.subarray(3).toString("hex")}`.replace("047061", "047041"));
    expect(seen).toEqual([]);
  });

  test.each([
    { thread: "ends-at-once.mjs", reason: "came to its end", watchMs: 1000 },
    { thread: "hangs.mjs", reason: "hung up", watchMs: 10 },
  ])("that fails is replaced by the main thread: $thread", async ({ thread, reason, watchMs }) => {
    const { udp, port, events, started } = await open({ thread, watchMs, address: "0.0.0.0" });
    await started;
    expect(events).toEqual([{ kind: "udpUnbatched", reason: expect.stringContaining(reason) }]);
    const [reply] = await ask(await clientSocket(), port, messageOf(4));
    expect(reply.readUInt16BE(0)).toBe(4);
    await udp.close(0);
  });

  test("reads already when a process that takes over says that it answers", async () => {
    const memory = { replies: new ReplyTable().memory, log: new QueryRing(4096).memory, called: () => {} };
    await openSite({ udp: memory, inherited: new Inheritance() });
    expect(Atomics.load(new Int32Array(memory.replies, 0, HEADER.words), HEADER.beat)).toBeGreaterThan(0);
  });

  test("ends by itself, and is not waited for where it has hung up", async () => {
    const clock = fakeClock();
    const { udp } = await open({ clock });
    const startedMs = performance.now();
    await udp.close(0);
    // It sleeps for a second where nobody wakes it.
    console.info(`ended after ${Math.round(performance.now() - startedMs)} ms`);
    const hung = await open({ clock, thread: "hangs.mjs", watchMs: 60_000 });
    let isClosed = false;
    const closed = hung.udp.close(0).then(() => {
      isClosed = true;
    });
    await clock.advance(1499);
    expect(isClosed).toBe(false);
    await clock.advance(1);
    await closed;
  });
});
