import { existsSync, readdirSync, readFileSync, statSync } from "node:fs";
import { isIP } from "node:net";
import { join } from "node:path";
import { sideOf } from "../../../src/import/servers.ts";

/** What the lab needs to know of a source: which servers its files name, and which names; all of it from the texts, never by a reader of ours. */

export type Transport = "udp" | "tcp" | "tls" | "https";

export interface Scene {
  /** Names of servers, with the address that they get. */
  readonly hosts: Readonly<Record<string, string>>;
  /** Addresses on which plain DNS is served: those outside the house, and those of its own loopback interface. */
  readonly world: readonly string[];
  readonly home: readonly string[];
  readonly ports: Readonly<Record<Transport, readonly number[]>>;
  /** Where the program itself listens. */
  readonly ownPort: number;
}

export type Side = "near" | "far" | "home" | "other";

const MAX_ADDRESSES = 400;

/** Servers of these texts. @param ownPort where the program itself listens. */
export function sceneOf(texts: readonly string[], ownPort: number): Scene {
  // Where the program and its API listen is no server that it asks.
  const text = texts.join("\n").replace(/^\s*-?\s*(http|listen\w*|bind\w*|address|external-controller)\s*[:=].*$/gm, "");
  const hosts = new Set<string>();
  const ports: Record<Transport, Set<number>> = {
    udp: new Set([53]),
    tcp: new Set([53]),
    tls: new Set([853]),
    https: new Set([443]),
  };
  for (const [, scheme = "", host = "", port] of text.matchAll(
    /\b(udp|tcp|tls|https|h3|quic|dot|doh):\/\/(\[[^\]\s]+\]|[\w.-]+)(?::(\d+))?/gi,
  )) {
    const transport = ({ dot: "tls", doh: "https", h3: "https", quic: "tls" }[scheme.toLowerCase()] ??
      scheme.toLowerCase()) as Transport;
    if (port !== undefined) ports[transport].add(Number(port));
    if (isIP(host.replace(/[[\]]/g, "")) === 0 && host.includes(".")) hosts.add(host.toLowerCase());
  }
  for (const [, host = ""] of text.matchAll(/-host-name[ :=]+([\w.-]+)/g)) hosts.add(host.toLowerCase());
  for (const [, port = ""] of text.matchAll(/\b(?!0\.0\.0\.0)\d+\.\d+\.\d+\.\d+[:#](\d{2,5})\b/g)) {
    // Where a server is asked by TLS, nobody listens for plain DNS.
    if (ports.tls.has(Number(port)) || ports.https.has(Number(port))) continue;
    ports.udp.add(Number(port));
    ports.tcp.add(Number(port));
  }
  const four = text.match(/\b\d{1,3}(\.\d{1,3}){3}\b(?!\/\d)/g) ?? [];
  const six = text.match(/\b[0-9a-f]{1,4}(:[0-9a-f]{0,4}){2,7}\b(?!\/\d)/gi) ?? [];
  const addresses = [...new Set([...four, ...six])].filter((each) => isIP(each) !== 0).slice(0, MAX_ADDRESSES);
  // A program without a bootstrap server asks the resolver of the host.
  const resolver = existsSync("/etc/resolv.conf")
    ? /^nameserver\s+(\S+)/m.exec(readFileSync("/etc/resolv.conf", "utf8"))?.[1]
    : undefined;
  // And Fenliu those of `bootstrap`.
  addresses.push(...(resolver === undefined ? [] : [resolver]), "223.5.5.5", "119.29.29.29");
  const isHome = (each: string) => /^127\.|^::1$/.test(each);
  const named = [...hosts].map((host, index): [string, string] => [
    host,
    `45.90.${200 + Math.floor(index / 250)}.${1 + (index % 250)}`,
  ]);
  return {
    hosts: Object.fromEntries(named),
    world: [
      ...new Set(addresses).values().filter((each) => !isHome(each) && !/^(0|22[4-9]|2[3-5]\d)\./.test(each)),
      ...named.map(([, address]) => address),
    ],
    home: [...new Set([...addresses.filter(isHome), "127.0.0.1"])],
    ports: { udp: [...ports.udp], tcp: [...ports.tcp], tls: [...ports.tls], https: [...ports.https] },
    ownPort,
  };
}

/** `udp://223.5.5.5:53`, with the name of the server where it has one. */
export function roleOf({ hosts }: Scene, transport: Transport, address: string, port: number): string {
  const plain = address.replace(/^::ffff:/, "");
  const host = Object.entries(hosts).find(([, each]) => each === plain)?.[0] ?? plain;
  // Plain DNS over TCP is asked where an answer over UDP was cut.
  return `${transport === "tcp" ? "udp" : transport}://${host.includes(":") ? `[${host}]` : host}:${port}`;
}

export function sideOfRole(role: string): Side {
  return sideOf({ url: role, addresses: [], tlsName: null }) ?? "other";
}

/** The addresses that a role answers with: those of a side belong to one network. */
export function addressesOfRole(role: string): { readonly four: string; readonly six: string } {
  let sum = 0;
  for (const letter of role) sum = (sum * 31 + (letter.codePointAt(0) ?? 0)) % 64_000;
  const [high, low] = [Math.floor(sum / 250), 1 + (sum % 250)];
  const side = sideOfRole(role);
  if (side === "near") return { four: `61.135.${high}.${low}`, six: `2400:3200::${sum.toString(16)}` };
  return { four: `142.250.${high}.${low}`, six: `2607:f8b0::${sum.toString(16)}` };
}

/** The texts of a folder: configuration files whole, and every file that may be a list. */
export function textsIn(folder: string): { readonly configurations: readonly string[]; readonly lists: readonly string[] } {
  const files = readdirSync(folder, { recursive: true, encoding: "utf8" })
    .map((name) => join(folder, name))
    .filter((path) => !/(^|\/)(\.git|state|data)\//.test(path) && statSync(path).isFile() && statSync(path).size < 8_000_000);
  const texts = (pattern: RegExp, most: number) =>
    files.filter((path) => pattern.test(path) && statSync(path).size < most).map((path) => readFileSync(path, "utf8"));
  return {
    configurations: texts(/\.(ya?ml|conf)$|dnsmasq|hosts/i, 60_000),
    lists: texts(/\.(txt|list|conf|ya?ml)$|hosts/i, 8_000_000),
  };
}

/** Names of the texts, `most` of each, spread over its length, and for each one below it. */
export function namesIn(texts: readonly string[], most: number): readonly string[] {
  const found = texts.flatMap((text) => {
    const bare = text.replace(/^\s*(#|!).*$/gm, "");
    const all = [
      ...new Set(
        (
          bare.match(
            /(?<![\w@:.-]|\/\/)(?:\*\.|\+\.|\.)?(?:[a-z0-9_](?:[\w-]{0,60}[a-z0-9])?\.)+[a-z][a-z0-9-]{1,20}(?![\w.-]*[\w(])/gi,
          ) ?? []
        ).map((each) => each.toLowerCase()),
      ),
    ];
    const names = all.filter(
      (each) => !/\.(ya?ml|txt|conf|dat|mmdb|log|pem|key|sh|json|mrs|list|srs|so|db|md|png|html?|gz|bin|arpa)$/.test(each),
    );
    const step = Math.max(1, names.length / most);
    return Array.from({ length: Math.min(most, names.length) }, (_, index) => names[Math.floor(index * step)] ?? "");
  });
  const plain = found.map((each) => each.replace(/^(\*|\+)?\./, "")).filter((each) => each !== "");
  return [...new Set(plain.flatMap((each) => [each, `qz.${each}`]))];
}

/** Names that no list holds, with what is to come of them: the labels are read by the mocks. */
export const UNKNOWN_NAMES: readonly string[] = [
  "plain",
  "all-cn",
  "all-foreign",
  "all-mixed",
  "near-foreign",
  "near-cn.far-foreign",
  "near-foreign.far-cn",
  "near-mixed",
  "near-nx",
  "near-nodata",
  "near-servfail",
  "far-nx",
  "far-nodata",
  "far-servfail",
  "all-nx",
  "all-nodata",
  "all-servfail",
  "near-bare",
  "near-refused",
].map((label, index) => `${label}.unknown${index}-lab.com`);

export const SLOW_NAMES: readonly string[] = ["near-slow900", "far-slow900", "near-drop", "far-drop"].map(
  (label, index) => `${label}.slow${index}-lab.com`,
);

export const OWN_NAMES: readonly string[] = [
  "single",
  "nas.lan",
  "x.local",
  "box.home.arpa",
  "1.1.168.192.in-addr.arpa",
  "8.8.8.8.in-addr.arpa",
  "5.5.5.223.in-addr.arpa",
];
