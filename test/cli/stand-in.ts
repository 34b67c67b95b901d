import { once } from "node:events";
import { writeFileSync } from "node:fs";
import { createServer, type RequestListener, type Server } from "node:http";
import { join } from "node:path";
import { onTestFinished } from "vitest";
import { directory } from "../support/files.ts";
import { type TestTerminal, testTerminal } from "./terminal.ts";

/** A server in place of the API; closed at the end of the test. */
export async function standIn(listener: RequestListener): Promise<{ readonly server: Server; readonly port: number }> {
  const server = createServer(listener).listen(0, "127.0.0.1");
  await once(server, "listening");
  onTestFinished(() => {
    server.close();
    server.closeAllConnections();
  });
  const address = server.address();
  if (address === null || typeof address === "string") throw new Error("no port");
  return { server, port: address.port };
}

/** A terminal in a folder whose configuration has the API at this port. */
export function terminalFor(port: number | undefined): TestTerminal {
  const where = directory();
  writeFileSync(join(where, "fenliu.yaml"), `listen: { admin: "127.0.0.1:${port}" }\n`);
  return testTerminal(where);
}
