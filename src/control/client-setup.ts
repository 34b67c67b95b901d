import { createHash } from "node:crypto";
import type { RouterScriptRequest } from "../admin/control.ts";
import type { Config } from "../config/types.ts";
import { addressFromText, addressText } from "../dns/address.ts";
import { nameFromText } from "../dns/name.ts";
import type { HostsTable } from "../hosts/table.ts";
import { authorityOf, fetchChain, fingerprintOf } from "../routeros/chain.ts";
import { renderRemovalScript, renderSetupScript } from "../routeros/script.ts";

/** The place of the server, for the set-up of its clients. */
export interface ServerPlace {
  /** URL of the DNS-over-HTTPS service: `https://doh.example.com/dns-query`. */
  readonly url: URL;
  /** The addresses that the hosts table has for the host of the URL; empty if the host is a literal. */
  readonly addresses: readonly string[];
}

/** Parses the URL where clients reach the DoH service. @returns a text if clients could not use the URL. */
export function serviceUrl(text: string): URL | string {
  const url = URL.parse(text);
  if (url?.protocol !== "https:")
    return "the URL where clients reach Fenliu is wanted, as https://doh.example.com: they take no other than https";
  if (url.username !== "" || url.password !== "" || url.search !== "" || url.hash !== "")
    return "the URL where clients reach Fenliu has neither user, password, `?` nor `#`";
  // A user on this machine may name it so, but for a router or a telephone the name means the device itself.
  if (/^(127\.|\[::1\]$|(.*\.)?localhost$)/.test(url.hostname))
    return `${url.hostname} is each client itself: say where they reach Fenliu, as url=https://doh.example.com`;
  return url;
}

/** A client needs the addresses to reach the server by name before it has any DNS. */
export function placeOf(url: URL, hosts: HostsTable): ServerPlace {
  const host = url.hostname.replace(/^\[|\]$/g, "");
  const name = addressFromText(host) === null ? nameFromText(host) : null;
  const match = name === null ? null : hosts.lookup(name);
  return { url, addresses: match?.addresses.map(addressText) ?? [] };
}

interface RouterScriptOptions extends Omit<RouterScriptRequest, "baseUrl"> {
  readonly config: Pick<Config, "upstreams">;
}

/** The set-up script of a router, or the script that takes the set-up away. */
export async function routerScript(
  { url, addresses }: ServerPlace,
  { failover, without, remove, config }: RouterScriptOptions,
): Promise<string> {
  const plain = config.upstreams.bootstrap.filter(({ protocol, port }) => protocol === "udp" && port === 53);
  const fallback = plain.length === 0 ? PUBLIC_SERVERS : plain.map(({ host }) => host);
  if (remove) return renderRemovalScript({ url, fallback });
  // Where the service does not answer, the script can do without its authority: the router may know it.
  const chain = await fetchChain(url, addresses[0] ?? null).catch(() => []);
  const certificate = authorityOf(chain);
  const authority = certificate && { pem: certificate.toString(), fingerprint: fingerprintOf(certificate) };
  return renderSetupScript({ url, addresses, authority, failover, fallback, without });
}

/** The plain servers of a router that had none before Fenliu, where section bootstrap names no such server. */
const PUBLIC_SERVERS = ["223.5.5.5", "119.29.29.29"];

/** A configuration profile with one DNS payload, for iOS 14, macOS 11 and later. A profile for the same URL has the same ids, so it replaces the earlier one. */
export function appleProfile({ url, addresses }: ServerPlace): string {
  const settings = [
    entry("DNSProtocol", string("HTTPS")),
    entry("ServerURL", string(url.href)),
    ...(addresses.length === 0 ? [] : [entry("ServerAddresses", `<array>${addresses.map(string).join("")}</array>`)]),
  ];
  const payload = [
    entry("PayloadType", string("com.apple.dnsSettings.managed")),
    entry("PayloadIdentifier", string(`fenliu.dns.${url.hostname}`)),
    entry("PayloadUUID", string(uuidOf(`dns ${url.href}`))),
    entry("PayloadVersion", "<integer>1</integer>"),
    entry("PayloadDisplayName", string(`Fenliu, ${url.hostname}`)),
    entry("DNSSettings", dict(settings)),
  ];
  const profile = [
    entry("PayloadType", string("Configuration")),
    entry("PayloadIdentifier", string(`fenliu.${url.hostname}`)),
    entry("PayloadUUID", string(uuidOf(`profile ${url.href}`))),
    entry("PayloadVersion", "<integer>1</integer>"),
    entry("PayloadDisplayName", string(`Fenliu, ${url.hostname}`)),
    entry("PayloadDescription", string("Sends DNS questions to Fenliu over HTTPS.")),
    entry("PayloadContent", `<array>${dict(payload)}</array>`),
  ];
  const head =
    '<?xml version="1.0" encoding="UTF-8"?>\n<!DOCTYPE plist PUBLIC "-//Apple//DTD PLIST 1.0//EN" "http://www.apple.com/DTDs/PropertyList-1.0.dtd">\n';
  return `${head}<plist version="1.0">${dict(profile)}</plist>\n`;
}

function dict(entries: readonly string[]): string {
  return `<dict>\n${entries.join("")}</dict>`;
}

function entry(key: string, value: string): string {
  return `<key>${key}</key>${value}\n`;
}

function string(text: string): string {
  return `<string>${text.replace(/&/g, "&amp;").replace(/</g, "&lt;").replace(/>/g, "&gt;")}</string>`;
}

/** A UUID of version 8 that depends on the text alone (RFC 9562 §5.8). */
function uuidOf(text: string): string {
  const bytes = createHash("sha256").update(text).digest().subarray(0, 16);
  bytes[6] = ((bytes[6] ?? 0) & 0x0f) | 0x80;
  bytes[8] = ((bytes[8] ?? 0) & 0x3f) | 0x80;
  return bytes.toString("hex").replace(/^(.{8})(.{4})(.{4})(.{4})(.{12})$/, "$1-$2-$3-$4-$5");
}
