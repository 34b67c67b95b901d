import { isIPv6 } from "node:net";
import { canonicalAddress, endpointText, isLoopback } from "../dns/address.ts";
import type { Endpoint, ListenOptions, TlsOptions } from "../listen/options.ts";
import type { ConfigReader, Located, SourceLocation } from "./reading.ts";
import {
  key,
  keyword,
  object,
  oneOrMany,
  optional,
  orNull,
  type Parsed,
  type RawOf,
  required,
  type Shape,
  text,
  withPlace,
} from "./shape.ts";
import { domainName, endpoint, network, readableFile } from "./values.ts";

const endpoints = oneOrMany(withPlace(endpoint));

const dohPath: Shape<string> = text({
  expected: "a path such as `/dns-query`",
  pattern: "^/",
  parse: (written): Parsed<string> => {
    if (/^(?:\/[\w.~-]+)+$/.test(written)) return { value: written };
    const meant = `/${written.replace(/^\/+|\/+$/g, "")}`;
    const fix = /^(?:\/[\w.~-]+)+$/.test(meant) ? `write \`${meant}\`` : "write a path such as `/dns-query`";
    return {
      wrong: `\`${written}\` is no path: one begins with \`/\`, ends without and has letters, digits, \`-\`, \`_\`, \`.\`, \`~\``,
      fix,
    };
  },
});

export const listenShape = object("a map of listeners", {
  dns: key(endpoints, "Plain DNS over UDP and TCP. A wildcard (0.0.0.0 or [::]) replies from the address that was asked.", [
    "127.0.0.1:5053",
  ]),
  tls: key(endpoints, "DNS over TLS (DoT); needs section tls.", []),
  https: key(endpoints, "DNS over HTTPS (DoH) with TLS: HTTP/1.1 and HTTP/2; needs section tls.", []),
  http: key(endpoints, "DNS over HTTPS without TLS, for a reverse proxy or a trusted network: HTTP/1.0, 1.1 and h2c.", [
    "127.0.0.1:9053",
  ]),
  admin: key(withPlace(orNull(endpoint)), "API, metrics and dashboard; null switches them off.", "127.0.0.1:9080"),
  dohPath: key(dohPath, "Path of DoH. A client may add its id: /dns-query/tv.", "/dns-query"),
  batch: key(
    keyword("auto", "off"),
    "auto: on Linux a thread reads UDP in batches and repeats replies from the cache; off: the main thread answers each query.",
    "auto",
  ),
  proxyProtocol: key(
    oneOrMany(network),
    "Proxies whose PROXY header (v1 or v2) tells the client's address, on the stream listeners.",
    [],
  ),
});

export const tlsShape = object("a map with `cert` and `key`", {
  cert: required(readableFile, "PEM file of the certificate and its chain. Read again when it changes."),
  key: required(readableFile, "PEM file of the private key."),
  name: optional(
    domainName,
    "Name of this server; a label before it (tv.doh.example.com) is a client id. By default the names in the certificate.",
  ),
});

type RawListen = RawOf<typeof listenShape>;

export function toListenOptions(raw: RawListen): ListenOptions {
  const plain = (listed: readonly Located<Endpoint>[]) => listed.map(({ value }) => value);
  const { dns, tls, https, http, admin } = raw;
  return { ...raw, dns: plain(dns), tls: plain(tls), https: plain(https), http: plain(http), admin: admin.value };
}

export function checkListen(raw: RawListen, tls: TlsOptions | null, token: string | null, reader: ConfigReader): void {
  checkAdmin(raw.admin, token, reader);
  for (const name of ["tls", "https"] as const) {
    const first = raw[name][0];
    if (first !== undefined && tls === null && reader.isClean("tls"))
      reader.fail(
        first.place,
        `\`listen.${name}\` needs a certificate, and there is no section \`tls\``,
        "add `tls: { cert: fullchain.pem, key: privkey.pem }`",
      );
  }
  checkClashes(raw, reader);
}

function checkAdmin({ value, place }: Located<Endpoint | null>, token: string | null, reader: ConfigReader): void {
  if (value === null || token !== null || isLoopback(value.address) || !reader.isClean("admin.token")) return;
  reader.fail(
    place,
    "the API listens beyond this host, and no token guards it",
    `set \`admin.token\`, or listen on \`127.0.0.1:${value.port}\``,
  );
}

interface Listener {
  readonly place: SourceLocation;
  readonly section: string;
  readonly address: string;
  readonly port: number;
}

function checkClashes(raw: RawListen, reader: ConfigReader): void {
  const { dns, tls, https, http, admin } = raw;
  const listeners: Listener[] = Object.entries({ dns, tls, https, http, admin: [admin] }).flatMap(([section, listed]) =>
    listed.flatMap(({ value, place }) => (value === null ? [] : [{ section, place, ...value }])),
  );
  for (const [index, later] of listeners.entries()) {
    const earlier = listeners.slice(0, index).find((other) => clash(other, later));
    if (earlier === undefined) continue;
    const isTwice = earlier.section === later.section;
    const what = isTwice ? "it is listed twice" : `\`listen.${earlier.section}\` has ${textOf(earlier)} already`;
    reader.fail(later.place, `two listeners on ${textOf(later)}: ${what}`, "give one of them another port");
  }
}

function textOf({ address, port }: Listener): string {
  return endpointText(address, port);
}

// A wildcard may stand beside a single address of its own section: this names an alias of an interface.
function clash(a: Listener, b: Listener): boolean {
  if (a.port !== b.port || a.port === 0) return false;
  const [first, second] = [canonicalAddress(a.address) ?? a.address, canonicalAddress(b.address) ?? b.address];
  return first === second || (a.section !== b.section && (covers(first, second) || covers(second, first)));
}

function covers(wildcard: string, address: string): boolean {
  return wildcard === "::" || (wildcard === "0.0.0.0" && !isIPv6(address));
}
