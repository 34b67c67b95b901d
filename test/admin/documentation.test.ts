import { readFileSync } from "node:fs";
import { expect, test } from "vitest";
import { ADMIN_LIMITS } from "../../src/admin/types.ts";
import { record } from "../log/records.ts";
import { openTestAdmin } from "./support/admin.ts";
import { EventReader } from "./support/event-reader.ts";

const text = readFileSync(new URL("../../docs/api.md", import.meta.url), "utf8");
const commands = [...text.matchAll(/^curl .*$/gm)].map(([command]) => command);

test.each(commands)("docs/api.md: %s", async (command) => {
  const admin = await openTestAdmin();
  admin.control.queries.add(record());
  const { method, path, body } = callOf(command);
  if (path.includes("/events")) {
    expect((await (await EventReader.open(admin.base + path)).next())?.event).toBe("health");
    return;
  }
  if (path.includes("/stream")) {
    const reader = await EventReader.open(admin.base + path);
    admin.control.queries.add(record({ rcode: "SERVFAIL" }));
    expect((await reader.next())?.data).toMatchObject({ rcode: "SERVFAIL" });
    return;
  }
  const headers = Object.fromEntries(
    command.matchAll(/-H '([^:]+): ([^']+)'/g).map(([, name = "", value = ""]) => [name, value]),
  );
  const { status } = await admin.call(method, path, { headers, ...(body === undefined ? {} : { body }) });
  expect(status).toBeLessThan(300);
});

test("docs/api.md names the present limits", () => {
  const { requestBurst, requestsPerSecond, wrongTokenCost, connections, resumedRecords, heartbeatMs, idleMs, streams } =
    ADMIN_LIMITS;
  for (const sentence of [
    `may make ${requestBurst} requests at once and ${requestsPerSecond} a second after that; a wrong token counts as ${wrongTokenCost} more`,
    `up to ${resumedRecords} records`,
    `every ${heartbeatMs / 1000} seconds`,
    `for ${idleMs / 1000} seconds`,
    `${streams} readers may be there at once`,
    `${connections.toLocaleString("en")} connections may be open`,
  ])
    expect(text).toContain(sentence);
});

test("docs/api.md shows real problem details", async () => {
  const admin = await openTestAdmin();
  const [, shown = ""] = /```json\n([\s\S]*?)```/.exec(text) ?? [];
  expect((await admin.get("/api/v1/queries?limit=5000")).body).toEqual(JSON.parse(shown));
});

/** The request of a line that calls curl with the options that the page uses. */
function callOf(command: string) {
  const body = /-d '([^']*)'/.exec(command)?.[1];
  const [, named] = /-X ([A-Z]+)/.exec(command) ?? [];
  const [, path = ""] = /'http:\/\/[0-9.]+:9080(\/[^']*)'/.exec(command) ?? [];
  return { method: named ?? (body === undefined ? "GET" : "POST"), path, body };
}
