import { once } from "node:events";
import { createServer } from "node:net";
import { describe, expect, onTestFinished, test } from "vitest";
import { explainBindError } from "../../src/lib/bind-error.ts";

const failure = (code: string) => Object.assign(new Error("bind failed"), { code });

describe("a port that is taken", () => {
  test("by the same process is another line of the section", async () => {
    const server = createServer().listen(0, "127.0.0.1");
    await once(server, "listening");
    onTestFinished(() => void server.close());
    const address = server.address();
    const port = typeof address === "object" && address !== null ? address.port : 0;
    const text = explainBindError(failure("EADDRINUSE"), { protocol: "tcp", port });
    if (process.platform === "linux") expect(text).toBe("the port is taken by another line of this section (EADDRINUSE)");
    // No datagram socket has it.
    expect(explainBindError(failure("EADDRINUSE"), { protocol: "udp", port })).toContain("taken by another program or");
  });
});

test("without the right to port 53 there are three ways", () => {
  const text = explainBindError(failure("EACCES"), { protocol: "udp", port: 53 });
  expect(text).toContain("fenliu service install");
  expect(text).toContain("net.ipv4.ip_unprivileged_port_start=53");
  expect(text).toContain("a port such as 5053");
});
