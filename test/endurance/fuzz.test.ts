import { expect, test } from "vitest";
import { readSeeds } from "./fuzz.ts";
import { FUZZ_TARGETS } from "./fuzz-targets.ts";

test.each(Object.entries(FUZZ_TARGETS))("the reader of %s holds its laws for every kept input", (name, { read }) => {
  const seeds = readSeeds(name);
  expect(seeds.length).toBeGreaterThan(0);
  for (const seed of seeds) expect(() => read(Buffer.from(seed)), seed.toString("base64")).not.toThrow();
});
