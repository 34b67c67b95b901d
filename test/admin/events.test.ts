import { describe, expect, test } from "vitest";
import type { Health } from "../../src/admin/schemas/health.ts";
import { record } from "../log/records.ts";
import { openTestAdmin, type TestAdmin } from "./support/admin.ts";
import { EventReader } from "./support/event-reader.ts";

function eventsOf(admin: TestAdmin, query = ""): Promise<EventReader> {
  return EventReader.open(`${admin.base}/api/v1/events${query}`);
}

const IN_TROUBLE: Health = { state: "bad", since: "2026-11-21T20:00:00.000Z", items: [] };

describe("the events for pages", () => {
  test("begin with the state of each topic, and go on with what changes", async () => {
    const admin = await openTestAdmin();
    const reader = await eventsOf(admin);
    expect((await reader.take(3)).map((event) => event?.event)).toEqual(["health", "problems", "config"]);
    admin.control.tell({ topic: "health", data: IN_TROUBLE });
    expect(await reader.next()).toEqual({ event: "health", id: null, data: IN_TROUBLE });
  });

  test("are those of the wanted topics alone", async () => {
    const admin = await openTestAdmin();
    const reader = await eventsOf(admin, "?topics=config");
    expect((await reader.next())?.event).toBe("config");
    admin.control.tell({ topic: "health", data: IN_TROUBLE });
    admin.control.tell({ topic: "config", data: { version: "v3", pauses: [] } });
    expect(await reader.next()).toEqual({ event: "config", id: null, data: { version: "v3", pauses: [] } });
  });

  test("show every five seconds that the server is there", async () => {
    const admin = await openTestAdmin();
    const reader = await eventsOf(admin, "?topics=config");
    await reader.next();
    await admin.clock.advance(5000);
    expect(await reader.next()).toEqual({ event: "alive", id: null, data: {} });
  });

  test("have as many records a second as are wanted, the newest, and the number of the others", async () => {
    const admin = await openTestAdmin();
    const reader = await eventsOf(admin, "?topics=queries&perSecond=2&type=A");
    while (admin.control.queries.readers < 1) await new Promise((resolve) => setImmediate(resolve));
    const made = Array.from({ length: 5 }, (_, index) => record({ id: 1_838_382_071_277_568 + index, type: "A" }));
    admin.control.queries.add(record({ type: "HTTPS" }), ...made);
    expect(await reader.take(3)).toEqual([
      { event: "dropped", id: null, data: { records: 3 } },
      { event: "message", id: String(made[3]?.id), data: made[3] },
      { event: "message", id: String(made[4]?.id), data: made[4] },
    ]);
    admin.control.queries.add(record({ id: 1_838_382_071_277_600, type: "A" }));
    expect(await reader.next()).toEqual({ event: "dropped", id: null, data: { records: 1 } });
  });

  test("take filters for records alone, and known topics", async () => {
    const admin = await openTestAdmin();
    expect((await admin.get("/api/v1/events?type=A")).body).toMatchObject({ status: 400, problems: [{ parameter: "type" }] });
    expect((await admin.get("/api/v1/events?topics=weather")).body).toMatchObject({
      status: 400,
      problems: [{ parameter: "topics" }],
    });
  });

  test("of a page that has gone are not told any more", async () => {
    const admin = await openTestAdmin({ limits: { streams: 1 } });
    const reader = await eventsOf(admin);
    await reader.close();
    while (admin.control.followers > 0) await new Promise((resolve) => setImmediate(resolve));
    await eventsOf(admin);
  });
});
