import { existsSync, readdirSync, statSync } from "node:fs";
import { BlockList, isIP } from "node:net";
import { basename, dirname, join } from "node:path";
import { addressFromText } from "../../dns/address.ts";
import { TYPE, typeNumber } from "../../dns/types.ts";
import { excepted, hostsOf, hostWith, joinHosts, NO_HOSTS_FILE, readHostLines } from "../hosts.ts";
import { hostName, isNetwork } from "../lists.ts";
import {
  ANYTHING,
  answered,
  type Choices,
  decide,
  domainList,
  type Findings,
  forNames,
  type Host,
  ImportError,
  type ListFile,
  type Meaning,
  type ModelRule,
  modify,
  NO_NETWORKS,
  namesOf,
  type Outcome,
  type Place,
  PRIVATE_REVERSE,
  routes,
  type SourceServer,
} from "../model.ts";
import { askGroup, hostPort, nameOfSide, readServer, serverGroup, sideOfAll } from "../servers.ts";
import { pathBeside, readLines } from "../source.ts";

/**
 * Reads a configuration of dnsmasq with what it includes. Of `server=`, `local=` and `address=` the longest domain wins, whatever the order; several lines
 * for one domain add up. @throws ImportError
 */
export function readDnsmasq(file: string, findings: Findings): Meaning {
  const reader = new Reader(file, findings);
  reader.readFile(file, { file, line: 1 });
  reader.readUnnamedFolder();
  return reader.meaning();
}

/** A folder beside `dnsmasq.conf` that Debian and its like name on the command line (`-7`), with the endings that they leave out. */
const UNNAMED_FOLDER = "dnsmasq.d,.dpkg-dist,.dpkg-old,.dpkg-new";

/** Options that neither route nor answer. */
const QUIET =
  /^(no-(resolv|poll|hosts|negcache|daemon|ping|round-robin|dhcp.*)|cache-size|user|group|pid-file|log-.*|quiet-.*|bind-(interfaces|dynamic)|interface|except-interface|domain-needed|bogus-priv|localise-queries|expand-hosts|domain|edns-packet-max|min-cache-ttl|max-cache-ttl|max-ttl|neg-ttl|local-ttl|keep-in-foreground|dns-forward-max|use-stale-cache|fast-dns-retry|port-limit|min-port|max-port|query-port|enable-.*|read-ethers|local-service|port|strict-order|all-servers|stop-dns-rebind|filter-aaaa|filter-a|clear-on-reload)$/i;

/** Records that dnsmasq gives of its own. */
const OWN_RECORDS =
  /^(interface-name|dynamic-host|synth-domain|(ptr|txt|naptr|caa)-record|mx-host|srv-host|dns-rr|auth-zone|localmx|selfmx)$/;

/** A file of this many lines that all name one server is a list. */
const LIST_LINES = 200;

/** Blocking lines that are told one by one: a file may have thousands. */
const MAX_TOLD = 20;

class Reader {
  readonly #file: string;
  readonly #findings: Findings;
  readonly #seen = new Set<string>();
  readonly #folders = new Set<string>();
  readonly #options = new Map<string, Place>();
  readonly #values = new Map<string, { readonly value: string; readonly place: Place }[]>();
  /** Servers of a domain as they are written; `""` = answered here, `#` = the default servers. */
  readonly #servers = new Map<string, { readonly targets: Set<string>; readonly place: Place }>();
  /** Files of one server. */
  readonly #lists = new Map<string, { readonly lists: ListFile[]; readonly place: Place }>();
  readonly #addresses = new Map<string, { readonly addresses: string[]; readonly place: Place }>();
  readonly #defaults: { readonly value: string; readonly place: Place }[] = [];
  /** Of a line for all names without a server. */
  #unknownNames: Outcome | null = null;

  constructor(file: string, findings: Findings) {
    this.#file = file;
    this.#findings = findings;
  }

  readFile(path: string, place: Place): void {
    if (this.#seen.has(path)) return;
    this.#seen.add(path);
    const lines = readLines(path, place);
    const [first] = lines;
    const target = /^server=\/[^/]+\/([^/\s]+)$/.exec(first?.text ?? "")?.[1];
    if (
      lines.length >= LIST_LINES &&
      target !== undefined &&
      lines.every(({ text }) => /^server=\/[^/#*]+\/([^/\s]+)$/.exec(text)?.[1] === target)
    ) {
      const at = { file: path, line: 1 };
      const known = this.#lists.get(target) ?? { lists: [], place: at };
      known.lists.push(domainList(path, "dnsmasq", path.replace(/^.*\/|\.conf$/g, ""), at));
      this.#lists.set(target, known);
      return;
    }
    for (const { text, ...at } of lines) {
      const [, key = text, value = ""] = /^([\w-]+)\s*=\s*(.*)$/.exec(text) ?? [];
      this.#line(key.replace(/^--/, "").toLowerCase(), value.replace(/"([^"]*)"/g, "$1"), at);
    }
  }

  /** Reads `dnsmasq.d` beside the file, unless the file names it. */
  readUnnamedFolder(): void {
    const folder = join(dirname(this.#file), "dnsmasq.d");
    if (basename(this.#file) !== "dnsmasq.conf" || this.#folders.has(folder) || !existsSync(folder)) return;
    const place = { file: this.#file, line: 1 };
    const before = this.#seen.size;
    this.#readFolder(UNNAMED_FOLDER, place);
    if (this.#seen.size > before)
      this.#findings.add(
        "changed",
        place,
        `${folder} is read too, though no line names it: Debian's service has dnsmasq read it. If yours does not, import a copy without it`,
      );
  }

  #line(key: string, value: string, place: Place): void {
    switch (key) {
      case "conf-file":
      case "servers-file":
        this.readFile(pathBeside(this.#file, value), place);
        return;
      case "conf-dir":
        this.#readFolder(value, place);
        return;
      case "server":
      case "local":
        this.#server(value, place);
        return;
      case "address":
        this.#address(value, place);
        return;
      case "rev-server":
        this.#reverseServer(value, place);
        return;
      default:
        this.#options.set(key, place);
        if (value !== "") this.#values.set(key, [...(this.#values.get(key) ?? []), { value, place }]);
    }
  }

  #readFolder(value: string, place: Place): void {
    const [written = "", ...patterns] = value.split(",");
    const folder = pathBeside(this.#file, written);
    this.#folders.add(folder.replace(/\/+$/, ""));
    if (!existsSync(folder)) throw new ImportError(place, `cannot read ${folder}: no such folder`);
    const [endings, excluded] = [
      patterns.filter((each) => each.startsWith("*")),
      patterns.filter((each) => !each.startsWith("*")),
    ];
    for (const path of filesIn(folder)) {
      const isWanted = endings.length === 0 || endings.some((ending) => path.endsWith(ending.slice(1)));
      if (isWanted && !excluded.some((ending) => path.endsWith(ending))) this.readFile(path, place);
    }
  }

  #domains(value: string, place: Place): { readonly patterns: readonly string[]; readonly rest: string } | null {
    const [, domains, rest = ""] = /^\/(.*)\/([^/]*)$/.exec(value) ?? [];
    if (domains === undefined) return null;
    const patterns = domains.split("/").flatMap((written) => {
      const domain = written.toLowerCase().replace(/^\.+|\.+$/g, "");
      if (written === "") return ["single:"];
      if (domain === "#") return ["."];
      else if (domain.startsWith("*") && hostName(domain.slice(1)) !== null) {
        this.#findings.add(
          "changed",
          place,
          `\`*\` stands for any characters: \`${domain}\` is a regular expression here, and comes before plain domains`,
        );
        return [`regexp:${domain.slice(1).replaceAll(".", "\\.")}$`];
      } else if (hostName(domain) !== null) return [domain];
      else this.#findings.add("leak", place, `\`${written}\` is no domain, so its names would go the way of all others`);
      return [];
    });
    return { patterns, rest };
  }

  #server(value: string, place: Place): void {
    const found = this.#domains(value, place);
    if (found === null) {
      if (value !== "") this.#defaults.push({ value, place });
      return;
    }
    for (const pattern of found.patterns) {
      // `/#/` are the servers of all names, in their order. Without a server it counts where there is none at all.
      if (pattern === ".") {
        if (found.rest === "") this.#unknownNames = answered("nxdomain", place);
        else if (found.rest !== "#") this.#defaults.push({ value: found.rest, place });
        continue;
      }
      const known = this.#servers.get(pattern) ?? { targets: new Set<string>(), place };
      known.targets.add(found.rest);
      this.#servers.set(pattern, known);
    }
  }

  /** A network, and the servers that are asked backwards for its addresses; without a server nobody is. */
  #reverseServer(value: string, place: Place): void {
    const [network = "", ...servers] = value.split(",").map((part) => part.trim());
    const zones = reverseZones(network);
    if (zones.length === 0) this.#findings.add("blank", place, `\`rev-server=${value}\`: \`${network}\` is no network`);
    for (const zone of zones)
      for (const server of servers.length === 0 ? [""] : servers) this.#server(`/${zone}/${server}`, place);
  }

  #address(value: string, place: Place): void {
    const found = this.#domains(value, place);
    for (const pattern of found?.patterns ?? []) {
      if (pattern === ".") throw new ImportError(place, "`address=/#/` answers every name: say by rules which names are meant");
      if (pattern.startsWith("regexp:") && answerOf([found?.rest ?? ""]) === "address")
        this.#findings.add(
          "blank",
          place,
          `\`address=${value}\`: an expression has no address here, and its names are asked of servers`,
        );
      const known = this.#addresses.get(pattern) ?? { addresses: [], place };
      known.addresses.push(found?.rest ?? "");
      this.#addresses.set(pattern, known);
    }
  }

  meaning(): Meaning {
    const place = { file: this.#file, line: 1 };
    const [port] = this.#texts("port");
    if (port?.value === "0") throw new ImportError(port.place, "with `port=0` dnsmasq serves no DNS");
    // Such a domain is the house's own, as by `local=/…/`.
    for (const { value, place: at } of this.#texts("domain")) {
      const [, name, subnet = ""] = /^([^,]+),(.*),\s*local$/.exec(value) ?? [];
      if (name === undefined) continue;
      this.#server(`/${name.trim()}/`, at);
      for (const zone of reverseZones(subnet.trim())) this.#server(`/${zone}/`, at);
    }
    const rest = this.#defaultOutcome(place);
    // Of lines for one domain those with an address come first, and those that say it does not exist come last.
    const choices = [...this.#answerChoices("zero"), ...this.#serverChoices(rest), ...this.#answerChoices("nxdomain")];
    const rebinding = this.#texts("rebind-domain-ok").flatMap(({ value, place: at }): ModelRule[] => {
      const patterns = this.#domains(value.startsWith("/") ? value : `/${value}/`, at)?.patterns ?? [];
      return [modify(forNames(namesOf(patterns)), { rebinding: "allow" }, at)];
    });
    const bogus = [...this.#texts("bogus-nxdomain"), ...this.#texts("ignore-address")].map(({ value }) => value);
    for (const { place: at } of this.#texts("bogus-nxdomain"))
      this.#findings.add(
        "changed",
        at,
        "an answer with this address is asked of another server, and fails; dnsmasq said that there is no such name",
      );
    this.#reportRest();
    return {
      origin: "dnsmasq",
      file: this.#file,
      rules: [
        ...rebinding,
        ...this.#filteredTypes(),
        ...this.#withoutIpv6(),
        ...this.#privatePtr(rest),
        ...routes(choices, rest),
      ],
      hosts: this.#hosts(),
      bootstrap: [],
      poison: NO_NETWORKS,
      bogus: { lists: [], networks: bogus.filter(isNetwork) },
      settings: this.#settings(),
    };
  }

  #texts(key: string): readonly { readonly value: string; readonly place: Place }[] {
    return this.#values.get(key) ?? [];
  }

  #serverChoices(rest: Outcome): Choices {
    const byTargets = new Map<string, { targets: string[]; patterns: string[]; lists: readonly ListFile[]; place: Place }>();
    for (const [target, list] of this.#lists) byTargets.set(target, { targets: [target], patterns: [], ...list });
    for (const [pattern, { targets, place }] of this.#servers) {
      const key = (this.#isStrict ? [...targets] : [...targets].toSorted()).join(" ");
      const known = byTargets.get(key) ?? { targets: [...targets], patterns: [], lists: [], place };
      known.patterns.push(pattern);
      byTargets.set(key, known);
    }
    return [...byTargets.values()].map(({ targets, patterns, lists, place }) => {
      const servers = targets.filter((target) => target !== "" && target !== "#");
      const asked = servers.map((value) => ({ value, place }));
      const isLocal = asked.length === 0;
      const outcome = targets.includes("#") ? rest : isLocal ? answered("nxdomain", place) : this.#outcome(asked, place);
      return { names: { patterns, lists }, outcome, place };
    });
  }

  /** With `bogus-priv` nobody is asked for PTR of private addresses but a server of their zone. Here a server of the house is. */
  #privatePtr(rest: Outcome): readonly ModelRule[] {
    const place = this.#options.get("bogus-priv");
    const first = rest.kind === "fallback" ? rest.first : rest;
    if (place === undefined || first.kind !== "ask" || sideOfAll(first.group.servers) !== "home") return [];
    const own = [...this.#servers.keys(), ...this.#addresses.keys()];
    const zones = PRIVATE_REVERSE.filter((zone) => !own.some((each) => zone === each || zone.endsWith(`.${each}`)));
    const inner = own.filter((each) => zones.some((zone) => each.endsWith(`.${zone}`)));
    const condition = { ...forNames(namesOf(zones), namesOf(inner)), types: [TYPE.PTR] };
    return zones.length === 0 ? [] : [decide(condition, answered("nxdomain", place), place, "bogus-priv")];
  }

  /** Types that `filter-rr` takes out of answers, besides HTTPS, which is a setting of its own. */
  #filteredTypes(): readonly ModelRule[] {
    return this.#texts("filter-rr").flatMap(({ value, place }) => {
      const types = value.split(",").flatMap((each) => typeNumber(each.trim()) ?? []);
      const others = types.filter((type) => type !== TYPE.HTTPS);
      return others.length === 0 ? [] : [decide({ ...ANYTHING, types: others }, answered("nodata", place), place)];
    });
  }

  /** `address=/x/::` alone empties AAAA: other types go on, and longer names have their own lines. */
  #withoutIpv6(): readonly ModelRule[] {
    const found = [...this.#addresses].filter(([, { addresses }]) => answerOf(addresses) === "no-ipv6");
    for (const [, { place }] of found.slice(0, MAX_TOLD))
      this.#findings.add("changed", place, "AAAA is empty, where dnsmasq answered `::`");
    const inner = new Map(found.map(([pattern]) => [pattern, [] as string[]]));
    for (const each of new Set([...this.#servers.keys(), ...this.#addresses.keys()]))
      for (const outer of domainsOf(each).slice(1)) inner.get(outer)?.push(each);
    return found.map(([pattern, { place }]) => {
      const below = inner.get(pattern) ?? [];
      for (const other of [...domainsOf(pattern).slice(1), ...below]) {
        const { addresses = [], place: at = place } = this.#addresses.get(other) ?? {};
        if (addresses.length === 0 || answerOf(addresses) !== "address") continue;
        for (const line of [place, at])
          this.#findings.add(
            "changed",
            line,
            `\`${pattern}\` has \`::\` and \`${other}\` addresses: in dnsmasq AAAA below both is that of the longer name that has one, here addresses come first and \`::\` holds for its own name`,
          );
      }
      return modify(forNames(namesOf([pattern]), namesOf(below)), { ipv6: "nodata" }, place);
    });
  }

  /** Addresses that block are answers of rules; others are hosts. */
  #answerChoices(answer: "zero" | "nxdomain"): Choices {
    const found = [...this.#addresses].filter(([, { addresses }]) => answerOf(addresses) === answer);
    const [first] = found;
    if (first === undefined) return [];
    if (answer === "zero")
      for (const [, { place }] of found.slice(0, MAX_TOLD))
        this.#findings.add(
          "changed",
          place,
          "a blocked name is closed for every type; dnsmasq asked for types without an address",
        );
    return [
      { names: namesOf(found.map(([pattern]) => pattern)), outcome: answered(answer, first[1].place), place: first[1].place },
    ];
  }

  #outcome(servers: readonly { readonly value: string; readonly place: Place }[], place: Place): Outcome {
    const read = new Map<string, SourceServer>();
    for (const { value, place: at } of servers) {
      const [, host = value, port = "53"] = /^([^#@]+)(?:#(\d+))?/.exec(value) ?? [];
      const isOwn = /^(127\.|::1$)/.test(host) && port === (this.#texts("port")[0]?.value ?? "53");
      if (value.includes("@")) this.#findings.add("left", at, `\`${value.replace(/^[^@]*/, "")}\`: no interface can be chosen`);
      if (isOwn) {
        this.#findings.add("left", at, `the server \`${value}\` is dnsmasq itself`);
        continue;
      }
      const server = readServer(port === "53" ? host : isIP(host) === 6 ? `[${host}]:${port}` : `${host}:${port}`);
      if ("server" in server) read.set(server.server.url, server.server);
      else this.#findings.add("left", at, `the server \`${value}\`: ${server.why}`);
    }
    const all = [...read.values()];
    if (all.length === 0) return { kind: "unknown", why: "none of these servers can be asked", place };
    if (all.length > 1 && this.#isStrict) return inOrder(all, place);
    const strategy = this.#options.has("all-servers") ? "race" : "fastest";
    return askGroup(serverGroup(nameOfSide(all), all, place, { strategy }));
  }

  /** Whether the servers of a domain are asked in their order. */
  get #isStrict(): boolean {
    return this.#options.has("strict-order") && !this.#options.has("all-servers");
  }

  #defaultOutcome(place: Place): Outcome {
    const servers = [...this.#defaults];
    for (const { value, place: at } of this.#options.has("no-resolv") ? [] : this.#texts("resolv-file"))
      for (const { text, ...line } of readLines(pathBeside(this.#file, value), at)) {
        const server = /^nameserver\s+(\S+)/.exec(text)?.[1];
        if (server !== undefined) servers.push({ value: server, place: line });
      }
    const isAdded = servers.length > 0 && !this.#options.has("no-resolv") && !this.#options.has("resolv-file");
    if (isAdded)
      this.#findings.add(
        "changed",
        servers[0]?.place ?? place,
        "without `no-resolv` dnsmasq asks the resolvers of /etc/resolv.conf on its machine too: here they are not asked",
      );
    if (servers.length > 0) return this.#outcome(servers, servers[0]?.place ?? place);
    if (this.#options.has("no-resolv")) return this.#unknownNames ?? answered("refused", place);
    this.#findings.add("changed", place, "names of no rule go to the resolvers of this host, as /etc/resolv.conf has them");
    return askGroup(serverGroup("system", [{ url: "system", addresses: [], tlsName: null }], place));
  }

  #hosts(): readonly Host[] {
    const hosts: Host[] = [];
    for (const [pattern, { addresses, place }] of this.#addresses) {
      if (answerOf(addresses) !== "address" || hostName(pattern) === null) continue;
      // A line without an address closes the types that no other line of the domain has an answer for.
      const others = addresses.includes("") && !this.#servers.has(pattern) ? "nodata" : "forward";
      hosts.push(...hostsOf(pattern, { addresses: this.#withOuter(pattern, addresses), cname: null, others, place }));
    }
    hosts.push(...this.#exceptions());
    const own: Host[] = [];
    for (const { value, place } of this.#texts("host-record")) {
      const parts = value.split(",").map((part) => part.trim());
      const addresses = parts.filter((part) => isIP(part) !== 0);
      for (const part of parts)
        if (isIP(part) === 0 && hostName(part) !== null && !/^\d+$/.test(part) && addresses.length > 0)
          own.push(hostWith(hostName(part) ?? part, addresses, place));
    }
    for (const { value, place } of this.#texts("cname")) {
      const names = value.split(",").map((part) => hostName(part.trim()));
      const target = names.findLast((name) => name !== null && !/^\d+$/.test(name));
      if (target == null || value.startsWith("*"))
        this.#findings.add("left", place, `\`cname=${value}\`: dnsmasq answers no name by it`);
      else {
        for (const name of names)
          if (name !== null && name !== target)
            own.push({ name, wildcard: false, addresses: [], cname: target, others: "nodata", place });
        this.#findings.add(
          "changed",
          place,
          `what \`${target}\` has no address for in this file is asked for here, for its alias too: dnsmasq gave none and asked nobody`,
        );
      }
    }
    const written = [...this.#texts("addn-hosts"), ...this.#texts("hostsdir")].map(({ value, place }) => ({
      path: pathBeside(this.#file, value),
      place,
    }));
    // Either may be a folder, of which every file is read.
    for (const { path, place } of written)
      for (const file of isFolder(path) ? filesIn(path) : [path]) own.push(...this.#expanded(readHostLines(file, place)));
    // Such a name takes the place of one with `address=`, but for a family that it lacks.
    return [
      ...hosts,
      ...joinHosts(own).map((host) =>
        host.cname === null ? { ...host, addresses: this.#withOuter(host.name, host.addresses) } : host,
      ),
    ];
  }

  /** With `expand-hosts` a name of one label is also one of the domain of its address: of several the last one that is written. */
  #expanded(hosts: readonly Host[]): readonly Host[] {
    if (!this.#options.has("expand-hosts")) return hosts;
    const domains = this.#texts("domain").map(({ value, place }) => {
      const [name = "", ...range] = value.split(",").map((part) => part.trim());
      const within = rangeOf(range);
      if (within === undefined)
        this.#findings.add(
          "blank",
          place,
          `\`domain=${value}\`: the names of hosts that it makes are left out, as these addresses are not known; write the names`,
        );
      return { name: hostName(name), within };
    });
    const ofAll = domains.findLast(({ within }) => within === null)?.name ?? null;
    return hosts.flatMap((host) => {
      if (host.name.includes(".")) return [host];
      const full = host.addresses.flatMap((address) => {
        const holds = (within: BlockList) => within.check(address, isIP(address) === 6 ? "ipv6" : "ipv4");
        const name = domains.findLast(({ within }) => within != null && holds(within))?.name ?? ofAll;
        return name === null ? [] : [hostWith(`${host.name}.${name}`, [address], host.place)];
      });
      return [host, ...full];
    });
  }

  /**
   * Hosts come before rules, and in dnsmasq the longest name wins: a name that a server or a block is written for is taken out of the wildcard of a
   * shorter name, so that its rule decides. A name with `::` alone stays in it: the address of the shorter name is what dnsmasq answers for A.
   */
  #exceptions(): readonly Host[] {
    const inner = new Map<string, { readonly place: Place }>([...this.#addresses, ...this.#servers]);
    return [...inner].flatMap(([pattern, { place }]) => {
      const own = this.#addresses.get(pattern);
      const kind = own === undefined ? null : answerOf(own.addresses);
      const isRuled = this.#servers.has(pattern) || kind === "nxdomain" || kind === "zero";
      if (!isRuled || kind === "address" || hostName(pattern) === null || !this.#isBelowHost(pattern)) return [];
      return excepted(pattern, place);
    });
  }

  #isBelowHost(name: string): boolean {
    return domainsOf(name)
      .slice(1)
      .some((domain) => answerOf(this.#addresses.get(domain)?.addresses ?? [""]) === "address");
  }

  /** A family that a name lacks comes from the next longer domain with `address=`, unless a line says where the name is asked for. */
  #withOuter(name: string, addresses: readonly string[]): readonly string[] {
    const found = [...literals(addresses)];
    for (const domain of domainsOf(name)) {
      const outer = this.#addresses.get(domain)?.addresses ?? [];
      if (outer.length > 0 && answerOf(outer) !== "address") break;
      const missing = [4, 6].filter((family) => !found.some((each) => isIP(each) === family));
      found.push(...literals(outer).filter((each) => missing.includes(isIP(each))));
      if (this.#servers.has(domain) || outer.includes("")) break;
    }
    return found;
  }

  #settings(): Readonly<Record<string, unknown>> {
    const port = this.#texts("port")[0]?.value ?? "53";
    const addresses = this.#texts("listen-address").flatMap(({ value }) => value.split(",").map((each) => each.trim()));
    const listen = addresses.filter((address) => isIP(address) !== 0).map((address) => hostPort(address, port));
    const rr = this.#texts("filter-rr").flatMap(({ value }) => value.toUpperCase().split(","));
    const answers = {
      ...(this.#options.has("stop-dns-rebind") ? { rebinding: "nodata" } : {}),
      ...(this.#options.has("filter-aaaa") ? { ipv6: "nodata" } : {}),
      ...(this.#options.has("filter-a") ? { ipv4: "nodata" } : {}),
      ...(rr.includes("HTTPS") ? { https: "nodata" } : {}),
    };
    return {
      // Without an address it listens on all of them.
      listen: { dns: listen.length === 0 ? [`0.0.0.0:${port}`, `[::]:${port}`] : listen, http: [] },
      ...(Object.keys(answers).length === 0 ? {} : { answers }),
    };
  }

  #reportRest(): void {
    const strict = this.#isStrict ? this.#options.get("strict-order") : undefined;
    if (strict !== undefined)
      this.#findings.add(
        "changed",
        strict,
        "where a server is silent the next one is asked after a moment; dnsmasq asked it when the client asked again",
      );
    const needed = this.#options.get("domain-needed");
    const single = [...this.#servers].find(([pattern, { targets }]) => /^[\w-]+$/.test(pattern) && !targets.has(""));
    if (needed !== undefined && single !== undefined)
      this.#findings.add(
        "changed",
        needed,
        `\`${single[0]}\` itself and other names of one label are asked of the servers that they have; dnsmasq denied A and AAAA of them`,
      );
    if (!this.#options.has("no-hosts")) this.#findings.add("changed", { file: this.#file, line: 1 }, NO_HOSTS_FILE);
    const done = [
      "rebind-domain-ok",
      "bogus-nxdomain",
      "ignore-address",
      "host-record",
      "cname",
      "addn-hosts",
      "hostsdir",
      "listen-address",
      "filter-rr",
      "resolv-file",
    ];
    for (const [key, place] of this.#options)
      if (key === "dhcp-range")
        this.#findings.add(
          "blank",
          place,
          "`dhcp-range`: dnsmasq gives the devices their addresses. Leave it running with `port=0`, which ends its DNS alone; names that it gives out are not answered here",
        );
      else if (OWN_RECORDS.test(key))
        for (const { value, place: at } of this.#values.get(key) ?? [{ value: "", place }])
          this.#findings.add(
            "blank",
            at,
            `\`${value === "" ? key : `${key}=${value}`}\`: nothing here gives such records, and servers are asked for them`,
          );
      else if (!QUIET.test(key) && !done.includes(key)) {
        const names = key === "ipset" || key === "nftset" ? "; write its names as a list, and fill the set by other means" : "";
        this.#findings.add("left", place, `\`${key}\`: nothing here corresponds to it${names}`);
      }
  }
}

/** The first alone, and the next where it fails: an empty answer of it counts, also a slow one. */
function inOrder(servers: readonly SourceServer[], place: Place): Outcome {
  const asks = servers.map((server): Outcome => askGroup(serverGroup(nameOfSide([server]), [server], place)));
  return asks.reduceRight((second, first) => ({ kind: "fallback", first, second, afterMs: null, place }));
}

/** A name and those in which it lies, the longest first. */
function domainsOf(name: string): readonly string[] {
  const labels = name.split(".");
  return labels.map((_, index) => labels.slice(index).join("."));
}

/** The addresses of a network, or from one to another, perhaps with `local` behind it; null = all, undefined = they are not known. */
function rangeOf([first, last = ""]: readonly string[]): BlockList | null | undefined {
  if (first === undefined) return null;
  const [address = "", length] = first.split("/");
  const family = isIP(address) === 6 ? "ipv6" : "ipv4";
  const within = new BlockList();
  if (isNetwork(first) && length !== undefined) within.addSubnet(address, Number(length), family);
  else if (isIP(last) === isIP(first) && isUpwards(first, last)) within.addRange(first, last, family);
  else if (isIP(first) !== 0) within.addAddress(first, family);
  else return undefined;
  return within;
}

/** The reverse zones of a network: where its length is within a label all that lie in it. */
function reverseZones(network: string): readonly string[] {
  const [text = "", length] = network.split("/");
  const bytes = addressFromText(text);
  if (bytes === null || !isNetwork(network)) return [];
  const isFour = bytes.length === 4;
  const numbers = isFour ? [...bytes] : [...bytes].flatMap((byte) => [byte >> 4, byte & 15]);
  const bits = isFour ? 8 : 4;
  const whole = Math.floor(Number(length ?? bytes.length * 8) / bits);
  const open = 2 ** (bits - (Number(length ?? 0) % bits));
  const zoneOf = (labels: readonly number[]) =>
    [...labels.map((label) => label.toString(isFour ? 10 : 16)).toReversed(), isFour ? "in-addr.arpa" : "ip6.arpa"].join(".");
  const before = numbers.slice(0, whole);
  if (open === 2 ** bits) return [zoneOf(before)];
  const first = (numbers[whole] ?? 0) - ((numbers[whole] ?? 0) % open);
  return Array.from({ length: open }, (_, index) => zoneOf([...before, first + index]));
}

function isUpwards(first: string, last: string): boolean {
  const [one, other] = [addressFromText(first), addressFromText(last)];
  return one !== null && other !== null && Buffer.compare(one, other) <= 0;
}

function isFolder(path: string): boolean {
  return existsSync(path) && statSync(path).isDirectory();
}

/** Files of a folder that dnsmasq reads: not those of editors. */
function filesIn(folder: string): readonly string[] {
  return readdirSync(folder)
    .filter((name) => !/^(\.|#)|[~#]$/.test(name))
    .toSorted()
    .map((name) => join(folder, name))
    .filter((path) => statSync(path).isFile());
}

/** The addresses that lines of one domain stand for: `#` is both zeros, and a line without an address has none. */
function literals(addresses: readonly string[]): readonly string[] {
  return addresses.flatMap((each) => (each === "" ? [] : each === "#" ? ["0.0.0.0", "::"] : [each]));
}

function answerOf(addresses: readonly string[]): "zero" | "nxdomain" | "no-ipv6" | "address" {
  if (addresses.every((address) => address === "")) return "nxdomain";
  if (addresses.every((address) => /^::1?$/.test(address))) return "no-ipv6";
  return addresses.every((address) => /^(#|0\.0\.0\.0|127\.0\.0\.1|::1?)$/.test(address)) ? "zero" : "address";
}
