/** The zone that every server is asked for. It is reserved for documentation (RFC 6761 §6.5), and no server treats it specially. */
const ZONE = "bench.example";

/** Longer than any run, and the most that every server keeps an answer for unless told otherwise. */
const TTL_SECONDS = 86_400;

/** Names of the lengths that are met in practice, each with one address. */
export interface Zone {
  readonly name: string;
  /** In the syntax of a zone file, the origin being the zone. */
  readonly records: string;
  /** Absolute, without the final dot. */
  readonly hosts: readonly string[];
}

export function zoneOf(count: number): Zone {
  const labels = Array.from({ length: count }, (_, index) => labelOf(index));
  return {
    name: ZONE,
    records: labels.map((label, index) => `${label} ${TTL_SECONDS} A 198.51.100.${(index % 254) + 1}\n`).join(""),
    hosts: labels.map((label) => `${label}.${ZONE}`),
  };
}

/** The same zone with an address for whatever name is below it. */
export const WILDCARD_ZONE: Zone = { name: ZONE, records: `* ${TTL_SECONDS} A 198.51.100.1\n`, hosts: [] };

/** Different numbers make different names. */
export function hostsOf(start: number, end: number): readonly string[] {
  return Array.from({ length: end - start }, (_, index) => `${labelOf(start + index)}.${ZONE}`);
}

function labelOf(index: number): string {
  return `${LABELS[index % LABELS.length]}-${index}`;
}

const LABELS = ["www", "api", "cdn.static", "img", "edge.eu-west", "login", "a", "telemetry.events"];

/** The question for a host's address as DoH sends it: with EDNS, as UDP is asked here too. */
export function dohQuestion(host: string): string {
  const name = host.split(".").map((label) => Buffer.concat([Buffer.of(label.length), Buffer.from(label)]));
  return Buffer.concat([HEADER, ...name, TAIL]).toString("base64url");
}

/** Id 0 (RFC 8484 §4.1), RD, one question, one additional record. */
const HEADER = Buffer.from("000001000001000000000001", "hex");
/** End of the name, A, IN; OPT for 1232 bytes. */
const TAIL = Buffer.from("0000010001000029 04d0000000000000".replaceAll(" ", ""), "hex");
