import { once } from "node:events";
import { connect, sensitiveHeaders } from "node:http2";
import { type AddressInfo, createServer, type Socket } from "node:net";
import fc from "fast-check";
import { expect, onTestFinished, test } from "vitest";
import {
  FRAME,
  FRAME_FLAG,
  FrameReader,
  PREFACE,
  SETTING,
  SETTINGS_ACK,
  settingsFrame,
} from "../../../src/listen/http2/frames.ts";
import { encodeFields, type HeaderField, HpackDecoder } from "../../../src/listen/http2/hpack.ts";
import { runs } from "../../support/properties.ts";
import { tableOf } from "../support/hpack-blocks.ts";
import { frameOf } from "../support/http2-raw.ts";

/** Just enough of HTTP/2 to take the header blocks of one connection, none larger than a frame, and answer each with the given fields. */
function serveBlocks(socket: Socket, tableBytes: number, answer: (block: Uint8Array) => readonly HeaderField[]): void {
  const reader = new FrameReader();
  let prefaceLeft = PREFACE.length;
  socket.write(settingsFrame([[SETTING.HEADER_TABLE_SIZE, tableBytes]]));
  socket.on("error", () => {});
  socket.on("data", (chunk: Buffer) => {
    const start = Math.min(prefaceLeft, chunk.length);
    prefaceLeft -= start;
    reader.push(chunk.subarray(start));
    for (let frame = reader.next(); frame !== null; frame = reader.next()) {
      const { type, flags, streamId, payload } = frame;
      if (type === FRAME.SETTINGS && (flags & FRAME_FLAG.ACK) === 0) socket.write(SETTINGS_ACK);
      if (type !== FRAME.HEADERS) continue;
      const block = encodeFields(answer(payload.subarray(flags & FRAME_FLAG.PRIORITY ? 5 : 0)));
      socket.write(frameOf(FRAME.HEADERS, FRAME_FLAG.END_STREAM | FRAME_FLAG.END_HEADERS, streamId, block));
    }
  });
}

const NAME = fc.stringMatching(/^x-[a-z0-9]{1,6}$/);
/** What a field value may hold: visible characters and bytes above them. */
const BYTE = fc.oneof(fc.integer({ min: 0x21, max: 0x7e }), fc.integer({ min: 0x80, max: 0xff }));
const VALUE = fc.oneof(
  fc.constantFrom("application/dns-message", "1", "a-value", "another-value"),
  fc.array(BYTE, { maxLength: 60, size: "max" }).map((octets) => Buffer.from(octets).toString("latin1")),
  // Long enough for the Huffman code to be the shorter one, whatever byte is among them.
  BYTE.map((byte) => `0000000000${String.fromCharCode(byte)}0000000000`),
  fc.integer({ min: 100, max: 1500 }).map((length) => "a".repeat(length)),
);
const REQUEST = fc.record({
  path: fc.constantFrom("/", "/dns-query", "/dns-query?dns=AAABAAABAAAAAAAAAA"),
  headers: fc.dictionary(fc.oneof(fc.constantFrom("accept", "x-a", "x-b"), NAME), VALUE, { maxKeys: 8 }),
  isSensitive: fc.boolean(),
});

const sorted = (fields: readonly HeaderField[]): HeaderField[] =>
  fields.toSorted((one, other) => (one.name < other.name ? -1 : 1));

test("the requests of Node's client are read, and it reads what is encoded here", async () => {
  const seen = new Set<string>();
  await fc.assert(
    fc.asyncProperty(
      fc.constantFrom(0, 100, 1000, 4096, 65_536),
      fc.array(REQUEST, { minLength: 1, maxLength: 8 }),
      async (tableBytes, requests) => {
        const decoder = new HpackDecoder({ tableBytes: Math.max(tableBytes, 4096), maxListBytes: 100_000 });
        const received: (readonly HeaderField[] | null)[] = [];
        const server = createServer({ noDelay: true }, (socket) => {
          serveBlocks(socket, tableBytes, (block) => {
            if ((block[0] ?? 0) >> 5 === 0b001) seen.add("table size update");
            const fields = decoder.decode(block) ?? [];
            received.push(fields);
            return [{ name: ":status", value: "204" }, ...fields.filter(({ name }) => !name.startsWith(":"))];
          });
        });
        server.listen(0, "127.0.0.1");
        await once(server, "listening");
        const authority = `127.0.0.1:${(server.address() as AddressInfo).port}`;
        const session = connect(`http://${authority}`);
        const stop = (): void => {
          session.destroy();
          server.close();
        };
        onTestFinished(stop);
        await once(session, "remoteSettings");
        for (const [index, { path, headers, isSensitive }] of requests.entries()) {
          const names = isSensitive ? Object.keys(headers) : [];
          const request = session.request({ ":path": path, ...headers, [sensitiveHeaders]: names });
          const [response] = await once(request, "response");
          request.destroy();
          const pseudo = { ":authority": authority, ":method": "GET", ":path": path, ":scheme": "http" };
          const expected = Object.entries({ ...pseudo, ...headers }).map(([name, value]) => ({ name, value }));
          expect(sorted(received[index] ?? [])).toEqual(sorted(expected));
          expect(response).toMatchObject({ ":status": 204, ...headers });
        }
        if (tableOf(decoder).length > 0) seen.add("entries");
        stop();
        await once(server, "close");
      },
    ),
    { numRuns: runs(60) },
  );
  // Without updates and entries of the table this would say less than it seems to.
  expect(seen).toEqual(new Set(["table size update", "entries"]));
});
