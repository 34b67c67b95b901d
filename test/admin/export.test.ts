import { describe, expect, test } from "vitest";
import { ControlError } from "../../src/admin/control.ts";
import { exportText } from "../../src/log/export.ts";
import { connectRaw } from "../listen/support/raw.ts";
import { record, SOME_WALL_MS } from "../log/records.ts";
import { openTestAdmin } from "./support/admin.ts";
import { MemoryControl } from "./support/memory-control.ts";

const FIRST = SOME_WALL_MS * 1024;
const EXPORT = "/api/v1/queries/export";

/** A control whose log returns `batches` batches of one record, and counts them. */
function controlWith(batches: number, answers: readonly string[] = []) {
  const control = new MemoryControl();
  const seen = { begun: 0, read: 0, ended: 0 };
  control.queries.read = async function* (_, format, signal): AsyncIterable<string> {
    seen.begun++;
    try {
      for (let index = 0; index < batches && !signal.aborted; index++) {
        seen.read++;
        yield exportText(format, [record({ id: FIRST + index, answers })]);
      }
    } finally {
      seen.ended++;
    }
  };
  return { control, seen };
}

async function until(condition: () => boolean): Promise<void> {
  while (!condition()) await new Promise((resolve) => setImmediate(resolve));
}

describe("an export", () => {
  test("as NDJSON has every matching record, newest first", async () => {
    const admin = await openTestAdmin();
    admin.control.queries.add(
      ...Array.from({ length: 250 }, (_, index) => record({ id: FIRST + index, type: index % 2 === 0 ? "A" : "AAAA" })),
    );
    const { headers, body } = await admin.get(`${EXPORT}?format=ndjson&type=AAAA`);
    expect(headers.get("content-disposition")).toBe('attachment; filename="queries.ndjson"');
    const lines = String(body).trimEnd().split("\n");
    expect(lines.map((line) => JSON.parse(line).id)).toEqual(Array.from({ length: 125 }, (_, index) => FIRST + 249 - 2 * index));
    const queryRecord = (await admin.document()).validator({ $ref: "#/components/schemas/QueryRecord" });
    for (const line of lines) expect(queryRecord.Check(JSON.parse(line))).toBe(true);
  });

  test("as CSV has a header and a line for each record", async () => {
    const admin = await openTestAdmin();
    admin.control.queries.add(record({ name: 'a"b,c.example' }));
    const { headers, body } = await admin.get(`${EXPORT}?format=csv`);
    expect(headers.get("content-disposition")).toBe('attachment; filename="queries.csv"');
    const [head, line, ...more] = String(body).split("\r\n");
    expect(head).toMatch(/^id,time,client,/);
    expect(line).toContain('"a""b,c.example"');
    expect(more).toEqual([""]);
  });

  test("without records is empty except for the header of CSV", async () => {
    const admin = await openTestAdmin();
    expect((await admin.get(`${EXPORT}?format=ndjson`)).body).toBe("");
    expect((await admin.get(`${EXPORT}?format=csv`)).body).toMatch(/^id,.*\r\n$/);
  });

  test("reads the log only as fast as the client reads", async () => {
    const { control, seen } = controlWith(100_000, ["60 TXT ".padEnd(10_000, "x")]);
    const admin = await openTestAdmin({ control });
    const connection = await connectRaw(admin.port);
    connection.socket.pause();
    connection.write(`GET ${EXPORT}?format=ndjson HTTP/1.1\r\nHost: 127.0.0.1:${admin.port}\r\n\r\n`);
    let before = -1;
    while (seen.read === 0 || seen.read !== before) {
      before = seen.read;
      for (let turn = 0; turn < 20; turn++) await admin.get("/healthz");
    }
    // The kernel buffers a few megabytes on both sides.
    expect(seen.read).toBeLessThan(5000);
    connection.socket.destroy();
    await until(() => seen.ended === 1);
    expect(seen.read).toBeLessThan(5000);
  });

  test("beyond the limit is refused, and the end of another one frees a place", async () => {
    const { control, seen } = controlWith(100_000, ["60 TXT ".padEnd(10_000, "x")]);
    const admin = await openTestAdmin({ control, limits: { exports: 2 } });
    const open = async () => {
      const connection = await connectRaw(admin.port);
      connection.socket.pause();
      connection.write(`GET ${EXPORT}?format=ndjson HTTP/1.1\r\nHost: 127.0.0.1:${admin.port}\r\n\r\n`);
      return connection;
    };
    const first = await open();
    await open();
    await until(() => seen.begun === 2);
    const refused = await admin.get(`${EXPORT}?format=csv`);
    expect({ status: refused.status, wait: refused.headers.get("retry-after") }).toEqual({ status: 503, wait: "10" });
    first.socket.destroy();
    await until(() => seen.ended === 1);
    await open();
    await until(() => seen.begun === 3);
  });

  test("that fails at the start says why, and frees its place", async () => {
    const admin = await openTestAdmin({ limits: { exports: 1 } });
    admin.control.queries.fault = new ControlError("unavailable", "the disk is full");
    for (let attempt = 0; attempt < 3; attempt++)
      expect((await admin.get(`${EXPORT}?format=csv`)).body).toMatchObject({ status: 503 });
  });

  test("whose client disconnects before the first batch ends, and frees its place", async () => {
    const control = new MemoryControl();
    const first = Promise.withResolvers<void>();
    const seen = { begun: 0, ended: 0 };
    control.queries.read = async function* () {
      seen.begun++;
      try {
        await first.promise;
        for (;;) yield exportText("ndjson", [record()]);
      } finally {
        seen.ended++;
      }
    };
    const admin = await openTestAdmin({ control, limits: { exports: 1 } });
    const connection = await connectRaw(admin.port);
    connection.write(`GET ${EXPORT}?format=ndjson HTTP/1.1\r\nHost: 127.0.0.1:${admin.port}\r\n\r\n`);
    await until(() => seen.begun === 1);
    connection.socket.destroy();
    for (let turn = 0; turn < 20; turn++) await admin.get("/healthz");
    first.resolve();
    await until(() => seen.ended === 1);
    control.queries.read = async function* () {
      yield exportText("csv", [record()]);
    };
    expect((await admin.get(`${EXPORT}?format=ndjson`)).status).toBe(200);
    expect(admin.faults).toEqual([]);
  });

  test("that fails later does not look complete", async () => {
    const control = new MemoryControl();
    control.queries.read = async function* () {
      yield exportText("csv", [record()]);
      throw new ControlError("unavailable", "the disk is full");
    };
    const admin = await openTestAdmin({ control, limits: { exports: 1 } });
    const response = await fetch(`${admin.base}${EXPORT}?format=ndjson`);
    expect(response.status).toBe(200);
    await expect(response.text()).rejects.toThrow();
    expect((await admin.get("/healthz")).status).toBe(200);
  });

  test("that the end of the server interrupts does not look complete", async () => {
    const { control, seen } = controlWith(100_000, ["60 TXT ".padEnd(10_000, "x")]);
    const admin = await openTestAdmin({ control });
    const response = await fetch(`${admin.base}${EXPORT}?format=ndjson`);
    const closing = admin.server.close();
    await expect(response.text()).rejects.toThrow();
    await closing;
    expect(seen.ended).toBe(1);
  });
});
