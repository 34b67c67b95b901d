import { existsSync } from "node:fs";
import { dirname, join } from "node:path";
import { excepted, NO_HOSTS_FILE } from "../hosts.ts";
import { clientId, hostName, isAddress, isMac, isNetwork } from "../lists.ts";
import {
  ANYTHING,
  answered,
  type Choices,
  decide,
  domainList,
  type Findings,
  forNames,
  type Host,
  type ListFile,
  longest,
  type Meaning,
  type ModelRule,
  modify,
  NO_NETWORKS,
  namesOf,
  type Outcome,
  type Place,
  PRIVATE_REVERSE,
  type RuleCondition,
  routes,
  type SourceServer,
} from "../model.ts";
import { askGroup, askServers, hostPort, readServer, readServers, serverGroup } from "../servers.ts";
import {
  childOf,
  isOn,
  itemsOf,
  numberAt,
  othersThan,
  pathBeside,
  readLines,
  readTree,
  type SourceLine,
  type Tree,
  textAt,
  textOf,
  textsOf,
} from "../source.ts";
import { forClients, patternsOf, readUserRules } from "./user-rules.ts";

/**
 * Reads AdGuardHome.yaml, of schemas 6 to 33. Its order: rewrites, then blocking with its exceptions, then the upstreams of the client, else the upstreams
 * of all; among upstreams the longest domain wins. @throws ImportError
 */
export function readAdguardHome(file: string, findings: Findings): Meaning {
  return new Reader(readTree(file), file, findings).read();
}

/** Zones of private addresses backwards (RFC 6303), whose PTR the program asks of local resolvers alone. */
const PRIVATE_ZONES = [...PRIVATE_REVERSE, "254.169.in-addr.arpa"];

/** A name whose addresses the program denies. */
const CANARY = "use-application-dns.net";

/** Settings of section `dns` that route nothing. */
const QUIET = `
  upstream_timeout querylog_enabled querylog_file_enabled querylog_size_memory querylog_interval statistics_interval refuse_any max_goroutines cache_size
  cache_ttl_min cache_ttl_max cache_enabled ratelimit_subnet_len_ipv4 ratelimit_subnet_len_ipv6 ratelimit_whitelist
  fastest_timeout pending_requests serve_http3 use_http3_upstreams blocked_response_ttl filters_update_interval
  hostsfile_enabled anonymize_client_ip enable_dnssec protection_disabled_until parental_block_host
  safebrowsing_block_host cache_optimistic_answer_ttl cache_optimistic_max_age bootstrap_prefer_ipv6 handle_ddr
  safebrowsing_cache_size safesearch_cache_size parental_cache_size cache_time autohost_tld local_domain_name
  resolve_clients serve_plain_dns`.split(/\s+/);

interface Upstreams {
  readonly reserved: Choices;
  readonly rest: Outcome;
  /** Whether all other names go by the upstreams of all clients. */
  readonly isPartial: boolean;
}

interface Client {
  readonly name: string;
  readonly place: Place;
  readonly ids: readonly string[];
  readonly upstreams: Upstreams | null;
  readonly isFiltered: boolean;
}

class Reader {
  readonly #tree: Tree;
  readonly #dns: Tree | null;
  /** Where blocking is set up: a section of its own since schema 27. */
  readonly #filtering: Tree | null;
  readonly #file: string;
  readonly #findings: Findings;
  readonly #place: Place;

  constructor(tree: Tree, file: string, findings: Findings) {
    this.#tree = tree;
    this.#dns = childOf(tree, "dns");
    this.#filtering = childOf(tree, "filtering");
    this.#file = file;
    this.#findings = findings;
    this.#place = this.#dns?.place ?? { file, line: 1 };
  }

  read(): Meaning {
    const place = this.#place;
    const written = [...textsOf(childOf(this.#dns, "upstream_dns")), ...this.#upstreamFile()];
    const global = this.#upstreams(written, "upstream", place);
    const clients = this.#clients(global);
    const blocking = this.#blocking();
    const rewrites = this.#rewrites();
    // Rewrites come before the rules, but for those that leave a name to them.
    const isOpen = ({ opens }: Host) => opens === "all";
    const closed = rewrites.filter((each) => !isOpen(each));
    const ofRules = blocking.hosts.filter((host) => !closed.some((rewrite) => holds(rewrite, host)));
    const withRules = closed.flatMap((rewrite) => this.#withRules(rewrite, closed, blocking.hosts));
    const open = rewrites.filter((each) => isOpen(each) && !ofRules.some((host) => holds(host, each)));
    const hosts = [...withRules, ...open, ...ofRules];
    this.#reportAliases(rewrites, blocking.rules.length > 0);
    if (isOn(this.#dns, "aaaa_disabled"))
      for (const { name, addresses, place: at } of hosts)
        if (addresses.some((address) => address.includes(":")))
          this.#findings.add("changed", at, `\`aaaa_disabled\` emptied the IPv6 address of \`${name}\` too: here it is given`);
    for (const client of clients)
      if (!client.isFiltered && hosts.length > 0)
        this.#findings.add(
          "changed",
          client.place,
          `rewrites did not hold for the client \`${client.name}\`, which is not filtered: here \`hosts.records\` holds for all clients`,
        );
    this.#findings.add("carried", place, `\`${CANARY}\`: A and AAAA are empty, which is NXDOMAIN there`);
    this.#reportRest();
    return {
      origin: "AdGuard Home",
      file: this.#file,
      rules: [
        // Firefox asks for it to learn whether it may use its own servers.
        modify(forNames(namesOf([`full:${CANARY}`])), { ipv4: "nodata", ipv6: "nodata" }, place),
        ...clients
          .filter(({ isFiltered }) => !isFiltered)
          .flatMap(({ upstreams, name, ids }) => [
            ...(upstreams === null ? [] : routesOf(upstreams, name, ids)),
            ...(upstreams?.isPartial === false ? [] : routesOf(global, name, ids)),
          ]),
        ...blocking.rules,
        ...this.#privatePtr(),
        ...clients.flatMap(({ isFiltered, upstreams, name, ids }) =>
          isFiltered && upstreams !== null ? routesOf(upstreams, name, ids) : [],
        ),
        ...routesOf(global, "", null),
      ],
      hosts,
      bootstrap: this.#servers(textsOf(childOf(this.#dns, "bootstrap_dns"))).map(({ url }) => url),
      poison: NO_NETWORKS,
      bogus: { networks: this.#texts("bogus_nxdomain").filter(isNetwork), lists: [] },
      settings: this.#settings(),
    };
  }

  #texts(...keys: readonly string[]): readonly string[] {
    return textsOf(childOf(this.#dns, ...keys)).map(({ text }) => text);
  }

  #upstreamFile(): readonly SourceLine[] {
    const item = childOf(this.#dns, "upstream_dns_file");
    if (textOf(item) === "" || item === null) return [];
    return readLines(pathBeside(this.#file, textOf(item)), item.place);
  }

  #servers(texts: readonly SourceLine[]): readonly SourceServer[] {
    const isPlain = (numberAt(this.#dns, "port") ?? 53) === 53;
    const lines = texts.filter(({ text }) => text !== "" && !text.startsWith("#"));
    return readServers(lines, this.#findings, (text) => {
      const isOwn = isPlain && /^(udp:\/\/)?(127\.0\.0\.1|localhost|\[::1\])(:53)?$/.test(text);
      return isOwn ? { why: "it is AdGuard Home itself" } : readServer(text.replace(/^h3:/, "https:"));
    });
  }

  /**
   * Lines such as `[/a/b/]server server`; several for one domain add up.
   * @param all those of all clients, which hold where a client has none for all names.
   */
  #upstreams(lines: readonly SourceLine[], name: string, place: Place, all: Upstreams | null = null): Upstreams {
    const byDomain = new Map<string, SourceLine[]>();
    const general: SourceLine[] = [];
    for (const { text, ...at } of lines) {
      const [, domains, servers = ""] = /^\[\/(.*)\/\](.*)$/.exec(text) ?? [];
      if (domains === undefined && text.startsWith("[/"))
        this.#findings.add("leak", at, `\`${text}\`: its domains do not end in \`/]\`, so they would go the way of all others`);
      else if (domains === undefined) general.push({ text, ...at });
      for (const domain of domains?.toLowerCase().split("/") ?? [])
        byDomain.set(domain, addedTo(byDomain.get(domain) ?? [], servers.trim(), at));
    }
    // With servers of its own for what is below it, such a name goes the way of the domain above.
    for (const [domain, texts] of byDomain) if (texts[0]?.text === "#" && byDomain.has(`*.${domain}`)) byDomain.delete(domain);
    const isPartial = general.every(({ text }) => text.startsWith("#"));
    const rest = all !== null && isPartial ? all.rest : this.#outcome(general, name, place);
    const bySet = new Map<string, { readonly names: string[]; readonly outcome: Outcome; readonly place: Place }>();
    for (const [domain, texts] of byDomain) {
      const at = texts[0] ?? place;
      const pattern = this.#pattern(domain, at);
      if (pattern === null) continue;
      const key = texts.map(({ text }) => text).join(" ");
      const known = bySet.get(key) ?? {
        names: [],
        outcome: key === "#" ? rest : this.#outcome(texts, labelFor(domain), at),
        place: at,
      };
      known.names.push(pattern);
      bySet.set(key, known);
    }
    return {
      reserved: [...bySet.values()].map(({ names, ...choice }) => ({ ...choice, names: namesOf(names) })),
      rest,
      isPartial: all !== null && isPartial,
    };
  }

  #pattern(domain: string, place: Place): string | null {
    const [, below = "", name = ""] = /^(\*\.)?(.*)$/.exec(domain) ?? [];
    if (domain === "") return "single:";
    if (hostName(name) !== null) return `${below}${name}`;
    else this.#findings.add("leak", place, `\`[/${domain}/]\`: this is no domain, so its names would go the way of all others`);
    return null;
  }

  #outcome(texts: readonly SourceLine[], name: string, place: Place): Outcome {
    const tree = childOf(this.#dns, "fallback_dns");
    const fallbacks = this.#servers(textsOf(tree));
    const fallback = fallbacks.length === 0 ? null : serverGroup("fallback", fallbacks, tree?.place ?? place);
    const outcome = askServers(this.#servers(texts), name, place, { strategy: this.#strategy(), fallback });
    const subnet = childOf(this.#dns, "edns_client_subnet");
    const isSent = isOn(subnet, "enabled") || textOf(subnet) === "true";
    const custom = isOn(subnet, "use_custom") ? textAt(subnet, "custom_ip") : "";
    if (outcome.kind !== "ask" || !isSent) return outcome;
    return { ...outcome, ecs: custom === "" ? "client" : `${custom}/${custom.includes(":") ? 56 : 24}` };
  }

  #strategy(): "fastest" | "race" {
    const mode = textAt(this.#dns, "upstream_mode");
    if (mode === "fastest_addr" || isOn(this.#dns, "fastest_addr"))
      this.#findings.add("changed", this.#place, "`fastest_addr`: addresses are not tried out; the first answer counts");
    return mode === "parallel" || mode === "fastest_addr" || isOn(this.#dns, "all_servers") || isOn(this.#dns, "fastest_addr")
      ? "race"
      : "fastest";
  }

  #clientItems(): readonly Tree[] {
    const section = childOf(this.#tree, "clients");
    return itemsOf(childOf(section, "persistent") ?? section);
  }

  #clients(all: Upstreams): readonly Client[] {
    return this.#clientItems().flatMap((item) => {
      const { place } = item;
      const name = textAt(item, "name");
      const lines = textsOf(childOf(item, "upstreams")).filter(({ text }) => text !== "");
      const isFiltered =
        isOn(item, "use_global_settings") || isOn(item, "filtering_enabled") || childOf(item, "filtering_enabled") === null;
      if (this.#isOff("filtering_enabled") && !isOn(item, "use_global_settings") && isOn(item, "filtering_enabled"))
        this.#findings.add(
          "changed",
          place,
          `the client \`${name}\` is filtered, although blocking and rewrites are switched off for all others: here they are off for it too`,
        );
      if (lines.length === 0 && isFiltered) return [];
      const ids: string[] = [];
      for (const { text } of textsOf(childOf(item, "ids"))) {
        const id = clientId(text);
        if (id !== null) ids.push(id);
        if (id !== null && !isMac(id)) continue;
        const why =
          id === null
            ? `it cannot be told by \`${text}\`, and is treated as all others`
            : `it is told by \`${id}\`, which is known where \`devices\` names lease files or the router; without them it is treated as all others`;
        this.#findings.add(lines.length > 0 ? "leak" : "blank", place, `the client \`${name}\`: ${why}`);
      }
      if (ids.length === 0) return [];
      const upstreams = lines.length === 0 ? null : this.#upstreams(lines, labelFor(name), place, all);
      return [{ name, place, ids, upstreams, isFiltered }];
    });
  }

  /** How a persistent client of this name is told; empty = there is none. */
  #idsOf(name: string): readonly string[] {
    const item = this.#clientItems().find((each) => textAt(each, "name") === name);
    return textsOf(childOf(item ?? null, "ids")).map(({ text }) => text);
  }

  #privatePtr(): readonly ModelRule[] {
    const item = childOf(this.#dns, "local_ptr_upstreams", "private_upstreams");
    const isUsed = textAt(this.#dns, "use_private_ptr_resolvers") !== "false";
    const place = item?.place ?? this.#place;
    const condition = { ...forNames(namesOf(PRIVATE_ZONES)), types: [12] };
    if (!isUsed) return [decide(condition, answered("nxdomain", place), place, "private-ptr")];
    const lines = textsOf(item).map(({ text, ...at }) => {
      const [, domains = "", written = text] = /^\[\/(.*)\/\](.*)$/.exec(text) ?? [];
      const texts = written.trim().split(/\s+/);
      return {
        domains: domains.split("/").filter((each) => each !== ""),
        texts: texts.map((each) => ({ text: each, ...at })),
        at,
      };
    });
    const ask = (texts: readonly SourceLine[]): readonly SourceServer[] =>
      this.#servers(texts.filter(({ text }) => text !== "#"));
    const groupOf = (own: readonly SourceServer[], at: Place) => askGroup(serverGroup("router", own, at, { volatile: true }));
    const servers = ask(lines.flatMap(({ domains, texts }) => (domains.length === 0 ? texts : [])));
    const choices = lines.flatMap(({ domains, texts, at }) => {
      const own = domains.length === 0 ? [] : texts.some(({ text }) => text === "#") ? servers : ask(texts);
      return own.length === 0 ? [] : [{ names: namesOf(domains), outcome: groupOf(own, at), place: at }];
    });
    const split = longest(choices, "private-ptr-split", { ...ANYTHING, types: [12] });
    if (servers.length === 0) {
      this.#findings.add(
        "changed",
        place,
        "PTR of private addresses was asked of the resolvers of the host: here it goes where the other names of the house go, or is answered here",
      );
      return split;
    }
    return [...split, decide(condition, groupOf(servers, place), place, "private-ptr")];
  }

  /** Exact names beat wildcards; types that a name has no address for are empty, but for a family that is asked of servers. */
  #rewrites(): readonly Host[] {
    const items = itemsOf(childOf(this.#filtering, "rewrites") ?? childOf(this.#dns, "rewrites"));
    // Rewrites are a part of filtering.
    const isOff = textAt(this.#filtering, "rewrites_enabled") === "false" || this.#isOff("filtering_enabled");
    if (isOff && items[0] !== undefined) this.#findings.add("left", items[0].place, "rewrites, which are switched off");
    const hosts = new Map<string, Host>();
    for (const item of isOff ? [] : items) {
      const { place } = item;
      if (textAt(item, "enabled") === "false") continue;
      const [domain, answer] = [textAt(item, "domain").toLowerCase(), textAt(item, "answer")];
      const wildcard = domain.startsWith("*.");
      const name = hostName(domain.replace(/^\*\./, ""));
      if (name === null) this.#findings.add("blank", place, `the rewrite of \`${domain}\`: it is no name`);
      else {
        const known = hosts.get(domain);
        const host = { name, wildcard, addresses: known?.addresses ?? [], cname: null, others: "nodata", place } as const;
        if (answer.toLowerCase() === domain) {
          hosts.set(domain, { ...host, addresses: [], opens: "all" });
          continue;
        }
        if (known?.opens === "all" || (known?.cname ?? null) !== null) continue;
        const opens = known?.opens ?? [];
        const opened = answer === "A" ? "a" : answer === "AAAA" ? "aaaa" : null;
        const given = isAddress(answer) ? familyOf(answer) : null;
        // Of a wildcard the first line for a family counts.
        const isTaken = wildcard && host.addresses.some((address) => familyOf(address) === (opened ?? given));
        if (isTaken || (given !== null && opens.includes(given))) continue;
        if (opened !== null) {
          const addresses = host.addresses.filter((address) => familyOf(address) !== opened);
          hosts.set(domain, { ...host, addresses, opens: [...opens, opened] });
          continue;
        }
        const cname = given === null ? hostName(answer) : null;
        if (given === null && cname === null)
          this.#findings.add("blank", place, `the rewrite of \`${domain}\`: \`${answer}\` is no address and no name`);
        else hosts.set(domain, { ...host, addresses: given === null ? [] : [...host.addresses, answer], cname, opens });
      }
    }
    const own = [...hosts.values()];
    for (const [domain, host] of hosts) hosts.set(domain, withOuter(host, own));
    // A name that a wildcard above it points to is asked of servers.
    for (const { name, wildcard, cname, place } of own)
      if (wildcard && cname?.endsWith(`.${name}`) === true && !hosts.has(cname))
        for (const host of excepted(`full:${cname}`, place)) hosts.set(cname, host);
    return [...hosts.values()];
  }

  /** A family that a rewrite leaves to the servers comes from a rule with an answer of its own, where there is one for the name. */
  #withRules(rewrite: Host, rewrites: readonly Host[], rules: readonly Host[]): readonly Host[] {
    const { name, wildcard, addresses, opens = [] } = rewrite;
    if (opens === "all" || opens.length === 0) return [rewrite];
    const joined = (host: Host, rule: Host | undefined): Host => {
      if (rule === undefined) return host;
      const all = [...addresses, ...rule.addresses.filter((each) => opens.includes(familyOf(each)))];
      if (rule.cname === null && all.length > 0) return { ...host, addresses: all, opens: [] };
      this.#findings.add(
        "changed",
        rule.place,
        `\`${rule.name}\` is ${rule.cname === null ? "empty" : "an alias"} for a family that its rewrite leaves open: here servers are asked for that`,
      );
      return host;
    };
    const outer = rules.filter((rule) => holds(rule, rewrite)).toSorted((one, other) => other.name.length - one.name.length);
    const inner = rules.filter((rule) => {
      const isOther = rule.name !== name || rule.wildcard !== wildcard;
      return (
        isOther && holds(rewrite, rule) && !rewrites.some((each) => each !== rewrite && holds(rewrite, each) && holds(each, rule))
      );
    });
    return [
      joined(rewrite, outer[0]),
      ...inner.map((rule) => joined({ ...rewrite, name: rule.name, wildcard: rule.wildcard, place: rule.place }, rule)),
    ];
  }

  /** An alias is followed by hosts and rules here. */
  #reportAliases(rewrites: readonly Host[], isBlocking: boolean): void {
    const aliases = rewrites.flatMap(({ name, cname, place }) => (cname === null ? [] : [{ name, cname, place }]));
    const [first] = aliases;
    if (first !== undefined && isBlocking)
      this.#findings.add(
        "changed",
        first.place,
        `\`${first.cname}\` and other names that aliases point to are blocked here for the alias too: AdGuard Home asked for them, whatever its rules say`,
      );
    for (const { name, cname, place } of aliases)
      if (rewrites.some((rewrite) => rewrite.cname === null && holds(rewrite, { name: cname, wildcard: false })))
        this.#findings.add(
          "changed",
          place,
          `\`${name}\` is an alias of \`${cname}\`, which is rewritten itself: for types that it has no address of AdGuard Home asked its servers, here there is none`,
        );
  }

  /** Whether a switch of the filters is off, in its section of today or in that of older versions. */
  #isOff(key: string): boolean {
    return [this.#filtering, this.#dns].some((tree) => textAt(tree, key) === "false");
  }

  #blocking(): { readonly rules: readonly ModelRule[]; readonly hosts: readonly Host[] } {
    const settings = this.#filtering ?? this.#dns;
    const place = settings?.place ?? this.#place;
    const isOff = this.#isOff("filtering_enabled");
    const answersAlone = this.#isOff("protection_enabled");
    if (isOff || answersAlone)
      this.#findings.add("left", place, `blocking, which is switched off${isOff ? "" : "; what `$dnsrewrite` answers stays"}`);
    if (isOff) return { rules: [], hosts: [] };
    const answer = this.#blockingAnswer(settings, place);
    // An exception of one filter holds for all.
    const lists = this.#lists("filters").map((list) => ({ ...list, joint: "blocklists" }));
    const allowed = this.#lists("whitelist_filters");
    const lines = textsOf(childOf(this.#tree, "user_rules"));
    const user = readUserRules(answersAlone ? lines.filter(({ text }) => /[$,]dnsrewrite/.test(text)) : lines, {
      answer,
      givesAddresses: blockingMode(settings) === "default",
      idsOf: (name) => this.#idsOf(name),
      findings: this.#findings,
    });
    if (answersAlone) return { rules: user.rules, hosts: user.hosts };
    const mode = childOf(settings, "blocking_mode");
    if ((answer === "nxdomain" || answer === "refused") && user.blocked.length + user.important.length + lists.length > 0)
      this.#findings.add(
        "changed",
        mode?.place ?? place,
        `types of blocked names besides A, AAAA and HTTPS were empty: here they are ${answer === "nxdomain" ? "NXDOMAIN" : "refused"} too`,
      );
    const names = { patterns: user.blocked, lists };
    const except = { patterns: user.allowed, lists: allowed };
    const outcome: Outcome = answered(answer, place);
    const block = (condition: RuleCondition, label: string): ModelRule => decide(condition, outcome, user.place ?? place, label);
    const rules = [
      // `$important` holds whatever is allowed, but for what is allowed by `$important`.
      ...(user.important.length === 0
        ? []
        : [block(forNames(namesOf(user.important), namesOf(user.importantAllowed)), "blocked-always")]),
      ...user.rules,
      ...(names.patterns.length + lists.length === 0
        ? []
        : forClients(forNames(names, except), user.allowedTo).map((each) => block(each, "blocked"))),
      ...this.#blockedHosts(),
    ];
    return { rules, hosts: user.hosts };
  }

  #blockedHosts(): readonly ModelRule[] {
    const item = childOf(this.#dns, "blocked_hosts");
    const patterns = textsOf(item).flatMap(({ text, ...place }) => {
      const read = patternsOf(text, true);
      if (read === null)
        this.#findings.add("changed", place, `\`${text}\` of \`blocked_hosts\`: it is no pattern, and not blocked`);
      return read ?? [];
    });
    const place = item?.place ?? this.#place;
    return patterns.length === 0 ? [] : [decide(forNames(namesOf(patterns)), answered("drop", place), place, "dropped")];
  }

  #blockingAnswer(settings: Tree | null, place: Place): "zero" | "nxdomain" | "refused" {
    const mode = blockingMode(settings);
    if (mode === "nxdomain" || mode === "refused") return mode;
    if (mode === "custom_ip")
      this.#findings.add("changed", place, "`custom_ip`: blocked names get 0.0.0.0 and ::, not an address of one's own");
    return "zero";
  }

  /** The program keeps its copies beside its configuration; where there is none, the address is named. */
  #lists(key: string): readonly ListFile[] {
    return itemsOf(childOf(this.#tree, key)).flatMap((item): ListFile[] => {
      if (!isOn(item, "enabled")) return [];
      const url = textAt(item, "url");
      const copy = join(dirname(this.#file), "data", "filters", `${textAt(item, "id")}.txt`);
      const isLocal = !/^https?:/.test(url);
      const path = isLocal ? pathBeside(this.#file, url) : /^http:/.test(url) || existsSync(copy) ? copy : url;
      if (path === copy)
        this.#findings.add(
          "changed",
          item.place,
          `the list \`${textAt(item, "name")}\` is read from the copy ${copy}, which is not renewed: see \`lists\``,
        );
      return [domainList(path, "adguard", textAt(item, "name") || key, item.place)];
    });
  }

  #settings(): Readonly<Record<string, unknown>> {
    const dns = this.#dns;
    const port = numberAt(dns, "port") ?? 53;
    const hosts = this.#texts("bind_hosts", "bind_host");
    const proxies = this.#texts("trusted_proxies");
    const allowed = this.#texts("allowed_clients");
    const [denied] = itemsOf(childOf(dns, "disallowed_clients"));
    if (denied !== undefined)
      this.#findings.add(
        "changed",
        denied.place,
        `\`disallowed_clients\`: clients of ${allowed.length > 0 ? "`allowed_clients`" : "private networks"} are admitted, all of them; see \`access.clients\``,
      );
    if (allowed.length === 0)
      this.#findings.add(
        "changed",
        dns?.place ?? this.#place,
        "clients of private networks alone are admitted: see `access.clients`",
      );
    return {
      ...(hosts.length === 0 ? {} : { listen: { dns: hosts.map((host) => hostPort(host, port)), http: [] } }),
      ...(isOn(dns, "aaaa_disabled") ? { answers: { ipv6: "nodata" } } : {}),
      ...(isOn(dns, "cache_optimistic") ? { cache: { stale: { after: "0s" } } } : {}),
      ...(allowed.length === 0 ? {} : { access: { clients: allowed } }),
      ...(proxies.length === 0 ? {} : { trustedProxies: proxies }),
    };
  }

  #reportRest(): void {
    const hostsFile = childOf(this.#dns, "hostsfile_enabled");
    if (textOf(hostsFile) !== "false") this.#findings.add("changed", hostsFile?.place ?? this.#place, NO_HOSTS_FILE);
    const done = `
  upstream_dns upstream_dns_file fallback_dns bootstrap_dns upstream_mode all_servers fastest_addr edns_client_subnet
  local_ptr_upstreams private_upstreams use_private_ptr_resolvers rewrites bogus_nxdomain trusted_proxies
  allowed_clients disallowed_clients blocked_hosts bind_hosts bind_host port aaaa_disabled cache_optimistic
  filtering_enabled protection_enabled blocking_mode blocking_ipv4 blocking_ipv6 private_networks ratelimit`.split(/\s+/);
    for (const { key, place } of othersThan(this.#dns, [...done, ...QUIET]))
      this.#findings.add("left", place, `\`dns.${key}\`: nothing here corresponds to it`);
    const filtering = [
      "rewrites",
      "rewrites_enabled",
      "blocking_mode",
      "blocking_ipv4",
      "blocking_ipv6",
      "protection_enabled",
      "filtering_enabled",
      ...QUIET,
    ];
    for (const { key, value, place } of othersThan(this.#filtering, filtering)) {
      const isUsed = value.kind === "scalar" || isOn(value, "enabled") || itemsOf(childOf(value, "ids")).length > 0;
      if (isUsed)
        this.#findings.add(
          "left",
          place,
          `\`filtering.${key}\`: nothing here corresponds to it, so that what it blocked is not blocked`,
        );
    }
    for (const item of this.#clientItems()) {
      const services = childOf(item, "blocked_services");
      const ids = itemsOf(childOf(services, "ids") ?? services);
      const settings = ["parental_enabled", "safebrowsing_enabled", "safesearch_enabled"];
      const isSafe = isOn(childOf(item, "safe_search"), "enabled") || settings.some((key) => isOn(item, key));
      const isOwn = ids.length > 0 || (isSafe && !isOn(item, "use_global_settings"));
      if (isOwn)
        this.#findings.add(
          "left",
          item.place,
          `services, safe search, safe browsing and hours of the client \`${textAt(item, "name")}\`: not carried over; hours can be written as \`when\` of a rule`,
        );
    }
    const [dhcp, tls] = [childOf(this.#tree, "dhcp"), childOf(this.#tree, "tls")];
    if (isOn(dhcp, "enabled"))
      this.#findings.add(
        "blank",
        dhcp?.place ?? this.#place,
        "section `dhcp`: AdGuard Home gives the devices their addresses. Have the router do it before AdGuard Home ends; names that it gives out are not answered here",
      );
    if (isOn(tls, "enabled"))
      this.#findings.add("left", tls?.place ?? this.#place, "section `tls`: set up `listen` and `tls` by hand");
  }
}

/** `#` takes back the servers before it, and those after it count again. */
function addedTo(before: readonly SourceLine[], servers: string, place: Place): SourceLine[] {
  const added = servers.split(/\s+/).map((text) => ({ text, ...place }));
  return servers === "#" ? added : [...before.filter(({ text }) => text !== "#"), ...added];
}

function routesOf(
  { reserved, rest, isPartial }: Upstreams,
  label: string,
  clients: readonly string[] | null,
): readonly ModelRule[] {
  const condition = { ...ANYTHING, clients };
  return isPartial ? longest(reserved, `${label}-split`, condition) : routes(reserved, rest, label, condition);
}

function familyOf(address: string): "a" | "aaaa" {
  return address.includes(":") ? "aaaa" : "a";
}

/** An alias of a wildcard comes before addresses, and a family that a name lacks comes from the next wildcard above it that has one. */
function withOuter(host: Host, all: readonly Host[]): Host {
  const outers = all
    .filter((each) => each !== host && each.wildcard && holds(each, host))
    .toSorted((one, other) => other.name.length - one.name.length);
  const alias = [host, ...outers].find(({ cname, opens }) => cname !== null || opens === "all");
  if (alias === host) return host;
  if (alias !== undefined) return { ...host, addresses: [], cname: alias.cname, opens: alias.opens ?? [] };
  let { addresses, opens = [] } = host;
  for (const family of ["a", "aaaa"] as const) {
    const ofFamily = (each: Host) => each.addresses.filter((address) => familyOf(address) === family);
    const isSaid = (each: Host) => ofFamily(each).length > 0 || each.opens?.includes(family) === true;
    const outer = isSaid(host) ? undefined : outers.find(isSaid);
    if (outer === undefined || opens === "all") continue;
    addresses = [...addresses, ...ofFamily(outer)];
    if (outer.opens?.includes(family) === true) opens = [...opens, family];
  }
  return { ...host, addresses, opens };
}

/** Whether the host answers for all names of the other. */
function holds({ name, wildcard }: Pick<Host, "name" | "wildcard">, other: Pick<Host, "name" | "wildcard">): boolean {
  if (wildcard) return other.name.endsWith(`.${name}`) || (other.wildcard && other.name === name);
  return !other.wildcard && other.name === name;
}

function blockingMode(settings: Tree | null): string {
  return textAt(settings, "blocking_mode") || "default";
}

function labelFor(domain: string): string {
  return domain.replace(/[^\w.-]+/g, "-").slice(0, 40) || "names";
}
