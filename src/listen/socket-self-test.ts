import { closeSync } from "node:fs";
import type { RawSocket, SocketCalls } from "./socket-calls.ts";

const LOOPBACK = Uint8Array.of(127, 0, 0, 1);
const WILDCARD = new Uint8Array(4);

/**
 * Sends a message from one socket to another and its reply back, and looks at every byte and address: where the structures of `socket-calls.ts` do not
 * fit the system, this finds out before a client does.
 * @throws Error
 */
export function selfTest(calls: SocketCalls): void {
  const options = { receiveBufferBytes: 0x1_0000 };
  const sockets: RawSocket[] = [];
  const open = (address: Uint8Array, tellsTarget: boolean): RawSocket => {
    const socket = calls.openSocket({ address, port: 0 }, { ...options, tellsTarget });
    if (socket === null) throw new Error("a socket cannot be opened");
    sockets.push(socket);
    return socket;
  };
  try {
    const server = open(WILDCARD, true);
    const client = open(LOOPBACK, false);
    const batch = calls.batch(4, 512);
    for (const text of ["a question", "another question"]) batch.put(Buffer.from(text), nameOf(server.port), new Uint8Array(0));
    expect(batch.flush(client.fd) === 0, "cannot be sent");
    calls.poller([server.fd]).wait();
    const received = batch.receive(server.fd, false);
    expect(
      received === 2 && textAt(batch, 0) === "a question" && textAt(batch, 1) === "another question",
      "are not received as sent",
    );
    expect(Buffer.from(nameOf(client.port)).equals(batch.name(0)), "come from another address than they were sent from");
    expect(batch.control(1).length === 32, "do not tell where they were sent to");
    // The second alone: nothing may hang on the order.
    batch.bytes.set(Buffer.from("A"), batch.start(1));
    batch.reply(1, 7);
    expect(batch.flush(server.fd) === 0, "cannot be replied to");
    expect(batch.receive(client.fd, true) === 1 && textAt(batch, 0) === "Another", "are not replied to as they should be");
    expect(Buffer.from(nameOf(server.port)).equals(batch.name(0)), "are replied to from another address");
  } finally {
    for (const { fd } of sockets) closeSync(fd);
  }
}

function expect(holds: boolean, problem: string): void {
  if (!holds) throw new Error(`the test of batches failed: messages ${problem}`);
}

function textAt(batch: ReturnType<SocketCalls["batch"]>, index: number): string {
  return Buffer.from(batch.bytes.subarray(batch.start(index), batch.start(index) + batch.length(index))).toString();
}

/** `struct sockaddr_in` of a port on loopback. */
function nameOf(port: number): Uint8Array {
  const name = new Uint8Array(16);
  name.set([2, 0, port >> 8, port & 255]);
  name.set(LOOPBACK, 4);
  return name;
}
