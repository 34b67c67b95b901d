import { once } from "node:events";
import { connect } from "node:net";
import { RawConnection } from "../../listen/support/raw.ts";

export interface RawOptions {
  /** The local address of the connection. */
  readonly localAddress?: string;
  /** The body, sent after the head. */
  readonly body?: string;
}

/** Sends the lines of a head on a new connection. @returns the response, its body parsed if it is JSON. */
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
