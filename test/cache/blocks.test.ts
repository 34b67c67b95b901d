import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { BLOCK_BYTES, BlockStore, blockBytes } from "../../src/cache/blocks.ts";

const record = (bytes: number, seed: number) => Uint8Array.from({ length: bytes }, (_, index) => (index * 7 + seed) & 255);

describe("the blocks", () => {
  test("return every record unchanged, whatever is written and freed in between", () => {
    const steps = fc.array(fc.record({ bytes: fc.integer({ min: 1, max: 700 }), frees: fc.option(fc.nat()) }), {
      maxLength: 60,
    });
    fc.assert(
      fc.property(steps, (script) => {
        const blocks = new BlockStore();
        const written: { first: number; bytes: Uint8Array }[] = [];
        const blocksOf = ({ bytes }: { bytes: Uint8Array }) => Math.ceil(bytes.length / BLOCK_BYTES);
        let most = 0;
        for (const [seed, { bytes, frees }] of script.entries()) {
          const fresh = record(bytes, seed);
          written.push({ first: blocks.write(fresh), bytes: fresh });
          most = Math.max(
            most,
            written.reduce((sum, each) => sum + blocksOf(each), 0),
          );
          if (frees !== null) for (const { first } of written.splice(frees % written.length, 1)) blocks.free(first);
        }
        for (const { first, bytes } of written) expect(Uint8Array.from(blocks.read(first, bytes.length))).toEqual(bytes);
        // No block is lost or handed out twice: once all are free, exactly the blocks used so far serve again.
        for (const { first } of written) blocks.free(first);
        const firsts = Array.from({ length: most }, () => blocks.write(record(1, 0)));
        expect(firsts.sort((one, other) => one - other)).toEqual(Array.from(firsts, (_, index) => index));
      }),
    );
  });

  test("a record whose length is near the edge of a block comes back whole", () => {
    const blocks = new BlockStore();
    const lengths = [1, 63, 64, 65, 127, 128, 129, 65_535];
    const written = lengths.map((bytes) => ({ bytes, first: blocks.write(record(bytes, bytes)) }));
    for (const { bytes, first } of written) expect(Uint8Array.from(blocks.read(first, bytes))).toEqual(record(bytes, bytes));
  });

  test("a record that was read does not change when its blocks are used again", () => {
    const blocks = new BlockStore();
    const first = blocks.write(record(200, 1));
    const copy = blocks.read(first, 200);
    blocks.free(first);
    blocks.write(record(200, 2));
    expect(Uint8Array.from(copy)).toEqual(record(200, 1));
  });

  test("never use more blocks than were in use at one time, however sizes change", () => {
    const blocks = new BlockStore();
    const held: number[] = [];
    for (let index = 0; index < 2000; index++) held.push(blocks.write(record(60, index)));
    const highest = Math.max(...held);
    for (let round = 1; round <= 20; round++) {
      for (const first of held.splice(0)) blocks.free(first);
      const bytes = round * 60;
      while (held.length * blockBytes(bytes) < 2000 * blockBytes(60) - blockBytes(bytes))
        held.push(blocks.write(record(bytes, round)));
      expect(Math.max(...held)).toBeLessThanOrEqual(highest);
    }
  });
});
