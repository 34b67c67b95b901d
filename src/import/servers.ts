import { isIP } from "node:net";
import { parseProxy, parseServer } from "../config/server.ts";
import { splitHostPort } from "../config/values.ts";
import { addressFromText, privateAddresses } from "../dns/address.ts";
import type { Ask, Findings, Outcome, Place, ServerGroup, SourceServer } from "./model.ts";
import type { SourceLine } from "./source.ts";

/** Servers as other programs write them, and which side they are of. */

export type ReadServer = { readonly server: SourceServer } | { readonly why: string };

/** Schemes that mean plain UDP here. */
const SCHEMES: Readonly<Record<string, string>> = {
  udpme: "udp",
  "tcp+pipeline": "tcp",
  "tls+pipeline": "tls",
  "tcp-pipeline": "tcp",
  "tls-pipeline": "tls",
  dot: "tls",
  doh: "https",
};

/**
 * @param written `223.5.5.5`, `dns.google:53`, `tls://8.8.8.8`, `https://…`. A bare name is asked by UDP.
 * @param at where the server is, whatever its name: an address, perhaps with a port.
 */
export function readServer(
  written: string,
  { at = "", tlsName = null }: { readonly at?: string; readonly tlsName?: string | null } = {},
): ReadServer {
  if (written === "system") return { server: { url: "system", addresses: [], tlsName: null } };
  const [, scheme, rest = ""] = /^([a-z0-9+.-]+):\/\/(.*)$/is.exec(written) ?? [];
  const known = scheme === undefined ? null : (SCHEMES[scheme.toLowerCase()] ?? scheme.toLowerCase());
  const isBareAddress = scheme === undefined && isIP(splitHostPort(written)?.host ?? "") !== 0;
  const dialled = dial(isBareAddress ? written : `${known ?? "udp"}://${scheme === undefined ? written : rest}`, at);
  if ("why" in dialled) return dialled;
  const parsed = parseServer(dialled.url);
  if (!("value" in parsed)) return { why: parsed.wrong };
  if (/^[\d.]+$/.test(parsed.value.host) && isIP(parsed.value.host) === 0)
    return { why: `\`${parsed.value.host}\` is no address` };
  return { server: { ...dialled, tlsName: tlsName === "" ? null : tlsName } };
}

function dial(
  url: string,
  at: string,
): { readonly url: string; readonly addresses: readonly string[] } | { readonly why: string } {
  if (at === "") return { url, addresses: [] };
  const parts = splitHostPort(at);
  if (parts === null || isIP(parts.host) === 0) return { why: `\`${at}\` is no address` };
  const [, before, host, port = "", rest = ""] = /^([a-z]+:\/\/|)(\[[^\]]*\]|[^/:]+)(:\d+)?(\/.*)?$/i.exec(url) ?? [];
  if (before === undefined || host === undefined) return { why: `\`${url}\` is no server` };
  const wanted = parts.port === null || parts.port === 0 ? port : `:${parts.port}`;
  return { url: `${before === "" ? "udp://" : before}${host}${wanted}${rest}`, addresses: [parts.host] };
}

/** Whether servers can be asked through it. */
export function isProxy(url: string): boolean {
  return "value" in parseProxy(url);
}

/** `near`: a resolver of mainland China; `far`: a well-known one abroad; `home`: a private address; null = nobody knows. */
export type ServerSide = "near" | "far" | "home" | null;

const NEAR =
  /^(223\.[56]\.[56]\.[56]|119\.29\.29\.29|119\.28\.28\.28|119\.28\.28\.98|114\.11[45]\.\d+\.\d+|180\.76\.76\.76|1\.12\.12\.(12|21)|120\.53\.(53\.53|80\.80)|101\.(226\.4\.6|6\.6\.6)|218\.30\.118\.6|123\.125\.81\.6|140\.207\.198\.6|117\.50\.\d+\.\d+|52\.80\.\d+\.\d+|180\.184\.[12]\.[12]|1\.2\.4\.8|210\.2\.4\.8|2400:3200:.*|2402:4e00:.*|2001:da8:.*|2400:7fc0:.*|(.+\.)?(alidns\.com|doh\.pub|dot\.pub|360\.cn|onedns\.net|114dns\.com|bytedance\.com|volcengine\.com)|.+\.cn)$/;
const FAR =
  /^(8\.8\.[48]\.[48]|1\.[01]\.[01]\.[1-3]|9\.9\.9\.\d+|149\.112\.112\.\d+|208\.67\.22[02]\.\d+|94\.140\.1[45]\.\d+|185\.222\.222\.222|45\.11\.45\.11|76\.76\.\d+\.\d+|2001:4860:4860:.*|2606:4700:.*|2620:f[e]:.*|2a10:50c0:.*|(.+\.)?(dns\.google|google\.com|cloudflare-dns\.com|one\.one\.one\.one|quad9\.net|opendns\.com|adguard\.com|adguard-dns\.com|nextdns\.io|dns\.sb|controld\.com|mullvad\.net))$/;

export function sideOf({ url, addresses }: SourceServer): ServerSide {
  if (url === "system") return null;
  const parsed = parseServer(url);
  if (!("value" in parsed)) return null;
  const { host } = parsed.value;
  for (const each of [host.toLowerCase(), ...addresses]) {
    if (NEAR.test(each)) return "near";
    if (FAR.test(each)) return "far";
    const bytes = addressFromText(each);
    if (bytes !== null && (privateAddresses.has(bytes) || /^127\.|^::1$/.test(each))) return "home";
  }
  return null;
}

/** The side of all of them; null where they differ or are not known, `mixed` where near and far stand together. */
export function sideOfAll(servers: readonly SourceServer[]): ServerSide | "mixed" {
  const sides = new Set(servers.map(sideOf));
  if (sides.has("near") && sides.has("far")) return "mixed";
  const [only] = sides;
  return sides.size === 1 && only !== undefined ? only : null;
}

/** A group with what most sources leave unsaid. */
export function serverGroup(
  name: string,
  servers: readonly SourceServer[],
  place: Place,
  more: Partial<ServerGroup> = {},
): ServerGroup {
  return { name, servers, strategy: "race", proxy: null, volatile: false, asksFrom: [], fallback: null, place, ...more };
}

/** The question goes to a group as it is. */
export function askGroup(group: ServerGroup, ecs: string | null = null): Ask {
  return { kind: "ask", group, ecs, modifiers: {}, place: group.place };
}

/** Whether the address of a server must be looked up. */
export function hasName(url: string): boolean {
  const parsed = parseServer(url);
  return url !== "system" && "value" in parsed && isIP(parsed.value.host) === 0;
}

export function hostPort(host: string, port: string | number): string {
  return host.includes(":") ? `[${host}]:${port}` : `${host}:${port}`;
}

/** What a server is called in a report: without a path, which may be a key. */
export function shownServer(written: string): string {
  return written.replace(/^([a-z0-9+]+:\/\/[^/]+).*$/i, "$1");
}

/** What a group without a name of its own is called. */
export function nameOfSide(servers: readonly SourceServer[]): string {
  const side = sideOfAll(servers);
  if (side === "near") return "domestic";
  if (side === "far") return "overseas";
  return side === "home" ? "router" : (servers[0]?.url ?? "upstream").replace(/^[a-z]+:\/\//, "").replace(/[:/].*$/, "");
}

/** A server that several lines name is one, at all the addresses that they give. */
export function addServer(servers: Map<string, SourceServer>, server: SourceServer): void {
  const known = servers.get(server.url);
  const addresses =
    known === undefined ? server.addresses : isAnywhere(known, server) ? [] : [...known.addresses, ...server.addresses];
  servers.set(server.url, { ...server, addresses: [...new Set(addresses)] });
}

/** One line without an address lets its name be looked up. */
function isAnywhere(one: SourceServer, other: SourceServer): boolean {
  return one.addresses.length === 0 || other.addresses.length === 0;
}

/** The servers of these lines, each once; those that cannot be asked are reported. @param read one line, where its source writes servers in its own way. @param reasons takes why they cannot be asked. */
export function readServers(
  lines: readonly SourceLine[],
  findings: Findings,
  read: (text: string) => ReadServer = (text) => readServer(text),
  reasons: string[] = [],
): readonly SourceServer[] {
  const servers = new Map<string, SourceServer>();
  for (const line of lines) {
    const found = read(line.text);
    if ("server" in found) addServer(servers, found.server);
    else {
      const why = `the server \`${shownServer(line.text)}\`: ${found.why}`;
      findings.add("left", line, why);
      reasons.push(`${why} (line ${line.line})`);
    }
  }
  return [...servers.values()];
}

/** Why nobody can be asked. @param reasons what is wrong with each server. */
export function whyNobody(name: string, reasons: readonly string[]): string {
  const [first] = reasons;
  return first === undefined
    ? `\`${name}\` names no server`
    : `none of the servers of \`${name}\` can be asked${first === "" ? "" : `: ${first}`}`;
}

/** A group of these servers is asked; without any the names are closed. */
export function askServers(
  servers: readonly SourceServer[],
  name: string,
  place: Place,
  more: Partial<ServerGroup> = {},
  reasons: readonly string[] = [""],
): Outcome {
  if (servers.length > 0) return askGroup(serverGroup(name, servers, place, more));
  return { kind: "unknown", why: whyNobody(name, reasons), place };
}
