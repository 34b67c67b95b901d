import { AddressSet, rangeFromText } from "../../src/dns/address.ts";
import type { Operation } from "./measure.ts";

export function addressSetLookups(count: number): Operation {
  const set = new AddressSet(Array.from({ length: count }, (_, index) => cidrAt(index)).flatMap((range) => range ?? []));
  const addresses = Array.from({ length: 4096 }, (_, index) => {
    const bits = Math.imul(index + 1, 0x9e37_79b1) >>> 0;
    return Uint8Array.of(bits >>> 24, (bits >>> 16) & 255, (bits >>> 8) & 255, bits & 255);
  });
  return {
    name: `address set of ${set.size} blocks`,
    run(times) {
      let hits = 0;
      for (let index = 0; index < times; index++) if (set.has(addresses[index & 4095] ?? NOWHERE)) hits++;
      return hits;
    },
  };
}

const NOWHERE = new Uint8Array(4);

function cidrAt(index: number) {
  return rangeFromText(`${1 + (index >> 8)}.${index & 255}.${(index * 37) & 252}.0/23`);
}
