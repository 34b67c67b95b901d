import { once } from "node:events";
import { connect } from "node:net";
import { frame, MessageFramer } from "../../src/dns/wire.ts";
import { questionBytes } from "./question.ts";

/** One TCP connection on which very many questions are asked. */
export interface StreamAsker {
  /** Asks for A and resolves with the reply; up to 65,535 at a time. Rejects where the connection ends first. */
  ask(name: string): Promise<Uint8Array>;
  close(): void;
}

/** @throws the system's error where nobody listens. */
export async function openStream(port: number): Promise<StreamAsker> {
  const socket = connect(port, "127.0.0.1").setNoDelay(true);
  await once(socket, "connect");
  const waiting = new Map<number, PromiseWithResolvers<Uint8Array>>();
  const reader = new MessageFramer();
  let lastId = 0;
  socket.on("data", (chunk: Uint8Array) => {
    reader.push(chunk);
    for (let reply = reader.next(); typeof reply !== "string"; reply = reader.next()) {
      const id = ((reply[0] ?? 0) << 8) | (reply[1] ?? 0);
      waiting.get(id)?.resolve(reply);
      waiting.delete(id);
    }
  });
  socket.on("error", () => {});
  socket.on("close", () => {
    for (const { reject } of waiting.values()) reject(new Error("the connection was closed"));
    waiting.clear();
  });
  return {
    ask(name) {
      lastId = (lastId % 0xffff) + 1;
      const answer = Promise.withResolvers<Uint8Array>();
      waiting.set(lastId, answer);
      socket.write(frame(questionBytes(name, 1, lastId)));
      return answer.promise;
    },
    close: () => void socket.destroy(),
  };
}
