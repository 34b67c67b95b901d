import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { anyRecord, record } from "../log/records.ts";
import { runs } from "../support/properties.ts";
import { openTestAdmin } from "./support/admin.ts";
import { anyRequest, shownRequest } from "./support/any-request.ts";
import { rawRequest } from "./support/raw-request.ts";

/** Their responses have no end. */
const STREAMS = ["/stream", "/events"];

const MANY = { requestBurst: 1_000_000 };

describe("random requests", () => {
  test("get a documented status and body from every operation, and cause no fault of ours", async () => {
    const admin = await openTestAdmin({ limits: MANY });
    admin.control.queries.add(record({ id: 1_838_382_071_277_568 }), ...fc.sample(anyRecord, 20));
    const document = await admin.document();
    for (const placed of document.operations()) {
      const statuses = new Set<number>();
      const ask = fc.asyncProperty(anyRequest(placed, document), async ({ path, headers, body }) => {
        const call = {
          headers,
          signal: AbortSignal.timeout(10_000),
          ...(body === undefined || placed.method === "GET" ? {} : { body }),
        };
        const status = STREAMS.some((end) => placed.path.endsWith(end))
          ? await statusOfStream(admin.base + path, headers)
          : (await admin.call(placed.method, path, call)).status;
        statuses.add(status);
        expect(status).toBeLessThan(500);
      });
      const shown = shownRequest(placed);
      // A hundred requests of each operation, of which some are answered and some are refused: the one of the documentation is seldom met by chance.
      await fc.assert(ask, { numRuns: 100, examples: shown === undefined ? [] : [[shown]] });
      expect(
        [...statuses].some((status) => status < 300),
        placed.operation.operationId,
      ).toBe(true);
      expect(
        [...statuses].some((status) => status >= 400),
        placed.operation.operationId,
      ).toBe(true);
    }
    expect(admin.faults).toEqual([]);
  });

  test("for a random record get the record as documented", async () => {
    const admin = await openTestAdmin({ limits: MANY });
    await fc.assert(
      fc.asyncProperty(anyRecord, async (made) => {
        admin.control.queries.records.length = 0;
        admin.control.queries.add(made);
        const { status, body } = await admin.get(`/api/v1/queries/${made.id}`);
        expect({ status, body }).toEqual({ status: 200, body: JSON.parse(JSON.stringify(made)) });
        await admin.get("/api/v1/queries?from=0");
      }),
      { numRuns: runs(50) },
    );
  });

  test("with a random head get a response, and the next request is answered", async () => {
    const admin = await openTestAdmin({ limits: MANY });
    const token = fc.stringMatching(/^[!-~]{1,12}$/);
    const line = fc
      .tuple(token, fc.string({ maxLength: 30 }))
      .map(([name, value]) => `${name}: ${value.replace(/[\r\n]/g, " ")}`);
    const head = fc.tuple(
      fc.oneof(fc.constant("GET"), token),
      fc.oneof(fc.constant("/healthz"), token),
      fc.array(line, { maxLength: 5 }),
    );
    await fc.assert(
      fc.asyncProperty(head, async ([method, target, lines]) => {
        const { status, body } = await rawRequest(admin.port, [
          `${method} ${target} HTTP/1.1`,
          `Host: 127.0.0.1:${admin.port}`,
          ...lines,
          "Connection: close",
        ]);
        expect(status).toBeLessThan(500);
        if (status >= 400) expect(body).toMatchObject({ type: "about:blank", status });
      }),
      { numRuns: runs(200) },
    );
    expect((await admin.get("/healthz")).status).toBe(200);
    expect(admin.faults).toEqual([]);
  });
});

async function statusOfStream(url: string, headers: Readonly<Record<string, string>>): Promise<number> {
  const response = await fetch(url, { headers });
  await response.body?.cancel();
  return response.status;
}
