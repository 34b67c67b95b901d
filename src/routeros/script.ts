/**
 * The door of the room: a MikroTik router (RouterOS 7.12 and later) in front of this server. This file writes its set-up script, and the script that takes
 * the set-up away again; `control/client-setup.ts` renders both. Read this file, `chain.ts` (the certificates that the router will see), `rest.ts` (how the router
 * is read) and `doctor.ts` (what keeps its clients from this server), which `control/router.ts` runs.
 *
 * RouterOS parses an import whole, runs it line by line, and undoes nothing when a line fails. So the order of the lines keeps DNS alive: first what
 * the new settings need, then the switch with its own rollback, at last what leads clients to the router. Each line is whole by itself: no variable
 * lives on in the next line. Every record that a script adds has a comment of its own, which begins with `fenliu:`: by it a later script finds the
 * record and never adds it twice. What a version may not know stands in `[:parse "…"]`, which fails alone.
 */

import { isIP, isIPv4 } from "node:net";
import { hostOf } from "./chain.ts";

export interface SetupOptions {
  /** URL of the DNS-over-HTTPS service. */
  readonly url: URL;
  /** The addresses of the host of the URL; empty if the host is a literal or unknown. */
  readonly addresses: readonly string[];
  /** The authority of the certificate, as PEM; null = unknown: the authorities that the router knows have to do. */
  readonly authority: { readonly pem: string; readonly fingerprint: string } | null;
  /** The plain servers that answer while Fenliu does not; empty = nobody, so that no name is told to others. */
  readonly failover: readonly string[];
  /** Plain servers for a router that had none before Fenliu, once Fenliu is taken away. */
  readonly fallback: readonly string[];
  /** Parts that the script leaves out, and removes where an earlier script has added them. */
  readonly without: readonly SetupPart[];
}

/** What a user may leave out. */
export type SetupPart = "trust" | "ntp" | "dhcp" | "ra" | "redirect";

/** Settings of /ip/dns; the old values come back if no probe resolves. 7.12 knows all of them. */
const SWITCHED: Readonly<Record<string, string>> = {
  "verify-doh-cert": "yes",
  "doh-timeout": "5s",
  "doh-max-concurrent-queries": "100",
  "max-concurrent-queries": "200",
  "cache-size": "4096",
  "allow-remote-requests": "yes",
};

/** One of these names has to resolve after the switch. They are popular within China and answered outside China too. */
export const PROBES = ["www.baidu.com", "www.qq.com", "www.apple.com"];

/** By address, because a router with a wrong clock believes no certificate and so resolves no name. */
const TIME_SERVERS = ["203.107.6.88", "162.159.200.1"];

/** Clients come from the interfaces of this list; the default configuration of RouterOS has it. */
const LAN = "LAN";

/** The host of Fenliu asks upstream servers on port 53: its questions are not redirected. */
const RESOLVERS = "fenliu-resolvers";

/** The comment of every entry that scripts before the parts had owners of their own. */
const FORMER_OWNER = "fenliu";

/** How long an import may take before the router goes back by itself. */
const ROLLBACK_AFTER = "3m";

/** Makes the server the DoH server of the router. A user may import the script again: the second import changes nothing. */
export function renderSetupScript(options: SetupOptions): string {
  const { url, addresses, failover, without } = options;
  const host = hostOf(url);
  const has = (part: SetupPart): boolean => !without.includes(part);
  const pins = isIP(host) === 0 ? addresses : [];
  const resolvers = isIP(host) === 0 ? addresses : [host];
  const [watched] = resolvers;
  const lines = [
    "# Makes Fenliu the DNS server of this router, for RouterOS 7.12 and later. Import: /import file-name=fenliu.rsc",
    `# \`fenliu routeros --remove\` makes a script that takes everything away again.`,
  ];
  if (isIP(host) === 0 && pins.length === 0)
    lines.push(
      `# The router has to look ${host} up by its own servers first: give the name an address in section hosts of Fenliu.`,
    );
  if (pins.length > 0)
    lines.push(
      "# The router needs the addresses of Fenliu before it can ask Fenliu.",
      ...pins.flatMap((pin) => pinLines(host, pin)),
    );
  if (has("trust"))
    lines.push("# The router believes the certificate of Fenliu if it trusts its authority.", ...trustLines(options));
  if (has("ntp")) lines.push("# A router with a wrong clock believes no certificate.", ...timeLines());
  lines.push(
    "# What was set before Fenliu, for the way back.",
    rememberLine(options),
    "# If this import breaks off from here on, the router goes back by itself.",
    ...guardLines(),
    "# Switches to Fenliu, and back to the old settings if no name resolves.",
    // With an address for every name of the way to Fenliu, plain servers are only what clients are told instead of the router.
    switchLine({ "use-doh-server": url.href, ...SWITCHED, ...(resolvers.length === 0 ? {} : { servers: "" }) }, NO_ANSWER),
    ...unguardLines(),
    "# What leads clients to the router.",
    ...(has("dhcp") ? dhcpLines() : []),
    ...(has("ra") ? advertisementLines() : []),
    ...redirectLines(has("redirect") ? resolvers : []),
    ...failoverLines(watched === undefined ? [] : failover, { url, watched: watched ?? "" }),
    "# Entries of earlier imports that are needed no longer.",
    `/ip dns static remove [find where comment=${quote(FORMER_OWNER)}]`,
    removeOthers(
      "/ip dns static",
      "pin",
      pins.map((address) => pinOwner(host, address)),
    ),
  );
  if (!has("ntp")) lines.push(removeOwned("/system ntp client servers", "ntp"));
  return `${lines.join("\n")}\n`;
}

/** Takes away what set-up scripts have added, and gives the router back the servers that it had before. A second import changes nothing. */
export function renderRemovalScript({ url, fallback }: Pick<SetupOptions, "url" | "fallback">): string {
  // A router that an early version of the script has set up does not know what was before.
  const unknown = `:if ([/ip dns get use-doh-server] = ${quote(url.href)}) do={ /ip dns set use-doh-server="" servers=${quote(fallback.join(","))} }`;
  const restored = `:if ([:len [/system script find where name=fenliu-before]] > 0) do={ /system script run fenliu-before } else={ ${unknown} }`;
  const lines = [
    "# Takes Fenliu away from this router. Import: /import file-name=fenliu-remove.rsc",
    "# Clients may ask other servers again.",
    ...redirectLines([]),
    ...failoverLines([], null),
    "# Back to the servers from before Fenliu, and to Fenliu again if they resolve no name.",
    switchLine({ "use-doh-server": null, servers: null, "verify-doh-cert": null }, NO_RETURN, restored),
    "# Everything else that scripts of Fenliu have added.",
    ...unguardLines(),
    removeOwned("/ip dns static", "pin"),
    `/ip dns static remove [find where comment=${quote(FORMER_OWNER)}]`,
    removeOwned("/system ntp client servers", "ntp"),
    '/certificate remove [find where name~"^fenliu-ca"]',
    "/system script remove [find where name=fenliu-before]",
  ];
  return `${lines.join("\n")}\n`;
}

const NO_ANSWER = "Fenliu does not answer this router: its DNS settings are as they were";
const NO_RETURN = "The servers from before Fenliu resolve no name: the router still asks Fenliu";

export function pinOwner(host: string, address: string): string {
  return `fenliu:pin:${host}:${address}`;
}

function pinLines(host: string, address: string): readonly string[] {
  const same = `name=${quote(host)} and address=${address}`;
  const owner = quote(pinOwner(host, address));
  const type = isIPv4(address) ? "A" : "AAAA";
  return [
    `/ip dns static set [find where comment=${quote(FORMER_OWNER)} and ${same}] comment=${owner}`,
    // RouterOS refuses a second entry with the same name, type and value, also when the first entry is the user's own.
    `:if ([:len [/ip dns static find where ${same}]] = 0) do={ /ip dns static add name=${quote(host)} type=${type} address=${address} comment=${owner} }`,
    `/ip dns static set [find where ${same}] disabled=no`,
  ];
}

function trustLines({ authority }: SetupOptions): readonly string[] {
  // 7.21 has a list of those who may use the builtin authorities; 7.19 and 7.20 have a switch; before there are none.
  const store = `:local now [/certificate settings get builtin-trust-store]; :if (!([:tostr $now] ~ "all|default|dns")) do={ :if ([:tostr $now] = "untrusted") do={ /certificate settings set builtin-trust-store=dns } else={ /certificate settings set builtin-trust-store=($now, "dns") } }`;
  const anchors = "/certificate settings set builtin-trust-anchors=trusted";
  const builtin = [store, anchors].map((text) => `:do { :local run [:parse ${quote(text)}]; $run } on-error={ }`);
  if (authority === null) return builtin;
  return [...builtin, importAuthority(authority)];
}

/** Adds an authority, if the router does not have it. */
export function importAuthority({ pem, fingerprint }: NonNullable<SetupOptions["authority"]>): string {
  const file = "fenliu-ca.crt";
  const load = `/file remove [find where name=${file}]; /file add name=${file} contents=${quote(pem)}; /certificate import file-name=${file} passphrase="" name=fenliu-ca; /file remove [find where name=${file}]`;
  return `:if ([:len [/certificate find where fingerprint=${fingerprint}]] = 0) do={ ${load} }`;
}

function timeLines(): readonly string[] {
  const servers = "/system ntp client servers";
  const adds = TIME_SERVERS.map((address) => `${servers} add address=${address} comment=${quote("fenliu:ntp")}`).join("; ");
  return [
    `:if ([:len [${servers} find where address~${quote("^[0-9.]+$|:")}]] = 0) do={ ${adds} }`,
    "/system ntp client set enabled=yes",
  ];
}

/** Writes the present servers into a script of the router, once. A router that already asks Fenliu gets plain servers. */
function rememberLine({ url, fallback }: SetupOptions): string {
  const collect =
    ':local list ""; :foreach server in=[/ip dns get servers] do={ :if ([:len $list] > 0) do={ :set list ($list . ",") }; :set list ($list . $server) }';
  const ours = `:local old [/ip dns get use-doh-server]; :if ($old = ${quote(url.href)}) do={ :set old "" }`;
  const nothing = `:if ([:len $old] = 0 and [:len $list] = 0 and [:len [/ip dns get dynamic-servers]] = 0) do={ :set list ${quote(fallback.join(","))} }`;
  const verify = ':local verify "no"; :if ([/ip dns get verify-doh-cert]) do={ :set verify "yes" }';
  const source = `(${quote('/ip dns set use-doh-server="')} . $old . ${quote('" servers="')} . $list . ${quote('" verify-doh-cert=')} . $verify)`;
  const add = `/system script add name=fenliu-before comment=${quote("fenliu:before")} source=${source}`;
  return `:if ([:len [/system script find where name=fenliu-before]] = 0) do={ ${collect}; ${ours}; ${nothing}; ${verify}; ${add} }`;
}

/** Device-mode `home` refuses the scheduler; a script in the background waits there instead. Either acts only while the mark stands. */
function guardLines(): readonly string[] {
  const back = `/system script run [find where comment=${quote(PENDING)}]; /ip dns cache flush`;
  const schedule = `/system scheduler remove [find where name=fenliu-rollback]; /system scheduler add name=fenliu-rollback comment=${quote("fenliu:rollback")} interval=${ROLLBACK_AFTER} on-event=${quote(`/system scheduler remove [find where name=fenliu-rollback]; ${back}`)}`;
  return [
    `/system script set [find where name=fenliu-before] comment=${quote(PENDING)}`,
    `:do { ${schedule} } on-error={ :execute ${quote(`:delay ${ROLLBACK_AFTER}; ${back}`)} }`,
  ];
}

const PENDING = "fenliu:before:pending";

function unguardLines(): readonly string[] {
  return [
    `/system script set [find where name=fenliu-before] comment=${quote("fenliu:before")}`,
    "/system scheduler remove [find where name=fenliu-rollback]",
  ];
}

/**
 * One line that changes settings of /ip/dns and takes all of it back if no probe resolves.
 * @param settings null = the value comes from `act`.
 * @param act runs after the settings that have a value.
 */
export function switchLine(settings: Readonly<Record<string, string | null>>, failure: string, act = ""): string {
  const entries = Object.entries(settings);
  const save = entries.map(([key], index) => `:local old${index} [/ip dns get ${key}]; `).join("");
  const given = entries.filter((entry): entry is [string, string] => entry[1] !== null);
  const apply =
    given.length === 0
      ? act
      : `/ip dns set${given.map(([key, value]) => ` ${key}=${/^\w+$/.test(value) ? value : quote(value)}`).join("")}`;
  const restore = entries.map(([key], index) => ` ${key}=$old${index}`).join("");
  const probe = `:foreach probe in={${PROBES.map(quote).join("; ")}} do={ :if (!$works) do={ :do { :resolve $probe; :set works true } on-error={ } } }; `;
  const rollback = `:if (!$works) do={ /ip dns set${restore}; /ip dns cache flush; :error ${quote(failure)} }`;
  return `{ ${save}:local works false; ${apply}; /ip dns cache flush; ${probe}${rollback} }`;
}

/** Where DHCP names no DNS server, RouterOS hands out its own plain servers. */
function dhcpLines(): readonly string[] {
  const network = "/ip dhcp-server network";
  const isRouter = `[:len [/ip address find where address~("^" . $gateway . "/")]] > 0`;
  return [
    `:foreach each in=[${network} find] do={ :local gateway [${network} get $each gateway]; :if ([:len [${network} get $each dns-server]] = 0 and ${isRouter}) do={ ${network} set $each dns-server=$gateway } }`,
  ];
}

/** Router advertisements would name the IPv6 servers of the provider; without them clients ask the server that DHCP names. */
function advertisementLines(): readonly string[] {
  return [
    `:foreach each in=[/ipv6 nd find where advertise-dns=yes] do={ :if ([:len [/ipv6 nd get $each dns]] = 0) do={ /ipv6 nd set $each advertise-dns=no } }`,
  ];
}

/** Devices that ask servers of their own get the router's answers. Where no address of Fenliu is known, its own questions could be caught: no rule then. */
function redirectLines(resolvers: readonly string[]): readonly string[] {
  const families = [
    { root: "/ip", own: resolvers.filter((address) => isIPv4(address)) },
    { root: "/ipv6", own: resolvers.filter((address) => !isIPv4(address)) },
  ];
  return families.flatMap(({ root, own }) => {
    const [list, nat] = [`${root} firewall address-list`, `${root} firewall nat`];
    const owners = own.map((address) => `fenliu:resolver:${address}`);
    if (own.length === 0) return [removeOwned(nat, "redirect"), removeOwned(list, "resolver")];
    const rules = ["udp", "tcp"].map((protocol) =>
      ensure(
        nat,
        `fenliu:redirect:${protocol}`,
        `chain=dstnat action=redirect protocol=${protocol} dst-port=53 in-interface-list=${LAN} src-address-list=!${RESOLVERS}`,
      ),
    );
    return [
      ...own.map((address, index) => ensure(list, owners[index] ?? "", `list=${RESOLVERS} address=${address}`)),
      removeOthers(list, "resolver", owners),
      `:if ([:len [/interface list find where name=${LAN}]] > 0) do={ ${rules.join("; ")} } else={ :log warning ${quote(`fenliu: there is no interface list ${LAN}, so no question is redirected`)} }`,
    ];
  });
}

/** Netwatch sets the plain servers while nobody answers at Fenliu's address, and Fenliu again afterwards. */
function failoverLines(
  servers: readonly string[],
  target: { readonly url: URL; readonly watched: string } | null,
): readonly string[] {
  if (servers.length === 0 || target === null) return [removeOwned("/tool netwatch", "failover")];
  const { url, watched } = target;
  const down = `/ip dns set use-doh-server="" servers=${quote(servers.join(","))}; /ip dns cache flush`;
  const up = `/ip dns set use-doh-server=${quote(url.href)} servers=""; /ip dns cache flush`;
  const probe = `host=${watched} type=tcp-conn port=${url.port === "" ? 443 : url.port} interval=10s`;
  return [
    "# While Fenliu does not answer, plain servers do.",
    ensure("/tool netwatch", "fenliu:failover", `${probe} down-script=${quote(down)} up-script=${quote(up)}`),
  ];
}

/** Adds the record with this owner, or sets it right. */
function ensure(menu: string, owner: string, parameters: string): string {
  const comment = quote(owner);
  return `:if ([:len [${menu} find where comment=${comment}]] = 0) do={ ${menu} add ${parameters} comment=${comment} } else={ ${menu} set [find where comment=${comment}] ${parameters} }`;
}

function removeOwned(menu: string, part: string): string {
  return removeOthers(menu, part, []);
}

/** Removes the records of a part, except those with these owners. */
function removeOthers(menu: string, part: string, kept: readonly string[]): string {
  return `${menu} remove [find where comment~${quote(`^fenliu:${part}`)}${kept.map((owner) => ` and comment!=${quote(owner)}`).join("")}]`;
}

/** Text as a literal of the script language: `"`, `\` and `$` are escaped, a byte beyond printable ASCII is `\XX`. RouterOS 7.1 and later refuses `\?`. */
export function quote(text: string): string {
  const bytes = [...Buffer.from(text, "utf8")];
  const escaped = bytes.map((byte) => {
    const char = String.fromCharCode(byte);
    if (byte < 0x20 || byte > 0x7e) return `\\${byte.toString(16).toUpperCase().padStart(2, "0")}`;
    return '"\\$'.includes(char) ? `\\${char}` : char;
  });
  return `"${escaped.join("")}"`;
}
