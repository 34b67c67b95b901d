import type { IncomingMessage, ServerResponse } from "node:http";
import { expect, test } from "vitest";
import { ApiClient, ApiRefusal, ApiSilent, ApiUnreachable } from "../../src/cli/api-client.ts";
import { type LiveEvent, liveRecords } from "../../src/cli/log.ts";
import { parseConfig } from "../../src/config/load.ts";
import { record } from "../log/records.ts";
import { standIn } from "./stand-in.ts";

/** Answers one request to the stream. */
type Turn = (response: ServerResponse, request: IncomingMessage) => void;

const STREAM = { "content-type": "text/event-stream" };
const REQUESTED = 1_838_000_000_000_000;

function events(...ids: readonly number[]): string {
  return ids.map((id) => `id: ${id}\ndata: ${JSON.stringify(record({ id }))}\n\n`).join("");
}

/** Sends these records, and ends the stream as a server that stops does. */
function sends(...ids: readonly number[]): Turn {
  return (response) => void response.writeHead(200, STREAM).end(`retry: 2000\n\n${events(...ids)}`);
}

/** Sends these records and breaks the connection. */
function breaksAfter(...ids: readonly number[]): Turn {
  return (response) => void response.writeHead(200, STREAM).write(events(...ids), () => response.destroy());
}

function refuses(status: number): Turn {
  return (response) => void response.writeHead(status, { "content-type": "application/problem+json" }).end('{"detail":"no"}');
}

/** A server that answers each connection with the next turn, and stops listening after the last one. */
async function serverOf(turns: readonly Turn[]) {
  const askedAfter: (string | undefined)[] = [];
  const left = [...turns];
  const { server, port } = await standIn((request, response) => {
    askedAfter.push(request.headers["last-event-id"]?.toString());
    const turn = left.shift();
    if (left.length === 0) server.close();
    response.setHeader("connection", "close");
    turn?.(response, request);
  });
  const config = parseConfig(`listen: { admin: "127.0.0.1:${port}" }`, null);
  if (config.kind === "invalid") throw new Error("no configuration");
  return { api: new ApiClient(config.config), askedAfter };
}

/** The records and events until the stream ends or has waited `waits` times, with the waits and the Last-Event-ID of each request. */
async function followed(turns: readonly Turn[], { after = null as number | null, waits = 3 } = {}) {
  const { api, askedAfter } = await serverOf(turns);
  const ending = new AbortController();
  const waited: number[] = [];
  const wait = async (ms: number) => {
    waited.push(ms);
    if (waited.length === waits) ending.abort();
  };
  const shown: (number | LiveEvent["kind"])[] = [];
  let error: unknown = null;
  try {
    const request = { query: [], after, begunId: REQUESTED, signal: ending.signal, wait };
    for await (const live of liveRecords(api, request)) shown.push(live.kind === "record" ? live.record.id : live.kind);
  } catch (thrown) {
    error = thrown;
  }
  return { shown, waited, askedAfter, error };
}

const FIRST = REQUESTED + 5;

test.each([
  ["ends", sends],
  ["breaks", breaksAfter],
])("a stream that %s continues after the last record", async (_how, turn) => {
  const { shown, askedAfter, error } = await followed([turn(FIRST, FIRST + 1), turn(), turn(FIRST + 2), turn()], { waits: 4 });
  expect(shown).toEqual([FIRST, FIRST + 1, "lost", "back", "lost", "back", FIRST + 2, "lost", "back", "lost"]);
  expect(askedAfter).toEqual([undefined, String(FIRST + 1), String(FIRST + 1), String(FIRST + 2)]);
  expect(error).toBeNull();
});

test("a stream starts after the known records; without any, a broken stream restarts from its beginning", async () => {
  const known = await followed([sends(), sends()], { after: FIRST, waits: 2 });
  expect(known.askedAfter).toEqual([String(FIRST), String(FIRST)]);
  const unknown = await followed([sends(), sends()], { waits: 2 });
  expect(unknown.askedAfter).toEqual([undefined, String(REQUESTED)]);
});

test("a lost server is retried less and less often, and its loss is reported once", async () => {
  const { shown, waited } = await followed([sends(FIRST)], { waits: 8 });
  expect(shown).toEqual([FIRST, "lost"]);
  expect(waited).toEqual([500, 1000, 2000, 4000, 8000, 10_000, 10_000, 10_000]);
});

test.each([429, 503])("a server that answers %i for want of a free place is retried", async (status) => {
  const { shown } = await followed([sends(FIRST), refuses(status), sends(FIRST + 1)]);
  expect(shown).toEqual([FIRST, "lost", "back", FIRST + 1, "lost"]);
});

test.each([400, 401, 404])("an answer %i ends the stream", async (status) => {
  for (const turns of [[refuses(status)], [sends(FIRST), refuses(status)]]) {
    const { error } = await followed(turns);
    expect(error).toBeInstanceOf(ApiRefusal);
    expect(error).toMatchObject({ status });
  }
});

test("another service on the port ends the stream, also if it answers 200", async () => {
  const stranger: Turn = (response) => void response.writeHead(200, { "content-type": "text/html" }).end("<html>hello</html>");
  const { error } = await followed([sends(FIRST), stranger]);
  expect(error).toBeInstanceOf(ApiUnreachable);
  expect(String(error)).toMatch(/is no Fenliu of version/);
});

test("the first connection must succeed", async () => {
  const { api } = await serverOf([sends()]);
  await api.stream("queries/stream", {});
  const { signal } = new AbortController();
  const live = liveRecords(api, { query: [], after: null, begunId: REQUESTED, signal, wait: async () => {} });
  await expect(live.next()).rejects.toThrow(ApiSilent);
  expect((await followed([refuses(503)])).error).toMatchObject({ status: 503 });
});

test("records that the server left out are reported", async () => {
  const dropped: Turn = (response) =>
    void response
      .writeHead(200, STREAM)
      .end('event: dropped\ndata: {"records":12}\n\nevent: dropped\ndata: {"records":null}\n\n');
  expect((await followed([dropped], { waits: 1 })).shown).toEqual(["left out", "left out", "lost"]);
});
