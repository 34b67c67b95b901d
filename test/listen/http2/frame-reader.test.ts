import fc from "fast-check";
import { expect, test } from "vitest";
import { type Frame, FrameReader } from "../../../src/listen/http2/frames.ts";
import { frameOf } from "../support/http2-raw.ts";

const FRAME = fc.record({
  type: fc.integer({ min: 0, max: 255 }),
  flags: fc.integer({ min: 0, max: 255 }),
  streamId: fc.integer({ min: 0, max: 0x7fff_ffff }),
  payload: fc.uint8Array({ maxLength: 300 }),
});

test("frames are the same however their octets come", () => {
  fc.assert(
    fc.property(fc.array(FRAME), fc.array(fc.integer({ min: 1, max: 200 }), { minLength: 1 }), (frames, sizes) => {
      const octets = Buffer.concat(frames.map(({ type, flags, streamId, payload }) => frameOf(type, flags, streamId, payload)));
      const reader = new FrameReader();
      const read: Frame[] = [];
      for (let start = 0, turn = 0; start < octets.length; turn++) {
        const end = start + (sizes[turn % sizes.length] ?? 1);
        const chunk = Buffer.from(octets.subarray(start, end));
        start = end;
        reader.push(chunk);
        for (let frame = reader.next(); frame !== null; frame = reader.next())
          read.push({ ...frame, payload: Uint8Array.from(frame.payload) });
        // What is left over must not hang on to the chunk.
        chunk.fill(0xff);
      }
      expect(read).toEqual(frames);
    }),
  );
});

test("the reserved bit of a stream's number is not looked at (RFC 9113 §4.1)", () => {
  const reader = new FrameReader();
  reader.push(frameOf(0, 0, 0x8000_0005));
  expect(reader.next()).toMatchObject({ streamId: 5 });
});
