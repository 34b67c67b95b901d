import { Document, isMap, isScalar, isSeq } from "yaml";
import { type Name, nameFromText } from "../dns/name.ts";
import { TYPE, typeName } from "../dns/types.ts";
import { shownUrl } from "../lib/text.ts";
import { writtenRecord } from "./hosts.ts";
import { hostName, ImportLists, isUrl, type ListUse } from "./lists.ts";
import { longestFirst } from "./longest.ts";
import { type Action, type AskedGroup, addressLists, asksOf, type Lowered, Lowering } from "./lower.ts";
import {
  type Findings,
  ImportError,
  type ListFile,
  listKey,
  type Meaning,
  type ModelRule,
  meaningKey,
  type Names,
  type Networks,
  NO_NAMES,
  namesIn,
  namesOf,
  type Outcome,
  PRIVATE_REVERSE,
  type RuleCondition,
  type ServerGroup,
} from "./model.ts";
import { bothFamilies, freeName, labelOf, one, ownName, some, writesBelow } from "./parts.ts";
import { adguardLine, expandBelow, isBelow, joinBelow } from "./patterns.ts";
import { hasName, sideOfAll } from "./servers.ts";
import { simplify } from "./simplify.ts";

/** Writes a `Meaning` as a fenliu.yaml with its `expect` lines, and reports what became of each rule. */

export interface Written {
  readonly yaml: string;
  /** Lists that the file names, by their paths from the folder of the file. */
  readonly files: ReadonlyMap<string, string>;
}

interface WriteOptions {
  /** A path as the new file names it. */
  readonly relative: (path: string) => string;
  /** Where the new server may write; null = beside the new file. */
  readonly dataFolder: string | null;
}

/** Patterns that stand in a rule; more of them become a list of their own. */
const MAX_INLINE = 40;
const LINE_WIDTH = 130;

/** @throws ImportError where nothing may be written: what no rule decides would be closed, or nobody is asked. */
export function writeConfig(meaning: Meaning, findings: Findings, { relative, dataFolder }: WriteOptions): Written {
  return new Writer(meaning, findings, relative).write(dataFolder);
}

interface WrittenRule {
  readonly yaml: Readonly<Record<string, unknown>>;
  readonly comment: string | null;
}

/** A rule of the model as it decides, to tell what the source asks for a name. */
interface Decided {
  readonly condition: RuleCondition;
  readonly expect: Readonly<Record<string, string>> | null;
  /** Of one of the choices of `longest` the others, whose better fit decides. */
  readonly rivals?: { readonly before: readonly Names[]; readonly after: readonly Names[] };
}

class Writer {
  readonly #meaning: Meaning;
  readonly #findings: Findings;
  readonly #relative: (path: string) => string;
  readonly #source = new ImportLists();
  readonly #lowering: Lowering;
  readonly #groups = new Map<string, { readonly name: string; readonly yaml: Readonly<Record<string, unknown>> }>();
  readonly #asked = new Map<string, ServerGroup>();
  readonly #lists = new Map<string, { readonly name: string; readonly yaml: Readonly<Record<string, unknown>> }>();
  readonly #files = new Map<string, string>();
  readonly #rules: WrittenRule[] = [];
  readonly #decided: Decided[] = [];
  readonly #poison: Networks[];
  readonly #unusable = new Set<string>();
  #toldZones = false;

  constructor(meaning: Meaning, findings: Findings, relative: (path: string) => string) {
    this.#meaning = meaning;
    this.#findings = findings;
    this.#relative = relative;
    this.#lowering = new Lowering(this.#source, findings);
    this.#poison = [meaning.poison];
  }

  write(dataFolder: string | null): Written {
    const all = simplify(this.#meaning.rules);
    this.#checkLists(all);
    // Outcomes that differ may come to the same action.
    const lowered = new Map(
      all.flatMap((rule) => (rule.kind === "decide" ? [[rule.outcome, this.#lowering.lower(rule.outcome)]] : [])),
    );
    const rules = simplify(all, ({ outcome }) => meaningKey(lowered.get(outcome)));
    for (const rule of rules) {
      if (rule.kind === "modify") this.#push({ condition: rule.condition, label: rule.label }, { ...rule.modifiers });
      else if (rule.kind === "decide") this.#decide(rule, lowered.get(rule.outcome));
      else this.#longest(rule);
    }
    this.#reportBootstrap();
    if (this.#groups.size === 0) {
      const closed = this.#findings.all.find(({ kind }) => kind === "blank");
      const why = closed === undefined ? "" : `: ${closed.what}`;
      throw new ImportError(closed ?? { file: this.#meaning.file, line: 1 }, `it asks no server that can be asked here${why}`);
    }
    const { settings, bootstrap } = this.#meaning;
    const { listen, tls, ...others } = settings;
    const poison = this.#networks(this.#poison, "poison");
    const bogus = this.#networks([this.#meaning.bogus], "bogus");
    const hosts = this.#hosts();
    const expect = this.#expectations(rules);
    // Lists are made while all else is written, and stand before it.
    const yaml = this.#yamlOf({
      ...(listen === undefined ? {} : { listen: bothFamilies(listen) }),
      ...(tls === undefined ? {} : { tls: this.#paths(tls) }),
      upstreams: named(this.#groups),
      ...some("bootstrap", bootstrap),
      ...(this.#lists.size === 0 ? {} : { lists: named(this.#lists) }),
      ...some("poison", poison),
      ...some("bogus", bogus),
      rules: this.#rules.map((rule) => rule.yaml),
      ...hosts,
      ...others,
      ...(dataFolder === null ? {} : writesBelow(dataFolder, others)),
      expect,
    });
    return { yaml, files: this.#files };
  }

  #reportBootstrap(): void {
    const { bootstrap, file } = this.#meaning;
    const named = [...this.#asked.values()].find(({ servers }) =>
      servers.some(({ url, addresses }) => addresses.length === 0 && hasName(url)),
    );
    if (named !== undefined && bootstrap.length === 0)
      this.#findings.add(
        "changed",
        named.place ?? { file, line: 1 },
        "names of servers are looked up by 223.5.5.5 and 119.29.29.29, not by the resolver of the host: see `bootstrap`",
      );
  }

  /** Names that no usable list holds any more must not make a rule match everything. */
  #checkLists(rules: readonly ModelRule[]): void {
    const uses = new Map<string, { readonly list: ListFile; readonly use: ListUse }>();
    const note = (list: ListFile, use: ListUse) => {
      const known = uses.get(listKey(list))?.use ?? use;
      uses.set(listKey(list), { list, use: known === use ? use : "routes" });
    };
    for (const rule of rules) {
      const use = rule.kind === "longest" ? "routes" : rule.kind === "modify" ? "blocks" : useOf(rule.outcome);
      for (const list of rule.condition.names?.lists ?? []) note(list, use);
      for (const list of rule.condition.except.lists) note(list, use === "blocks" ? "allows" : "routes");
      if (rule.kind === "longest")
        for (const { names, outcome } of rule.choices) for (const list of names.lists) note(list, useOf(outcome));
      if (rule.kind === "decide") for (const list of addressLists(rule.outcome)) note(list, "routes");
    }
    for (const { list, use } of uses.values())
      if (!this.#source.check(list, use, this.#findings)) this.#unusable.add(listKey(list));
  }

  #decide(rule: Extract<ModelRule, { kind: "decide" }>, lowered: Lowered = this.#lowering.lower(rule.outcome)): void {
    const [{ condition }, { closed }] = [rule, lowered];
    if (closed !== null && condition.names === null && condition.clients === null)
      throw new ImportError(closed.place, `${closed.why}. It stands for every name that no list holds, so nothing is written`);
    if (condition.names === null && lowered.action.kind !== "answer") this.#openZones(rule, lowered);
    this.#emit(rule, lowered);
  }

  /** Zones that are answered here unless a rule names them: a router knows them, and others were asked for them in vain. */
  #openZones({ condition, place }: Extract<ModelRule, { kind: "decide" }>, lowered: Lowered): void {
    const { action } = lowered;
    const isPtr = condition.types?.every((type) => type === TYPE.PTR) === true;
    // One that answers with made-up addresses knows no more of the house than others.
    const isHome = action.kind === "upstream" && sideOfAll(action.group.group.servers) === "home";
    if (isHome && !action.group.group.volatile) {
      const names = namesOf(isPtr ? PRIVATE_REVERSE : [...PRIVATE_ZONES, ...PRIVATE_REVERSE]);
      this.#emit({ condition: { ...condition, names }, label: isPtr ? "private-addresses" : "private-names", place }, lowered);
      if (!isPtr) this.#findings.add("changed", place, SINGLE_TOLD);
    } else if (condition.types === null && condition.clients === null && !this.#toldZones) {
      this.#toldZones = true;
      this.#findings.add(
        "changed",
        place,
        "names of lan, local, home.arpa and internal (nas.lan), of one label, and of private addresses are answered here, and no longer asked of resolvers that do not know them; a rule with these zones opens them",
      );
    }
  }

  #emit(
    { condition, label, place }: Pick<ModelRule, "condition" | "label" | "place">,
    { action, modifiers, replace, poison, closed }: Lowered,
  ): void {
    this.#poison.push(...poison);
    const types = condition.types;
    const answer = action.kind === "answer" ? typedAnswer(action.answer, types) : null;
    if (action.kind === "answer" && answer !== action.answer)
      this.#findings.add(
        "changed",
        place,
        `${types?.map(typeName).join(", ") ?? ""}: NODATA, not ${action.answer}, which would speak for the whole name (RFC 2308 §5, RFC 8020)`,
      );
    if (answer === "nodata" && types !== null && closed === null) {
      this.#emptyTypes({ condition, label, place }, types);
      return;
    }
    const yaml = this.#actionYaml(action, answer);
    const replaced = replace.flatMap(({ networks, addresses }) =>
      this.#networks([networks], "replaced", true).map((list): [string, unknown] => [list, one(addresses)]),
    );
    const chosen = replaced.length === 0 ? {} : { replace: Object.fromEntries(replaced) };
    const name = this.#push(
      { condition, label },
      { ...modifiers, ...chosen, ...yaml },
      closed === null ? null : `Closed: ${closed.why}`,
    );
    if (name === null) return;
    const exact = answer === "nxdomain" ? this.#source.exactName(condition.names ?? NO_NAMES) : null;
    if (exact !== null)
      this.#findings.add(
        "changed",
        place,
        `a name without those below it, such as \`${exact}\`, is empty, not NXDOMAIN, which would deny them too (RFC 8020)`,
      );
    const example = this.#source.examples(condition.names ?? NO_NAMES, 1)[0];
    const what =
      answer !== null
        ? `is answered \`${answer}\``
        : action.kind === "compare"
          ? "is compared"
          : `goes to \`${String(yaml["upstream"])}\``;
    if (closed === null)
      this.#findings.add("carried", place, `\`${name}\`${example === undefined ? "" : ` (${example})`} ${what}`);
    // NXDOMAIN is sent as NODATA where a rule for some types has taken a name.
    const expect =
      answer !== null
        ? { rule: name, ...(answer === "nxdomain" ? {} : { answer }) }
        : { rule: name, upstream: this.#expectedGroup(action) };
    this.#decided.push({ condition, expect: usesUnusable(condition, this.#unusable) ? null : expect });
  }

  /** Families and service bindings have switches of their own, under which the name goes on as before. */
  #emptyTypes({ condition, label, place }: Pick<ModelRule, "condition" | "label" | "place">, types: readonly number[]): void {
    const rest = types.filter((type) => !SWITCHES.has(type));
    const switches = new Map(types.flatMap((type) => [SWITCHES.get(type) ?? []].flat().map((key) => [key, "nodata"] as const)));
    for (const [key, value] of switches)
      this.#push(
        { condition: { ...condition, types: null }, label: label || (condition.names === null ? key : "") },
        { [key]: value },
      );
    if (rest.length > 0) this.#push({ condition: { ...condition, types: rest }, label }, { answer: "nodata" });
    this.#findings.add("carried", place, `${types.map(typeName).join(", ")}: empty`);
  }

  #expectedGroup(action: Action): string {
    if (action.kind === "answer") return "";
    return this.#group(action.kind === "upstream" ? action.group : action.far);
  }

  #actionYaml(action: Action, answer: string | null): Readonly<Record<string, unknown>> {
    switch (action.kind) {
      case "upstream":
        return { upstream: this.#group(action.group) };
      case "answer":
        return { answer };
      case "compare": {
        const [list = ""] = this.#networks([action.keepNearIf], "near", true);
        const within = action.withinMs === null ? {} : { within: boundedMs(action.withinMs) };
        const first = action.first === "far" ? { first: "far" } : {};
        return {
          compare: { near: this.#group(action.near), far: this.#group(action.far), keepNearIf: list, ...first, ...within },
        };
      }
    }
  }

  /** @returns its name; null where a list is missing, so that no condition is left. */
  #push(
    { condition, label }: Pick<ModelRule, "condition" | "label">,
    yaml: Readonly<Record<string, unknown>>,
    comment: string | null = null,
  ): string | null {
    const domains = this.#domains(condition, label);
    if (domains === null) return null;
    const { types, clients } = condition;
    const conditions = {
      ...(domains.length === 0 ? {} : { domains }),
      ...(clients === null ? {} : { clients }),
      ...(types === null ? {} : { types: types.map(typeName) }),
    };
    const taken = new Set(this.#rules.map((rule) => rule.yaml["name"]));
    const name = freeName(label || labelOf(condition, domains), taken);
    this.#rules.push({ yaml: { name, ...conditions, ...yaml }, comment });
    return name;
  }

  /** null = names were demanded, and none are left. */
  #domains({ names, except }: RuleCondition, label: string): readonly string[] | null {
    const wanted = names === null ? [] : this.#patterns(names, label);
    if (names !== null && wanted.length === 0) return null;
    const without = this.#patterns(except, `${label}-except`, true).map((pattern) => `!${pattern}`);
    return [
      ...wanted.filter((pattern) => !pattern.startsWith("!")),
      ...wanted.filter((pattern) => pattern.startsWith("!")),
      ...without,
    ];
  }

  /** @param areExcepted whether they are to be left out: an exception has no exceptions. */
  #patterns({ patterns: written, lists: all }: Names, label: string, areExcepted = false): readonly string[] {
    const patterns = joinBelow(written);
    const lists = this.#usable(all);
    const joint = lists.filter((list) => list.joint !== undefined);
    if (joint.length > 0) {
      const others = lists.filter((list) => list.joint === undefined);
      return [`list:${this.#joint(joint, patterns)}`, ...others.map((list) => `list:${this.#list(list)}`)];
    }
    const listed = lists.map((list) => `list:${this.#list(list)}`);
    if (patterns.length > MAX_INLINE) {
      // No list has a word for names of one label.
      const [single, others] = [true, false].map((isSingle) => patterns.filter((each) => (each === SINGLE) === isSingle));
      return [...(single ?? []), `list:${this.#generated(others ?? [], label || "names")}`, ...listed];
    }
    const isPlain = areExcepted || lists.length > 0;
    return [...expandBelow(patterns, isPlain), ...listed];
  }

  /** One list of several sources, and of patterns that their exceptions hold for. */
  #joint(lists: readonly ListFile[], patterns: readonly string[]): string {
    const key = meaningKey([lists.map(listKey), patterns]);
    const known = this.#lists.get(key);
    if (known !== undefined) return known.name;
    const name = this.#freeListName(lists[0]?.joint ?? "");
    const files = lists.map((list) => {
      const source = this.#sourceOf(list);
      this.#findings.add("carried", list.place, `${shownUrl(source)} is a source of the list \`${name}\`, read where it lies`);
      return source;
    });
    const own = patterns.length === 0 ? [] : [this.#writeList(name, patterns, "domains")];
    const refresh = lists.some(({ path }) => isUrl(path)) ? "24h" : "1h";
    this.#lists.set(key, { name, yaml: { domains: [...own, ...files], refresh } });
    return name;
  }

  #longest({ choices: all, ...rule }: Extract<ModelRule, { kind: "longest" }>): void {
    for (const { names, outcome, place } of all)
      if (names.patterns.includes(SINGLE))
        this.#decide({
          ...rule,
          kind: "decide",
          label: "single-labels",
          condition: { ...rule.condition, names: namesOf([SINGLE]) },
          outcome,
          place,
        });
    const named = all.map(({ names, ...choice }) => ({
      ...choice,
      names: { ...names, patterns: names.patterns.filter((pattern) => pattern !== SINGLE) },
    }));
    const kept = named.filter(({ names }) => names.patterns.length + names.lists.length > 0);
    if (kept.length > 0) this.#longestOf({ ...rule, choices: kept });
  }

  #longestOf(rule: Extract<ModelRule, { kind: "longest" }>): void {
    const choices = rule.choices.map(({ names, outcome, place }) => ({ names, place, lowered: this.#lowering.lower(outcome) }));
    const isSmall =
      choices.every(({ names }) => names.lists.length === 0) &&
      choices.flatMap(({ names }) => names.patterns).length <= 4 * MAX_INLINE;
    const asks = isSmall
      ? []
      : choices.filter(({ lowered }) => lowered.action.kind === "upstream" && Object.keys(lowered.modifiers).length === 0);
    const others = choices.filter((choice) => !asks.includes(choice));
    const ordered = [
      ...longestFirst(others.map((each) => ({ choice: each, patterns: each.names.patterns }))),
      ...others.filter(({ names }) => names.patterns.length === 0).map((choice) => ({ choice, patterns: [] })),
    ];
    for (const { choice, patterns } of ordered) {
      for (const list of asks.flatMap(({ names }) => names.lists))
        for (const pattern of patterns)
          if (this.#source.reachesBelow(list, pattern))
            this.#findings.add(
              "blank",
              choice.place,
              `names of the list \`${list.tag}\` below \`${pattern}\` are answered like it`,
            );
      // Longer names of the groups below stay theirs.
      const inner = asks.flatMap(({ names }) =>
        names.patterns.filter((pattern) => {
          const name = nameFromText(pattern.replace(/^(full:|\*\.)/, ""));
          const isListed = name !== null && this.#source.holds(namesIn(choice.names.lists), name);
          return isListed || patterns.some((outer) => isBelow(pattern, outer));
        }),
      );
      const condition = {
        ...rule.condition,
        names: { patterns, lists: choice.names.lists },
        except: namesOf(inner),
      };
      this.#emit({ condition, label: "", place: choice.place }, choice.lowered);
    }
    if (asks.length === 0) return;
    const pairs = asks.map(({ names, lowered, place }) => {
      const group = lowered.action.kind === "upstream" ? this.#group(lowered.action.group) : "";
      const own = names.patterns.length === 0 ? [] : [this.#generated(names.patterns, group)];
      const named = this.#usable(names.lists).map((list) => this.#list(list));
      const example = this.#source.examples(names, 1)[0];
      this.#findings.add(
        "carried",
        place,
        `names such as ${example ?? "those of its list"} go to \`${group}\`, the longest match first`,
      );
      return [...own, ...named].map((list): [string, string] => [`list:${list}`, group]);
    });
    const name = this.#push(
      { condition: rule.condition, label: rule.label || "split" },
      { longest: Object.fromEntries(pairs.flat()) },
    );
    const expectOf = (asked: string) => (name === null ? null : { rule: name, upstream: asked });
    for (const [index, { names, lowered }] of asks.entries())
      this.#decided.push({
        condition: { ...rule.condition, names },
        expect: expectOf(this.#expectedGroup(lowered.action)),
        rivals: {
          before: asks.slice(0, index).map((each) => each.names),
          after: asks.slice(index + 1).map((each) => each.names),
        },
      });
  }

  #group(asked: AskedGroup): string {
    const { group, ecs } = asked;
    const key = meaningKey([
      group.servers,
      group.proxy,
      group.strategy,
      group.volatile,
      group.asksFrom,
      ecs,
      asked.drop,
      group.accept,
      group.drop,
      asked.fallback,
      asked.afterMs,
    ]);
    const known = this.#groups.get(key);
    if (known !== undefined) return known.name;
    const fallback = asked.fallback === null ? null : this.#group(asked.fallback);
    const servers = group.servers.map(({ url, addresses, tlsName }) =>
      addresses.length === 0 && tlsName === null
        ? url
        : { url, ...some("addresses", addresses), ...(tlsName === null ? {} : { tlsName }) },
    );
    const yaml = {
      servers,
      ...(servers.length > 1 ? { strategy: group.strategy } : {}),
      ...(group.proxy === null ? {} : { proxy: group.proxy }),
      ...(fallback === null
        ? {}
        : { fallback: asked.afterMs === null ? fallback : { group: fallback, after: boundedMs(asked.afterMs) } }),
      ...(group.volatile ? { volatile: true } : {}),
      ...some("asksFrom", group.asksFrom),
      ...(ecs === null ? {} : { ecs }),
      ...some("accept", group.accept ?? []),
      ...some("drop", [...(group.drop ?? []), ...this.#networks(asked.drop, "dropped")]),
    };
    const wanted = group.name.replace(/^(fast_)?forward[_-]/, "");
    const taken = new Set([...this.#groups.values()].map(({ name }) => name));
    const then = fallback === null || fallback === "fallback" ? "" : `-then-${fallback}`;
    const plain = `${wanted}${then}`;
    const name = freeName(taken.has(ownName(plain)) && ecs !== null ? `${plain}-ecs` : plain, taken);
    this.#groups.set(key, { name, yaml });
    this.#asked.set(key, group);
    this.#findings.add("carried", group.place, `\`${group.name}\` is the group \`${name}\``);
    if (sideOfAll(group.servers) === "mixed")
      this.#findings.add(
        "risk",
        group.place,
        `\`${name}\` holds domestic and foreign servers: every name may be shown to both, and the answer of either counts. Make two groups of them`,
      );
    return name;
  }

  #usable(lists: readonly ListFile[]): readonly ListFile[] {
    return lists.filter((list) => !this.#unusable.has(listKey(list)));
  }

  #freeListName(wanted: string): string {
    return freeName(wanted, new Set([...this.#lists.values()].map(({ name }) => name)));
  }

  #list(list: ListFile): string {
    const key = listKey(list);
    const known = this.#lists.get(key);
    if (known !== undefined) return known.name;
    const source = this.#sourceOf(list);
    const name = this.#freeListName(list.tag.replace(/[._-](list|txt)$/g, ""));
    this.#lists.set(key, {
      name,
      yaml: { [list.kind]: [source], ...(list.reloads ? { refresh: isUrl(list.path) ? "24h" : "1h" } : {}) },
    });
    this.#findings.add("carried", list.place, `${shownUrl(source)} is the list \`${name}\`, read where it lies`);
    return name;
  }

  /** As section `lists` names it. */
  #sourceOf({ path, category }: ListFile): string {
    return `${isUrl(path) ? path : this.#relative(path)}${category === null ? "" : `#${category}`}`;
  }

  /** A list of its own, written beside the file. */
  #generated(patterns: readonly string[], wanted: string, kind: ListFile["kind"] = "domains"): string {
    const key = meaningKey([kind, patterns]);
    const known = this.#lists.get(key);
    if (known !== undefined) return known.name;
    const name = this.#freeListName(wanted);
    this.#lists.set(key, { name, yaml: { [kind]: [this.#writeList(name, patterns, kind)] } });
    return name;
  }

  /** @returns the source of a list, as section `lists` names it. */
  #writeList(name: string, patterns: readonly string[], kind: ListFile["kind"]): string {
    const isPlain = !patterns.some((pattern) => pattern.startsWith("*."));
    const lines = isPlain ? patterns : patterns.map(adguardLine);
    const path = `lists/${name}.txt`;
    const heading = `${isPlain ? "#" : "!"} Made by \`fenliu import\` from ${this.#meaning.file}\n`;
    this.#files.set(path, `${heading}${lines.join("\n")}\n`);
    return kind === "addresses" ? path : `${path}#${isPlain ? "plain" : "adguard"}`;
  }

  /** `list:` references and networks. @param asList whether one list is needed. */
  #networks(all: readonly Networks[], wanted: string, asList = false): readonly string[] {
    const lists = this.#usable(all.flatMap(({ lists: own }) => own));
    const inline = [...new Set(all.flatMap(({ networks }) => networks))];
    if (!asList) return [...new Set([...lists.map((list) => `list:${this.#list(list)}`), ...inline])];
    const [only] = lists;
    if (only === undefined) return [`list:${this.#generated(inline, wanted, "addresses")}`];
    if (lists.length === 1 && inline.length === 0) return [`list:${this.#list(only)}`];
    // Several files are one list.
    const files = lists.map((list) => this.#sourceOf(list));
    const key = meaningKey([files, inline]);
    const name = this.#lists.get(key)?.name ?? this.#freeListName(wanted);
    const own = inline.length === 0 ? [] : [this.#writeList(name, inline, "addresses")];
    this.#lists.set(key, { name, yaml: { addresses: [...new Set([...files, ...own])] } });
    return [`list:${name}`];
  }

  #hosts(): Readonly<Record<string, unknown>> {
    const records = new Map<string, unknown>();
    for (const host of this.#meaning.hosts) {
      const { name, wildcard, cname, others, opens, place } = host;
      const key = wildcard ? `*.${name}` : name;
      records.set(key, writtenRecord(host));
      const isAddress = cname === null && opens !== "all";
      const note = !isAddress
        ? ""
        : others === "nodata"
          ? "; types without a record are empty"
          : "; other addresses in hints of its HTTPS records are taken out";
      this.#findings.add("carried", place, `\`${key}\` is in \`hosts.records\`${note}`);
    }
    return records.size === 0 ? {} : { hosts: { records: Object.fromEntries(records) } };
  }

  /** One name of each list, one of each answer, one that nobody knows, one host: with what the source does with it. */
  #expectations(rules: readonly ModelRule[]): readonly Readonly<Record<string, string>>[] {
    const conditions = rules.flatMap((rule) =>
      rule.kind === "longest"
        ? rule.choices.map(({ names }) => names)
        : rule.condition.names === null
          ? []
          : [rule.condition.names],
    );
    const texts = conditions.flatMap((names) => [
      ...this.#source.examples(namesOf(names.patterns), 1),
      ...names.lists.flatMap((list) => this.#source.examples(namesIn([list]), 1)),
    ]);
    // Of several lines for a name the last is written.
    const written = new Map(this.#meaning.hosts.flatMap((host) => (host.wildcard ? [] : [[host.name, host]])));
    const hosts = written.values().find(({ addresses, opens }) => addresses.length > 0 && opens !== "all");
    const names = [...new Set([...texts.map(askedName), UNKNOWN_NAME])].filter((text) => hostName(text) !== null);
    const expected = names.flatMap((name) => {
      const expect = this.#expectation(name);
      return expect === null ? [] : [{ name, ...expect }];
    });
    const first = hosts?.addresses[0];
    const held =
      hosts === undefined || first === undefined
        ? []
        : [{ name: hosts.name, type: first.includes(":") ? "AAAA" : "A", answer: first }];
    return [...expected.slice(0, MAX_EXPECTED), ...held];
  }

  #expectation(text: string): Readonly<Record<string, string>> | null {
    const name = nameFromText(text);
    if (name === null || this.#isHost(text)) return null;
    const decided = this.#decided.find(
      ({ condition, rivals }) =>
        // One that holds for all clients but some holds for that of an expectation.
        condition.clients?.every((client) => client.startsWith("!")) !== false &&
        (condition.types === null || condition.types.includes(TYPE.A)) &&
        (condition.names === null || this.#source.holds(condition.names, name)) &&
        !this.#source.holds(condition.except, name) &&
        (rivals === undefined || condition.names === null || this.#isBest(condition.names, rivals, name)),
    );
    // Rules before it may hold the name too, and a special zone is opened by patterns in it alone.
    if (SPECIAL.test(text) && decided?.condition.names?.patterns.includes(text) !== true) return null;
    return decided?.expect ?? null;
  }

  /** Whether no other choice fits the name better. Of equals the first counts. */
  #isBest(names: Names, { before, after }: NonNullable<Decided["rivals"]>, name: Name): boolean {
    const fit = this.#source.fit(names, name);
    return (
      before.every((other) => this.#source.fit(other, name) < fit) && after.every((other) => this.#source.fit(other, name) <= fit)
    );
  }

  #isHost(text: string): boolean {
    return this.#meaning.hosts.some(({ name, wildcard }) => (wildcard ? text.endsWith(`.${name}`) : text === name));
  }

  #paths(value: unknown): unknown {
    if (typeof value !== "object" || value === null) return value;
    return Object.fromEntries(Object.entries(value).map(([key, path]) => [key, this.#relative(String(path))]));
  }

  #yamlOf(sections: Readonly<Record<string, unknown>>): string {
    const document = new Document(sections, { aliasDuplicateObjects: false });
    document.commentBefore = ` Made by \`fenliu import\` from ${this.#meaning.file} (${this.#meaning.origin}). Every key: docs/config.md.`;
    for (const [index, { key, value }] of (isMap(document.contents) ? document.contents.items : []).entries()) {
      if (index > 0 && isScalar(key)) key.spaceBefore = true;
      // One line for each group, list, rule, record and expectation.
      const table = isScalar(key) && key.value === "hosts" && isMap(value) ? value.get("records") : value;
      const rows = isSeq(table) ? table.items : isMap(table) ? table.items.map((item) => item.value) : [];
      for (const [row, item] of rows.entries()) {
        if (isMap(item) || isSeq(item)) item.flow = true;
        const comment = isScalar(key) && key.value === "rules" ? this.#rules[row]?.comment : null;
        if (typeof comment === "string" && isMap(item)) item.commentBefore = ` ${comment.replace(/\s+/g, " ")}`;
      }
    }
    return document.toString({ lineWidth: LINE_WIDTH, flowCollectionPadding: true });
  }
}

/** What somebody asks for an example: names of one label are answered here, unless a rule names them. */
function askedName(example: string): string {
  return example.includes(".") ? example : `www.${example}`;
}

/** A time that leaves a second group its turn within the deadline. */
function boundedMs(ms: number): string {
  return `${Math.min(Math.max(ms, 10), 3500)}ms`;
}

/** Types with a switch: `https` empties SVCB too. */
const SWITCHES: ReadonlyMap<number, string> = new Map([
  [TYPE.A, "ipv4"],
  [TYPE.AAAA, "ipv6"],
  [TYPE.HTTPS, "https"],
]);

/** Zones of a house. */
const PRIVATE_ZONES = ["lan", "local", "home.arpa", "internal"];

/** The pattern of names of one label. */
const SINGLE = "single:";
const SINGLE_TOLD = "names of one label (nas) are answered here, and not asked of the router; `single:` in this rule opens them";

/** No list holds it. */
const UNKNOWN_NAME = "no-list-knows-this-name.com";
const MAX_EXPECTED = 60;
/** Zones that are answered here unless a rule names them. */
const SPECIAL = /(^|\.)(lan|local|localhost|home\.arpa|internal|test|invalid|onion|alt|(in-addr|ip6)\.arpa)$/;

function useOf(outcome: Outcome): ListUse {
  if (outcome.kind === "answer") return "blocks";
  const [first] = asksOf(outcome);
  return first !== undefined && sideOfAll(first.group.servers) === "near" ? "near" : "routes";
}

/** RFC 2308 §5: an answer for some types says nothing of the name. */
function typedAnswer(answer: string, types: readonly number[] | null): string {
  if (types === null || answer === "nodata") return answer;
  return answer === "zero" && types.every((type) => type === TYPE.A || type === TYPE.AAAA) ? answer : "nodata";
}

function usesUnusable({ names, except }: RuleCondition, unusable: ReadonlySet<string>): boolean {
  return [...(names?.lists ?? []), ...except.lists].some((list) => unusable.has(listKey(list)));
}

function named(all: ReadonlyMap<string, { readonly name: string; readonly yaml: unknown }>): Readonly<Record<string, unknown>> {
  return Object.fromEntries([...all.values()].map(({ name, yaml }) => [name, yaml]));
}
