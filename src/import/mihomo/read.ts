import { existsSync } from "node:fs";
import { dirname, join } from "node:path";
import { isAboutConnections } from "../../lists/text-formats.ts";
import { hostsOf, NO_HOSTS_FILE } from "../hosts.ts";
import { hostName, isAddress, isNetwork } from "../lists.ts";
import {
  ANYTHING,
  type Ask,
  answered,
  compareOf,
  decide,
  domainList,
  type Findings,
  forNames,
  type Host,
  ImportError,
  joinNames,
  type ListFile,
  longest,
  type Meaning,
  type ModelRule,
  type Names,
  NO_NAMES,
  NO_NETWORKS,
  namesIn,
  namesOf,
  type Outcome,
  type Place,
  type ReaderOptions,
  type SourceServer,
} from "../model.ts";
import { askGroup, readServer, serverGroup, shownServer, sideOf, whyNobody } from "../servers.ts";
import { childOf, isOn, itemsOf, mapEntries, othersThan, pathBeside, readTree, type Tree, textAt, textOf } from "../source.ts";

/**
 * Reads section `dns` of mihomo. Policies hold in the order of the file; runs of plain names among them by the more exact one. Names with a fake address are
 * asked of mihomo itself, which must go on running. @throws ImportError
 */
export function readMihomo(file: string, findings: Findings, options: ReaderOptions): Meaning {
  return new Reader(file, findings, options.proxy).read();
}

const KNOWN = `
  enable listen ipv6 enhanced-mode fake-ip-range fake-ip-range6 fake-ip-filter fake-ip-filter-mode default-nameserver
  nameserver fallback fallback-filter nameserver-policy proxy-server-nameserver respect-rules use-hosts use-system-hosts
  cache-algorithm prefer-h3 ipv6-timeout cache-max-size fake-ip-ttl`.split(/\s+/);

/** Keys of which no question of a client depends. */
const OWN_CONNECTIONS = [
  "direct-nameserver",
  "direct-nameserver-follow-policy",
  "proxy-server-nameserver-policy",
  "fake-ip-range6",
  "default-nameserver",
];

class Reader {
  readonly #tree: Tree;
  readonly #dns: Tree | null;
  readonly #file: string;
  readonly #place: Place;
  readonly #findings: Findings;
  readonly #proxy: string | null;

  constructor(file: string, findings: Findings, proxy: string | null) {
    this.#tree = readTree(file);
    this.#dns = childOf(this.#tree, "dns");
    this.#file = file;
    this.#place = this.#dns?.place ?? { file, line: 1 };
    this.#findings = findings;
    this.#proxy = proxy;
  }

  read(): Meaning {
    const near = this.#outcome(childOf(this.#dns, "nameserver"), "nameserver");
    for (const { key, place } of othersThan(this.#dns, KNOWN))
      this.#findings.add(
        "left",
        place,
        OWN_CONNECTIONS.includes(key)
          ? `\`dns.${key}\`: it serves mihomo's own connections`
          : `\`dns.${key}\` is not known, and nothing of it is carried over`,
      );
    this.#reportMode();
    const bootstrap = itemsOf(childOf(this.#dns, "default-nameserver")).flatMap((item) => {
      const read = readServer(textOf(item).replace(/#.*$/, ""));
      return "server" in read && read.server.url !== "system" ? [read.server.url] : [];
    });
    const filter = childOf(this.#dns, "fallback-filter");
    const forged = childOf(filter, "ipcidr");
    const ipcidr = itemsOf(forged).map(textOf).filter(isNetwork);
    if (textAt(this.#dns, "use-system-hosts") !== "false") this.#findings.add("changed", this.#place, NO_HOSTS_FILE);
    // Without the addresses of the country they are taken out of the answers of `nameserver` alone.
    const isPoison = itemsOf(childOf(this.#dns, "fallback")).length > 0 && textAt(filter, "geoip") !== "false";
    if (isPoison && forged !== null && ipcidr.length > 0)
      this.#findings.add(
        "changed",
        forged.place,
        "addresses of `ipcidr` are void for every group, of `fallback` and of policies too: see `poison`",
      );
    return {
      origin: "mihomo",
      file: this.#file,
      rules: [...this.#proxyServers(), ...this.#fakeRules(), ...this.#policies(), ...this.#last(near)],
      hosts: this.#hosts(),
      bootstrap,
      poison: { ...NO_NETWORKS, networks: isPoison ? ipcidr : [] },
      bogus: NO_NETWORKS,
      settings: this.#hasIpv6() ? {} : { answers: { ipv6: "nodata" } },
    };
  }

  /** What mihomo itself would not start with, or does not listen to. */
  #reportMode(): void {
    const mode = childOf(this.#dns, "enhanced-mode");
    if (mode !== null && !["fake-ip", "redir-host", "normal"].includes(textOf(mode).toLowerCase()))
      throw new ImportError(mode.place, `\`${textOf(mode)}\` is no mode: fake-ip, redir-host and normal are`);
    if (!isOn(this.#dns, "enable"))
      this.#findings.add(
        "changed",
        childOf(this.#dns, "enable")?.place ?? this.#place,
        "`dns` is off in mihomo without `enable: true`, and nobody asked by it: here it holds",
      );
  }

  /** Of section `dns` absent is off; of the whole configuration absent is on. */
  #hasIpv6(): boolean {
    const isOnHere = isOn(this.#dns, "ipv6");
    if (childOf(this.#dns, "ipv6") === null)
      this.#findings.add("changed", this.#place, "AAAA is empty, as mihomo has it without `ipv6: true`: see `answers.ipv6`");
    return isOnHere && textAt(this.#tree, "ipv6") !== "false";
  }

  /** @param obeysRules whether `respect-rules` holds for these servers. */
  #outcome(tree: Tree | null, name: string, obeysRules = true): Outcome {
    const items = itemsOf(tree);
    const place = tree?.place ?? this.#place;
    const servers = new Map<string, SourceServer>();
    const reasons: string[] = [];
    const proxied = new Map<boolean, string[]>([]);
    let ecs: string | null = null;
    let withSubnet = 0;
    for (const item of items) {
      const [, code] = /^rcode:\/\/(\w+)/.exec(textOf(item)) ?? [];
      if (code !== undefined)
        return answered(code === "success" ? "nodata" : code === "name_error" ? "nxdomain" : "refused", item.place);
      const [written = "", fragment = ""] = textOf(item).split(/#(.*)/s);
      const read = readServer(written === "system" || written === "system://" ? "system" : written);
      if ("why" in read) {
        const why = `the server \`${shownServer(written)}\`: ${read.why}`;
        this.#findings.add("left", item.place, why);
        reasons.push(`${why} (line ${item.place.line})`);
        continue;
      }
      servers.set(read.server.url, { ...read.server, addresses: this.#addressesOf(written) });
      const parts = fragment.split("&").filter((part) => part !== "");
      const isHttps = written.startsWith("https:");
      const via = isHttps ? parts.find((part) => !part.includes("=")) : fragment;
      const subnet = parts.find((part) => part.startsWith("ecs="))?.slice(4);
      if (subnet !== undefined && isHttps && isNetwork(subnet)) {
        ecs = subnet;
        withSubnet++;
      }
      if (subnet !== undefined && !isHttps)
        this.#findings.add(
          "changed",
          item.place,
          "`ecs` never worked for a server that is not asked by https: mihomo took it for a proxy's name",
        );
      const byRules = obeysRules && isOn(this.#dns, "respect-rules") && sideOf(read.server) !== "near";
      const isProxied = via === undefined || via === "" ? byRules : !this.#isDirect(via) && subnet === undefined;
      proxied.set(isProxied, [...(proxied.get(isProxied) ?? []), `\`${shownServer(written)}\``]);
      if (isProxied && this.#proxy === null)
        this.#findings.add(
          "leak",
          item.place,
          `\`${shownServer(written)}\` is asked through ${via === undefined || via === "" ? "mihomo's rules" : `\`${via}\``}: give its port with --proxy socks5://127.0.0.1:7890, or it is asked in clear`,
        );
    }
    if (ecs !== null && withSubnet < servers.size)
      this.#findings.add("changed", place, `\`ecs=${ecs}\` of some servers is sent to all servers of \`${name}\``);
    if (servers.size === 0) return { kind: "unknown", why: whyNobody(name, reasons), place };
    if (proxied.size > 1)
      return {
        kind: "unknown",
        why: `of \`${name}\`, ${proxied.get(true)?.join(", ")} are asked through a proxy, and ${proxied.get(false)?.join(", ")} are not; mihomo shows every name to all of them. Leave those of one way here, and name the others in \`nameserver-policy\``,
        place,
      };
    return askGroup(serverGroup(name, [...servers.values()], place, { proxy: proxied.has(true) ? this.#proxy : null }), ecs);
  }

  /** Where the server is, if `hosts` says it: mihomo looks there before it asks for the name of a server. */
  #addressesOf(written: string): readonly string[] {
    const name = hostName(written.replace(/^\w+:\/\//, "").replace(/[:/].*$/s, ""));
    const entry = mapEntries(childOf(this.#tree, "hosts")).find(({ key }) => key.toLowerCase() === name);
    return itemsOf(entry?.value ?? null)
      .map(textOf)
      .filter(isAddress);
  }

  /** Whether the proxy of this name is none. */
  #isDirect(name: string): boolean {
    const proxy = itemsOf(childOf(this.#tree, "proxies")).find((item) => textAt(item, "name") === name);
    return name.toUpperCase() === "DIRECT" || textAt(proxy ?? null, "type") === "direct";
  }

  /** Names of the proxies themselves are looked up before there is a proxy, whoever asks for them: mihomo may find them by Fenliu. */
  #proxyServers(): readonly ModelRule[] {
    const tree = childOf(this.#dns, "proxy-server-nameserver");
    const names = itemsOf(childOf(this.#tree, "proxies"))
      .flatMap((item) => hostName(textAt(item, "server")) ?? [])
      .filter((name) => !isNetwork(name));
    const [example] = names;
    if (tree === null || example === undefined) return [];
    this.#findings.add(
      "changed",
      tree.place,
      `mihomo asked these servers for its own connections alone, and answered clients for the name of a proxy, such as \`${example}\`, as for any other: here such names are asked of these servers for everyone, so that no proxy is needed to find a proxy`,
    );
    const condition = forNames(namesOf([...new Set(names)].map((name) => `full:${name}`)));
    return [decide(condition, this.#outcome(tree, "proxy-server-nameserver", false), tree.place, "proxy-servers")];
  }

  /** Names that get a fake address. */
  #fakeRules(): readonly ModelRule[] {
    if (textAt(this.#dns, "enhanced-mode") !== "fake-ip") return [];
    const filter = childOf(this.#dns, "fake-ip-filter");
    const place = childOf(this.#dns, "enhanced-mode")?.place ?? this.#place;
    const port = /:(\d+)$/.exec(textAt(this.#dns, "listen"))?.[1];
    if (port === undefined) {
      this.#findings.add(
        "risk",
        place,
        "mihomo listens for no questions: names get real addresses here instead of fake ones, and what is proxied by them is proxied no more",
      );
      return [];
    }
    const mode = textAt(this.#dns, "fake-ip-filter-mode") || "blacklist";
    const own = { url: `udp://127.0.0.1:${port}`, addresses: [], tlsName: null };
    const asksFrom = this.#asksThisMachine() ? ["127.0.0.1/32"] : [];
    const outcome = askGroup(serverGroup("mihomo", [own], place, { volatile: true, asksFrom }));
    this.#findings.add(
      "changed",
      place,
      `names with fake addresses are asked of mihomo, which must go on running and listening; if it runs elsewhere, write its address in the group \`mihomo\`. ${
        asksFrom.length === 0
          ? "Where mihomo is to ask Fenliu, give that group `asksFrom`"
          : "It asks this machine itself, so that such names are denied to programs of this machine: see `asksFrom`"
      }`,
    );
    if (mode === "rule") return this.#fakeByRules(itemsOf(filter), outcome, place);
    const names = joinNames(itemsOf(filter).map((item) => this.#names(textOf(item), item.place) ?? NO_NAMES));
    const condition = mode === "whitelist" ? forNames(names) : { ...ANYTHING, except: names };
    return [decide(condition, outcome, place, "fake-ip")];
  }

  /** Whether it may ask Fenliu, where Fenliu takes the place of the server that it asks there. */
  #asksThisMachine(): boolean {
    const policies = mapEntries(childOf(this.#dns, "nameserver-policy")).map(({ value }) => value);
    const all = ["nameserver", "fallback", "direct-nameserver"].map((key) => childOf(this.#dns, key));
    const servers = [...all, ...policies].flatMap((tree) => itemsOf(tree)).map(textOf);
    return servers.some((server) => /^(\w+:\/\/)?(127\.|\[?::1\b|localhost\b|system\b)/.test(server));
  }

  /** `TYPE,NAMES,fake-ip|real-ip` in their order; without a match the address is fake. */
  #fakeByRules(items: readonly Tree[], outcome: Outcome, place: Place): readonly ModelRule[] {
    const rules: ModelRule[] = [];
    let real = NO_NAMES;
    for (const item of items) {
      const [written = "", ...rest] = textOf(item)
        .split(",")
        .map((part) => part.trim());
      const type = written.toUpperCase();
      const isFake = rest.at(-1) !== "real-ip";
      if (type === "MATCH") {
        if (isFake) rules.push(decide({ ...ANYTHING, except: real }, outcome, item.place, "fake-ip"));
        return rules;
      }
      const names = this.#ruleNames(type, rest[0] ?? "", item.place);
      if (names === null) throw new ImportError(item.place, `\`${textOf(item)}\` of \`fake-ip-filter\` is not followed`);
      if (isFake) rules.push(decide(forNames(names, real), outcome, item.place, "fake-ip"));
      else real = joinNames([real, names]);
    }
    return [...rules, decide({ ...ANYTHING, except: real }, outcome, place, "fake-ip")];
  }

  #ruleNames(type: string, payload: string, place: Place): Names | null {
    const name = hostName(payload);
    if (type === "GEOSITE") return this.#names(`geosite:${payload}`, place);
    if (type === "RULE-SET") return this.#names(`rule-set:${payload}`, place);
    if (type === "DOMAIN-KEYWORD" && /^[\w.-]+$/.test(payload)) return namesOf([`keyword:${payload.toLowerCase()}`]);
    if (name === null) return null;
    return type === "DOMAIN" ? namesOf([`full:${name}`]) : type === "DOMAIN-SUFFIX" ? namesOf([name]) : null;
  }

  #policies(): readonly ModelRule[] {
    const rules: ModelRule[] = [];
    let run: { readonly pattern: string; readonly outcome: Outcome; readonly place: Place }[] = [];
    const endRun = () => {
      const group = (wanted: (pattern: string) => boolean) => run.filter(({ pattern }) => wanted(pattern));
      const alone = ({ pattern, outcome, place }: (typeof run)[number]): ModelRule =>
        decide(forNames(namesOf([pattern])), outcome, place);
      const stars = group((pattern) => pattern.startsWith("regexp:"));
      // `+.x` is x too, which beats a star.
      const literal = stars.length === 0 ? [] : group((pattern) => !/^(full:|regexp:|\*\.)/.test(pattern));
      rules.push(
        ...group((pattern) => pattern.startsWith("full:")).map(alone),
        ...literal.map(({ pattern, ...entry }) => alone({ pattern: `full:${pattern}`, ...entry })),
        ...stars.map(alone),
      );
      const suffixes = group((pattern) => !/^(full|regexp):/.test(pattern));
      const choices = suffixes.map(({ pattern, ...choice }) => ({ ...choice, names: namesOf([pattern]) }));
      rules.push(...longest(choices, "policy"));
      run = [];
    };
    for (const { key, value, place } of mapEntries(childOf(this.#dns, "nameserver-policy"))) {
      const outcome = this.#outcome(value, key.replace(/[^\w.-]+/g, "-").slice(0, 30));
      if (/^(geosite|rule-set):/.test(key)) {
        endRun();
        const names = this.#names(key, place, outcome.kind === "answer");
        if (names !== null) rules.push(decide(forNames(names), outcome, place));
      } else for (const pattern of this.#names(key, place)?.patterns ?? []) run.push({ pattern, outcome, place });
    }
    endRun();
    return rules;
  }

  /**
   * `x`, `*.x`, `.x`, `+.x`, `geosite:a,b`, `rule-set:a,b`; several with commas. @param areBlocked whether they are answered here, so that a set which cannot
   * be read lets nothing out. @returns null where a set that decides who is asked cannot be read.
   */
  #names(written: string, place: Place, areBlocked = false): Names | null {
    const [, kind, all = ""] = /^(geosite|rule-set):(.*)$/.exec(written) ?? [];
    const sets = all.split(",").map((set) => set.trim());
    if (kind === "geosite") return namesIn(sets.map((set) => this.#geo(["geosite.dat", "GeoSite.dat"], set, "domains", place)));
    if (kind === "rule-set") {
      const read = sets.map((set) => this.#ruleSet(set, place));
      for (const [why, unread] of Map.groupBy(read, (set) => ("why" in set ? set.why : null))) {
        if (why === null) continue;
        const shown = unread.map((set) => ("why" in set ? `\`rule-set:${set.name}\`` : "")).join(", ");
        const lost = areBlocked ? "nothing is blocked by it" : "its names would go the way of all others";
        this.#findings.add(areBlocked ? "changed" : "leak", place, `${shown}: ${why}; ${lost}`);
      }
      const known = read.flatMap((set) => ("why" in set ? [] : [set]));
      return known.length === read.length || (areBlocked && known.length > 0) ? joinNames(known) : null;
    }
    const patterns = written.split(",").flatMap((each) => {
      const [, mark = "", bare = ""] = /^(\+\.|\.)?(.*)$/.exec(each.trim().toLowerCase()) ?? [];
      const name = hostName(bare);
      if (name !== null) return [mark === "+." ? name : mark === "." ? `*.${name}` : `full:${name}`];
      // A star is one label.
      if (bare.includes(".") && /^(\*|[\w-]+)(\.(\*|[\w-]+))+$/.test(bare)) {
        const labels = bare.replaceAll(".", "\\.").replaceAll("*", "[^.]+");
        return [`regexp:${mark === "+." ? "(?:^|\\.)" : mark === "." ? "\\." : "^"}${labels}$`];
      }
      if (bare === "*") return ["single:"];
      this.#findings.add("changed", place, `\`${each}\` matches no name`);
      return [];
    });
    return namesOf(patterns);
  }

  /** A category of a file that lies beside the configuration. */
  #geo(files: readonly string[], code: string, kind: ListFile["kind"], place: Place): ListFile {
    const paths = files.map((name) => join(dirname(this.#file), name));
    const path = paths.find((each) => existsSync(each)) ?? paths[0] ?? "";
    return { path, category: code, kind, tag: `${kind === "domains" ? "geosite" : "geoip"}-${code}`, place, reloads: true };
  }

  #ruleSet(name: string, place: Place): Names | { readonly name: string; readonly why: string } {
    const provider = childOf(childOf(this.#tree, "rule-providers"), name);
    if (provider === null) return { name, why: "there is no such set under `rule-providers`" };
    if (textAt(provider, "behavior").toLowerCase() === "ipcidr") return { name, why: "it is a set of addresses, not of names" };
    if (textAt(provider, "type") === "inline") return this.#inlineSet(provider);
    const path = textAt(provider, "path") || textAt(provider, "url");
    const isText = textAt(provider, "format") !== "mrs" && !path.endsWith(".mrs");
    if (path === "") return { name, why: "its entry under `rule-providers` names no file" };
    if (!isText)
      return {
        name,
        why: "a file of the format mrs cannot be read: give its provider the same set as text (`format: text`; most publishers have it under the same name with .list)",
      };
    return namesIn([domainList(/^https?:/.test(path) ? path : pathBeside(this.#file, path), "clash", name, place)]);
  }

  /** The lines of a set that stands in the configuration: names, or rules, of which those about names count. */
  #inlineSet(provider: Tree): Names {
    const isClassical = textAt(provider, "behavior").toLowerCase() === "classical";
    const all = itemsOf(childOf(provider, "payload")).map((item) => {
      const [type = "", payload = ""] = textOf(item)
        .split(",", 2)
        .map((part) => part.trim());
      if (!isClassical) return this.#names(textOf(item), item.place) ?? NO_NAMES;
      const names = this.#ruleNames(type.toUpperCase(), payload, item.place);
      if (names === null && isAboutConnections(type))
        this.#findings.add("left", item.place, `\`${textOf(item)}\` is about no name: who is asked never hung on it`);
      else if (names === null)
        this.#findings.add("leak", item.place, `\`${textOf(item)}\` is not read: its names would go the way of all others`);
      return names ?? NO_NAMES;
    });
    return joinNames(all);
  }

  /** `nameserver`, and `fallback` where the addresses are not of the country. */
  #last(near: Outcome): readonly ModelRule[] {
    const rest = (outcome: Outcome, place: Place): ModelRule => decide(ANYTHING, outcome, place, "others");
    const tree = childOf(this.#dns, "fallback");
    if (itemsOf(tree).length === 0 || tree === null) return [rest(near, near.place)];
    const filter = childOf(this.#dns, "fallback-filter");
    const far = this.#outcome(tree, "fallback");
    const { place } = tree;
    const names = joinNames([
      ...itemsOf(childOf(filter, "domain")).map((item) => this.#names(textOf(item), item.place) ?? NO_NAMES),
      ...itemsOf(childOf(filter, "geosite")).map((item) => this.#names(`geosite:${textOf(item)}`, item.place) ?? NO_NAMES),
    ]);
    const always: readonly ModelRule[] =
      names.patterns.length + names.lists.length === 0 ? [] : [decide(forNames(names), far, place, "fallback-filter")];
    if (always.length > 0)
      this.#findings.add(
        "changed",
        place,
        "names of `fallback-filter` go to `fallback` with every type; mihomo asked `nameserver` for types other than A and AAAA",
      );
    if (near.kind !== "ask") return [...always, rest(near, place)];
    if (textAt(filter, "geoip") === "false") {
      this.#findings.add(
        "changed",
        place,
        "mihomo asked `nameserver` alone for types other than A and AAAA, whatever came: where it fails here, `fallback` is asked for them too",
      );
      return [...always, rest(this.#poisoned(near, far, filter, place), place)];
    }
    const code = textAt(filter, "geoip-code") || "CN";
    const list = this.#geo(["geoip.dat", "GeoIP.dat", "Country.mmdb", "country.mmdb"], code, "addresses", place);
    const differs =
      "mihomo looked at AAAA by itself, asked `fallback` after an answer of `nameserver` and not together with it, and asked `nameserver` alone for types other than A and AAAA";
    return [...always, rest(compareOf(near, far, { lists: [list], place, differs }), place)];
  }

  /** Without the addresses of the country: `fallback` is asked where there is no address, and where one is forged. */
  #poisoned(near: Ask, far: Outcome, filter: Tree | null, place: Place): Outcome {
    const networks = itemsOf(childOf(filter, "ipcidr")).map(textOf);
    const test = { kind: "addresses", networks: { networks, lists: [] } } as const;
    const kept: Outcome = networks.length === 0 ? near : { kind: "judge", of: near, test, yes: far, no: near, place };
    return { kind: "judge", of: near, test: { kind: "valid" }, yes: kept, no: far, place };
  }

  #hosts(): readonly Host[] {
    if (textAt(this.#dns, "use-hosts") === "false") return [];
    const hosts = mapEntries(childOf(this.#tree, "hosts")).flatMap(({ key, value, place }): readonly Host[] => {
      const [, mark = "", bare = ""] = /^(\+\.|\*\.|\.)?(.*)$/.exec(key.toLowerCase()) ?? [];
      const name = hostName(bare);
      const values = itemsOf(value).map(textOf);
      const addresses = values.filter(isAddress);
      const cname = addresses.length > 0 ? null : hostName(values[0] ?? "");
      if (name === null || (addresses.length === 0 && cname === null)) {
        this.#findings.add(
          "blank",
          place,
          `\`${key}\` of \`hosts\`: hosts have names and \`*.\` names, with addresses or one alias`,
        );
        return [];
      }
      const pattern = mark === "" ? `full:${name}` : mark === "+." ? name : `*.${name}`;
      return hostsOf(pattern, { addresses, cname, others: cname === null ? "forward" : "nodata", closesFamily: true, place });
    });
    const starred = mapEntries(childOf(this.#tree, "hosts")).find(({ key }) => key.startsWith("*."));
    if (starred !== undefined)
      this.#findings.add(
        "changed",
        starred.place,
        `\`${starred.key}\` of \`hosts\` was one label below the name, no more: here it is every name below`,
      );
    const alias = hosts.find(({ cname }) => cname !== null);
    if (alias !== undefined)
      this.#findings.add(
        "changed",
        alias.place,
        "questions of every type follow an alias; mihomo asked servers for the name itself where it was not for an address",
      );
    const mapped = hosts.find(({ addresses }) => addresses.length > 0 && !addresses.some((address) => address.includes(":")));
    if (mapped !== undefined)
      this.#findings.add(
        "changed",
        mapped.place,
        `AAAA of a name with IPv4 alone, such as \`${mapped.name}\`, is empty; mihomo gives the address as \`::ffff:…\` where \`ipv6\` is on`,
      );
    return hosts;
  }
}
