import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { type FrameResult, frame, HEADER_BYTES, MAX_MESSAGE_BYTES, MessageFramer } from "../../src/dns/wire.ts";

function takeAll(reader: MessageFramer): FrameResult[] {
  const taken: FrameResult[] = [];
  while (reader.ready) {
    const result = reader.next();
    taken.push(result);
    if (result === "badLength") break;
  }
  return taken;
}

const messages = fc.array(fc.uint8Array({ minLength: HEADER_BYTES, maxLength: 700 }), { maxLength: 12 });

describe("framing", () => {
  test("a message goes behind its length, high byte first", () => {
    expect(frame(new Uint8Array(0x0102).fill(7)).subarray(0, 3)).toEqual(Uint8Array.of(1, 2, 7));
  });

  test("the longest message fits, one byte more is refused", () => {
    expect(frame(new Uint8Array(MAX_MESSAGE_BYTES)).length).toBe(MAX_MESSAGE_BYTES + 2);
    expect(() => frame(new Uint8Array(MAX_MESSAGE_BYTES + 1))).toThrow(RangeError);
  });
});

describe("reading", () => {
  test("whatever the cuts between chunks, the messages come out as they went in", () => {
    fc.assert(
      fc.property(messages, fc.array(fc.integer({ min: 1, max: 900 }), { minLength: 1 }), (sent, cuts) => {
        const stream = Buffer.concat(sent.map(frame));
        const reader = new MessageFramer();
        const got: FrameResult[] = [];
        for (let at = 0, turn = 0; at < stream.length; turn++) {
          const size = cuts[turn % cuts.length] ?? 1;
          reader.push(stream.subarray(at, at + size));
          got.push(...takeAll(reader));
          at += size;
        }
        expect(got).toEqual(sent);
        expect(reader.pendingBytes).toBe(0);
      }),
    );
  });

  test("messages left in the reader survive further pushes", () => {
    fc.assert(
      fc.property(messages, (sent) => {
        const reader = new MessageFramer();
        for (const message of sent) reader.push(frame(message));
        expect(takeAll(reader)).toEqual(sent);
      }),
    );
  });

  test("neither the chunk nor the reader's own buffer is shared with the message", () => {
    const chunk = frame(new Uint8Array(20).fill(1));
    const reader = new MessageFramer();
    reader.push(chunk);
    chunk.fill(9);
    const first = reader.next();
    reader.push(frame(new Uint8Array(20).fill(2)));
    expect(first).toEqual(new Uint8Array(20).fill(1));
    expect(first).toHaveProperty("buffer.byteLength", 20);
  });

  test("the longest message is read, byte by byte", () => {
    const message = new Uint8Array(MAX_MESSAGE_BYTES).fill(5);
    const reader = new MessageFramer();
    for (const byte of frame(message)) reader.push(Uint8Array.of(byte));
    const read = reader.next();
    expect(read instanceof Uint8Array && Buffer.from(read).equals(message)).toBe(true);
  });

  test("half a prefix and half a message are incomplete and counted as pending", () => {
    const reader = new MessageFramer();
    reader.push(Uint8Array.of(0));
    expect([reader.next(), reader.pendingBytes, reader.ready]).toEqual(["incomplete", 1, false]);
    reader.push(new Uint8Array(12).fill(12));
    expect([reader.next(), reader.pendingBytes, reader.ready]).toEqual(["incomplete", 13, false]);
    reader.push(Uint8Array.of(12));
    expect([reader.ready, reader.next(), reader.pendingBytes]).toEqual([true, new Uint8Array(12).fill(12), 0]);
  });

  test("a length below that of a header is reported as soon as the prefix is there, and again afterwards", () => {
    for (const length of [0, 11]) {
      const reader = new MessageFramer();
      reader.push(Uint8Array.of(length >> 8, length & 0xff));
      expect([reader.ready, reader.next(), reader.next()]).toEqual([true, "badLength", "badLength"]);
    }
  });

  test("no bytes make the framer throw, and no byte comes out twice", () => {
    fc.assert(
      fc.property(fc.array(fc.uint8Array({ maxLength: 200 })), (chunks) => {
        const reader = new MessageFramer();
        let pushed = 0;
        let taken = 0;
        for (const chunk of chunks) {
          reader.push(chunk);
          pushed += chunk.length;
          for (const result of takeAll(reader)) {
            if (result === "badLength") return;
            taken += result.length + 2;
          }
        }
        expect(taken + reader.pendingBytes).toBe(pushed);
      }),
    );
  });
});
