import { nameFromText } from "../../dns/name.ts";
import { TYPE } from "../../dns/types.ts";
import { hostsOf, readHostLines } from "../hosts.ts";
import { clientId, hostName, ImportLists, isMac, isNetwork } from "../lists.ts";
import {
  ANYTHING,
  answered,
  decide,
  domainList,
  type Findings,
  forNames,
  type Host,
  joinNames,
  type ListFile,
  type Meaning,
  type ModelRule,
  modify,
  type Names,
  NO_NAMES,
  NO_NETWORKS,
  namesIn,
  namesOf,
  type Outcome,
  type Place,
  routes,
} from "../model.ts";
import { askGroup, isProxy, readServer, serverGroup, shownServer, sideOf } from "../servers.ts";
import { filesOf, pathBesideLine, readLines } from "../source.ts";
import { addressHosts, isAddressRule, isBlockedSet } from "./addresses.ts";
import { AddressFilters, networkOf } from "./filters.ts";
import { byPath, eachOf, meet, pathOf } from "./paths.ts";
import { copyRules, type Flag, type GroupMember, newTree, type Route, type Tree } from "./tree.ts";
import { type Flags, flagsOf, spansOf, valuesOf } from "./words.ts";

/**
 * Reads a configuration of smartdns with what it includes. A server is of its groups and, unless it is excluded, of the default group. Of a domain the longest
 * rule decides for each attribute on its own: `nameserver` and `address` do not hide each other. @throws ImportError
 */
export function readSmartdns(file: string, findings: Findings): Meaning {
  const reader = new Reader(file, findings);
  reader.readFile(file, { file, line: 1 });
  return reader.meaning();
}

const QUIET =
  /^(speed-check-mode|cache-.*|prefetch-domain|serve-expired.*|rr-ttl.*|log-.*|audit-.*|dualstack-ip-.*|response-mode|max-.*|server-name|tcp-idle-time|user|data-dir|plugin|resolve-hostname|expand-ptr-from-address|local-ttl|ca-(file|path)|bind-cert.*|edns-client-subnet|force-aaaa-soa|force-qtype-soa|conf-file|domain-set|ip-set|proxy-server|smartdns-domain|socket-buff-size|odhcp-lease-file|ddns-domain|force-no-cname|restart-on-crash|no-daemon|no-pidfile)$/;

/** Types of one span that a rule lists. */
const MAX_SPAN = 256;

class Reader {
  readonly #file: string;
  readonly #findings: Findings;
  readonly #read = new ImportLists();
  readonly #seen = new Set<string>();
  readonly #root: Tree;
  readonly #trees = new Map<string, Tree>();
  readonly #groups = new Map<string, { readonly members: Map<string, GroupMember>; readonly place: Place }>();
  readonly #proxies = new Map<string, string>();
  /** Paths of the sets of addresses. */
  readonly #addressSets = new Map<string, string>();
  readonly #sets = new Map<string, ListFile[]>();
  readonly #bootstrap = new Set<string>();
  readonly #hosts: Host[] = [];
  readonly #listen: string[] = [];
  readonly #bogus: string[] = [];
  readonly #filters = new AddressFilters();
  /** Groups, and before which of the lines each begins. */
  readonly #begun: { readonly tree: Tree; readonly atLine: number }[] = [];
  readonly #lines: { readonly key: string; readonly rest: string; readonly tree: Tree; readonly place: Place }[] = [];
  /** Groups that have a server. */
  #groupNames: ReadonlySet<string> | null = null;
  #ecs: string | null = null;

  constructor(file: string, findings: Findings) {
    this.#file = file;
    this.#findings = findings;
    this.#root = newTree("", { file, line: 1 });
  }

  /** Collects the lines; they are read when all sets and proxies are known. */
  readFile(path: string, place: Place, outer: Tree = this.#root): void {
    if (this.#seen.has(path)) return;
    this.#seen.add(path);
    let tree = outer;
    const outers: Tree[] = [];
    for (const { text, ...at } of readLines(path, place, /^\s*#.*$/)) {
      const [, key = "", rest = ""] = /^(\S+)\s*(.*)$/.exec(text) ?? [];
      const { words, flags } = flagsOf(rest);
      if (key === "conf-file") {
        const [named] = valuesOf(flags, "group", "g");
        const within = named === undefined ? tree : this.#begin(named, tree.name, at);
        for (const each of filesOf(pathBesideLine(this.#file, at, words[0] ?? ""))) this.readFile(each, at, within);
      } else if (key === "group-begin") {
        const [base = "parent"] = flags.get("inherit") ?? [];
        outers.push(tree);
        tree = this.#begin(words[0] ?? "", base === "none" ? null : ({ parent: tree.name, default: "" }[base] ?? base), at);
      } else if (key === "group-end") tree = outers.pop() ?? outer;
      else if (key === "group-match" || key === "client-rules") {
        // Without a name the group in which the line stands is meant.
        const [named] = valuesOf(flags, "group", "g");
        const of = named === undefined && tree !== this.#root ? tree : this.#tree(named ?? "", at);
        const clients = key === "client-rules" ? words.slice(0, 1) : (flags.get("client-ip") ?? []);
        for (const written of clients) of.clients.push({ written, place: at });
        for (const written of flags.get("domain") ?? []) of.domains.push({ written, place: at });
      } else if (key === "proxy-server") this.#proxies.set(flags.get("name")?.[0] ?? "", words[0] ?? "");
      else if (key === "domain-set") this.#domainSet(flags, at);
      else if (key === "ip-set") this.#addressSets.set(...this.#setOf(flags, at));
      else {
        const [named] = key === "domain-rules" ? valuesOf(flags, "group", "g") : [];
        const of = named === undefined ? tree : this.#begin(named, tree.name, at);
        this.#lines.push({ key: key.toLowerCase(), rest, tree: of, place: at });
      }
    }
  }

  /** From the next line on. @param inherits see `Tree`. */
  #begin(name: string, inherits: string | null, place: Place): Tree {
    const tree = this.#tree(name, place);
    tree.inherits = inherits;
    this.#begun.push({ tree, atLine: this.#lines.length });
    return tree;
  }

  /** A group that never begins has no rules of its own: those of the default one hold, whenever they come. */
  #asRoot(tree: Tree): Tree {
    const joined = { ...newTree(tree.name, tree.place), clients: tree.clients, domains: tree.domains };
    copyRules(this.#root, joined);
    return joined;
  }

  #hasHosts(): boolean {
    return this.#hosts.length > 0 || [...this.#root.addresses.values()].some(({ rule }) => isAddressRule(rule));
  }

  #ipv6Of(tree: Tree): "nodata" | "pass" {
    return (tree.ipv6 ?? this.#root.ipv6)?.value ?? "pass";
  }

  #beginAt(line: number): void {
    for (const { tree, atLine } of this.#begun) if (atLine === line) this.#inherit(tree);
  }

  /** A group begins with what the one that it inherits has by then: what comes later is not its. */
  #inherit(tree: Tree): void {
    const base = tree.inherits === "" ? this.#root : this.#trees.get(tree.inherits ?? "");
    tree.ipv6 = { value: base?.ipv6?.value ?? "pass", place: tree.place };
    if (base !== undefined) copyRules(base, tree);
  }

  /** Networks, addresses and MAC addresses, by themselves or in a set. */
  #clientsOf({ written, place }: Tree["clients"][number]): readonly string[] {
    const [, set] = /^ip-set:(.*)$/.exec(written) ?? [];
    const path = set === undefined ? undefined : this.#addressSets.get(set);
    const lines = path === undefined ? [{ text: written, ...place }] : readLines(path, place);
    return lines.flatMap(({ text, ...at }) => {
      const client = clientId(text) ?? "";
      if (isMac(client))
        this.#findings.add("changed", at, `\`${text}\` is known where \`devices\` knows the MAC address of the client`);
      if (isMac(client) || isNetwork(client)) return [client];
      this.#findings.add("leak", at, `\`${text}\` tells no client, so its questions would go the way of all others`);
      return [];
    });
  }

  #domainsOf({ domains }: Tree): Names {
    return joinNames(domains.map(({ written, place }) => this.#names(`/${written}/`, place)?.names ?? NO_NAMES));
  }

  #tree(name: string, place: Place): Tree {
    const known = this.#trees.get(name) ?? newTree(name, place);
    this.#trees.set(name, known);
    return known;
  }

  /** Name and path of a set. */
  #setOf(flags: Flags, place: Place): [string, string] {
    const [[name = ""], [file = ""]] = [valuesOf(flags, "name", "n"), valuesOf(flags, "file", "f")];
    return [name, pathBesideLine(this.#file, place, file)];
  }

  #domainSet(flags: Flags, place: Place): void {
    const [name, path] = this.#setOf(flags, place);
    this.#sets.set(name, [...(this.#sets.get(name) ?? []), { ...domainList(path, "plain", name, place), bareNames: true }]);
  }

  meaning(): Meaning {
    for (const line of this.#lines) this.#filters.read(line.key, line.rest);
    for (const [index, line] of this.#lines.entries()) {
      this.#beginAt(index);
      this.#line(line.key, line.rest, line.tree, line.place);
    }
    this.#beginAt(this.#lines.length);
    const place = { file: this.#file, line: 1 };
    const fallback = this.#outcome("", place);
    const shared = new Set(this.#root.nameservers.values());
    const trees = [...this.#trees.values()].flatMap((tree) => {
      const hasBegun = this.#begun.some((each) => each.tree === tree);
      if (tree.clients.length + tree.domains.length === 0) {
        if (hasBegun)
          this.#findings.add("left", tree.place, `the group \`${tree.name}\` has no clients: its rules hold for nobody`);
        return [];
      }
      const joined = hasBegun ? tree : this.#asRoot(tree);
      const clients = tree.clients.length === 0 ? null : tree.clients.flatMap((each) => this.#clientsOf(each));
      if (clients?.length === 0) return [];
      if (joined.inherits === null && this.#hasHosts())
        this.#findings.add(
          "changed",
          tree.place,
          `the group \`${tree.name}\` inherits nothing: here the hosts hold for its clients too`,
        );
      if (hasBegun && joined.inherits !== null)
        for (const [key, { rule, place: at }] of this.#root.addresses)
          if (isAddressRule(rule) && !joined.addresses.has(key))
            this.#findings.add(
              "changed",
              at,
              `the group \`${tree.name}\` begins before this line and had none of it: here it holds for its clients too`,
            );
      const every = joined.nameservers.get(".");
      const lastGroup = every?.group || (this.#groups.has(tree.name) ? tree.name : "");
      const last = lastGroup === "" ? fallback : this.#outcome(lastGroup, every?.place ?? place);
      if (clients !== null && tree.domains.length > 0)
        this.#findings.add(
          "blank",
          tree.place,
          `the group \`${tree.name}\` is for clients and for domains: that of its domains is left out`,
        );
      if (clients === null)
        for (const route of tree.nameservers.values())
          if (route !== every && !shared.has(route))
            this.#findings.add(
              "leak",
              route.place,
              `the group \`${tree.name}\` is for domains: a server for some of them is left out, and that of the group asked for all`,
            );
      return this.#treeRules(joined, clients, last, clients === null ? this.#domainsOf(tree) : null);
    });
    return {
      origin: "smartdns",
      file: this.#file,
      rules: [...trees, ...this.#treeRules(this.#root, null, fallback, null)],
      hosts: [
        ...this.#hosts,
        ...addressHosts(this.#root, [...this.#trees.values()], { findings: this.#findings, meetsSet: this.#meetsSet }),
      ],
      bootstrap: [...this.#bootstrap],
      poison: NO_NETWORKS,
      bogus: { ...NO_NETWORKS, networks: this.#bogus },
      settings: {
        ...(this.#listen.length === 0 ? {} : { listen: { dns: this.#listen, http: [] } }),
        ...(this.#root.ipv6?.value === "nodata" ? { answers: { ipv6: "nodata" } } : {}),
      },
    };
  }

  #line(key: string, rest: string, tree: Tree, place: Place): void {
    const { words, flags } = flagsOf(rest);
    const [first = ""] = words;
    if (tree !== this.#root && /^(bogus-nxdomain|(blacklist|whitelist|ignore)-ip|edns-client-subnet|cname|hosts-file)$/.test(key))
      this.#findings.add("changed", place, `\`${key}\` holds here for all, not for its group alone`);
    switch (key) {
      case "nameserver":
        this.#nameserver(first, tree, place);
        break;
      case "address":
        this.#address(first, tree, place);
        break;
      case "domain-rules":
        this.#domainRules(first, flags, tree, place);
        break;
      case "cname": {
        const [, domain = "", target = ""] = /^\/(.*)\/([^/]*)$/.exec(first) ?? [];
        const [name, cname] = [hostName(domain), hostName(target)];
        if (name === null || cname === null) this.#findings.add("blank", place, `\`cname ${first}\` has no name on both sides`);
        else {
          this.#hosts.push(...hostsOf(name, { addresses: [], cname, others: "nodata", place }));
          this.#findings.add(
            "changed",
            place,
            `\`${cname}\` goes the way of its own rules here; smartdns asked for it by those of \`${name}\``,
          );
        }
        break;
      }
      case "hosts-file":
        this.#hosts.push(...readHostLines(pathBesideLine(this.#file, place, first), place));
        break;
      case "bogus-nxdomain":
        this.#findings.add(
          "changed",
          place,
          "an answer with this address is asked of another server, and fails; smartdns emptied it",
        );
        this.#bogus.push(...networkOf(first));
        break;
      case "blacklist-ip":
      case "whitelist-ip":
      case "ignore-ip":
        if (networkOf(first).length === 0)
          this.#findings.add(
            "risk",
            place,
            `\`${key} ${first}\`: it is no network, and addresses of answers are not filtered by it`,
          );
        break;
      case "ip-alias":
      case "ip-rules":
        this.#findings.add("changed", place, `\`${key}\`: addresses are passed as they come`);
        break;
      case "edns-client-subnet":
        this.#ecs = networkOf(first)[0] ?? null;
        break;
      case "force-aaaa-soa":
        tree.ipv6 = { value: first === "yes" ? "nodata" : "pass", place };
        break;
      case "force-qtype-soa":
        this.#emptyTypes(rest, tree, place);
        break;
      default:
        if (/^server(-(tcp|tls|https|h3|http3|quic))?$/.test(key)) this.#server(key, first, flags, tree, place);
        else if (/^bind(-tcp|-tls|-https)?$/.test(key)) this.#bind(key, first, flags, place);
        else if (!QUIET.test(key)) this.#findings.add("left", place, `\`${key}\`: nothing here corresponds to it`);
    }
  }

  #emptyTypes(written: string, tree: Tree, place: Place): void {
    const { isBack, spans } = spansOf(written);
    const has = (type: number) => spans.some(({ first, last }) => type >= first && type <= last);
    if (has(TYPE.AAAA)) tree.ipv6 = { value: isBack ? "pass" : "nodata", place };
    if (isBack) {
      for (const [index, each] of tree.emptyTypes.entries())
        tree.emptyTypes[index] = { ...each, types: each.types.filter((type) => !has(type)) };
      return;
    }
    if (spans.some(({ first, last }) => last - first >= MAX_SPAN))
      this.#findings.add("changed", place, `\`${written}\`: of a span of types the first ${MAX_SPAN} are empty here`);
    const types = spans
      .flatMap(({ first, last }) => Array.from({ length: Math.min(last - first + 1, MAX_SPAN) }, (_, more) => first + more))
      .filter((type) => type !== TYPE.AAAA);
    if (types.length > 0) tree.emptyTypes.push({ types, place });
  }

  #server(key: string, written: string, flags: Flags, tree: Tree, place: Place): void {
    const scheme = key === "server" ? "" : `${key.slice("server-".length)}://`;
    const url = written.includes("://") ? written : `${scheme}${written}`;
    const [hostAddress = ""] = flags.get("host-ip") ?? [];
    const read = readServer(url, { at: hostAddress, tlsName: flags.get("host-name")?.[0] ?? null });
    // It is of its groups too.
    const isBootstrap = flags.has("bootstrap-dns") || flags.has("b");
    if (isBootstrap && "server" in read) this.#bootstrap.add(read.server.url);
    for (const name of ["set-mark", "interface"])
      if (flags.has(name))
        this.#findings.add(
          "left",
          place,
          `\`-${name}\` of the server \`${shownServer(written)}\`: nothing here corresponds to it`,
        );
    const [proxyName] = flags.get("proxy") ?? [];
    const known = this.#proxies.get(proxyName ?? "") ?? "";
    const proxy = proxyName === undefined ? null : isProxy(known) ? known : "";
    if ("why" in read || proxy === "") {
      const why = "why" in read ? read.why : `there is no proxy \`${proxyName}\` that can be asked`;
      this.#findings.add("left", place, `the server \`${shownServer(written)}\`: ${why}`);
    }
    const isDefault = tree === this.#root && !isBootstrap && !flags.has("exclude-default-group") && !flags.has("e");
    const named = [...(flags.get("group") ?? flags.get("g") ?? []), ...(tree === this.#root ? [] : [tree.name])];
    const ecs = networkOf(flags.get("subnet")?.[0] ?? "")[0] ?? null;
    for (const name of isDefault ? ["", ...named] : named) {
      const group = this.#groups.get(name) ?? { members: new Map<string, GroupMember>(), place };
      this.#groups.set(name, group);
      if ("server" in read && proxy !== "")
        group.members.set(read.server.url, {
          server: read.server,
          proxy,
          ecs,
          isFallback: flags.has("fallback"),
          drops: flags.has("blacklist-ip"),
          accepts: flags.has("whitelist-ip"),
        });
    }
  }

  #outcome(name: string, place: Place): Outcome {
    const shown = name === "" ? "default" : name;
    const group = this.#groups.get(name);
    if (group === undefined) return { kind: "unknown", why: `the group \`${shown}\` has no server`, place };
    const members = [...group.members.values()];
    const close = (why: string): Outcome => ({ kind: "unknown", why, place: group.place });
    if (members.length === 0) return close(`none of the servers of \`${shown}\` can be asked`);
    if (new Set(members.map(({ proxy }) => proxy)).size > 1)
      return close(`the servers of \`${shown}\` are asked through different proxies: make two groups of them`);
    const [main, spare] = [members.filter(({ isFallback }) => !isFallback), members.filter(({ isFallback }) => isFallback)];
    const servers = (some: readonly GroupMember[]) => some.map(({ server }) => server);
    const proxy = members[0]?.proxy ?? null;
    const filters = (some: readonly GroupMember[]) => this.#filters.of(some, shown, group.place, this.#findings);
    const fallback =
      main.length === 0 || spare.length === 0
        ? null
        : serverGroup(`${shown}-fallback`, servers(spare), group.place, { proxy, ...filters(spare) });
    if (new Set(members.map(({ server }) => sideOf(server))).size > 1)
      this.#findings.add(
        "changed",
        group.place,
        `servers of \`${shown}\` are of more than one side: the first answer counts, as before, and here also one that says that there is nothing, where smartdns waited for an address of another`,
      );
    const subnets = new Set(members.map(({ ecs }) => ecs ?? this.#ecs));
    if (subnets.size > 1)
      this.#findings.add("changed", group.place, `servers of \`${shown}\` have different subnets: the first is sent to all`);
    const first = main.length === 0 ? spare : main;
    return askGroup(
      serverGroup(shown, servers(first), group.place, { proxy, fallback, ...filters(first) }),
      [...subnets][0] ?? null,
    );
  }

  /** `/x/`, `/domain-set:s/`; null = no such set. */
  #names(written: string, place: Place): { readonly names: Names; readonly value: string } | null {
    const [, domains = ".", value = written] = /^\/(.*)\/([^/]*)$/.exec(written) ?? [];
    let names = NO_NAMES;
    for (const domain of domains.split("/")) {
      const [, set] = /^domain-set:(.*)$/.exec(domain) ?? [];
      const lists = set === undefined ? undefined : this.#sets.get(set);
      const [, kind = "", bare = ""] = /^([*-]?\.)?(.*)$/.exec(domain.toLowerCase()) ?? [];
      const name = hostName(bare);
      if (domain === ".") {
        names = joinNames([names, namesOf(["."])]);
        this.#findings.add(
          "changed",
          place,
          `\`${written.startsWith("/") ? "/./" : written}\` is every name here, as in newer versions; smartdns 40 passes over it`,
        );
      } else if (/^(regexp|keyword|full|domain|geosite):/.test(domain))
        this.#findings.add(
          "left",
          place,
          `\`${domain}\`: smartdns has no such patterns, and no name is meant by it there either`,
        );
      else if (/^\*[\w-]/.test(domain) && hostName(domain.slice(1)) !== null) {
        names = joinNames([names, namesOf([`regexp:${domain.slice(1).toLowerCase().replaceAll(".", "\\.")}$`])]);
        this.#findings.add(
          "changed",
          place,
          `\`${domain}\` is every name that ends so, as in newer versions, and comes after domains; in smartdns 40 it has none`,
        );
      } else if (lists !== undefined) names = joinNames([names, namesIn(lists)]);
      else if (set !== undefined || name === null) {
        this.#findings.add("leak", place, `\`${domain}\` is no domain and no set, so its names would go the way of all others`);
        return null;
      } else {
        if (kind === "*." || kind === "-." || bare.endsWith("."))
          this.#findings.add("changed", place, `\`${domain}\` has names here, as in newer versions: in smartdns 40 it has none`);
        names = joinNames([names, namesOf([kind === "-." ? `full:${name}` : kind === "*." ? `*.${name}` : name])]);
      }
    }
    return { names, value };
  }

  #nameserver(written: string, tree: Tree, place: Place): void {
    const found = this.#names(written, place);
    if (found !== null) this.#setGroup(found.names, found.value, tree, place);
  }

  #setGroup(names: Names, written: string, tree: Tree, place: Place): void {
    const group = written === "-" || written === "default" ? "" : written;
    if (written === "-") tree.freed.push({ names, place });
    this.#groupNames ??= new Set(
      this.#lines
        .filter(({ key }) => key.startsWith("server"))
        .flatMap(({ rest, tree: own }) => [
          own.name,
          ...(flagsOf(rest).flags.get("group") ?? []),
          ...(flagsOf(rest).flags.get("g") ?? []),
        ]),
    );
    const isKnown = group === "" || this.#groupNames.has(group);
    if (!isKnown)
      this.#findings.add(
        "leak",
        place,
        `there is no group \`${written}\`: smartdns sends these names to the default group without a word`,
      );
    for (const [key, one] of eachOf(names)) {
      tree.nameservers.delete(key);
      tree.nameservers.set(key, { names: one, group: isKnown ? group : "", place });
    }
  }

  #address(written: string, tree: Tree, place: Place): void {
    const found = this.#names(written, place);
    if (found !== null) this.#setAddress(found.names, found.value, tree, place);
  }

  #setAddress(names: Names, rule: string, tree: Tree, place: Place): void {
    if (rule.includes(","))
      this.#findings.add("changed", place, `\`${rule}\`: given as newer versions do; smartdns 40 does not read the line`);
    for (const [key, one] of eachOf(names)) tree.addresses.set(`${key} ${rule}`, { names: one, rule, place });
  }

  #domainRules(written: string, flags: Flags, tree: Tree, place: Place): void {
    const found = this.#names(written, place);
    if (found === null) return;
    const quiet = `
  g group c speed-check-mode d dualstack-ip-selection r response-mode no-serve-expired ttl rr-ttl rr-ttl-min rr-ttl-max no-cache
  no-ip-alias enable-cache`.split(/\s+/);
    // Version 40 does not know these, and takes them for `-n` with the rest as the name of a group.
    const last = [...flags.keys()].findLast((flag) => /^(n|nameserver|no-cache|no-ip-alias)$/.test(flag)) ?? "";
    if (last.startsWith("no-"))
      this.#findings.add(
        "changed",
        place,
        `\`-${last}\`: smartdns 40 takes it for a group that is not there, and asks the default group for these names; newer versions do as here`,
      );
    for (const [flag, values] of flags) {
      if (flag === "n" || flag === "nameserver") for (const value of values) this.#setGroup(found.names, value, tree, place);
      else if (flag === "a" || flag === "address") for (const value of values) this.#setAddress(found.names, value, tree, place);
      else if (!quiet.includes(flag))
        this.#findings.add("left", place, `\`-${flag}\` of \`domain-rules\`: nothing here corresponds to it`);
    }
  }

  #treeRules(tree: Tree, clients: readonly string[] | null, rest: Outcome, names: Names | null): readonly ModelRule[] {
    const condition = { ...ANYTHING, clients, names };
    const addressRules = [
      ...this.#addressRules(tree, clients),
      ...(tree.ipv6 === null || this.#ipv6Of(tree) === this.#ipv6Of(this.#root)
        ? []
        : [modify(condition, { ipv6: tree.ipv6.value }, tree.ipv6.place)]),
      ...tree.emptyTypes.map(({ types, place }) => decide({ ...condition, types }, answered("nodata", place), place)),
    ];
    this.#reportFreed(tree);
    this.#reportFlags(tree);
    // Sets are filled in when all lines were read: for a name in both a set wins, and the later of two sets.
    const [single, sets] = [false, true].map((isSet) =>
      [...tree.nameservers.values()].filter(({ names: own }) => own.lists.length > 0 === isSet),
    ) as [Route[], Route[]];
    const choices = [
      ...sets.toReversed().map((route): [string, Route[]] => [route.group, [route]]),
      ...Map.groupBy(single, ({ group }) => group),
    ];
    const split = choices.map(([group, all]) => {
      const place = all[0]?.place ?? rest.place;
      return {
        names: joinNames(all.map(({ names: own }) => own)),
        outcome: group === "" ? rest : this.#outcome(group, place),
        place,
      };
    });
    if (names === null) return [...addressRules, ...routes(split, rest, tree.name, condition)];
    // A server that the group inherits for a name comes before its own: the rules of the default group say it.
    const shared = new Set(this.#root.nameservers.values());
    const inherited = [...sets, ...single].filter((route) => shared.has(route) && route.group !== "");
    const except = joinNames(inherited.map((route) => route.names).filter(({ patterns }) => patterns[0] !== "."));
    return [...addressRules, ...routes([], rest, tree.name, { ...condition, except })];
  }

  /** `#`, `-` and their kin are one attribute in version 40: the longest name has it alone. Others add them up. */
  #reportFlags({ addresses, freed }: Tree): void {
    const flags: readonly Flag[] = [
      ...[...addresses.values()].filter(({ rule }) => !isAddressRule(rule)),
      ...freed.map((each) => ({ ...each, rule: "nameserver -" })),
    ];
    const byName = byPath(flags);
    const differs = (one: Flag, other: Flag) => one.rule !== other.rule;
    for (const one of flags) {
      const met = [...meet(one.names, byName)].filter((other) => differs(one, other));
      const isMet = (other: Flag) => differs(one, other) && this.#meetsSet(one.names, other.names);
      const others = one.names.lists.length > 0 ? [...met, ...flags.filter(isMet).slice(0, 1)] : met;
      for (const other of others)
        for (const { place } of one.names.lists.length > 0 ? [one] : [one, other])
          this.#findings.add(
            "changed",
            place,
            `\`${other.rule}\` and \`${one.rule}\` lie on one path: in smartdns 40 the longest name has its flag alone, in others and here they add up`,
          );
    }
  }

  /** Whether one of the names lies on a path with an entry of the sets. Of two sets nobody looks. */
  readonly #meetsSet = ({ lists }: Names, { patterns, lists: others }: Names): boolean => {
    if (others.length > 0) return true;
    return patterns.some((pattern) => {
      const [bare = ""] = pathOf(pattern);
      const name = nameFromText(bare);
      return lists.some(
        (list) =>
          this.#read.reachesBelow(list, bare) || (name !== null && this.#read.read(list).domains?.match(name, false) != null),
      );
    });
  };

  /** In version 40 `-` is a flag, which longer names inherit: their own groups do not count. Here the longer name wins. */
  #reportFreed({ freed, nameservers }: Tree): void {
    const byName = byPath(freed);
    const told = new Set<object>();
    const tell = (kind: "leak" | "changed", one: Tree["freed"][number], shown: string, group: string) => {
      if (told.has(one)) return;
      told.add(one);
      this.#findings.add(
        kind,
        one.place,
        `smartdns 40 sends every name below to the default group, whatever a longer rule says: here ${shown} goes to \`${group}\``,
      );
    };
    for (const { names, group } of nameservers.values())
      for (const outer of group === "" ? [] : meet(names, byName)) tell("leak", outer, `\`${names.patterns[0]}\``, group);
    for (const { names, group } of nameservers.values())
      for (const one of group === "" ? [] : freed)
        if (names.lists.length + one.names.lists.length > 0) tell("changed", one, "a name of a set", group);
  }

  /** Attributes are inherited one by one, so each is a rule over all of its names; `-` takes names out. */
  #addressRules(tree: Tree, clients: readonly string[] | null): ModelRule[] {
    const all = [...tree.addresses.values()];
    const of = (...wanted: readonly string[]) => all.filter(({ rule }) => wanted.includes(rule));
    const union = (some: readonly { readonly names: Names }[]) => joinNames(some.map(({ names }) => names));
    const rules: ModelRule[] = [];
    for (const [rule, freed, modifiers] of [
      ["#", ["-"], null],
      ["#4", ["-", "-4"], { ipv4: "nodata" }],
      ["#6", ["-", "-6"], { ipv6: "nodata" }],
    ] as const) {
      const blocked = of(rule);
      const [first] = blocked;
      if (first === undefined) continue;
      const { place } = first;
      const names = union(blocked);
      const except = union(of(...freed));
      const outer = new Set(names.patterns);
      const isWithin = (name: string) => name.split(".").some((_, index, labels) => outer.has(labels.slice(index).join(".")));
      const inner = except.patterns.filter((name) => names.lists.length > 0 || isWithin(name));
      const condition = { ...forNames(names, { patterns: inner, lists: except.lists }), clients };
      if (modifiers === null) rules.push(decide(condition, answered("nodata", place), place));
      else rules.push(modify(condition, modifiers, place));
      if (inner.length + except.lists.length > 0)
        this.#findings.add(
          "changed",
          place,
          `names freed by \`-\` are left out of \`${rule}\`, whichever is the longer: versions of smartdns differ there`,
        );
    }
    for (const { names, rule, place } of all.filter(isBlockedSet)) {
      const types = rule.split(",").map((address) => (address.includes(":") ? TYPE.AAAA : TYPE.A));
      rules.push(decide({ ...forNames(names, union(of("-"))), clients, types }, answered("zero", place), place));
    }
    for (const { rule, place } of of("-", "-4"))
      if (tree.emptyTypes.some(({ types }) => types.some((type) => rule === "-" || type === TYPE.A)))
        this.#findings.add(
          "changed",
          place,
          "newer versions of smartdns ask for these names in spite of `force-qtype-SOA`: here its types are empty for them too",
        );
    const [freed] = of("-", "-6");
    if (freed !== undefined && this.#ipv6Of(tree) === "nodata")
      rules.unshift(modify({ ...forNames(union(of("-", "-6"))), clients }, { ipv6: "pass" }, freed.place));
    return rules;
  }

  #bind(key: string, written: string, flags: Flags, place: Place): void {
    // IPv4 addresses may stand in brackets there.
    const text = written.replace(/@.*$/, "").replace(/^\[([\d.]+)\]/, "$1");
    if (flags.has("group") || flags.has("g"))
      this.#findings.add(
        "leak",
        place,
        `questions on ${text} went to a group of their own: here all ports share one set of rules; tell clients apart by \`clients\``,
      );
    else if (flags.size > 0)
      this.#findings.add(
        "changed",
        place,
        `${[...flags.keys()].map((flag) => `-${flag}`).join(" ")} of the port ${text}: here all ports share one set of rules`,
      );
    if (key === "bind-tls" || key === "bind-https")
      this.#findings.add("left", place, `\`${key}\`: set up \`listen\` and \`tls\` by hand`);
    else
      for (const each of text.startsWith(":") ? [`0.0.0.0${text}`, `[::]${text}`] : [text.includes(":") ? text : `${text}:53`])
        if (!this.#listen.includes(each)) this.#listen.push(each);
  }
}
