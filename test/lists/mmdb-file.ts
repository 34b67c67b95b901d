import { rangeFromText } from "../../src/dns/address.ts";

/** A value of the data section. Numbers are written as uint32. */
export type Value = string | number | readonly Value[] | { readonly [key: string]: Value };

export interface Network {
  /** 16 bytes; IPv4 in the last four. */
  readonly octets: Uint8Array;
  readonly bits: number;
  readonly record: Value;
}

/** @throws Error for what is no network. */
export function network(text: string, record: Value): Network {
  const range = rangeFromText(text);
  if (range === null) throw new Error(`${text} is no network`);
  const octets = Uint8Array.from([...new Uint8Array(16 - range.first.length), ...range.first]);
  return { octets, bits: Number(text.split("/")[1]) + (range.first.length === 4 ? 96 : 0), record };
}

/** Writes a database, of version 6. Networks must not enclose each other, nor anything under `aliasOfIpv4`. */
export function database(networks: readonly Network[], recordBits: 24 | 28 | 32, aliasOfIpv4 = false): Buffer {
  const nodes: [Place, Place][] = [[null, null]];
  const data: Buffer[] = [];
  let dataBytes = 0;
  const nodeAt = (octets: Uint8Array, bits: number): [number, 0 | 1] => {
    let node = 0;
    for (let bit = 0; ; bit++) {
      const side = ((octets[bit >> 3] ?? 0) >> (7 - (bit % 8))) & 1 ? 1 : 0;
      if (bit === bits - 1) return [node, side];
      const next = nodes[node]?.[side] ?? null;
      if (next !== null && "node" in next) node = next.node;
      else {
        nodes.push([null, null]);
        const pair = nodes[node];
        if (pair !== undefined) pair[side] = { node: nodes.length - 1 };
        node = nodes.length - 1;
      }
    }
  };
  const put = ([node, side]: readonly [number, 0 | 1], place: Place) => {
    const pair = nodes[node];
    if (pair !== undefined) pair[side] = place;
  };
  for (const { octets, bits, record } of networks) {
    put(nodeAt(octets, bits), { data: dataBytes });
    data.push(encoded(record));
    dataBytes += data.at(-1)?.length ?? 0;
  }
  if (aliasOfIpv4) {
    const [node, side] = nodeAt(new Uint8Array(16), 96);
    put(nodeAt(Uint8Array.from([0x20, 0x02, ...new Uint8Array(14)]), 16), nodes[node]?.[side] ?? null);
  }
  const number = (place: Place) =>
    place === null ? nodes.length : "node" in place ? place.node : nodes.length + 16 + place.data;
  const tree = nodes.map(([left, right]) => {
    const hex = [left, right].map((place) =>
      number(place)
        .toString(16)
        .padStart(recordBits / 4, "0"),
    );
    const [first = "", second = ""] = hex;
    return Buffer.from(recordBits === 28 ? first.slice(1) + first.slice(0, 1) + second : first + second, "hex");
  });
  const metadata = encoded({ node_count: nodes.length, record_size: recordBits, ip_version: 6, database_type: "Test" });
  return Buffer.concat([...tree, Buffer.alloc(16), ...data, Buffer.from("\xab\xcd\xefMaxMind.com", "latin1"), metadata]);
}

/** Two places a node: another node, a record (its offset in the data section), or nothing. */
type Place = { readonly node: number } | { readonly data: number } | null;

function encoded(value: Value): Buffer {
  const headed = (type: number, size: number, body: readonly Buffer[] = []) => {
    const extended = size < 29 ? [] : [size - 29];
    const bits = Math.min(size, 29);
    const control = type < 8 ? [(type << 5) | bits] : [bits, type - 7];
    return Buffer.concat([Buffer.from([...control, ...extended]), ...body]);
  };
  if (typeof value === "string") return headed(2, Buffer.byteLength(value), [Buffer.from(value)]);
  if (typeof value === "number") {
    const octets = Buffer.alloc(4);
    octets.writeUInt32BE(value);
    return headed(6, 4, [octets]);
  }
  if (Array.isArray(value)) return headed(11, value.length, value.map(encoded));
  const entries = Object.entries(value);
  return headed(
    7,
    entries.length,
    entries.flatMap(([key, held]) => [encoded(key), encoded(held)]),
  );
}
