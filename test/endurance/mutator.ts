export const MAX_INPUT_BYTES = 4096;

/** Makes new inputs from old ones. */
export class Mutator {
  readonly #random: () => number;
  readonly #words: readonly Buffer[];

  constructor(random: () => number, words: readonly string[]) {
    this.#random = random;
    this.#words = words.map((word) => Buffer.from(word, "latin1"));
  }

  mutate(corpus: readonly Buffer[]): Buffer {
    let input = Buffer.from(this.pick(corpus));
    for (let edits = 1 + this.#below(6); edits > 0; edits--) input = Buffer.from(this.#edit(input, corpus));
    return input.subarray(0, MAX_INPUT_BYTES);
  }

  pick<T>(values: readonly T[]): T {
    const value = values[this.#below(values.length)];
    if (value === undefined) throw new Error("nothing to pick from");
    return value;
  }

  #edit(input: Buffer, corpus: readonly Buffer[]): Uint8Array {
    const at = this.#below(input.length + 1);
    const to = Math.min(input.length, at + 1 + this.#below(16));
    const [before, after, rest] = [input.subarray(0, at), input.subarray(at), input.subarray(to)];
    switch (this.#below(9)) {
      case 0:
        return Buffer.concat([before, this.pick(this.#words), after]);
      case 1:
        return Buffer.concat([before, this.pick(this.#words), rest]);
      case 2:
        return Buffer.concat([before, rest]);
      case 3:
        return Buffer.concat([input.subarray(0, to), input.subarray(at, to), rest]);
      case 4: {
        const other = this.pick(corpus);
        return Buffer.concat([before, other.subarray(this.#below(other.length + 1))]);
      }
      case 5:
        return Buffer.concat([before, Buffer.from([this.#below(256)]), after]);
      case 6:
        if (at < input.length) input[at] = (input[at] ?? 0) ^ (1 << this.#below(8));
        return input;
      case 7:
        // Lengths and counts are near their borders.
        if (at + 2 <= input.length)
          input.writeUInt16BE(this.pick([0, 1, input.length - at, input.length, 0x7fff, 0x8000, 0xffff]), at);
        return input;
      default:
        if (at < input.length) input[at] = this.pick([0, 1, 0x0a, 0x0d, 0x20, 0x3f, 0x40, 0x7f, 0x80, 0xc0, 0xff]);
        return input;
    }
  }

  #below(limit: number): number {
    return Math.floor(this.#random() * limit);
  }
}
