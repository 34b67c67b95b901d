import { typeName, typeNumber } from "../types.ts";
import { type Field, uint16, uint32 } from "./field.ts";
import { PresentationError } from "./text-reader.ts";

/** A type by its mnemonic: what an RRSIG covers. */
export const recordType: Field<number> = {
  ...uint16,
  text: typeName,
  parse: (text) => typeOf(text.next().raw),
};

/** Seconds since 1970 modulo 2^32, shown as the moment in UTC that they mean before 2106 (RFC 4034 §3.2). */
export const moment: Field<number> = {
  ...uint32,
  text: (seconds) => new Date(seconds * 1000).toISOString().replace(/[-:T]|\.\d+Z$/g, ""),
  parse(text) {
    const token = text.peek()?.raw ?? "";
    const parts = /^(\d{4})(\d\d)(\d\d)(\d\d)(\d\d)(\d\d)$/.exec(token)?.slice(1).map(Number);
    if (parts === undefined) return text.integer(0xffff_ffff);
    text.next();
    const [year = 0, month = 0, day = 0, hour = 0, minute = 0, second = 0] = parts;
    const seconds = Date.UTC(year, month - 1, day, hour, minute, second) / 1000;
    // A thirteenth month would have rolled over into the next year.
    if (!(seconds >= 0 && seconds <= 0xffff_ffff) || moment.text(seconds) !== token)
      throw new PresentationError(`${token} is no moment from 1970 to 2106`);
    return seconds;
  },
};

/** The types that exist at a name, ascending (RFC 4034 §4.1.2): NSEC, NSEC3. */
export const typeBitmap: Field<readonly number[]> = {
  read(reader) {
    const types: number[] = [];
    let previousWindow = -1;
    while (reader.remaining > 0) {
      const window = reader.uint8();
      const octets = reader.octets(reader.uint8());
      if (window <= previousWindow || octets.length === 0 || octets.length > 32 || octets.at(-1) === 0)
        reader.fail("a type bitmap is not in its one right form");
      previousWindow = window;
      for (const [index, octet] of octets.entries())
        for (let bit = 0; bit < 8; bit++) if ((octet & (0x80 >> bit)) !== 0) types.push(window * 256 + index * 8 + bit);
    }
    return types;
  },
  write(writer, types) {
    const windows = Map.groupBy(types, (type) => type >> 8);
    for (const [window, members] of [...windows].toSorted(([left], [right]) => left - right)) {
      const octets = new Uint8Array((Math.max(...members.map((type) => type & 0xff)) >> 3) + 1);
      for (const type of members) octets[(type & 0xff) >> 3] = (octets[(type & 0xff) >> 3] ?? 0) | (0x80 >> (type & 7));
      writer.uint8(window);
      writer.uint8(octets.length);
      writer.octets(octets);
    }
  },
  text: (types) => types.map(typeName).join(" "),
  parse: (text) => [...new Set(text.rest().map(({ raw }) => typeOf(raw)))].sort((left, right) => left - right),
};

function typeOf(text: string): number {
  const type = /^\d+$/.test(text) ? null : typeNumber(text);
  if (type === null) throw new PresentationError(`${text} is no type`);
  return type;
}
