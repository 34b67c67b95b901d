import { once } from "node:events";
import { connect } from "node:net";
import { RawConnection } from "../../listen/support/raw.ts";

export interface RawOptions {
  /** What the connection comes from. */
  readonly localAddress?: string;
  /** What follows the head. */
  readonly body?: string;
}

/** Sends the lines of a head on a connection of its own. @returns the response, its body read as JSON where it is. */
export async function rawRequest(port: number, lines: readonly string[], { localAddress, body = "" }: RawOptions = {}) {
  const socket = connect({ port, host: "127.0.0.1", ...(localAddress === undefined ? {} : { localAddress }) });
  const connection = new RawConnection(socket);
  await once(socket, "connect");
  connection.write(`${lines.join("\r\n")}\r\n\r\n${body}`);
  const response = await connection.takeResponse();
  socket.destroy();
  const text = response.body.toString();
  const parsed: unknown = text.startsWith("{") ? JSON.parse(text) : text;
  return { ...response, body: parsed };
}
