import type { ServerResponse } from "node:http";
import { expect, test } from "vitest";
import { run } from "../../src/cli/run.ts";
import type { LogStatus } from "../../src/log/record.ts";
import { openTestAdmin } from "../admin/support/admin.ts";
import { MemoryControl, MemoryLog } from "../admin/support/memory-control.ts";
import { record } from "../log/records.ts";
import { standIn, terminalFor } from "./stand-in.ts";

/** A log that can be read, whatever its state. */
class AilingLog extends MemoryLog {
  readonly #status: Partial<LogStatus>;

  constructor(status: Partial<LogStatus>) {
    super();
    this.#status = status;
  }

  override status(): LogStatus {
    return { ...super.status(), ...this.#status };
  }
}

const SINCE_MS = new Date(2026, 10, 21, 21, 3, 11, 482).getTime();
const fault = { reason: "the disk is full", sinceWallMs: SINCE_MS };

async function told(status: Partial<LogStatus>, argv: readonly string[]): Promise<string> {
  const queries = new AilingLog(status);
  queries.add(record());
  const { port } = await openTestAdmin({ control: new MemoryControl(queries) });
  const terminal = terminalFor(port);
  await run(argv, terminal);
  return terminal.written.err;
}

test.each([
  { status: {}, says: "" },
  {
    status: { state: "failing", fault, waiting: 1200 },
    says: "fenliu: the query log stores nothing since 2026-11-21 21:03:11.482: the disk is full; 1200 queries wait for it\n",
  },
  {
    status: { state: "failing", fault, waiting: 0 },
    says: "fenliu: the query log stores nothing since 2026-11-21 21:03:11.482: the disk is full\n",
  },
  { status: { dropped: 1 }, says: "fenliu: one query since the server's start could not be recorded, and is missing here\n" },
  { status: { dropped: 12 }, says: "fenliu: 12 queries since the server's start could not be recorded, and are missing here\n" },
] as const)("the log command reports that queries are missing, and why: $status", async ({ status, says }) => {
  expect(await told(status, ["log"])).toBe(says);
  expect(await told(status, ["log", "--json"])).toBe(says);
});

test("found records are shown, also if the state of the log cannot be read", async () => {
  for (const stats of [
    (response: ServerResponse) => void response.destroy(),
    (response: ServerResponse) => void response.end("{}"),
  ]) {
    const page = JSON.stringify({ records: [record()], cursor: null });
    const { port } = await standIn((request, response) => {
      if (request.url?.includes("/stats")) stats(response);
      else response.end(page);
    });
    const terminal = terminalFor(port);
    expect(await run(["log"], terminal)).toBe(0);
    expect(terminal.written).toMatchObject({ out: expect.stringContaining("www.taobao.com"), err: "" });
  }
});

test("the same report follows for a single query that is not found", async () => {
  expect(await told({ dropped: 2 }, ["log", "1838382071277999"])).toBe(
    "fenliu: 2 queries since the server's start could not be recorded, and are missing here\n" +
      "fenliu: there is no query 1838382071277999\n",
  );
});
