import { isIP } from "node:net";
import { parseProxy, parseServer } from "../../config/server.ts";
import { splitHostPort } from "../../config/values.ts";
import { canonicalAddress } from "../../dns/address.ts";
import { childOf, itemsOf, numberAt, othersThan, type Plugin, type Tree, textAt, textOf } from "./bundle.ts";
import type { DraftGroup, DraftServer } from "./draft.ts";
import type { Findings } from "./findings.ts";

export const FORWARD_TYPES = ["forward", "fast_forward", "forward_dnsproxy"];

/** Keys of an upstream that only say how its connections are kept; ours keep theirs. */
const TUNING = ["trusted", "enable_pipeline", "idle_timeout", "max_conns", "tag", "kernel_tx", "kernel_rx"];

interface ReadServer {
  readonly server: DraftServer;
  /** Tells whether two are the same server. */
  readonly identity: string;
  readonly socks5: string;
  readonly isLookedUp: boolean;
}

/** Turns forward plugins into groups, and collects their bootstrap servers. */
export class ImportGroups {
  readonly #findings: Findings;
  readonly #groups = new Map<string, { readonly name: string; readonly group: DraftGroup }>();
  readonly #names = new Set<string>();
  readonly #bootstrap = new Set<string>();

  constructor(findings: Findings) {
    this.#findings = findings;
  }

  get all(): ReadonlyMap<string, DraftGroup> {
    return new Map([...this.#groups.values()].map(({ name, group }) => [name, group]));
  }

  get bootstrap(): readonly string[] {
    return [...this.#bootstrap];
  }

  /** The group of a plugin, called `wanted` where that name is free; null where none of its servers can be asked. */
  groupOf(plugin: Plugin, wanted: string, fallback: string | null): string | null {
    const identity = JSON.stringify([plugin.tag, fallback]);
    const made = this.#groups.get(identity);
    if (made !== undefined) return made.name;
    const group = this.#read(plugin);
    if (group === null) return null;
    const name = this.#freeName(this.#names.has(wanted) && fallback !== null ? `${wanted}-then-${fallback}` : wanted);
    this.#groups.set(identity, { name, group: fallback === null ? group : { ...group, fallback } });
    this.#findings.carried(plugin.place, `\`${plugin.tag}\` is the group \`${name}\``);
    return name;
  }

  /** A group of the plugin that others can fall back to. One that is there is taken, so no circle can come about. */
  spareOf(plugin: Plugin, wanted: string): string | null {
    const made = [...this.#groups].find(([identity]) => identity.startsWith(JSON.stringify([plugin.tag]).slice(0, -1)));
    return made === undefined ? this.groupOf(plugin, wanted, null) : made[1].name;
  }

  #freeName(wanted: string): string {
    const plain = ownName(wanted);
    let name = plain;
    for (let count = 2; this.#names.has(name); count++) name = `${plain.slice(0, 58)}-${count}`;
    this.#names.add(name);
    return name;
  }

  #read(plugin: Plugin): DraftGroup | null {
    const { args, place } = plugin;
    for (const item of itemsOf(childOf(args, "bootstrap"))) this.#addBootstrap(item);
    for (const { key, place: at } of othersThan(args, ["upstream", "upstreams", "bootstrap", "socks5", "concurrent", "timeout"]))
      this.#findings.left(at, `\`${key}\` of \`${plugin.tag}\``);
    const written = [...itemsOf(childOf(args, "upstream")), ...itemsOf(childOf(args, "upstreams"))];
    const servers = new Map<string, ReadServer>();
    for (const item of written) {
      const read = this.#readServer(item, textAt(args, "socks5"));
      if (read === null) continue;
      if (servers.has(read.identity)) this.#findings.left(item.place, "a server that is in its group already");
      else servers.set(read.identity, read);
    }
    const [first] = servers.values();
    if (first === undefined) {
      this.#findings.left(place, `\`${plugin.tag}\`: none of its servers can be asked`);
      return null;
    }
    const proxied = this.#proxyOf(plugin, [...servers.values()]);
    const concurrent = numberAt(args, "concurrent") ?? 1;
    const strategy = plugin.type === "forward" && childOf(args, "upstreams") !== null && concurrent < 2 ? "spread" : "race";
    return {
      servers: [...servers.values()].map(({ server }) => server),
      ...(servers.size > 1 ? { strategy } : {}),
      ...proxied,
    };
  }

  #proxyOf(plugin: Plugin, servers: readonly ReadServer[]): { proxy?: string } {
    const written = [...new Set(servers.map(({ socks5 }) => socks5))];
    const [first, ...others] = written.filter((socks5) => socks5 !== "");
    if (first === undefined) return {};
    const proxy = first.startsWith("socks5://") ? first : `socks5://${first}`;
    if (!("value" in parseProxy(proxy))) {
      this.#findings.left(plugin.place, `the proxy \`${first}\` of \`${plugin.tag}\`: it is no address with a port`);
      return {};
    }
    if (others.length > 0)
      this.#findings.left(plugin.place, `the proxies ${others.join(", ")} of \`${plugin.tag}\`: a group has one`);
    if (written.includes(""))
      this.#findings.changed(plugin.place, `all servers of \`${plugin.tag}\` are asked through its proxy: a group has one`);
    return { proxy };
  }

  #readServer(item: Tree, groupProxy: string): ReadServer | null {
    const written = item.kind === "scalar" ? item.text : textAt(item, "addr");
    const { place } = item;
    for (const { key, place: at } of othersThan(item, ["addr", "dial_addr", "socks5", "bootstrap", ...TUNING]))
      this.#findings.left(at, `\`${key}\` of the server \`${written}\``);
    for (const bootstrap of itemsOf(childOf(item, "bootstrap"))) this.#addBootstrap(bootstrap);
    if (/^udpme:/i.test(written))
      this.#findings.changed(place, `\`${written}\` is asked as plain UDP: forged answers are told apart by question and source`);
    const plain = written
      .trim()
      .replace(/^udpme:/i, "udp:")
      .replace(/^(tcp|tls)\+pipeline:/i, "$1:");
    const withScheme = plain.includes("://") || isPlainAddress(plain) ? plain : `udp://${plain}`;
    const url = this.#dialled(withScheme, item);
    const parsed = parseServer(url.text);
    if (!("value" in parsed)) {
      this.#findings.left(place, `the server \`${written}\`: ${parsed.wrong}`);
      return null;
    }
    const { protocol, host, port, path } = parsed.value;
    if (protocol === "system") return null;
    const isLookedUp = isIP(host) === 0 && url.addresses.length === 0;
    return {
      server: url.addresses.length === 0 ? url.text : { url: url.text, addresses: url.addresses },
      identity: JSON.stringify([protocol, host.toLowerCase(), port, path]),
      socks5: textAt(item, "socks5") || groupProxy,
      isLookedUp,
    };
  }

  /** `dial_addr` says where the server is, whatever its name. */
  #dialled(url: string, item: Tree): { readonly text: string; readonly addresses: readonly string[] } {
    const dial = textAt(item, "dial_addr").trim();
    if (dial === "") return { text: url, addresses: [] };
    const parts = splitHostPort(dial);
    const [, scheme, host, port, rest = ""] = /^([a-z]+:\/\/)(\[[^\]]*\]|[^/:]+)(:\d+)?(\/.*)?$/i.exec(url) ?? [];
    if (parts === null || isIP(parts.host) === 0 || scheme === undefined || host === undefined) {
      this.#findings.left(item.place, `\`dial_addr: ${dial}\`: it is no address`);
      return { text: url, addresses: [] };
    }
    const wantedPort = parts.port === null || parts.port === 0 ? (port ?? "") : `:${parts.port}`;
    return { text: `${scheme}${host}${wantedPort}${rest}`, addresses: [canonicalAddress(parts.host) ?? parts.host] };
  }

  #addBootstrap(item: Tree): void {
    const written = textOf(item).trim();
    const parsed = parseServer(written);
    const isAddress = "value" in parsed && isIP(parsed.value.host) !== 0;
    if (isAddress) this.#bootstrap.add(written);
    else this.#findings.left(item.place, `the bootstrap server \`${written}\`: it is no address`);
  }
}

/** A name that groups, lists and rules may have. */
export function ownName(written: string): string {
  const plain = written.replace(/[^\p{L}\p{N}._-]+/gu, "-").replace(/^[^\p{L}\p{N}]+|-+$/gu, "");
  return plain.slice(0, 60).toWellFormed().replaceAll("\ufffd", "") || "unnamed";
}

function isPlainAddress(written: string): boolean {
  return isIP(splitHostPort(written)?.host ?? "") !== 0;
}
