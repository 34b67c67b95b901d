/**
 * Checks whether a router is set up so that its clients reach Fenliu, and says what to do where it is not. It only reads.
 *
 * `control/router.ts` calls `examineRouter`. Each check below is pure: it looks at what was read, and gives null where nothing is wrong.
 */

import type { X509Certificate } from "node:crypto";
import { BlockList, isIP, isIPv4 } from "node:net";
import { boundedRegexp } from "../lib/bounded-regexp.ts";
import { type Said, say } from "../lib/said.ts";
import { authorityOf, fingerprintOf, hostOf, keyIdsOf } from "./chain.ts";
import { RouterRefusal, type RouterRest } from "./rest.ts";
import { importAuthority, PROBES, pinOwner, quote, switchLine } from "./script.ts";

/** What the router should be set up for. */
export interface RouterExpectation {
  /** Where the router reaches the DoH service. */
  readonly url: URL;
  /** The addresses of the host of the URL; empty = unknown, or the host is one. */
  readonly addresses: readonly string[];
  /** The certificates of the service, its own first; empty = they could not be read, for this reason. */
  readonly chain: readonly X509Certificate[];
  readonly chainFault: string | null;
  /** Address lists of the router that Fenliu fills. */
  readonly lists: readonly string[];
  /** Milliseconds since 1970. */
  readonly nowWallMs: number;
  /** Whether Fenliu has an answer with records for this name and type. */
  readonly hasAnswer: (name: string, type: string) => Promise<boolean>;
}

export interface RouterFinding {
  readonly number: number;
  readonly id: FindingId;
  readonly menu: string;
  readonly field: string;
  readonly seen: string;
  readonly wanted: string;
  /** What happens if nothing is done. */
  readonly otherwise: Said;
  /** One line for the console of the router that puts it right. */
  readonly command: string;
}

export interface RouterReport {
  /** Such as `7.22.1 (stable)`. */
  readonly version: string;
  readonly findings: readonly RouterFinding[];
  /** What could not be judged, and what else was seen. */
  readonly notes: readonly Said[];
}

/** Reads the router and compares. @throws RouterRefusal; Error where the router does not answer. */
export async function examineRouter(client: RouterRest, expectation: RouterExpectation): Promise<RouterReport> {
  const router = await readRouter(client);
  const contradicted: string[] = [];
  for (const { name = "", type = "" } of router.all("ip/dns/cache/all").slice(0, MAX_NEGATIVES))
    if ((type === "A" || type === "AAAA") && (await expectation.hasAnswer(name, type))) contradicted.push(name);
  const { url, addresses } = expectation;
  const own = isIP(hostOf(url)) === 0 ? addresses : [hostOf(url)];
  const known = client.localAddress === null ? own : [...new Set([...own, client.localAddress])];
  const facts: Facts = { ...expectation, router, host: hostOf(url), own, sources: known, contradicted };
  const findings = Object.entries(CHECKS).flatMap(([id, check], index) => {
    const found = check(facts);
    if (found === null) return [];
    const values = { host: facts.host, seen: found.seen };
    return [{ number: index + 1, id: id as FindingId, ...found, otherwise: say(`router.${id as FindingId}`, values) }];
  });
  return { version: router.one("system/resource")["version"] ?? "", findings, notes: notesOf(facts) };
}

/** All commands as one script. Settings of /ip/dns change together, and go back if no name resolves then. */
export function renderFixScript(findings: readonly RouterFinding[]): string {
  const inOrder = [...findings].sort((one, other) => rank(one) - rank(other));
  const settings = inOrder.filter(({ menu }) => menu === "ip/dns").map(({ field, wanted }) => [field, wanted] as const);
  const others = inOrder.filter(({ menu }) => menu !== "ip/dns").map(({ id, command }) => `# ${id}\n${command}`);
  const failure = "No name resolves with the changed settings: they are as they were";
  const changed =
    settings.length === 0
      ? []
      : [`# ${settings.map(([field]) => field).join(", ")}`, switchLine(Object.fromEntries(settings), failure)];
  return `${["# Puts right what `fenliu routeros check` has found. Look at it before you import it.", ...others, ...changed].join("\n")}\n`;
}

/** What the router needs before it can ask Fenliu comes first, the flush last. */
function rank({ id, number }: RouterFinding): number {
  if (id === "negatives") return 100;
  return ["pin", "otherPin", "peerDns"].includes(id) ? 0 : number;
}

/** Rows of negative answers that are compared with ours. */
const MAX_NEGATIVES = 20;

/** Further off than this, and certificates that begin or end near the present are not valid. */
const MAX_CLOCK_ERROR_MS = 3_600_000;

const DAY_MS = 86_400_000;

/** The menus that are read, and the fields where rows have many more. */
const READ: Readonly<Record<string, readonly string[] | null>> = {
  "system/resource": ["version"],
  "ip/dns": null,
  "ip/dns/static": ["name", "regexp", "type", "address", "forward-to", "disabled"],
  "ip/dns/adlist": null,
  "ip/dhcp-server/network": null,
  "ipv6/nd": null,
  "ipv6/dhcp-server": null,
  "ipv6/dhcp-server/option": null,
  "ip/address": ["address"],
  "ipv6/address": ["address"],
  "ip/firewall/nat": null,
  "ipv6/firewall/nat": null,
  "ip/firewall/filter": ["action", "connection-mark", "disabled"],
  "ip/firewall/mangle": ["dst-address-list", "src-address-list", "disabled"],
  certificate: ["skid", "fingerprint", "trusted"],
  "certificate/settings": null,
  "certificate/builtin": ["skid", "fingerprint"],
  "system/clock": null,
  "system/ntp/client": null,
  "system/ntp/client/servers": ["address", "disabled"],
  "tool/netwatch": ["comment", "disabled"],
  container: ["name", "dns"],
  log: ["time", "message"],
};

/** A record of the router: all values are texts, booleans are `true` and `false`. */
type RouterRow = Readonly<Record<string, string>>;

/** What was read. */
interface RouterState {
  /** The record of a menu that has one; empty where this version has no such menu. */
  one(menu: string): RouterRow;
  all(menu: string): readonly RouterRow[];
  has(menu: string): boolean;
}

async function readRouter(client: RouterRest): Promise<RouterState> {
  const rows = new Map<string, readonly RouterRow[]>();
  const read = async (menu: string, fields: readonly string[] | null, where: Readonly<Record<string, string>> = {}) => {
    try {
      rows.set(menu, await readMenu(client, menu, { fields, where }));
    } catch (error) {
      // Menus come and go with versions and packages.
      if (!(error instanceof RouterRefusal) || !/^no such command/.test(error.message)) throw error;
    }
  };
  for (const [menu, fields] of Object.entries(READ)) await read(menu, fields);
  await read("ip/dns/cache/all", ["name", "type"], { negative: "true" });
  for (const family of ["ip", "ipv6"]) {
    const nat = rows.get(`${family}/firewall/nat`) ?? [];
    const [list] = nat.flatMap((row) => listNameOf(row["src-address-list"]) ?? []);
    // Lists may have ten thousands of entries: only one that a rule for port 53 names is read.
    if (list !== undefined) await read(`${family}/firewall/address-list`, ["list", "address"], { list });
  }
  return {
    one: (menu) => rows.get(menu)?.[0] ?? {},
    all: (menu) => rows.get(menu) ?? [],
    has: (menu) => rows.has(menu),
  };
}

interface Reading {
  /** null = every field. */
  readonly fields: readonly string[] | null;
  /** Values that the records must have. */
  readonly where: Readonly<Record<string, string>>;
}

async function readMenu(client: RouterRest, menu: string, { fields, where }: Reading): Promise<readonly RouterRow[]> {
  const parameters = { ...where, ...(fields === null ? {} : { ".proplist": fields.join(",") }) };
  // The router knows lists only without escapes.
  const query = Object.entries(parameters).map(
    ([key, value]) => `${key}=${encodeURI(value).replace(/[&#]/g, encodeURIComponent)}`,
  );
  const found = await client.call("GET", `${menu}${query.length === 0 ? "" : `?${query.join("&")}`}`);
  const rows: readonly unknown[] = Array.isArray(found) ? found : [found];
  return rows.filter(isRow);
}

function isRow(value: unknown): value is RouterRow {
  return typeof value === "object" && value !== null && Object.values(value).every((each) => typeof each === "string");
}

interface Facts extends RouterExpectation {
  readonly router: RouterState;
  readonly host: string;
  /** Addresses at which the router reaches Fenliu. */
  readonly own: readonly string[];
  /** Addresses from which Fenliu asks, as far as known. */
  readonly sources: readonly string[];
  /** Names that the router holds as not there, though Fenliu has an answer. */
  readonly contradicted: readonly string[];
}

type Found = Pick<RouterFinding, "menu" | "field" | "seen" | "wanted" | "command">;

type Check = (facts: Facts) => Found | null;

/** A wrong setting of /ip/dns. */
function setting(field: string, seen: string, wanted: string): Found {
  const value = /^[\w.-]+$/.test(wanted) ? wanted : quote(wanted);
  return { menu: "ip/dns", field, seen: seen === "" ? "nothing" : seen, wanted, command: `/ip dns set ${field}=${value}` };
}

const isOn = (row: RouterRow): boolean => row["disabled"] !== "true";

const items = (text = ""): readonly string[] => text.split(",").filter((item) => item !== "");

function names(texts: readonly string[]): string {
  const more = texts.length - 5;
  return `${texts.slice(0, 5).join(", ")}${more > 0 ? ` and ${more} more` : ""}`;
}

/** In the order of their numbers. */
const CHECKS = {
  clock({ router, nowWallMs }) {
    const { date = "", time = "", "gmt-offset": offset = "" } = router.one("system/clock");
    const routerMs = Date.parse(`${date}T${time}Z`) - offsetMs(offset);
    if (Number.isNaN(routerMs) || Math.abs(routerMs - nowWallMs) <= MAX_CLOCK_ERROR_MS) return null;
    const wanted = `${new Date(nowWallMs + offsetMs(offset)).toISOString().slice(0, 16).replace("T", " ")}`;
    return { menu: "system/clock", field: "date, time", seen: `${date} ${time}`, wanted, command: TIME_COMMAND };
  },
  timeServers({ router }) {
    const { status = "" } = router.one("system/ntp/client");
    const servers = router.all("system/ntp/client/servers").filter(isOn);
    const byName = servers.map(({ address = "" }) => address).filter((address) => isIP(address) === 0);
    if (status === "synchronized" || servers.length > byName.length) return null;
    const seen = byName.length === 0 ? "none" : names(byName);
    return { menu: "system/ntp/client/servers", field: "address", seen, wanted: "a server by address", command: TIME_COMMAND };
  },
  server({ router, url }) {
    const seen = router.one("ip/dns")["use-doh-server"] ?? "";
    return URL.parse(seen)?.href === url.href ? null : setting("use-doh-server", seen, url.href);
  },
  verification({ router }) {
    const seen = router.one("ip/dns")["verify-doh-cert"] ?? "";
    return seen === "true" ? null : setting("verify-doh-cert", seen, "yes");
  },
  trustStore({ router, chain }) {
    const { "builtin-trust-store": store, "builtin-trust-anchors": anchors } = router.one("certificate/settings");
    const menu = "certificate/settings";
    const trusted = router.all("certificate").filter((row) => row["trusted"] === "true");
    // Without the chain nobody knows whether the builtin ones are needed; an authority that is not among them is the next check's.
    if (holdsAuthority(trusted, chain) || !holdsAuthority(router.all("certificate/builtin"), chain)) return null;
    if (store !== undefined && !/all|default|dns/.test(store)) {
      const wanted = store === "untrusted" || store === "" ? "dns" : `${store},dns`;
      const field = "builtin-trust-store";
      return { menu, field, seen: store, wanted, command: `/certificate settings set ${field}=${wanted}` };
    }
    if (anchors === undefined || anchors === "trusted") return null;
    const field = "builtin-trust-anchors";
    return { menu, field, seen: anchors, wanted: "trusted", command: `/certificate settings set ${field}=trusted` };
  },
  authority({ router, chain }) {
    if (chain.length === 0) return null;
    const trusted = router.all("certificate").filter((row) => row["trusted"] === "true");
    if (holdsAuthority([...trusted, ...router.all("certificate/builtin")], chain)) return null;
    const authority = authorityOf(chain);
    const last = chain.at(-1);
    const wanted = authority?.subject.replaceAll("\n", ", ") ?? last?.issuer.replaceAll("\n", ", ") ?? "";
    const command =
      authority === null
        ? '/certificate import file-name=ca.crt passphrase=""'
        : importAuthority({ pem: authority.toString(), fingerprint: fingerprintOf(authority) });
    return { menu: "certificate", field: "skid", seen: "not there", wanted, command };
  },
  revocation({ router }) {
    if (router.one("certificate/settings")["crl-use"] !== "true") return null;
    return {
      menu: "certificate/settings",
      field: "crl-use",
      seen: "yes",
      wanted: "no",
      command: "/certificate settings set crl-use=no",
    };
  },
  pin(facts) {
    const { router, host } = facts;
    const { servers = "", "dynamic-servers": dynamic = "" } = router.one("ip/dns");
    if (isPinned(facts) || servers !== "" || dynamic !== "") return null;
    return { menu: "ip/dns/static", field: "name", seen: "no entry and no servers", wanted: host, command: pinCommand(facts) };
  },
  otherPin({ router, host, own }) {
    if (isIP(host) !== 0 || own.length === 0) return null;
    const stray = pinsOf(router, host).filter(({ address = "" }) => !own.includes(address));
    const command = stray.length === 0 ? "" : setIds("ip dns static", stray, "disabled=yes");
    const keeps = pinsOf(router, host).length > stray.length;
    const seen = names(stray.map(({ address = "" }) => address));
    const [address = ""] = own;
    if (stray.length === 0) return null;
    return {
      menu: "ip/dns/static",
      field: "address",
      seen,
      wanted: own.join(", "),
      command: keeps
        ? command
        : setIds("ip dns static", stray.slice(0, 1), `type=${isIPv4(address) ? "A" : "AAAA"} address=${address}`),
    };
  },
  peerDns(facts) {
    const { "dynamic-servers": dynamic = "" } = facts.router.one("ip/dns");
    if (dynamic === "" || isPinned(facts)) return null;
    return {
      menu: "ip/dns/static",
      field: "name",
      seen: `no entry; ${dynamic} is asked`,
      wanted: facts.host,
      command: pinCommand(facts),
    };
  },
  servers(facts) {
    const { servers = "", "use-doh-server": server = "" } = facts.router.one("ip/dns");
    const isFailover = facts.router.all("tool/netwatch").some((row) => row["comment"] === "fenliu:failover" && isOn(row));
    if (servers === "" || server === "" || isFailover || !isPinned(facts)) return null;
    return setting("servers", servers, "");
  },
  remoteRequests({ router }) {
    const seen = router.one("ip/dns")["allow-remote-requests"] ?? "";
    return seen === "true" ? null : setting("allow-remote-requests", seen, "yes");
  },
  dhcp(facts) {
    const { router } = facts;
    const allowed = allowedAddresses(facts);
    const { servers = "", "dynamic-servers": dynamic = "" } = router.one("ip/dns");
    const strange = router.all("ip/dhcp-server/network").flatMap((row) => {
      // Where a network names no server, the router hands out its own plain ones.
      const named = items(row["dns-server"]);
      const handed = named.length > 0 ? named : row["dns-none"] === "true" ? [] : [...items(servers), ...items(dynamic)];
      const others = handed.filter((address) => !allowed.has(address));
      return others.length === 0 ? [] : [{ row, others }];
    });
    const [first] = strange;
    if (first === undefined) return null;
    const { address = "", gateway = "" } = first.row;
    const wanted = allowed.has(gateway) ? gateway : (addressOf(router.all("ip/address")[0]) ?? gateway);
    const rows = strange.map(({ row }) => row);
    const seen = names(strange.map(({ row, others }) => `${row["address"]}: ${others.join(", ")}`));
    const command =
      rows.length === 1 || rows.every((row) => row["gateway"] === gateway)
        ? setIds("ip dhcp-server network", rows, `dns-server=${wanted}`)
        : rows.map((row) => setIds("ip dhcp-server network", [row], `dns-server=${row["gateway"] ?? wanted}`)).join("; ");
    return { menu: "ip/dhcp-server/network", field: "dns-server", seen, wanted: `${wanted} for ${address}`, command };
  },
  ipv6(facts) {
    const { router } = facts;
    const allowed = allowedAddresses(facts);
    const { servers = "", "dynamic-servers": dynamic = "" } = router.one("ip/dns");
    const plain = [...items(servers), ...items(dynamic)].filter((address) => isIP(address) === 6);
    const isStrange = (address: string) => !allowed.has(address.split("%")[0] ?? "");
    const advertised = router.all("ipv6/nd").filter((row) => {
      if (!isOn(row) || row["advertise-dns"] !== "true") return false;
      const named = items(row["dns"]);
      return (named.length > 0 ? named : plain).some(isStrange);
    });
    if (advertised.length > 0) {
      const seen = names(advertised.map((row) => `${row["interface"]}: ${row["dns"] || plain.join(", ")}`));
      return {
        menu: "ipv6/nd",
        field: "dns",
        seen,
        wanted: "advertise-dns=no",
        command: setIds("ipv6 nd", advertised, "advertise-dns=no"),
      };
    }
    const options = router.all("ipv6/dhcp-server/option").filter(({ code, value = "" }) => {
      const address = value.replaceAll("'", "");
      return code === "23" && isIP(address) === 6 && isStrange(address);
    });
    const used = router
      .all("ipv6/dhcp-server")
      .filter((row) => isOn(row) && options.some(({ name = "" }) => items(row["dhcp-option"]).includes(name)));
    if (used.length === 0) return null;
    const seen = names(options.map(({ value = "" }) => value.replaceAll("'", "")));
    return {
      menu: "ipv6/dhcp-server",
      field: "dhcp-option",
      seen,
      wanted: "no option 23",
      command: setIds("ipv6 dhcp-server", used, 'dhcp-option=""'),
    };
  },
  cacheSize(facts) {
    const { "cache-size": size = "", "cache-used": used = "" } = facts.router.one("ip/dns");
    const sizeKib = Number.parseInt(size, 10);
    const line = recentLine(facts, "max cache size reached");
    if (line === null && Number.parseInt(used, 10) <= sizeKib * 0.9) return null;
    return setting("cache-size", `${used} of ${size} used`, String(sizeKib * 2));
  },
  concurrency(facts) {
    if (recentLine(facts, "DoH max concurrent queries reached") === null) return null;
    const limit = facts.router.one("ip/dns")["doh-max-concurrent-queries"] ?? "50";
    return setting("doh-max-concurrent-queries", `${limit}, and the log says that it was reached`, String(Number(limit) * 2));
  },
  negatives({ contradicted }) {
    if (contradicted.length === 0) return null;
    return {
      menu: "ip/dns/cache/all",
      field: "negative",
      seen: names(contradicted),
      wanted: "the addresses that Fenliu has",
      command: "/ip dns cache flush",
    };
  },
  adlist({ router }) {
    const lists = router.all("ip/dns/adlist").filter((row) => isOn(row) && Number(row["name-count"] ?? 0) > 0);
    if (lists.length === 0) return null;
    const seen = names(lists.map((row) => `${row["url"] || row["file"]} (${row["name-count"]} names)`));
    return {
      menu: "ip/dns/adlist",
      field: "disabled",
      seen,
      wanted: "a list of Fenliu in its place",
      command: setIds("ip dns adlist", lists, "disabled=yes"),
    };
  },
  forwards({ router, host }) {
    const past = router
      .all("ip/dns/static")
      .filter((row) => isOn(row) && (row["type"] === "FWD" || catchesName(row["regexp"] ?? "", host)));
    if (past.length === 0) return null;
    const seen = names(past.map((row) => row["name"] ?? `regexp ${row["regexp"]}`));
    return {
      menu: "ip/dns/static",
      field: "type",
      seen,
      wanted: "a rule of Fenliu in its place",
      command: setIds("ip dns static", past, "disabled=yes"),
    };
  },
  redirect(facts) {
    for (const [family, version] of [
      ["ip", 4],
      ["ipv6", 6],
    ] as const) {
      const rules = facts.router.all(`${family}/firewall/nat`).filter((row) => isOn(row) && row["chain"] === "dstnat");
      const lists = facts.router.all(`${family}/firewall/address-list`);
      for (const source of facts.sources.filter((address) => isIP(address) === version)) {
        const rule = rules.find((each) => catches(each, source, lists));
        if (rule === undefined || rule["action"] === "accept") continue;
        const protocol = rule["protocol"] ?? "udp";
        const command = `/${family} firewall nat add chain=dstnat action=accept protocol=${protocol} dst-port=53 src-address=${source} place-before=${rule[".id"]} comment=${quote("fenliu:exception")}`;
        return {
          menu: `${family}/firewall/nat`,
          field: "src-address",
          seen: rule["comment"] ?? rule[".id"] ?? "",
          wanted: `an exception for ${source}`,
          command,
        };
      }
    }
    return null;
  },
  fasttrack({ router, lists }) {
    const marks = router.all("ip/firewall/mangle").filter(isOn);
    const isUsed = marks.some((row) =>
      [row["dst-address-list"], row["src-address-list"]].some((name) => lists.includes(listNameOf(name) ?? "")),
    );
    const rules = router
      .all("ip/firewall/filter")
      .filter((row) => isOn(row) && row["action"] === "fasttrack-connection" && row["connection-mark"] !== "no-mark");
    if (!isUsed || rules.length === 0) return null;
    const seen = rules[0]?.["connection-mark"] || "any";
    return {
      menu: "ip/firewall/filter",
      field: "connection-mark",
      seen,
      wanted: "no-mark",
      command: setIds("ip firewall filter", rules, "connection-mark=no-mark"),
    };
  },
  vrf({ router }) {
    const seen = router.one("ip/dns")["vrf"] ?? "main";
    return seen === "main" ? null : setting("vrf", seen, "main");
  },
  containers({ router }) {
    const without = router.all("container").filter((row) => (row["dns"] ?? "") === "");
    if (without.length === 0) return null;
    const wanted = addressOf(router.all("ip/address")[0]) ?? "the address of the router";
    return {
      menu: "container",
      field: "dns",
      seen: names(without.map(({ name = "" }) => name)),
      wanted,
      command: setIds("container", without, `dns=${wanted}`),
    };
  },
} satisfies Readonly<Record<string, Check>>;

export type FindingId = keyof typeof CHECKS;

/** In the order of their numbers, from 1. */
export const FINDING_IDS = Object.keys(CHECKS) as readonly FindingId[];

const TIME_COMMAND = `/system ntp client set enabled=yes; /system ntp client servers add address=162.159.200.1 comment=${quote("fenliu:ntp")}`;

/** Milliseconds of `+08:00`. */
function offsetMs(text: string): number {
  const [, sign, hours, minutes] = /^([+-])(\d\d):(\d\d)/.exec(text) ?? [];
  return sign === undefined ? 0 : (sign === "-" ? -1 : 1) * (Number(hours) * 60 + Number(minutes)) * 60_000;
}

function setIds(menu: string, rows: readonly RouterRow[], values: string): string {
  return `/${menu} set ${rows.map((row) => row[".id"]).join(",")} ${values}`;
}

function pinsOf(router: RouterState, host: string): readonly RouterRow[] {
  return router
    .all("ip/dns/static")
    .filter((row) => isOn(row) && row["name"] === host && (row["type"] === "A" || row["type"] === "AAAA"));
}

function isPinned({ router, host }: Facts): boolean {
  return isIP(host) !== 0 || pinsOf(router, host).length > 0;
}

function pinCommand({ host, sources }: Facts): string {
  const [address = "ADDRESS"] = sources;
  return `/ip dns static add name=${quote(host)} type=${address.includes(":") ? "AAAA" : "A"} address=${address} comment=${quote(pinOwner(host, address))}`;
}

function holdsAuthority(rows: readonly RouterRow[], chain: readonly X509Certificate[]): boolean {
  const [leaf, last] = [chain[0], chain.at(-1)];
  if (leaf === undefined || last === undefined) return false;
  const ids = chain.flatMap((certificate) => {
    const { subject, authority } = keyIdsOf(certificate);
    return certificate === leaf && certificate !== last ? [authority] : [subject, authority];
  });
  const prints = chain.map(fingerprintOf);
  return rows.some((row) => ids.includes(row["skid"] || "-") || prints.includes(row["fingerprint"] || "-"));
}

function addressOf(row: RouterRow | undefined): string | undefined {
  return row?.["address"]?.split("/")[0];
}

/** Servers that may be told to clients: the router itself, and Fenliu. */
function allowedAddresses({ router, own, sources }: Facts): ReadonlySet<string> {
  const addresses = [...router.all("ip/address"), ...router.all("ipv6/address")].map((row) => addressOf(row) ?? "");
  return new Set([...addresses, ...own, ...sources]);
}

/** The list of `src-address-list`, with or without `!`; undefined = there is none. */
function listNameOf(text: string | undefined): string | undefined {
  return text?.replace(/^!/, "") || undefined;
}

/** Whether a rule takes questions to port 53 from this address; what else it asks for may hold. */
function catches(rule: RouterRow, source: string, lists: readonly RouterRow[]): boolean {
  const ports = items(rule["dst-port"]);
  if (!ports.includes("53") && (ports.length > 0 || rule["action"] !== "accept")) return false;
  const { "src-address": address, "src-address-list": list } = rule;
  const isListed = (name: string) => lists.some((row) => row["list"] === name && contains(row["address"] ?? "", source));
  const fits = (text: string | undefined, holds: (value: string) => boolean) =>
    text === undefined || text === "" || holds(text.replace(/^!/, "")) !== text.startsWith("!");
  return fits(address, (value) => contains(value, source)) && fits(list, isListed);
}

/** @param network an address, `192.168.88.0/24` or `192.168.88.2-192.168.88.9`. */
function contains(network: string, address: string): boolean {
  const family = isIPv4(address) ? "ipv4" : "ipv6";
  const [first = "", last = first] = network.split("-");
  const [base = "", length = family === "ipv4" ? "32" : "128"] = first.split("/");
  if (isIP(base) !== isIP(address)) return false;
  const block = new BlockList();
  if (last === first) block.addSubnet(base, Number(length), family);
  else if (isIP(last) === isIP(base)) block.addRange(base, last, family);
  return block.check(address, family);
}

/** Whether an expression of a static entry takes names that it should not: our own, or those of the whole world. */
function catchesName(source: string, host: string): boolean {
  const bounded = source === "" ? null : boundedRegexp(source);
  return bounded?.kind === "accepted" && [host, ...PROBES].some((name) => bounded.matches(name));
}

/** A line of the router's log of the last day; null = there is none. */
function recentLine({ router }: Facts, part: string): string | null {
  const { date = "", time = "" } = router.one("system/clock");
  const nowMs = Date.parse(`${date}T${time}Z`);
  const isRecent = (row: RouterRow) => {
    // Lines of today have no date.
    const atMs = Date.parse(`${row["time"]?.replace(" ", "T")}Z`);
    return Number.isNaN(atMs) || Number.isNaN(nowMs) || nowMs - atMs < DAY_MS;
  };
  return router.all("log").find((row) => row["message"]?.includes(part) && isRecent(row))?.["message"] ?? null;
}

function notesOf(facts: Facts): readonly Said[] {
  const { chainFault, host } = facts;
  const idle = recentLine(facts, "remote disconnected") ?? recentLine(facts, "Idle timeout");
  return [
    ...(chainFault === null ? [] : [say("router.noChain", { host, reason: chainFault })]),
    ...(idle === null ? [] : [say("router.idle", { line: idle })]),
  ];
}
