import { once } from "node:events";
import { type AddressInfo, createServer, type Socket } from "node:net";
import { createServer as createTlsServer, type TLSSocket } from "node:tls";
import { describe, expect, onTestFinished, test } from "vitest";
import { MAX_MEMBER_IN_FLIGHT } from "../../../src/upstreams/member.ts";
import { IDLE_MS } from "../../../src/upstreams/pending.ts";
import { openServer } from "../../../src/upstreams/server.ts";
import { fakeClock } from "../../support/fake-clock.ts";
import { addresses, close, questionFor, silence } from "../messages.ts";
import { type Action, type Asked, scriptedServer, testCertificate, testKey } from "../scripted-server.ts";
import { addressTexts, contextWith, errand, site, until, type Way } from "./set-up.ts";

const tcp: Way = { title: "tcp", server: "dns", protocol: "tcp", method: "GET", proxy: null };
const tls: Way = { title: "tls", server: "tls", protocol: "tls", method: "GET", proxy: null };
const question = questionFor("www.example");

const all = (...actions: Action[]): Action => ({ kind: "all", actions });

describe.each([tcp, tls])("connections by $title", (way) => {
  test("carry 128 questions each, with different ids", async () => {
    const { upstream, server } = await site(way, async (asked) => {
      await until(() => server.asked.length === 200);
      return addresses(asked, "192.0.2.1");
    });
    await Promise.all(Array.from({ length: 200 }, (_, index) => upstream.exchange(questionFor(`${index}.example`), errand())));
    const idsOn = (connection: number) =>
      server.asked.filter((asked) => asked.connection === connection).map(({ query }) => query.id);
    expect([idsOn(1).length, idsOn(2).length, server.accepted]).toEqual([128, 72, 2]);
    expect(new Set(idsOn(1)).size).toBe(128);
  });

  test("are limited in number: more questions fail with `barred`, and there is room again later", async () => {
    let held = true;
    const { upstream, server } = await site(way, async (asked) => {
      await until(() => !held);
      return addresses(asked, "192.0.2.1");
    });
    const ask = () => upstream.exchange(question, errand());
    const fit = Array.from({ length: MAX_MEMBER_IN_FLIGHT }, ask);
    await expect(ask()).rejects.toMatchObject({ failure: "barred" });
    await until(() => server.asked.length === MAX_MEMBER_IN_FLIGHT);
    expect(server.accepted).toBe(16);
    held = false;
    await Promise.all(fit);
    expect(addressTexts(await ask())).toEqual(["192.0.2.1"]);
  });

  test("are closed after five minutes without a question", async () => {
    const clock = fakeClock();
    const { upstream, server } = await site(way, (asked) => addresses(asked, "192.0.2.1"), { clock });
    await upstream.exchange(question, errand());
    await clock.advance(IDLE_MS - 1);
    expect(server.open).toBe(1);
    await clock.advance(1);
    await until(() => server.open === 0);
    await upstream.exchange(question, errand());
    expect(server.accepted).toBe(2);
  });

  test("that close after every seventh answer lose no question", async () => {
    const answered = new Map<number, number>();
    const { upstream, server } = await site(way, (asked) => {
      const before = answered.get(asked.connection) ?? 0;
      answered.set(asked.connection, before + 1);
      return before < 7 ? addresses(asked, "192.0.2.1") : close;
    });
    const ask = (index: number) => upstream.exchange(questionFor(`${index}.example`), errand());
    const answers = await Promise.all(Array.from({ length: 60 }, (_, index) => ask(index)));
    expect(answers.map(addressTexts)).toEqual(Array.from({ length: 60 }, () => ["192.0.2.1"]));
    expect(server.accepted).toBeGreaterThan(8);
  });

  test("that leave questions unanswered when they close leave each of them to another one", async () => {
    const { upstream, server } = await site(way, (asked) =>
      asked.connection === 1 && asked.serial > 1 ? silence : addresses(asked, "192.0.2.1"),
    );
    const ask = (index: number) => upstream.exchange(questionFor(`${index}.example`), errand());
    const exchanges = [ask(1), ask(2), ask(3)];
    await exchanges[0];
    await until(() => server.asked.length === 3);
    server.dropConnections();
    await Promise.all(exchanges);
    expect(server.asked.map(({ connection }) => connection)).toEqual([1, 1, 1, 2, 3]);
  });

  test("that fall silent under a question are replaced by a new one", async () => {
    const clock = fakeClock();
    const script = (asked: Asked) => (asked.connection === 1 && asked.serial > 1 ? silence : addresses(asked, "192.0.2.1"));
    const { upstream, server } = await site(way, script, { clock });
    await upstream.exchange(question, errand());
    const trip = errand();
    const exchange = upstream.exchange(question, trip);
    await until(() => server.asked.length === 2);
    await clock.advance(1_499);
    expect(server.accepted).toBe(1);
    await clock.advance(1);
    expect(addressTexts(await exchange)).toEqual(["192.0.2.1"]);
    expect(trip.attempts).toHaveLength(1);
    expect(server.asked.map(({ connection }) => connection)).toEqual([1, 1, 2]);
    await until(() => server.open === 1);
  });

  test("that are taken and never read cost no question, if the server has answered on another one", async () => {
    const clock = fakeClock();
    const script = (asked: Asked) => {
      if (asked.connection === 2) return silence;
      return asked.serial === 1 ? all(addresses(asked, "192.0.2.1"), close) : addresses(asked, "192.0.2.3");
    };
    const { upstream, server } = await site(way, script, { clock });
    await upstream.exchange(question, errand());
    await until(() => server.open === 0);
    const exchange = upstream.exchange(question, errand());
    await until(() => server.asked.length === 2);
    await clock.advance(1500);
    expect(addressTexts(await exchange)).toEqual(["192.0.2.3"]);
  });

  test("on which bytes come that are no messages get no more questions", async () => {
    const clock = fakeClock();
    const noise = { kind: "unframed", message: Buffer.from("HTTP/1.1 200 OK\r\n\r\n") } as const;
    const { upstream, server } = await site(way, (asked) => (asked.connection === 1 ? noise : addresses(asked, "192.0.2.1")), {
      clock,
    });
    for (let count = 1; count <= 3; count++) {
      const giveUp = new AbortController();
      const exchange = upstream.exchange(question, errand(giveUp.signal));
      const failed = expect(exchange).rejects.toMatchObject({ failure: "aborted" });
      await until(() => server.asked.length === count);
      await new Promise((resolve) => setImmediate(resolve));
      await clock.advance(500);
      giveUp.abort();
      await failed;
    }
    expect(addressTexts(await upstream.exchange(question, errand()))).toEqual(["192.0.2.1"]);
  });

  test("that are silent under aborted questions get no more", async () => {
    const clock = fakeClock();
    const { upstream, server } = await site(way, (asked) => (asked.connection === 1 ? silence : addresses(asked, "192.0.2.1")), {
      clock,
    });
    for (let count = 1; count <= 3; count++) {
      const giveUp = new AbortController();
      const exchange = upstream.exchange(question, errand(giveUp.signal));
      const failed = expect(exchange).rejects.toMatchObject({ failure: "aborted" });
      await until(() => server.asked.length === count);
      giveUp.abort();
      await failed;
      await clock.advance(500);
    }
    expect(addressTexts(await upstream.exchange(question, errand()))).toEqual(["192.0.2.1"]);
    expect(server.accepted).toBe(2);
    await until(() => server.open === 1);
  });

  test("do not send questions that were aborted before they were open", async () => {
    const { upstream, server } = await site(way, (asked) => addresses(asked, "192.0.2.1"));
    const giveUp = new AbortController();
    const abandoned = upstream.exchange(questionFor("abandoned.example"), errand(giveUp.signal));
    const exchange = upstream.exchange(question, errand());
    giveUp.abort();
    await expect(abandoned).rejects.toMatchObject({ failure: "aborted" });
    await exchange;
    expect(server.asked.map(({ name }) => name)).toEqual(["www.example"]);
  });

  test.each([
    ["of no length", Uint8Array.of(0, 0)],
    ["shorter than a header", Uint8Array.of(0, 11, ...Buffer.alloc(11))],
  ])("that bring a message %s break, and what waits on them is not tried again", async (_, message) => {
    const { upstream, server } = await site(way, (asked) =>
      asked.serial === 1 ? addresses(asked, "192.0.2.1") : { kind: "unframed", message },
    );
    await upstream.exchange(question, errand());
    await expect(upstream.exchange(question, errand())).rejects.toMatchObject({ failure: "malformed" });
    await until(() => server.open === 0);
    expect(server.asked).toHaveLength(2);
  });

  test("deliver an answer cut into single bytes", async () => {
    const { upstream } = await site(way, (asked) => {
      const action = addresses(asked, "192.0.2.1");
      const message = action.kind === "reply" ? Buffer.from(action.message) : Buffer.alloc(0);
      message.writeUInt16BE(asked.query.id, 0);
      const bytes = [0, message.length, ...message].map((byte) => ({ kind: "unframed", message: Uint8Array.of(byte) }) as const);
      return { kind: "all", actions: bytes };
    });
    expect(addressTexts(await upstream.exchange(question, errand()))).toEqual(["192.0.2.1"]);
  });

  test("carry the longest possible answer", async () => {
    const most = Math.floor((65_535 - 12 - 17) / 16);
    const many = Array.from({ length: most }, (_, index) => `192.0.${index >> 8}.${index & 255}`);
    const { upstream } = await site(way, (asked) => addresses(asked, ...many));
    expect(addressTexts(await upstream.exchange(question, errand()))).toEqual(many);
  });

  test("go to the next address when one refuses, within one question", async () => {
    const { upstream, server } = await site(way, (asked) => addresses(asked, "192.0.2.1"), {
      changes: { host: "localhost", addresses: ["127.0.0.2", "127.0.0.1"] },
    });
    const trip = errand();
    expect(addressTexts(await upstream.exchange(question, trip))).toEqual(["192.0.2.1"]);
    expect(trip.attempts).toMatchObject([{ failure: null }]);
    expect(server.accepted).toBe(1);
  });
});

describe("a connection by tls", () => {
  test("sends SNI, speaks at least TLS 1.2, and resumes the last session", async () => {
    const seen: { readonly name: unknown; readonly alpn: unknown; readonly version: unknown; readonly resumed: boolean }[] = [];
    const server = createTlsServer({ key: testKey, cert: testCertificate, ALPNProtocols: ["dot"] }, (socket: TLSSocket) => {
      seen.push({
        name: socket.servername,
        alpn: socket.alpnProtocol,
        version: socket.getProtocol(),
        resumed: socket.isSessionReused(),
      });
      socket.on("error", () => undefined);
      // The ticket goes out with the first bytes.
      socket.once("data", () => socket.end(Uint8Array.of(0, 0)));
    });
    const port = await listen(server);
    const upstream = openServer(tlsOptions(port, { host: "localhost", addresses: ["127.0.0.1"] }), contextWith());
    onTestFinished(() => upstream.close());
    for (let count = 0; count < 2; count++) await upstream.exchange(question, errand()).catch(() => undefined);
    const expected = { name: "localhost", alpn: "dot", version: "TLSv1.3" };
    expect(seen).toEqual([
      { ...expected, resumed: false },
      { ...expected, resumed: true },
    ]);
  });

  test.each([
    ["its address, if the certificate has it", { host: "127.0.0.1" }, true],
    ["the name given for it", { host: "127.0.0.1", tlsName: "localhost" }, true],
    ["another name", { host: "127.0.0.1", tlsName: "dns.example" }, false],
    ["a name whose pinned address the certificate has", { host: "dns.example", addresses: ["127.0.0.1"] }, false],
  ])("checks the certificate for %s", async (_, changes, isRight) => {
    const { upstream, server } = await site(tls, (asked) => addresses(asked, "192.0.2.1"), { changes });
    const exchange = upstream.exchange(question, errand());
    if (isRight) expect(addressTexts(await exchange)).toEqual(["192.0.2.1"]);
    else await expect(exchange).rejects.toMatchObject({ failure: "tls" });
    expect(server.asked).toHaveLength(isRight ? 1 : 0);
    await until(() => server.open === (isRight ? 1 : 0));
  });

  test("does not trust a certificate without a known authority", async () => {
    const { upstream } = await site(tls, (asked) => addresses(asked, "192.0.2.1"), { context: { ca: null } });
    await expect(upstream.exchange(question, errand())).rejects.toMatchObject({ failure: "tls" });
  });

  test("is not made with TLS 1.1", async () => {
    const server = createTlsServer({
      key: testKey,
      cert: testCertificate,
      minVersion: "TLSv1",
      maxVersion: "TLSv1.1",
      ciphers: "ALL:@SECLEVEL=0",
    });
    server.on("tlsClientError", () => undefined);
    const upstream = openServer(tlsOptions(await listen(server), {}), contextWith());
    onTestFinished(() => upstream.close());
    await expect(upstream.exchange(question, errand())).rejects.toMatchObject({ failure: "tls" });
  });

  test("to a server without TLS fails with `tls`", async () => {
    const server = createServer((socket) => void socket.on("error", () => undefined).end("220 mail.example ESMTP\r\n"));
    const upstream = openServer(tlsOptions(await listen(server), {}), contextWith());
    onTestFinished(() => upstream.close());
    await expect(upstream.exchange(question, errand())).rejects.toMatchObject({ failure: "tls" });
  });

  test("that never opens times out after 5 s, and the next address is tried beside it after 1 s", async () => {
    const clock = fakeClock();
    const held = new Set<Socket>();
    const server = createServer((socket) => void held.add(socket.on("error", () => undefined).resume()));
    const port = await listen(server);
    const upstream = openServer(
      tlsOptions(port, { host: "localhost", addresses: ["127.0.0.1", "127.0.0.1"] }),
      contextWith({ clock }),
    );
    onTestFinished(() => upstream.close());
    const trip = errand();
    const failed = expect(upstream.exchange(question, trip)).rejects.toMatchObject({ failure: "timeout" });
    await until(() => held.size === 1);
    await clock.advance(1_000);
    await until(() => held.size === 2);
    await clock.advance(4_000);
    await failed;
    expect(trip.attempts).toMatchObject([{ failure: "timeout", elapsedMs: 5_000 }]);
    await until(() => [...held].every(({ destroyed }) => destroyed));
  });

  test("pads its questions to 128 bytes (RFC 8467 §4.1); tcp does not", async () => {
    const secure = await site(tls, (asked) => addresses(asked, "192.0.2.1"));
    await secure.upstream.exchange(question, errand());
    expect(secure.server.asked[0]?.message.length).toBe(128);
    const plain = await site(tcp, (asked) => addresses(asked, "192.0.2.1"));
    await plain.upstream.exchange(question, errand());
    expect(plain.server.asked[0]?.message.length).toBeLessThan(128);
  });

  test("makes the upstream `encrypted`", async () => {
    const server = await scriptedServer("tls", () => silence);
    onTestFinished(() => server.close());
    const encrypted = (["udp", "tcp", "tls", "https"] as const).map((protocol) => {
      const upstream = openServer(server.options({ protocol }), contextWith());
      return upstream.encrypted;
    });
    expect(encrypted).toEqual([false, false, true, true]);
  });
});

async function listen(server: ReturnType<typeof createServer>): Promise<number> {
  const sockets = new Set<Socket>();
  server.on("connection", (socket: Socket) => sockets.add(socket));
  server.listen(0, "127.0.0.1");
  await once(server, "listening");
  onTestFinished(async () => {
    for (const socket of sockets) socket.destroy();
    await new Promise((resolve) => server.close(resolve));
  });
  return (server.address() as AddressInfo).port;
}

function tlsOptions(port: number, changes: { readonly host?: string; readonly addresses?: readonly string[] }) {
  return {
    label: `tls://127.0.0.1:${port}`,
    protocol: "tls" as const,
    host: "127.0.0.1",
    port,
    path: "",
    addresses: [],
    tlsName: null,
    method: "POST" as const,
    maxQps: null,
    weight: 1,
    ...changes,
  };
}
