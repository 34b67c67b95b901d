import { existsSync } from "node:fs";
import { join } from "node:path";
import { REAL_DATA } from "../support/real-data.ts";

/** What one list says of names: the rules of `longest` once more, written for clearness and not for speed, to check the real ones by. */
export interface ListRules {
  readonly suffixes: ReadonlySet<string>;
  readonly full: ReadonlySet<string>;
  readonly others: readonly ((name: string) => boolean)[];
}

/** Which list wins `longest`: a full match beats suffixes, the longer suffix the shorter one, the list named first a tie. */
export function prefersFirst(name: string, first: ListRules, second: ListRules): boolean {
  const [ours, theirs] = [matchWeight(name, first), matchWeight(name, second)];
  return ours > 0 && ours >= theirs;
}

/** 0 = no match. */
export function matchWeight(name: string, { suffixes, full, others }: ListRules): number {
  if (full.has(name)) return Number.POSITIVE_INFINITY;
  const labels = name.split(".");
  for (let skipped = 0; skipped < labels.length; skipped++)
    if (suffixes.has(labels.slice(skipped).join("."))) return 1 + labels.length - skipped;
  return others.some((matches) => matches(name)) ? 1 : 0;
}

/** One category of a geosite file: GeoSite { 1: code, 2: Domain { 1: type, 2: value } }. */
export function readGeosite(file: Buffer, code: string): ListRules {
  const rules = { suffixes: new Set<string>(), full: new Set<string>(), others: [] as ((name: string) => boolean)[] };
  for (const [, site] of fields(file)) {
    const parts = typeof site === "number" ? [] : fields(site);
    if (String(parts.find(([tag]) => tag === 1)?.[1]).toLowerCase() !== code) continue;
    for (const [tag, domain] of parts) {
      if (tag !== 2 || typeof domain === "number") continue;
      const content = new Map(fields(domain));
      const value = String(content.get(2)).toLowerCase();
      const kind = content.get(1) ?? 0;
      if (kind === 0) rules.others.push((name) => name.includes(value));
      else if (kind === 1) rules.others.push((name) => new RegExp(value).test(name));
      else (kind === 2 ? rules.suffixes : rules.full).add(value);
    }
  }
  return rules;
}

/** The fields of a protobuf message, in their order; of a repeated scalar only what this file needs. */
function fields(message: Buffer): [tag: number, value: number | Buffer][] {
  const found: [number, number | Buffer][] = [];
  let position = 0;
  const varint = (): number => {
    let value = 0;
    for (let scale = 1; ; scale *= 128) {
      const byte = message[position++] ?? 0;
      value += (byte & 127) * scale;
      if (byte < 128) return value;
    }
  };
  while (position < message.length) {
    const key = varint();
    const value = varint();
    if ((key & 7) === 2) {
      found.push([key >> 3, message.subarray(position, position + value)]);
      position += value;
    } else found.push([key >> 3, value]);
  }
  return found;
}

const chinaFile = join(REAL_DATA, "accelerated-domains.china.conf");
const geositeFile = join(REAL_DATA, "dlc.dat");

/** Real lists of mainland names and of foreign ones. */
export const REAL_LISTS = {
  exist: existsSync(chinaFile) && existsSync(geositeFile),
  chinaFile,
  geositeFile,
  /** The category of `geositeFile` with the foreign names. */
  category: "geolocation-!cn",
};
