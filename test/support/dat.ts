import { addressFromText } from "../../src/dns/address.ts";

/** Files of V2Ray, written: categories of domains and of networks. */

/** A protobuf field of bytes or of a number. */
export function protobufField(number: number, value: string | Uint8Array | number): Buffer {
  if (typeof value === "number") return Buffer.from([number << 3, ...varint(value)]);
  const bytes = Buffer.from(value);
  return Buffer.concat([Buffer.from([(number << 3) | 2, ...varint(bytes.length)]), bytes]);
}

function varint(value: number): readonly number[] {
  return value < 0x80 ? [value] : [(value & 0x7f) | 0x80, ...varint(value >> 7)];
}

/** Categories with their domains: those after `full:` are meant alone, the others with what is below. */
export function geosite(categories: Readonly<Record<string, readonly string[]>>): Buffer {
  return dat(categories, (domain) => {
    const [, full, name = ""] = /^(full:)?(.*)$/.exec(domain) ?? [];
    return [protobufField(1, full === undefined ? 2 : 3), protobufField(2, name)];
  });
}

export function geoip(categories: Readonly<Record<string, readonly string[]>>): Buffer {
  return dat(categories, (network) => {
    const [address = "", bits = ""] = network.split("/");
    return [protobufField(1, addressFromText(address) ?? ""), protobufField(2, Number(bits))];
  });
}

function dat(categories: Readonly<Record<string, readonly string[]>>, entry: (text: string) => readonly Buffer[]): Buffer {
  return Buffer.concat(
    Object.entries(categories).map(([code, texts]) =>
      protobufField(
        1,
        Buffer.concat([protobufField(1, code), ...texts.map((text) => protobufField(2, Buffer.concat(entry(text))))]),
      ),
    ),
  );
}
