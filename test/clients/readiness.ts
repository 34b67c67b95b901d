import { Resolver } from "node:dns/promises";
import { connect } from "node:net";

/** Whether a DNS server sends any reply over UDP; null = not yet. */
export async function answersDns(port: number): Promise<true | null> {
  const resolver = new Resolver({ timeout: 500, tries: 1 });
  resolver.setServers([`127.0.0.1:${port}`]);
  try {
    await resolver.resolve4("ready.invalid");
    return true;
  } catch (error) {
    const code = error instanceof Error && "code" in error ? String(error.code) : "";
    return ["ENOTFOUND", "ENODATA", "EREFUSED", "ESERVFAIL"].includes(code) ? true : null;
  }
}

/** Whether a process accepts TCP connections at the port; null = not yet. */
export function acceptsTcp(port: number): Promise<true | null> {
  return new Promise((resolve) => {
    const socket = connect(port, "127.0.0.1");
    socket.on("connect", () => resolve(true)).on("error", () => resolve(null));
    socket.on("connect", () => socket.destroy());
  });
}
