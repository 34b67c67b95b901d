const NAMES = ["NOERROR", "FORMERR", "SERVFAIL", "NXDOMAIN", "NOTIMP", "REFUSED"];
const BADVERS = 16;

/** Of a number that `Counters` counts by. */
export function rcodeLabel(rcode: number | null): string {
  if (rcode === null) return "NONE";
  return rcode === BADVERS ? "BADVERS" : (NAMES[rcode] ?? `RCODE${rcode}`);
}
