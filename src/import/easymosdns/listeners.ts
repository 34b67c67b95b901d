import { isIPv6 } from "node:net";
import { parseEndpoint, splitHostPort } from "../../config/values.ts";
import { isLoopback } from "../../dns/address.ts";
import type { Endpoint } from "../../listen/options.ts";
import { type Bundle, childOf, itemsOf, numberAt, othersThan, pathIn, type Tree, textAt } from "./bundle.ts";
import type { FindingPlace, Findings } from "./findings.ts";
import { isReadableFile } from "./lists.ts";

export interface Listening {
  readonly listen: Readonly<Record<string, readonly string[] | string | null>>;
  readonly tls: { readonly cert: string; readonly key: string } | null;
  /** The tags of the sequences that the listeners run, with the place that names them. */
  readonly entries: readonly { readonly tag: string; readonly place: FindingPlace }[];
}

type Section = "dns" | "tls" | "https" | "http";

/** Protocols of version 4, and types of plugins of version 5. */
const SECTIONS: ReadonlyMap<string, Section> = new Map<string, Section>([
  ["udp", "dns"],
  ["tcp", "dns"],
  ["tls", "tls"],
  ["dot", "tls"],
  ["https", "https"],
  ["doh", "https"],
  ["http", "http"],
  ["udp_server", "dns"],
  ["tcp_server", "dns"],
  ["http_server", "http"],
]);

export const SERVER_TYPES = ["udp_server", "tcp_server", "http_server", "quic_server"];

interface Written {
  readonly protocol: string;
  readonly address: string;
  readonly tree: Tree;
  readonly place: FindingPlace;
}

/** Reads what the bundle listens on. Certificates are named where they lie. */
export function readListeners(bundle: Bundle, findings: Findings, relative: (path: string) => string): Listening {
  const entries: { tag: string; place: FindingPlace }[] = [];
  const written: Written[] = [];
  for (const server of bundle.servers) {
    entries.push({ tag: textAt(server, "exec"), place: childOf(server, "exec")?.place ?? server.place });
    if (numberAt(server, "timeout") !== null)
      findings.left(server.place, "`timeout`: every query has its reply within `answers.deadline`");
    for (const item of itemsOf(childOf(server, "listeners")))
      written.push({ protocol: textAt(item, "protocol") || "udp", address: textAt(item, "addr"), tree: item, place: item.place });
  }
  for (const { type, args, place } of bundle.plugins.values()) {
    if (!SERVER_TYPES.includes(type)) continue;
    const paths = itemsOf(childOf(args, "entries"));
    const tags = [textAt(args, "entry"), ...paths.map((path) => textAt(path, "exec"))].filter((tag) => tag !== "");
    entries.push(...tags.map((tag) => ({ tag, place })));
    if (args !== null) written.push({ protocol: type, address: textAt(args, "listen"), tree: args, place });
  }
  return { ...new ListenerTable(bundle, findings, relative).read(written), entries };
}

class ListenerTable {
  readonly #bundle: Bundle;
  readonly #findings: Findings;
  readonly #relative: (path: string) => string;
  readonly #taken: { readonly section: Section | "admin"; readonly endpoint: Endpoint; readonly text: string }[] = [];
  #tls: { readonly cert: string; readonly key: string } | null = null;
  #dohPath: string | null = null;

  constructor(bundle: Bundle, findings: Findings, relative: (path: string) => string) {
    this.#bundle = bundle;
    this.#findings = findings;
    this.#relative = relative;
  }

  read(written: readonly Written[]): Omit<Listening, "entries"> {
    for (const each of written) this.#add(each);
    const protocols = new Set(written.map(({ protocol }) => protocol.replace("_server", "")));
    const [first] = written;
    if (first !== undefined && protocols.has("udp") !== protocols.has("tcp"))
      this.#findings.changed(first.place, "plain DNS is served over both UDP and TCP");
    if (first !== undefined)
      this.#findings.changed(first.place, "clients beyond private networks are refused; see `access.clients`");
    const of = (section: Section) => this.#taken.filter((each) => each.section === section).map(({ text }) => text);
    const admin = this.#admin();
    return {
      listen: {
        dns: of("dns"),
        tls: of("tls"),
        https: of("https"),
        http: of("http"),
        ...(admin === undefined ? {} : { admin }),
        ...(this.#dohPath === null ? {} : { dohPath: this.#dohPath }),
      },
      tls: of("tls").length + of("https").length === 0 ? null : this.#tls,
    };
  }

  #add({ protocol, address, tree, place }: Written): void {
    const plain = SECTIONS.get(protocol.toLowerCase());
    const certificate = this.#certificateOf(tree);
    const section = certificate === null ? plain : plain === "http" ? "https" : protocol === "tcp_server" ? "tls" : plain;
    if (section === undefined) {
      this.#findings.left(place, `the listener ${address}: there is no protocol \`${protocol}\` here`);
      return;
    }
    const known = [
      "protocol",
      "addr",
      "listen",
      "cert",
      "key",
      "url_path",
      "get_user_ip_from_header",
      "src_ip_header",
      "entry",
      "entries",
      "idle_timeout",
    ];
    for (const { key, place: at } of othersThan(tree, known)) this.#findings.left(at, `\`${key}\` of the listener ${address}`);
    if ((section === "tls" || section === "https") && !this.#useCertificate(certificate, address, place)) return;
    for (const text of addressesOf(address)) this.#take(section, text, place);
    this.#readPath(tree, place);
    const header = childOf(tree, "get_user_ip_from_header") ?? childOf(tree, "src_ip_header");
    if (header !== null)
      this.#findings.changed(
        header.place,
        "the client's address is taken from X-Forwarded-For or X-Real-IP of `trustedProxies` alone, which are this host's",
      );
  }

  #certificateOf(tree: Tree): { readonly cert: string; readonly key: string } | null {
    const [cert, key] = [textAt(tree, "cert"), textAt(tree, "key")];
    return cert === "" && key === ""
      ? null
      : { cert: pathIn(this.#bundle.directory, cert), key: pathIn(this.#bundle.directory, key) };
  }

  #useCertificate(
    certificate: { readonly cert: string; readonly key: string } | null,
    address: string,
    place: FindingPlace,
  ): boolean {
    const missing = certificate === null ? ["cert"] : [certificate.cert, certificate.key].filter((path) => !isReadableFile(path));
    if (certificate === null || missing.length > 0) {
      const what = certificate === null ? "it has no certificate" : `${missing.join(" and ")} cannot be read`;
      this.#findings.left(place, `the listener ${address}: ${what}`);
      return false;
    }
    const used = { cert: this.#relative(certificate.cert), key: this.#relative(certificate.key) };
    if (this.#tls !== null && (this.#tls.cert !== used.cert || this.#tls.key !== used.key))
      this.#findings.changed(place, `the listener ${address} has the certificate ${this.#tls.cert}, as all have`);
    this.#tls ??= used;
    return true;
  }

  #take(section: Section, text: string, place: FindingPlace): void {
    const parsed = parseEndpoint(text);
    if (!("value" in parsed)) {
      this.#findings.left(place, `the listener \`${text}\`: ${parsed.wrong}`);
      return;
    }
    const endpoint = parsed.value;
    if (this.#taken.some((other) => other.section === section && other.text === text)) return;
    if (this.#clashes(section, endpoint)) {
      this.#findings.left(place, `the listener ${text}: another has this port already`);
      return;
    }
    this.#taken.push({ section, endpoint, text });
    this.#findings.carried(place, `${text} is in \`listen.${section}\``);
  }

  #clashes(section: Section | "admin", { address, port }: Endpoint): boolean {
    return this.#taken.some(
      (other) => other.endpoint.port === port && port !== 0 && (other.section !== section || other.endpoint.address === address),
    );
  }

  #readPath(tree: Tree, place: FindingPlace): void {
    const [entry, second] = itemsOf(childOf(tree, "entries"));
    const path = textAt(tree, "url_path") || textAt(entry ?? null, "path");
    if (second !== undefined) this.#findings.left(second.place, "a second path of DoH: there is one");
    if (path === "" || path === this.#dohPath) return;
    if (this.#dohPath !== null || !/^(?:\/[\w.~-]+)+$/.test(path)) this.#findings.left(place, `the path \`${path}\` of DoH`);
    else this.#dohPath = path;
  }

  /** undefined = the default. */
  #admin(): string | null | undefined {
    const written = textAt(this.#bundle.api, "http");
    const place = this.#bundle.api?.place ?? { file: this.#bundle.file, line: 1 };
    const [text] = written === "" ? [] : addressesOf(written);
    const parsed = text === undefined ? null : parseEndpoint(text);
    if (parsed !== null && "value" in parsed && isLoopback(parsed.value.address) && !this.#clashes("admin", parsed.value)) {
      this.#findings.changed(place, `the API listens on ${text}; it is another than that of mosdns`);
      return text;
    }
    if (written !== "") this.#findings.left(place, `the API on ${written}: beyond this host it needs \`admin.token\``);
    return this.#clashes("admin", { address: "127.0.0.1", port: 9080 }) ? null : undefined;
  }
}

/** `:53` is every address of both families. */
function addressesOf(written: string): readonly string[] {
  const plain = written.trim();
  const port = /^:(\d+)$/.exec(plain)?.[1];
  if (port !== undefined) return [`0.0.0.0:${port}`, `[::]:${port}`];
  const parts = splitHostPort(plain);
  // A port left out is that of plain DNS.
  if (parts !== null && parts.port === null) return [isIPv6(parts.host) ? `[${parts.host}]:53` : `${parts.host}:53`];
  return [plain.replace(/^localhost:/, "127.0.0.1:")];
}
