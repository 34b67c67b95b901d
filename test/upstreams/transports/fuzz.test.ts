import { once } from "node:events";
import { type AddressInfo, createServer, type Socket } from "node:net";
import { createServer as createTlsServer } from "node:tls";
import fc from "fast-check";
import { describe, expect, onTestFinished, test } from "vitest";
import { answersQuestion } from "../../../src/dns/query.ts";
import { openServer } from "../../../src/upstreams/server.ts";
import { runs } from "../../support/properties.ts";
import { addresses, addressMessage, close, questionFor } from "../messages.ts";
import { type Action, type Asked, testCertificate, testKey } from "../scripted-server.ts";
import { addressTexts, contextWith, errand, site, until, type Way, ways } from "./set-up.ts";

const question = questionFor("www.example");
const direct = ways.filter(({ proxy }) => proxy === null);

/** A few changes to a right answer: bytes replaced, the end cut off, bytes added. */
const spoiling = fc.record({
  replaced: fc.array(fc.tuple(fc.nat({ max: 60 }), fc.integer({ min: 0, max: 255 })), { maxLength: 4 }),
  cut: fc.nat({ max: 20 }),
  added: fc.uint8Array({ maxLength: 8 }),
});

type Spoiling = typeof spoiling extends fc.Arbitrary<infer T> ? T : never;

function spoiled({ query }: Asked, { replaced, cut, added }: Spoiling): Uint8Array {
  const message = addressMessage(query, ["192.0.2.1", "192.0.2.2"]);
  for (const [offset, byte] of replaced) if (offset < message.length) message[offset] = byte;
  return Buffer.concat([message.subarray(0, message.length - cut), added]);
}

describe.each(direct)("any bytes from a server over $title", (way: Way) => {
  test("an exchange ends, with an answer to its question or an UpstreamError, and the next one works", async () => {
    const { upstream, server } = await site(way, (asked) => addresses(asked, "192.0.2.1"));
    const anything = fc.oneof(
      fc.uint8Array({ maxLength: 80 }).map((message): ((asked: Asked) => Action) => () => ({ kind: "raw", message })),
      fc.uint8Array({ maxLength: 80 }).map((message): ((asked: Asked) => Action) => () => ({ kind: "unframed", message })),
      spoiling.map((how): ((asked: Asked) => Action) => (asked) => {
        const message = spoiled(asked, how);
        return message.length < 2 ? { kind: "silence" } : { kind: "reply", message };
      }),
    );
    await fc.assert(
      fc.asyncProperty(anything, async (action) => {
        // What does not fit is passed over on datagrams and, under another id, on streams: then the right answer comes, or the end.
        const last = (asked: Asked): Action => (way.protocol === "udp" ? addresses(asked, "192.0.2.1") : close);
        server.follow((asked) => ({ kind: "all", actions: [action(asked), last(asked)] }));
        const trip = errand();
        const outcome = await upstream.exchange(question, trip).catch((error: unknown) => error);
        if (outcome instanceof Error)
          expect(outcome).toMatchObject({ name: "UpstreamError", failure: expect.stringMatching(/malformed|network/) });
        else expect(outcome).toSatisfy((answer) => answersQuestion(answer, question));
        expect(trip.attempts.length).toBeGreaterThan(0);
        server.follow((asked) => addresses(asked, "192.0.2.1"));
        expect(addressTexts(await upstream.exchange(question, errand()))).toEqual(["192.0.2.1"]);
      }),
      { numRuns: runs(60) },
    );
    await upstream.close();
    await until(() => server.open === 0);
  });
});

describe("bytes that are no", () => {
  test.each(["tls", "https"] as const)("TLS, where %s is expected, fail", async (protocol) => {
    await neverAnswered(protocol, null);
  });

  test.each(["h2", "http/1.1"])("%s, after it was chosen, fail", async (alpn) => {
    await neverAnswered("https", alpn);
  });
});

/** Asks a server that sends any bytes and hangs up, with TLS before them if `alpn` is given. */
async function neverAnswered(protocol: "tls" | "https", alpn: string | null): Promise<void> {
  let bytes: Uint8Array = Uint8Array.of();
  let open = 0;
  const serve = (socket: Socket): void => {
    open += 1;
    socket.on("error", () => undefined).on("close", () => (open -= 1));
    socket.once("data", () => socket.end(bytes));
  };
  const server =
    alpn === null ? createServer(serve) : createTlsServer({ key: testKey, cert: testCertificate, ALPNProtocols: [alpn] }, serve);
  server.on("tlsClientError", () => undefined);
  server.listen(0, "127.0.0.1");
  await once(server, "listening");
  const { port } = server.address() as AddressInfo;
  onTestFinished(() => new Promise<void>((resolve) => server.close(() => resolve())));
  const starts = fc.constantFrom(
    Uint8Array.of(),
    Uint8Array.of(22, 3, 3),
    Buffer.from("HTTP/1.1 200 OK\r\ncontent-type: application/dns-message\r\n"),
    // SETTINGS, and the header of a frame of HEADERS on stream 1.
    Uint8Array.of(0, 0, 0, 4, 0, 0, 0, 0, 0),
    Uint8Array.of(0, 0, 0, 4, 0, 0, 0, 0, 0, 0, 0, 8, 1, 5, 0, 0, 0, 1),
  );
  await fc.assert(
    fc.asyncProperty(starts, fc.uint8Array({ maxLength: 100 }), async (start, rest) => {
      bytes = Buffer.concat([start, rest]);
      const options = { label: "s", protocol, host: "127.0.0.1", port, path: "/dns-query", addresses: [], tlsName: null };
      const upstream = openServer({ ...options, method: "GET", maxQps: null, weight: 1 }, contextWith());
      const outcome = await upstream.exchange(question, errand()).catch((error: unknown) => error);
      expect(outcome).toMatchObject({ name: "UpstreamError", failure: expect.stringMatching(/tls|network|malformed|http/) });
      await upstream.close();
      await until(() => open === 0);
    }),
    { numRuns: runs(50) },
  );
}
