/** The versions of RouterOS that the stand-in can be. */
export const VERSIONS = ["7.12", "7.20", "7.22"] as const;

export type RouterVersion = (typeof VERSIONS)[number];

/** One menu, as far as Fenliu and its tests use it. */
export interface Menu {
  /** A menu with one record and no ids. */
  readonly single?: true;
  /** The fields that may be set, with the values of a new record; null = absent until it is set. A field with `true` or `false` is a boolean. */
  readonly fields: Readonly<Record<string, string | null>>;
  /** The fields that only the router sets. */
  readonly readOnly?: Readonly<Record<string, string>>;
  /** The first version that has the menu, or a field. */
  readonly since?: Readonly<Record<string, number>>;
  /** The first version that no longer has a field. */
  readonly until?: Readonly<Record<string, number>>;
  /** Two records may not have equal values in these fields. */
  readonly unique?: { readonly fields: readonly string[]; readonly refusal: string };
  /** `home` refuses new records. */
  readonly deviceMode?: true;
}

/** Marks the first version of a menu itself. */
const MENU = "";

const NOTE = { comment: null, disabled: "false" };

const ADDRESS_LIST: Menu = {
  fields: { list: "", address: "", timeout: null, ...NOTE },
  readOnly: { dynamic: "false", "creation-time": "2026-11-01 08:00:00" },
  unique: { fields: ["list", "address"], refusal: "failure: already have such entry" },
};

const NAT: Menu = {
  fields: {
    chain: "",
    action: "accept",
    protocol: null,
    "dst-port": null,
    "in-interface": null,
    "in-interface-list": null,
    "src-address": null,
    "src-address-list": null,
    "dst-address": null,
    "dst-address-list": null,
    "to-addresses": null,
    "to-ports": null,
    ...NOTE,
  },
  readOnly: { dynamic: "false" },
};

const MANGLE: Menu = {
  fields: {
    chain: "",
    action: "accept",
    "dst-address-list": null,
    "src-address-list": null,
    "connection-mark": null,
    "new-connection-mark": null,
    "new-routing-mark": null,
    passthrough: "true",
    ...NOTE,
  },
};

export const MENUS: Readonly<Record<string, Menu>> = {
  "ip/dns": {
    single: true,
    fields: {
      servers: "",
      "use-doh-server": "",
      "verify-doh-cert": "false",
      "doh-max-server-connections": "5",
      "doh-max-concurrent-queries": "50",
      "doh-timeout": "5s",
      "allow-remote-requests": "false",
      "max-udp-packet-size": "4096",
      "query-server-timeout": "2s",
      "query-total-timeout": "10s",
      "max-concurrent-queries": "100",
      "max-concurrent-tcp-sessions": "20",
      "cache-size": "2048",
      "cache-max-ttl": "1w",
      "address-list-extra-time": "0s",
      vrf: "main",
    },
    readOnly: { "dynamic-servers": "", "cache-used": "60" },
    since: { vrf: 15 },
  },
  "ip/dns/static": {
    fields: {
      name: null,
      regexp: null,
      type: "A",
      address: null,
      cname: null,
      "forward-to": null,
      text: null,
      "match-subdomain": null,
      "address-list": null,
      ttl: "1d",
      ...NOTE,
    },
    readOnly: { dynamic: "false" },
    unique: {
      fields: ["name", "regexp", "type", "address", "cname", "forward-to", "text"],
      refusal: "failure: entry already exists",
    },
  },
  "ip/dns/cache/all": { fields: {}, readOnly: { name: "", type: "A", data: "", ttl: "1m", static: "false", negative: "false" } },
  "ip/dns/adlist": {
    fields: { url: null, file: null, "ssl-verify": "true", disabled: "false" },
    readOnly: { "match-count": "0", "name-count": "0" },
    since: { [MENU]: 15 },
  },
  "ip/firewall/address-list": ADDRESS_LIST,
  "ipv6/firewall/address-list": ADDRESS_LIST,
  "ip/firewall/nat": NAT,
  "ipv6/firewall/nat": NAT,
  "ip/firewall/mangle": MANGLE,
  "ipv6/firewall/mangle": MANGLE,
  "ip/firewall/filter": {
    fields: { chain: "", action: "accept", "connection-state": null, "connection-mark": null, protocol: null, ...NOTE },
  },
  "ip/address": { fields: { address: "", interface: "", ...NOTE }, readOnly: { network: "", "actual-interface": "" } },
  "ipv6/address": { fields: { address: "", interface: "", ...NOTE }, readOnly: { dynamic: "false", "link-local": "false" } },
  "ip/dhcp-server/network": { fields: { address: "", gateway: "", "dns-server": "", "dns-none": "false", comment: null } },
  "ip/dhcp-server/lease": {
    fields: { address: "", "mac-address": "", "client-id": null, server: null, ...NOTE },
    readOnly: { status: "waiting", dynamic: "false", "last-seen": "never" },
  },
  "ip/arp": {
    fields: { address: "", "mac-address": null, interface: "", ...NOTE },
    readOnly: { dynamic: "true", complete: "true", status: "reachable" },
  },
  "ipv6/neighbor": {
    fields: { address: "", "mac-address": null, interface: "", comment: null },
    readOnly: { status: "reachable", dynamic: "true" },
  },
  "ipv6/nd": { fields: { interface: "all", "advertise-dns": "true", dns: "", "ra-lifetime": "30m", ...NOTE } },
  "ipv6/dhcp-server": { fields: { name: "", interface: "", "dhcp-option": "", ...NOTE } },
  "ipv6/dhcp-server/option": { fields: { name: "", code: "", value: "", comment: null } },
  "interface/list": { fields: { name: "", comment: null } },
  certificate: {
    fields: { name: "", "common-name": "", "subject-alt-name": null, "days-valid": "365", trusted: "true" },
    readOnly: { fingerprint: "", skid: "", akid: "", "invalid-before": "", "invalid-after": "2036-01-01 00:00:00" },
  },
  "certificate/settings": {
    single: true,
    fields: {
      "crl-use": "false",
      "crl-download": "false",
      "builtin-trust-anchors": "not-trusted",
      "builtin-trust-store": "default",
    },
    since: { "builtin-trust-anchors": 19, "builtin-trust-store": 21 },
    until: { "builtin-trust-anchors": 21 },
  },
  "certificate/builtin": {
    fields: {},
    readOnly: { name: "", "common-name": "", skid: "", fingerprint: "" },
    since: { [MENU]: 19 },
  },
  user: { fields: { name: "", group: "", password: "", address: "", ...NOTE } },
  "user/group": { fields: { name: "", policy: "", comment: null } },
  "system/device-mode": { single: true, fields: {}, readOnly: { mode: "advanced" } },
  "system/clock": {
    single: true,
    fields: { "time-zone-name": "Asia/Shanghai" },
    readOnly: { date: "", time: "", "gmt-offset": "+08:00" },
  },
  "system/ntp/client": {
    single: true,
    fields: { enabled: "false", mode: "unicast", vrf: "main" },
    readOnly: { status: "stopped" },
  },
  "system/ntp/client/servers": { fields: { address: "", ...NOTE } },
  "system/resource": { single: true, fields: {}, readOnly: { version: "", uptime: "", "architecture-name": "arm" } },
  "system/script": {
    fields: { name: "", source: "", comment: null },
    unique: { fields: ["name"], refusal: "failure: item with such name already exists" },
  },
  "system/scheduler": {
    fields: { name: "", interval: "0s", "on-event": "", ...NOTE },
    unique: { fields: ["name"], refusal: "failure: item with such name already exists" },
    deviceMode: true,
  },
  "tool/netwatch": {
    fields: { host: "", type: "simple", port: null, interval: "10s", "up-script": "", "down-script": "", ...NOTE },
    readOnly: { status: "unknown" },
  },
  container: { fields: { name: "", interface: "", dns: "", comment: null }, readOnly: { status: "running" } },
  "ip/service": { fields: { name: "", port: "", certificate: "none", disabled: "false" }, readOnly: { dynamic: "false" } },
  file: { fields: { name: "", contents: "" }, readOnly: { type: "file" } },
  log: { fields: {}, readOnly: { time: "", topics: "", message: "" } },
};

/** Whether this version has the menu, or its field. */
export function hasSince({ since = {}, until = {} }: Menu, version: RouterVersion, field = MENU): boolean {
  const minor = Number(version.slice(2));
  return minor >= (since[field] ?? 0) && minor < (until[field] ?? Number.POSITIVE_INFINITY);
}
