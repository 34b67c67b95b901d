import { createSocket, type RemoteInfo, type Socket } from "node:dgram";
import { once } from "node:events";
import { describe, expect, onTestFinished, test } from "vitest";
import { AddressSet } from "../../src/dns/address.ts";
import type { Client } from "../../src/lib/client.ts";
import { ConnectionTable } from "../../src/listen/connection-table.ts";
import { LISTEN_LIMITS } from "../../src/listen/limits.ts";
import { Turns } from "../../src/listen/turns.ts";
import type { Handler, ListenEvent, ListenServices } from "../../src/listen/types.ts";
import { UdpListener } from "../../src/listen/udp.ts";
import { type FakeClock, fakeClock } from "../support/fake-clock.ts";
import { hasIpv6 } from "../support/ipv6.ts";
import { echo, handlerOf, messageOf, slowHandler } from "./support/site.ts";

interface Bench {
  readonly clock: FakeClock;
  readonly events: ListenEvent[];
  readonly services: ListenServices;
}

function benchWith(handler: Handler = echo): Bench {
  const clock = fakeClock();
  const events: ListenEvent[] = [];
  const limits = LISTEN_LIMITS;
  const counters = { udpInFlight: 0, udpUnsent: 0, udpShed: 0, connections: 0, connectionsRefused: 0, connectionsEvicted: 0 };
  const services = {
    handler,
    clock,
    limits,
    counters,
    connections: new ConnectionTable(limits, counters, clock),
    turns: new Turns(),
    inherited: null,
    proxyPeers: AddressSet.of(),
    trustedProxies: AddressSet.of(),
    report: (event: ListenEvent) => events.push(event),
  };
  return { clock, events, services };
}

async function open(address: string, bench: Bench, readAddresses?: () => readonly string[]): Promise<UdpListener> {
  const listener = await UdpListener.open({ address, port: 0 }, bench.services, readAddresses);
  onTestFinished(() => listener.close(0));
  return listener;
}

async function clientSocket(type: "udp4" | "udp6" = "udp4"): Promise<Socket> {
  const socket = createSocket(type);
  onTestFinished(() => new Promise<void>((resolve) => socket.close(() => resolve())));
  socket.bind(0, type === "udp4" ? "127.0.0.1" : "::1");
  await once(socket, "listening");
  return socket;
}

/** Asks without connecting, so that a reply from another address is seen too. */
async function ask(
  socket: Socket,
  address: string,
  port: number,
  message = messageOf(1),
): Promise<{ reply: Uint8Array; from: RemoteInfo }> {
  const replied: Promise<[Buffer, RemoteInfo]> = once(socket, "message") as Promise<[Buffer, RemoteInfo]>;
  socket.send(message, port, address);
  const [reply, from] = await replied;
  return { reply: new Uint8Array(reply), from };
}

describe("behind the IPv4 wildcard", () => {
  test("the reply comes from the address that was asked, also from one that appeared later", async () => {
    const bench = benchWith();
    let addresses = ["127.0.0.1", "127.0.0.2"];
    const listener = await open("0.0.0.0", bench, () => addresses);
    const socket = await clientSocket();
    for (const address of ["127.0.0.1", "127.0.0.2"]) {
      expect((await ask(socket, address, listener.bound.port)).from).toMatchObject({ address, port: listener.bound.port });
    }
    addresses = ["127.0.0.2", "127.0.0.3"];
    await bench.clock.advance(5000);
    await expect.poll(() => listener.localAddresses).toEqual(["127.0.0.2", "127.0.0.3"]);
    for (const address of ["127.0.0.2", "127.0.0.3"]) {
      expect((await ask(socket, address, listener.bound.port)).from).toMatchObject({ address });
    }
  });

  test("a query to an address that the system does not list is answered", async () => {
    const listener = await open("0.0.0.0", benchWith(), () => []);
    expect((await ask(await clientSocket(), "127.0.0.9", listener.bound.port)).reply).toEqual(messageOf(1));
  });

  test("each address of this host has its own socket", async () => {
    const listener = await open("0.0.0.0", benchWith());
    expect(listener.localAddresses).toContain("127.0.0.1");
  });

  test("an address that cannot be bound is reported once and tried again, and the others work", async () => {
    const bench = benchWith();
    // 192.0.2.0/24 is for documentation; 192.0.2.222 is no address of any host.
    const listener = await open("0.0.0.0", bench, () => ["192.0.2.222", "127.0.0.1"]);
    await bench.clock.advance(20_000);
    expect(bench.events).toEqual([
      { kind: "localAddressSkipped", address: "192.0.2.222", reason: expect.stringContaining("EADDRNOTAVAIL") },
    ]);
    expect((await ask(await clientSocket(), "127.0.0.1", listener.bound.port)).reply).toEqual(messageOf(1));
  });

  test("open sockets stay open while the addresses cannot be read", async () => {
    const bench = benchWith();
    let fails = false;
    const listener = await open("0.0.0.0", bench, () => {
      if (fails) throw new Error("too many open files");
      return ["127.0.0.2"];
    });
    fails = true;
    await bench.clock.advance(5000);
    expect(bench.events).toEqual([{ kind: "socketError", where: "local addresses", reason: "Error: too many open files" }]);
    expect((await ask(await clientSocket(), "127.0.0.2", listener.bound.port)).from).toMatchObject({ address: "127.0.0.2" });
  });

  test("an answer from an address that disappeared meanwhile is counted as unsent", async () => {
    const { handler, begun, reply } = slowHandler();
    const bench = benchWith(handler);
    let addresses = ["127.0.0.2"];
    const listener = await open("0.0.0.0", bench, () => addresses);
    (await clientSocket()).send(messageOf(1), listener.bound.port, "127.0.0.2");
    await begun;
    addresses = [];
    await bench.clock.advance(5000);
    await expect.poll(() => listener.localAddresses).toEqual([]);
    reply({ wire: messageOf(1), maxAgeSeconds: null });
    await expect.poll(() => bench.services.counters).toMatchObject({ udpInFlight: 0, udpUnsent: 1 });
  });
});

// Nothing can listen on ::1 where IPv6 is switched off.
describe.skipIf(!hasIpv6)("IPv6", () => {
  test.each(["::1", "::"])("a client on %s is answered, and its address is in short form", async (address) => {
    const clients: Client[] = [];
    const listener = await open(
      address,
      benchWith(
        handlerOf((wire, client) => {
          clients.push(client);
          return { wire, maxAgeSeconds: null };
        }),
      ),
    );
    const { from } = await ask(await clientSocket("udp6"), "::1", listener.bound.port);
    expect(from.address).toBe("::1");
    expect(clients).toMatchObject([{ address: "::1" }]);
  });

  test("the IPv6 wildcard does not take the port of IPv4", async () => {
    // In this order, because other programs hold more ports of IPv4.
    const four = await open("127.0.0.1", benchWith());
    const six = await UdpListener.open({ address: "::", port: four.bound.port }, benchWith().services);
    onTestFinished(() => six.close(0));
    expect((await ask(await clientSocket(), "127.0.0.1", six.bound.port)).reply).toEqual(messageOf(1));
  });
});

test("a datagram that finds no room to wait for its turn gets the handler's short answer, and is counted", async () => {
  const asked: Uint8Array[] = [];
  const bench = benchWith(
    handlerOf((wire) => {
      asked.push(wire);
      return { wire, maxAgeSeconds: null };
    }),
  );
  class FullTurns extends Turns {
    override get isOver(): boolean {
      return true;
    }
    override postponeDatagram(): boolean {
      return false;
    }
  }
  const listener = await open("127.0.0.1", { ...bench, services: { ...bench.services, turns: new FullTurns() } });
  const { reply } = await ask(await clientSocket(), "127.0.0.1", listener.bound.port);
  expect(reply).toEqual(messageOf(1).slice(0, 2));
  expect(asked).toEqual([]);
  expect(bench.services.counters).toMatchObject({ udpInFlight: 0, udpShed: 1, udpUnsent: 0 });
});

test("a reply too large for a datagram is counted as unsent", async () => {
  const bench = benchWith(handlerOf(() => ({ wire: new Uint8Array(65_535), maxAgeSeconds: null })));
  const listener = await open("127.0.0.1", bench);
  (await clientSocket()).send(messageOf(1), listener.bound.port, "127.0.0.1");
  await expect.poll(() => bench.services.counters.udpUnsent).toBe(1);
});

test("the handler gets each datagram in its own memory, also an empty one", async () => {
  const seen: Uint8Array[] = [];
  const listener = await open(
    "127.0.0.1",
    benchWith(
      handlerOf((message) => {
        seen.push(message);
        return null;
      }),
    ),
  );
  const socket = await clientSocket();
  const sent = [new Uint8Array(0), messageOf(1, 1), messageOf(2, 512), messageOf(3, 9000)];
  for (const message of sent) socket.send(message, listener.bound.port, "127.0.0.1");
  await expect.poll(() => seen.length).toBe(sent.length);
  expect(seen).toEqual(sent);
  expect(new Set(seen.map((message) => message.buffer)).size).toBe(sent.length);
});
