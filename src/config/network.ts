import { isIP, isIPv4, isIPv6 } from "node:net";
import ipaddr from "ipaddr.js";
import type { Endpoint } from "../listen/options.ts";
import { type Parsed, type Shape, text } from "./shape.ts";

/** An IPv4 or IPv6 literal without zone, as it is written. */
export const address = text({ expected: "an IP address", parse: parseAddress, examples: ["10.0.0.5", "fd00::5"] });

/** A CIDR; an address alone stands for itself, and bits beyond the prefix are dropped with a warning. */
export const network: Shape<string> = withHostBitsDropped(
  text({
    expected: "a network such as `192.168.0.0/16`, or an address",
    parse: parseNetwork,
    examples: ["192.168.0.0/16", "fd00::/8"],
  }),
);

/** A socket address to listen on. */
export const endpoint = text({
  expected: "an address with a port, such as `127.0.0.1:5053`",
  parse: parseEndpoint,
  examples: ["127.0.0.1:5053", "[::1]:5053"],
  fixOfCollection: 'put an address with brackets in quotes, as in "[::1]:5053"',
});

export function parseAddress(written: string): Parsed<string> {
  if (isIP(written) !== 0 && !written.includes("%")) return { value: written };
  const inner = /^\[(.*)\]$/.exec(written)?.[1] ?? "";
  const fix = isIPv6(inner) ? `write \`${inner}\`` : "write an address such as `10.0.0.5` or `fd00::5`";
  return { wrong: `\`${written}\` is no IP address`, fix };
}

/** Gives the CIDR as written, or made of the address. */
export function parseNetwork(written: string): Parsed<string> {
  if (isIPv4(written)) return { value: `${written}/32` };
  if (isIPv6(written) && !written.includes("%")) return { value: `${written}/128` };
  const [, base = "", prefix = ""] = /^(.*)\/(\d{1,3})$/.exec(written) ?? [];
  const width = isIPv4(base) ? 32 : isIPv6(base) && !base.includes("%") ? 128 : 0;
  if (width === 0)
    return { wrong: `\`${written}\` is neither a network nor an address`, fix: "write it as in `192.168.0.0/16` or `fd00::/8`" };
  if (Number(prefix) <= width) return { value: written };
  return { wrong: `\`${written}\` has a prefix above ${width}`, fix: `write a prefix from 0 to ${width}` };
}

export function withHostBitsDropped<T extends string>(shape: Shape<T>): Shape<T | string> {
  return {
    ...shape,
    read(place, reading) {
      const written = shape.read(place, reading);
      if (written === undefined || !written.includes("/")) return written;
      const base = networkOf(written);
      if (base === null) return written;
      reading.warn(place, `${written} has bits beyond its prefix; it is read as ${base}`, `write \`${base}\``);
      return base;
    },
  };
}

/** The CIDR without the bits beyond its prefix; null where there are none. */
function networkOf(cidr: string): string | null {
  const [parsed, prefix] = ipaddr.parseCIDR(cidr);
  const bytes = parsed.toByteArray();
  const kept = bytes.map((octet, index) => octet & (0xff00 >> Math.min(8, Math.max(0, prefix - index * 8))) & 0xff);
  if (kept.every((octet, index) => octet === bytes[index])) return null;
  return `${ipaddr.fromByteArray(kept).toString()}/${prefix}`;
}

export interface HostPort {
  /** Without brackets. */
  readonly host: string;
  /** null = none was written. */
  readonly port: number | null;
}

/** Splits `host`, `host:port`, `[v6]`, `[v6]:port` and bare IPv6; null where it is none of these or the port is above 65535. */
export function splitHostPort(written: string): HostPort | null {
  if (isIPv6(written)) return { host: written, port: null };
  const [, bracketed, plain = "", digits] = /^(?:\[([^\]]*)\]|([^:[\]]*))(?::(\d{1,5}))?$/.exec(written) ?? [];
  const port = digits === undefined ? null : Number(digits);
  const host = bracketed ?? plain;
  if (host === "" || (bracketed !== undefined && !isIPv6(host)) || (port !== null && port > 65_535)) return null;
  return { host, port };
}

export function parseEndpoint(written: string): Parsed<Endpoint> {
  const parts = splitHostPort(written);
  if (parts === null || isIP(parts.host) === 0)
    return { wrong: `\`${written}\` is no address to listen on`, fix: endpointFix(written) };
  const { host, port } = parts;
  if (port === null)
    return { wrong: `\`${written}\` has no port`, fix: `write \`${isIPv6(host) ? `[${host}]` : host}:53\`, or another port` };
  if (/^fe[89ab]/i.test(host) && !host.includes("%"))
    return {
      wrong: `\`${written}\` is link-local: the same address stands on every interface`,
      fix: `name the interface: \`[${host}%eth0]:${port}\``,
    };
  return { value: { address: host, port } };
}

function endpointFix(written: string): string {
  const [, host = "", port = ""] = /^(.*?):?(\d+)$/.exec(written) ?? [];
  if (Number(port) > 65_535) return "write a port from 0 to 65535";
  if (port !== "" && (host === "" || host === "*"))
    return `write \`0.0.0.0:${port}\` for every IPv4 address, or \`127.0.0.1:${port}\` for this host alone`;
  if (port !== "" && host === "localhost") return `write \`127.0.0.1:${port}\``;
  if (isIPv6(host)) return `write \`[${host}]:${port}\``;
  return "write it as in `127.0.0.1:5053` or `[::1]:5053`: an IP address, not a name";
}

/** Equal for different spellings of one address. */
export function canonicalAddress(written: string): string {
  const [plain = "", zone] = written.split("%", 2);
  return ipaddr.process(plain).toString() + (zone === undefined ? "" : `%${zone}`);
}

export function isLoopback(written: string): boolean {
  return ipaddr.process(written.split("%", 1)[0] ?? "").range() === "loopback";
}
