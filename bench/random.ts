/** From a number in [0, 1) to a rank from 0, the first being the most frequent: the weight of the n-th is 1 / n ** exponent. */
export function zipf(ranks: number, exponent: number): (uniform: number) => number {
  const sums = new Float64Array(ranks);
  let sum = 0;
  for (let rank = 0; rank < ranks; rank++) {
    sum += (rank + 1) ** -exponent;
    sums[rank] = sum;
  }
  return (uniform) => {
    let low = 0;
    let high = ranks - 1;
    while (low < high) {
      const middle = (low + high) >> 1;
      if ((sums[middle] ?? 0) > uniform * sum) high = middle;
      else low = middle + 1;
    }
    return low;
  };
}

/** A small generator of known quality with 32 bits of state (mulberry32), so that every run sees the same. */
export function seeded(seed: number): () => number {
  let state = seed;
  return () => {
    state = (state + 0x6d2b79f5) | 0;
    let mixed = Math.imul(state ^ (state >>> 15), 1 | state);
    mixed = (mixed + Math.imul(mixed ^ (mixed >>> 7), 61 | mixed)) ^ mixed;
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 2 ** 32;
  };
}
