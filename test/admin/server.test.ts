import { createServer } from "node:net";
import { describe, expect, test } from "vitest";
import { ControlError } from "../../src/admin/control.ts";
import { adminProblems } from "../../src/admin/options.ts";
import { AdminError, openAdmin } from "../../src/admin/server.ts";
import { ClientsBehind } from "../../src/listen/client-address.ts";
import { connectRaw } from "../listen/support/raw.ts";
import { fakeClock } from "../support/fake-clock.ts";
import { hasIpv6 } from "../support/ipv6.ts";
import { openTestAdmin } from "./support/admin.ts";
import { MemoryControl } from "./support/memory-control.ts";

const control = new MemoryControl();
const SETUP = {
  options: () => ({ token: null, hosts: [] }),
  control: () => control,
  clients: new ClientsBehind([]),
  clock: fakeClock(),
  report: () => {},
  version: "0.0.0",
};

describe("opening", () => {
  test.each([
    ["127.0.0.1", true],
    ["127.8.9.10", true],
    ["::1", true],
    ["::ffff:127.0.0.1", true],
    ["0.0.0.0", false],
    ["::", false],
    ["192.168.1.5", false],
    ["fd00::5", false],
    ["fe80::1%eth0", false],
  ])("on %s without a token: %j", (address, allowed) => {
    const endpoint = { address, port: 9080 };
    expect(adminProblems(endpoint, { token: null, hosts: [] }).length).toBe(allowed ? 0 : 1);
    expect(adminProblems(endpoint, { token: "correct-horse", hosts: [] })).toEqual([]);
  });

  test("beyond loopback without a token is refused, with advice", async () => {
    const opening = openAdmin({ ...SETUP, endpoint: { address: "0.0.0.0", port: 0 } });
    await expect(opening).rejects.toThrow(AdminError);
    await expect(opening).rejects.toThrow(
      "listen.admin 0.0.0.0:0 can be reached from elsewhere, and there is no admin.token: set one (openssl rand -hex 16), or listen on 127.0.0.1:0",
    );
  });

  test("on a port in use is refused, and the error names the port", async () => {
    const other = createServer();
    await new Promise<void>((resolve) => other.listen(0, "127.0.0.1", resolve));
    const address = other.address();
    const port = typeof address === "object" ? (address?.port ?? 0) : 0;
    await expect(openAdmin({ ...SETUP, endpoint: { address: "127.0.0.1", port } })).rejects.toThrow(
      `listen.admin 127.0.0.1:${port}: the port is taken`,
    );
    other.close();
  });

  test("does nothing if the configuration wants no API", async () => {
    const server = await openAdmin({ ...SETUP, endpoint: null });
    expect(server.bound).toBeNull();
    await server.close();
  });

  test("on a wildcard with a token answers at every address of this machine", async () => {
    const admin = await openTestAdmin({ address: "0.0.0.0", token: "correct-horse" });
    expect((await fetch(`http://127.0.0.1:${admin.port}/healthz`)).status).toBe(200);
    expect((await fetch(`http://127.0.0.3:${admin.port}/healthz`)).status).toBe(200);
  });

  // Nothing can listen on ::1 where IPv6 is switched off.
  test.skipIf(!hasIpv6)("on ::1 answers there", async () => {
    const admin = await openTestAdmin({ address: "::1" });
    expect((await admin.get("/api/v1/upstreams")).status).toBe(200);
  });
});

describe("a fault", () => {
  test("of ours is reported to the operator and not to the client", async () => {
    const admin = await openTestAdmin();
    admin.control.fault = new Error("secret internals at /etc/fenliu/key");
    const { status, body } = await admin.get("/api/v1/upstreams");
    expect(status).toBe(500);
    expect(JSON.stringify(body)).not.toMatch(/secret|key|\.ts/);
    expect(admin.faults).toEqual([{ kind: "a fault in Fenliu itself: please report it", details: { err: admin.control.fault } }]);
  });

  test("of ours that bears a status is still ours", async () => {
    const admin = await openTestAdmin();
    admin.control.fault = Object.assign(new Error("inner"), { statusCode: 502 });
    expect((await admin.get("/api/v1/config")).status).toBe(500);
    expect(admin.faults.length).toBe(1);
  });

  test.each([
    ["invalid", 400],
    ["missing", 404],
    ["refused", 409],
    ["failed", 502],
    ["unavailable", 503],
    ["slow", 504],
  ] as const)("of kind %s gets %d", async (kind, status) => {
    const admin = await openTestAdmin();
    admin.control.fault = new ControlError(kind, "one thing", "another");
    const response = await fetch(`${admin.base}/api/v1/reload`, {
      method: "POST",
      headers: { "content-type": "application/json" },
    });
    expect(response.status).toBe(status);
    expect(await response.json()).toMatchObject({
      status,
      problems: [
        { parameter: null, reason: "one thing" },
        { parameter: null, reason: "another" },
      ],
    });
    expect(admin.faults).toEqual([]);
  });

  test("of the log is 503 for searches, exports and statistics", async () => {
    const admin = await openTestAdmin();
    admin.control.queries.fault = new ControlError("unavailable", "the disk is full");
    for (const path of ["/api/v1/queries", "/api/v1/queries/5", "/api/v1/queries/export?format=csv", "/api/v1/stats"])
      expect((await admin.get(path)).body).toMatchObject({ status: 503, detail: "the disk is full" });
  });

  test("that prevents answers makes readyz 503, and another fault does not", async () => {
    const admin = await openTestAdmin();
    admin.control.readinessNow = { ready: true, problems: ["the query log fails: the disk is full"] };
    expect(await admin.get("/readyz")).toMatchObject({
      status: 200,
      body: { ready: true, problems: ["the query log fails: the disk is full"] },
    });
    admin.control.readinessNow = { ready: false, problems: ["no group is well"] };
    expect(await admin.get("/readyz")).toMatchObject({ status: 503, body: { ready: false } });
  });
});

describe("closing", () => {
  test("ends streams, accepts no more connections, and may be called twice", async () => {
    const admin = await openTestAdmin();
    const stream = await fetch(`${admin.base}/api/v1/queries/stream`);
    const closing = [admin.server.close(), admin.server.close()];
    expect(await stream.text()).toBe("retry: 2000\n\n");
    await Promise.all(closing);
    await expect(fetch(`${admin.base}/healthz`)).rejects.toThrow();
    expect(admin.control.queries.readers).toBe(0);
  });

  test("waits for requests under way", async () => {
    const control = new MemoryControl();
    const reached = Promise.withResolvers<void>();
    const done = Promise.withResolvers<void>();
    control.reload = async () => {
      reached.resolve();
      await done.promise;
      return control.config();
    };
    const admin = await openTestAdmin({ control });
    await admin.document();
    const called = admin.call("POST", "/api/v1/reload");
    const answered = called.then(({ status }) => status);
    const connection = await connectRaw(admin.port);
    await reached.promise;
    const closing = admin.server.close();
    done.resolve();
    expect(await answered).toBe(200);
    await closing;
    await connection.ended;
  });

  test("answers a request whose head had begun", async () => {
    const admin = await openTestAdmin();
    const connection = await connectRaw(admin.port);
    connection.write(`GET /healthz HTTP/1.1\r\nHost: 127.0.0.1:${admin.port}\r\n`);
    await admin.get("/healthz");
    const closing = admin.server.close();
    connection.write("Connection: close\r\n\r\n");
    expect((await connection.takeResponse()).status).toBe(200);
    await closing;
  });

  test("cuts off unfinished requests after a moment", async () => {
    const admin = await openTestAdmin();
    const connection = await connectRaw(admin.port);
    connection.write("GET /healthz HTTP/1.1\r\nHo");
    await admin.get("/healthz");
    const closing = admin.server.close();
    await admin.clock.advance(2000);
    await closing;
    await connection.ended;
  });
});
