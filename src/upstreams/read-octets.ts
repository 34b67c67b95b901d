import type { Socket } from "node:net";

/**
 * Takes exactly `count` octets, at least 1, from a socket in paused mode; what follows them stays in it.
 * Rejects where the socket fails or ends first: destroying it is the way to stop this.
 */
export function readOctets(socket: Socket, count: number): Promise<Buffer> {
  return whenReadable(socket, () => {
    const chunk: Buffer | null = socket.read(count);
    // At the end of a stream `read` gives what is left, however short.
    return chunk?.length === count ? chunk : null;
  });
}

/** Takes octets up to and including `terminator`. Rejects where it does not come within `limit` octets. */
export function readThrough(socket: Socket, terminator: string, limit: number): Promise<Buffer> {
  let taken = Buffer.alloc(0);
  return whenReadable(socket, () => {
    const chunk: Buffer | null = socket.read();
    if (chunk === null) return null;
    taken = Buffer.concat([taken, chunk]);
    const end = taken.indexOf(terminator);
    if (end < 0 && taken.length <= limit) return null;
    const length = end + terminator.length;
    if (end < 0 || length > limit) throw new Error(`no end within ${limit} octets`);
    if (length < taken.length) socket.unshift(taken.subarray(length));
    return taken.subarray(0, length);
  });
}

function whenReadable(socket: Socket, take: () => Buffer | null): Promise<Buffer> {
  return new Promise<Buffer>((resolve, reject) => {
    const settle = (settleWith: () => void): void => {
      socket.off("readable", attempt).off("error", fail).off("end", end).off("close", end);
      settleWith();
    };
    const attempt = (): void => {
      try {
        const taken = take();
        if (taken !== null) settle(() => resolve(taken));
      } catch (error) {
        settle(() => reject(error));
      }
    };
    const fail = (error: Error): void => settle(() => reject(error));
    const end = (): void => settle(() => reject(new Error("the connection ended")));
    socket.on("readable", attempt).on("error", fail).on("end", end).on("close", end);
    if (socket.destroyed || socket.readableEnded) end();
    else attempt();
  });
}
