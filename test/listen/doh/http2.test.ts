import { once } from "node:events";
import {
  type ClientHttp2Session,
  type ClientHttp2Stream,
  connect,
  constants,
  type IncomingHttpHeaders,
  type OutgoingHttpHeaders,
} from "node:http2";
import { describe, expect, onTestFinished, test } from "vitest";
import type { Client } from "../../../src/lib/client.ts";
import { FRAME } from "../../../src/listen/http2/frames.ts";
import type { Listeners } from "../../../src/listen/listeners.ts";
import { type FakeClock, fakeClock } from "../../support/fake-clock.ts";
import { frameOf, get, openedHttp2, post, uint32 } from "../support/http2-raw.ts";
import { connectRaw } from "../support/raw.ts";
import { handlerOf, idOf, messageOf, openSite, portOf, type SiteOptions } from "../support/site.ts";

interface Response {
  readonly headers: IncomingHttpHeaders & { readonly ":status"?: number };
  readonly body: Buffer;
}

async function connected(options: SiteOptions = {}): Promise<{ site: Listeners; session: ClientHttp2Session }> {
  const site = await openSite(options);
  return { site, session: await sessionWith(site) };
}

async function sessionWith(site: Listeners): Promise<ClientHttp2Session> {
  const session = connect(`http://127.0.0.1:${portOf(site, "http")}`);
  session.on("error", () => {});
  onTestFinished(() => session.destroy());
  await once(session, "remoteSettings");
  return session;
}

const query = (id: number) => `/dns-query?dns=${Buffer.from(messageOf(id)).toString("base64url")}`;
const POST = { ":method": "POST", ":path": "/dns-query", "content-type": "application/dns-message" };

function responseOf(stream: ClientHttp2Stream): Promise<Response> {
  return new Promise((resolve, reject) => {
    let headers: IncomingHttpHeaders = {};
    const chunks: Buffer[] = [];
    stream.on("response", (received) => {
      headers = received;
    });
    stream.on("data", (chunk: Buffer) => chunks.push(chunk));
    stream.on("end", () => resolve({ headers, body: Buffer.concat(chunks) }));
    stream.on("error", reject);
    stream.on("close", () => reject(new Error(`closed with ${stream.rstCode}`)));
  });
}

const request = (session: ClientHttp2Session, headers: OutgoingHttpHeaders, body?: Uint8Array): Promise<Response> => {
  const stream = session.request(headers, { endStream: body === undefined });
  if (body !== undefined) stream.end(body);
  return responseOf(stream);
};

async function untilClosed(clock: FakeClock, session: ClientHttp2Session): Promise<void> {
  while (!session.destroyed) await clock.advance(1000);
}

describe("an answer", () => {
  test("has its length, its type and its lifetime", async () => {
    const { session } = await connected();
    const { headers, body } = await request(session, { ":path": query(1) });
    expect(new Uint8Array(body)).toEqual(messageOf(1));
    expect(headers).toMatchObject({
      ":status": 200,
      "content-type": "application/dns-message",
      "content-length": "40",
      "cache-control": "max-age=60",
    });
  });

  test("comes to a POST without a length", async () => {
    const { session } = await connected();
    const { headers, body } = await request(session, POST, messageOf(2));
    expect([headers[":status"], new Uint8Array(body)]).toEqual([200, messageOf(2)]);
  });

  test("comes to a POST that expects 100-continue", async () => {
    const { session } = await connected();
    const stream = session.request({ ...POST, expect: "100-continue" });
    await once(stream, "continue");
    stream.end(messageOf(3));
    expect(new Uint8Array((await responseOf(stream)).body)).toEqual(messageOf(3));
  });

  test("to HEAD has no body", async () => {
    const { session } = await connected();
    const { headers, body } = await request(session, { ":method": "HEAD", ":path": query(1) });
    expect([headers[":status"], headers["content-length"], body.length]).toEqual([200, "40", 0]);
  });
});

test.each([
  ["another path", 404, { ":path": "/" }, undefined],
  ["another method", 405, { ":method": "PUT", ":path": "/dns-query" }, new Uint8Array(3)],
  ["nothing asked", 400, { ":path": "/dns-query" }, undefined],
  ["another type", 415, { ...POST, "content-type": "text/plain" }, messageOf(1)],
  ["a POST without a body", 400, POST, undefined],
  ["a message of 65536 bytes", 413, POST, new Uint8Array(65_536)],
  ["a body beyond 1 MiB", 413, POST, new Uint8Array(1_500_000)],
] as const)("%s is refused with %d in short text, and the session lives on", async (_title, status, headers, body) => {
  const { session } = await connected();
  const refused = await request(session, headers, body);
  expect([refused.headers[":status"], refused.headers["content-type"]]).toEqual([status, "text/plain; charset=utf-8"]);
  expect(refused.headers["content-length"]).toBe(String(refused.body.length));
  expect(refused.headers["allow"]).toBe(status === 405 ? "GET, HEAD, POST" : undefined);
  expect((await request(session, { ":path": query(1) })).headers[":status"]).toBe(200);
});

test("the client is the one that a trusted proxy names", async () => {
  const clients: Client[] = [];
  const { session } = await connected({
    trustedProxies: ["127.0.0.1"],
    handler: handlerOf((wire, client) => {
      clients.push(client);
      return { wire, maxAgeSeconds: 1 };
    }),
  });
  await request(session, {
    ":path": query(1).replace("/dns-query", "/dns-query/tv"),
    "x-forwarded-for": ["203.0.113.9", "2001:db8::7"],
  });
  await request(session, { ":path": query(1), "x-real-ip": "198.51.100.8" });
  expect(clients).toMatchObject([
    { address: "2001:db8::7", http: "2", clientId: "tv" },
    { address: "198.51.100.8", clientId: null },
  ]);
});

describe("bounds", () => {
  test("all of 5000 small questions on one session are answered", async () => {
    const { session, site } = await connected({ handler: handlerOf(async (wire) => ({ wire, maxAgeSeconds: 1 })) });
    expect(session.remoteSettings.maxConcurrentStreams).toBe(256);
    for (let batch = 0; batch < 25; batch++) {
      const ids = Array.from({ length: 200 }, (_, at) => batch * 200 + at);
      const replies = await Promise.all(ids.map((id) => request(session, POST, messageOf(id))));
      expect(replies.map(({ body }) => idOf(body))).toEqual(ids);
    }
    expect(site.counters.connections).toBe(1);
  });

  test("however many questions of reset streams wait, a question that needs no waiting is answered", async () => {
    let asked = 0;
    const { session } = await connected({
      limits: { outstandingPerConnection: 5 },
      handler: handlerOf((wire) => {
        if (idOf(wire) === 99) return { wire, maxAgeSeconds: null };
        asked++;
        return new Promise(() => {});
      }),
    });
    for (let turn = 1; turn <= 20; turn++) {
      const stream = session.request({ ":path": query(turn) });
      stream.on("error", () => {});
      await expect.poll(() => asked, { interval: 1 }).toBe(turn);
      stream.close(constants.NGHTTP2_CANCEL);
    }
    expect((await request(session, { ":path": query(99) })).body).toEqual(Buffer.from(messageOf(99)));
  });

  test("streams that are reset in the segment they begin in never reach the handler", async () => {
    let asked = 0;
    const { client } = await openedHttp2([], {
      limits: { outstandingPerConnection: 2 },
      handler: handlerOf((wire) => {
        asked++;
        return { wire, maxAgeSeconds: 1 };
      }),
    });
    for (let stream = 1; stream < 20; stream += 2)
      client.send(post(stream, { expect: "100-continue" }), frameOf(FRAME.RST_STREAM, 0, stream, uint32(8)));
    client.send(get(21));
    expect((await client.next(FRAME.DATA)).streamId).toBe(21);
    expect(asked).toBe(1);
  });

  test("streams are refused while a client leaves too many answers unread, and the session goes on", async () => {
    const { session } = await connected({
      limits: { writeBacklogBytes: 200_000 },
      handler: handlerOf((wire) => ({ wire: messageOf(idOf(wire), idOf(wire) === 0 ? 40 : 65_535), maxAgeSeconds: null })),
    });
    const unread = Array.from({ length: 10 }, (_, at) => session.request({ ":path": query(at + 1) }).pause());
    const codes = unread.map((stream) => new Promise((resolve) => stream.on("error", () => resolve(stream.rstCode))));
    expect(await Promise.race(codes)).toBe(constants.NGHTTP2_REFUSED_STREAM);
    for (const stream of unread) stream.resume();
    await expect.poll(() => unread.every(({ closed }) => closed)).toBe(true);
    expect(unread.filter(({ rstCode }) => rstCode === constants.NGHTTP2_NO_ERROR)).toHaveLength(4);
    expect(idOf((await request(session, { ":path": query(0) })).body)).toBe(0);
  });

  test("a flood of resets ends the session", async () => {
    const { session, site } = await connected();
    while (!session.destroyed && !session.closed) {
      for (let turn = 0; turn < 100; turn++) {
        if (session.destroyed || session.closed) break;
        const stream = session.request({ ":path": query(turn) });
        stream.on("error", () => {});
        stream.close(constants.NGHTTP2_CANCEL);
      }
      await new Promise((resolve) => setImmediate(resolve));
    }
    await expect.poll(() => site.counters.connections).toBe(0);
  });

  test("a body that is never completed is reset after 40 s, and the session goes on", async () => {
    const clock = fakeClock();
    const { session } = await connected({ clock });
    const stream = session.request(POST);
    stream.write(messageOf(1));
    await once(session, "localSettings");
    while (!stream.closed) await clock.advance(1000);
    expect(stream.rstCode).toBe(constants.NGHTTP2_CANCEL);
    expect(clock.now()).toBeGreaterThanOrEqual(40_000);
    expect((await request(session, { ":path": query(1) })).headers[":status"]).toBe(200);
  });

  test("an idle session gets GOAWAY after 180 s and not before", async () => {
    const clock = fakeClock();
    const { session } = await connected({ clock });
    await clock.advance(100_000);
    await request(session, { ":path": query(1) });
    let hasGoaway = false;
    session.on("goaway", () => {
      hasGoaway = true;
    });
    await clock.advance(170_000);
    await request(session, { ":path": query(2) });
    await untilClosed(clock, session);
    expect(hasGoaway).toBe(true);
    expect(clock.now()).toBeGreaterThanOrEqual(450_000);
  });

  test("garbage behind the preface ends the connection", async () => {
    const { site } = await connected();
    const raw = await connectRaw(portOf(site, "http"));
    raw.write("PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n").write(Buffer.alloc(2000, 0xff));
    await raw.ended;
    await expect.poll(() => site.counters.connections).toBe(1);
  });
});
