import { readFileSync, statSync } from "node:fs";
import { parseClient, parseNetwork, systemReason } from "../config/values.ts";
import { AddressSet, AddressSetBuilder, rangeFromText } from "../dns/address.ts";
import { type Name, nameFromText, nameText } from "../dns/name.ts";
import { runSync } from "../lib/cooperative.ts";
import { modifiersOf, readAdguardLine } from "../lists/adguard.ts";
import type { DomainSet } from "../lists/domain-set.ts";
import { DomainSetBuilder } from "../lists/domain-set-builder.ts";
import { parsePattern } from "../lists/patterns.ts";
import { readAddresses, readDomains } from "../lists/readers.ts";
import { eachLine, type Span, spanOf, spanText } from "../lists/span.ts";
import { ABOUT_CONNECTIONS } from "../lists/text-formats.ts";
import { type Warning, WarningLog } from "../lists/types.ts";
import { type Finding, type Findings, type ListFile, listKey, type Names, type Networks } from "./model.ts";

/** Reads the lists of a source, to find what is wrong with them and names to show as examples. Nothing is fetched. */

const MAX_LIST_BYTES = 256 * 1024 * 1024;

/** Addresses of resolvers and sites in mainland China: an address list with most of them is the list of the country. */
export const AT_HOME = ["223.5.5.5", "119.29.29.29", "114.114.114.114", "180.76.76.76", "202.96.128.86", "61.135.169.121"];

/** Lines of one list that are told one by one for one reason. */
const MAX_SHOWN_LINES = 5;
/** Lines of one list that cannot be used, told one by one. */
const MAX_SHOWN_LOST = 20;

/** What hangs on a list: `near` where domestic groups alone are asked for its names, `allows` where it takes names out of those that are blocked. */
export type ListUse = "blocks" | "allows" | "near" | "routes";

interface ReadList {
  readonly domains: DomainSet | null;
  readonly addresses: AddressSet | null;
  /** Why it cannot be used as a whole. */
  readonly problem: string | null;
  readonly isEmpty: boolean;
  readonly warnings: AllWarnings;
  readonly bytes: Buffer;
}

/** Keeps every line that was not used: which of them matter is known when all are read. */
class AllWarnings extends WarningLog {
  override add(line: number, reason: string): void {
    this.count++;
    this.first.push({ line, reason });
  }
}

export class ImportLists {
  readonly #read = new Map<string, ReadList>();
  readonly #jointSets = new Map<string, DomainSet>();

  read(list: ListFile): ReadList {
    const key = listKey(list);
    const known = this.#read.get(key);
    if (known !== undefined) return known;
    const made = readList(list);
    this.#read.set(key, made);
    return made;
  }

  /**
   * Reports what would let names of the list fall to the next rule: a file that is missing or empty, and lines that are read otherwise than by the
   * source. @returns whether the list can be named.
   */
  check(list: ListFile, use: ListUse, findings: Findings): boolean {
    const { problem, isEmpty, warnings, bytes } = this.read(list);
    const kind = use === "blocks" ? "changed" : use === "allows" ? "blank" : "leak";
    const lost =
      use === "blocks"
        ? "nothing is blocked by it"
        : use === "allows"
          ? "nothing is allowed by it"
          : list.kind === "addresses"
            ? "no address of an answer would be found in it"
            : "what it should hold would go the way of names that no list knows";
    if (problem !== null) {
      findings.add(kind, list.place, `the list \`${list.tag}\`: ${list.path}: ${problem}; ${lost}`);
      return false;
    }
    if (isEmpty) findings.add(kind, list.place, `the list \`${list.tag}\`: ${list.path} is empty; ${lost}`);
    // A few domestic names among those that no list knows are shown to nobody who should not see them.
    const lines = use === "near" ? "risk" : kind;
    const texts = warnings.count === 0 ? [] : bytes.toString("latin1").split("\n");
    const textOf = ({ line }: Warning) => texts[line - 1]?.trim() ?? "";
    const isNoName = ({ reason }: Warning) => reason.includes("domain name");
    const neverMatched = (each: Warning) => isNoName(each) && list.starsMatchNothing === true;
    // What is no name is asked by nobody, unless a star stands for one.
    const isPassedOver = (each: Warning) =>
      list.asked !== undefined
        ? false
        : list.category === "adguard"
          ? isPassedOverByAdguardHome(each, textOf(each))
          : each.reason === ABOUT_CONNECTIONS;
    const passedOver = warnings.first.filter(isPassedOver);
    const [starred, lostLines] = [
      warnings.first.filter((each) => neverMatched(each) && textOf(each).includes("*")),
      warnings.first.filter(
        (each) => !isPassedOver(each) && (!isNoName(each) || (textOf(each).includes("*") && !neverMatched(each))),
      ),
    ];
    const at = (line: number) => ({ file: list.path, line });
    const [first] = passedOver;
    if (first !== undefined)
      findings.add(
        "left",
        at(first.line),
        `${passedOver.length === 1 ? "a line" : `from here on ${passedOver.length} lines`} of the list \`${list.tag}\` ${
          list.category === "adguard"
            ? "for browsers, such as this one: AdGuard Home passes over them too"
            : "about addresses or connections, such as this one: who is asked for a name never hung on them"
        }`,
      );
    tellLines(lostLines, list, findings, {
      kind: lines,
      shown: MAX_SHOWN_LOST,
      one: ({ reason }) => `a line of the list \`${list.tag}\` that cannot be used: ${reason}`,
      further: "that cannot be used",
    });
    tellLines(starred, list, findings, {
      kind: "left",
      one: (each) =>
        `\`${textOf(each)}\` of the list \`${list.tag}\`: a star is a letter like others there, so that the line never matched a name`,
      further: "with a star, and never matched",
    });
    if (list.category === "plain") reportWildcards(bytes, list, findings);
    if (list.category === "clash") reportStars(bytes, list, findings);
    if (list.bareNames === true) reportDressedNames(bytes, list, findings);
    if (list.asked !== undefined) reportOxidnsRules(bytes, list, use, findings);
    else if (list.category === "adguard") {
      reportModifierAll(bytes, list, use, findings);
      if (use === "allows") reportExceptions(bytes, list, findings);
    }
    return true;
  }

  /** Whether these addresses are those of the country. */
  isHome({ lists, networks }: Networks): boolean {
    const sets = [...lists.flatMap((list) => this.read(list).addresses ?? []), networksSet(networks)];
    const held = AT_HOME.filter((address) => sets.some((set) => set.hasText(address)));
    return (
      held.length > AT_HOME.length / 2 || lists.some(({ path, category, tag }) => isChinaName(`${path} ${category ?? ""} ${tag}`))
    );
  }

  /** Whether the source calls these the addresses of forged answers. */
  isForged({ lists, networks }: Networks): boolean {
    const names = lists.map(({ path, tag }) => `${path.replace(/^.*\//, "")} ${tag}`);
    return networks.length === 0 && names.every((name) => /gfw|poison|bann|bogus|forged|hijack|pollut/i.test(name));
  }

  holds({ patterns, lists }: Names, name: Name): boolean {
    if (lists.some(({ joint }) => joint !== undefined)) return this.#jointSet({ patterns, lists }).match(name) !== null;
    return (
      lists.some((list) => this.read(list).domains?.match(name)) ||
      (patterns.length > 0 && patternSet(patterns).match(name) !== null)
    );
  }

  /** All sources of a list together with the patterns, so that exceptions of one hold for all. */
  #jointSet({ patterns, lists }: Names): DomainSet {
    const key = JSON.stringify([patterns, lists.map(listKey)]);
    const known = this.#jointSets.get(key);
    if (known !== undefined) return known;
    const builder = new DomainSetBuilder(null);
    addPatterns(builder, patterns);
    for (const list of lists)
      runSync(readDomains(this.read(list).bytes, list.category, { sink: builder.source(list.path), warnings: new WarningLog() }));
    const set = builder.build();
    this.#jointSets.set(key, set);
    return set;
  }

  /** Whether the list has a name below that of the pattern. */
  reachesBelow(list: ListFile, pattern: string): boolean {
    const name = nameFromText(pattern.replace(/^\*\./, ""));
    return name !== null && this.read(list).domains?.reachesBelow(name) === true;
  }

  /** The longest pattern that fits, in bytes; -1 where none does. Texts count 0. */
  fit({ patterns, lists }: Names, name: Name): number {
    const found = [patternSet(patterns).match(name), ...lists.map((list) => this.read(list).domains?.match(name) ?? null)];
    return Math.max(-1, ...found.map(fitOf));
  }

  /** Names of the lists `inner` that those of `outer` hold by a shorter name; and by an equal one, where that of `inner` counts then. */
  longerNames(inner: readonly ListFile[], outer: readonly ListFile[], winsTies: boolean): readonly string[] {
    const setsOf = (lists: readonly ListFile[]) => lists.flatMap((list) => this.read(list).domains ?? []);
    const [own, other] = [setsOf(inner), setsOf(outer)];
    const fitIn = (sets: readonly DomainSet[], name: Name) => Math.max(-1, ...sets.map((set) => fitOf(set.match(name))));
    return own.flatMap((set) =>
      [...set.names()].flatMap((name) => {
        const found = fitIn(other, name);
        const fit = found < 0 ? -1 : fitIn(own, name);
        return found >= 0 && (found < fit || (winsTies && found === fit)) ? nameText(name) : [];
      }),
    );
  }

  /** A name that is held without those below it; null = there is none. */
  exactName({ patterns, lists }: Names): string | null {
    const [pattern] = patterns.filter((each) => each.startsWith("full:"));
    if (pattern !== undefined) return pattern.slice("full:".length);
    for (const list of lists) {
      const set = this.read(list).domains;
      for (const name of set?.names() ?? []) if (set?.match(name)?.kind === "full") return nameText(name);
    }
    return null;
  }

  /** Names that the set holds, from the patterns and from each list. */
  examples(names: Names, most = 3): readonly string[] {
    const own = names.patterns.flatMap((pattern) => exampleOf(pattern) ?? []).slice(0, most);
    const listed = names.lists.flatMap((list) => {
      const set = this.read(list).domains;
      return set === null ? [] : samplesOf(set, most);
    });
    return [...own, ...listed];
  }
}

/** A longer pattern fits better, and one for the name alone best of all. */
function fitOf(match: ReturnType<DomainSet["match"]>): number {
  return match === null ? -1 : match.wireLength + (match.kind === "full" ? 1000 : 0);
}

function readList({ path, category, kind }: ListFile): ReadList {
  const warnings = new AllWarnings();
  const nothing = { domains: null, addresses: null, isEmpty: true, warnings, bytes: Buffer.alloc(0) };
  let bytes: Buffer;
  // Nothing is fetched while importing.
  if (isUrl(path)) return { ...nothing, isEmpty: false, problem: null };
  try {
    const found = statSync(path);
    if (!found.isFile()) return { ...nothing, problem: "not a file" };
    if (found.size > MAX_LIST_BYTES) return { ...nothing, problem: "too large" };
    bytes = readFileSync(path);
  } catch (error) {
    return { ...nothing, problem: systemReason(error) };
  }
  if (path.includes("#")) return { ...nothing, problem: "a path cannot hold `#`" };
  if (kind === "addresses") {
    const builder = new AddressSetBuilder();
    const problem = runSync(readAddresses(bytes, category, { take: (range) => builder.add(range), warnings }));
    return { ...nothing, addresses: runSync(builder.build()), problem, isEmpty: builder.count === 0, bytes };
  }
  const builder = new DomainSetBuilder(null);
  const problem = runSync(readDomains(bytes, category, { sink: builder.source(path), warnings }));
  const domains = builder.build();
  return { ...nothing, domains, problem, isEmpty: domains.size === 0, bytes };
}

interface ListLine {
  readonly line: number;
  readonly text: string;
}

/** Tells the first lines one by one, and at the next how many more there are. */
function tellLines<T extends { readonly line: number }>(
  found: readonly T[],
  { path, tag }: ListFile,
  findings: Findings,
  telling: {
    readonly kind: Finding["kind"];
    readonly shown?: number;
    readonly one: (line: T) => string;
    /** What the others are: "3 further lines of the list `ads` with a star". */
    readonly further: string;
  },
): void {
  const { kind, shown = MAX_SHOWN_LINES, one, further } = telling;
  for (const each of found.slice(0, shown)) findings.add(kind, { file: path, line: each.line }, one(each));
  const rest = found.slice(shown);
  const [first] = rest;
  if (first === undefined) return;
  const count = rest.length === 1 ? "one further line" : `from here on ${rest.length} further lines`;
  findings.add(kind, { file: path, line: first.line }, `${count} of the list \`${tag}\` ${further}`);
}

function linesWhere(bytes: Buffer, isMeant: (text: string, span: Span, line: number) => boolean): readonly ListLine[] {
  const found: ListLine[] = [];
  runSync(
    eachLine(bytes, (span, line) => {
      const text = spanText(span);
      if (isMeant(text, span, line)) found.push({ line, text });
    }),
  );
  return found;
}

/** `*.x` is nothing in mosdns and what is below x in smartdns; here it is x as well. `-.x` is x alone in smartdns. */
function reportWildcards(bytes: Buffer, list: ListFile, findings: Findings): void {
  const lines = linesWhere(bytes, (text) => /^(domain:)?[*+-]\./.test(text));
  tellLines(lines, list, findings, {
    kind: "leak",
    one: ({ text }) =>
      text.startsWith("-.")
        ? `\`${text}\` of the list \`${list.tag}\` is a name alone there, and none here: write \`full:${text.slice(2)}\``
        : `\`${text}\` of the list \`${list.tag}\` means less there than here, where it is the whole domain: remove the line, or write what it means`,
    further: "with `*.`, `+.` or `-.` before a name",
  });
}

/** `*.x` is one label below x in mihomo. */
function reportStars(bytes: Buffer, list: ListFile, findings: Findings): void {
  const lines = linesWhere(bytes, (text) => /^\s*(-\s*)?["']?\*\.[^*,]+$/.test(text));
  tellLines(lines, list, findings, {
    kind: "leak",
    one: ({ text }) =>
      `\`${text.trim()}\` of the list \`${list.tag}\` is one label below the name there, and every name below it here`,
    further: "with a star for one label",
  });
}

/** smartdns and chinadns-ng take a dot at an end of a name, and a prefix, for letters of a name that nobody asks for. */
function reportDressedNames(bytes: Buffer, list: ListFile, findings: Findings): void {
  const lines = linesWhere(bytes, (text) => /^(\.[^\s.]|[^\s#*+]+\.(\s|$)|(full|domain|keyword|regexp):)/.test(text));
  tellLines(lines, list, findings, {
    kind: "leak",
    one: ({ text }) =>
      `\`${text}\` of the list \`${list.tag}\` matches ${
        text.endsWith(".") ? "nothing in chinadns-ng and smartdns 40" : "nothing there"
      }, where a list has bare names alone, and names here: remove the line, or write the name bare`,
    further: "with a dot at an end of the name or a prefix, each of which matches nothing there",
  });
}

/** The modifiers of rules that AdGuard Home holds for whole hosts; a line with any other decides nothing there. */
const HOST_MODIFIERS = new Set(["important", "badfilter", "client", "ctag", "dnstype", "dnsrewrite", "denyallow"]);

/** Whether a line that is not used here means nothing for the names in AdGuard Home either. */
function isPassedOverByAdguardHome({ reason }: Warning, text: string): boolean {
  if (/cosmetic|path|rule about a name/.test(reason)) return true;
  return reason.includes("modifier") && modifiersOf(text).some((modifier) => !HOST_MODIFIERS.has(modifier.replace(/=.*$/s, "")));
}

/** Lines that are rules here, of those that are meant. */
function rulesWhere(bytes: Buffer, isMeant: (text: string) => boolean): readonly ListLine[] {
  const sink = new DomainSetBuilder(null).source("");
  return linesWhere(bytes, (text, span, line) => isMeant(text) && readAdguardLine(span, line, sink) === null);
}

function isException(text: string): boolean {
  return text.startsWith("@@");
}

function hasModifierAll(text: string): boolean {
  return modifiersOf(text).includes("all");
}

/** AdGuard Home does not know `$all`, and passes over the line; here it is a rule about the name like one without it. */
function reportModifierAll(bytes: Buffer, list: ListFile, use: ListUse, findings: Findings): void {
  const lines = rulesWhere(bytes, hasModifierAll);
  for (const exception of [false, true]) {
    const isAllowed = (use === "allows") !== exception;
    const effect = isAllowed
      ? "allows the name"
      : use === "allows"
        ? "takes the name out of the list that allows"
        : "blocks the name";
    tellLines(
      lines.filter(({ text }) => isException(text) === exception),
      list,
      findings,
      {
        kind: isAllowed ? "changed" : "blank",
        one: ({ text }) =>
          `\`${text}\` of the list \`${list.tag}\`: AdGuard Home knows no modifier \`all\`, and does not read the line; here it ${effect}`,
        further: `with \`$all\`: each ${effect} here`,
      },
    );
  }
}

/** In a filter that allows AdGuard Home allows what an exception names, too; here the line takes the name out of the list. */
function reportExceptions(bytes: Buffer, list: ListFile, findings: Findings): void {
  const lines = rulesWhere(bytes, (text) => isException(text) && !hasModifierAll(text));
  tellLines(lines, list, findings, {
    kind: "blank",
    one: ({ text }) =>
      `\`${text}\` of the list \`${list.tag}\`: AdGuard Home allows the name; here \`@@\` takes it out of the list that allows, and another list may block it. Write the line without \`@@\``,
    further: "with `@@`: here nothing is allowed by them",
  });
}

/** OxiDNS passes over lines of hosts files and rules with modifiers that it does not know; of names alone it asks no rule for some types. */
function reportOxidnsRules(bytes: Buffer, list: ListFile, use: ListUse, findings: Findings): void {
  const known = ["important", "badfilter", "denyallow", ...(list.asked === "question" ? ["dnstype"] : [])];
  const isUnknown = (text: string) => modifiersOf(text).some((modifier) => !known.includes(modifier.replace(/=.*$/s, "")));
  const isHostsLine = (text: string) => rangeFromText(text.replace(/\s.*$/s, "")) !== null;
  const lines = [...linesWhere(bytes, isHostsLine), ...rulesWhere(bytes, isUnknown)].sort((a, b) => a.line - b.line);
  tellLines(lines, list, findings, {
    kind: use === "blocks" ? "blank" : "leak",
    one: ({ text }) =>
      `\`${text}\` of the list \`${list.tag}\`: OxiDNS passes over it there, and here it is a rule: remove the line`,
    further: "that OxiDNS passes over, and that are rules here",
  });
  const open = rulesWhere(bytes, (text) => /^(@@)?\|{1,2}[^/^|$]+(\$|$)/.test(text) && !isUnknown(text));
  tellLines(open, list, findings, {
    kind: use === "blocks" ? "changed" : "leak",
    one: ({ text }) =>
      `\`${text}\` of the list \`${list.tag}\` has no \`^\` at its end: in OxiDNS it holds longer names that only begin so too, and not here`,
    further: "without `^` at its end",
  });
}

function isChinaName(text: string): boolean {
  return (
    /(^|[^!\w])(geoip[-_:]?)?(cn|china|chn)([-_ ]?ip|[^\w]|$)|china[-_]?ip|cn[-_]?ip|geoip[-_]cn|chn?[-_]?route/i.test(text) &&
    !/!cn|non[-_]?cn|not[-_]?cn/i.test(text)
  );
}

export function networksSet(networks: readonly string[]): AddressSet {
  return new AddressSet(networks.flatMap((network) => rangeFromText(network) ?? []));
}

const patternSets = new WeakMap<readonly string[], DomainSet>();

function patternSet(patterns: readonly string[]): DomainSet {
  const known = patternSets.get(patterns);
  if (known !== undefined) return known;
  const builder = new DomainSetBuilder(null);
  addPatterns(builder, patterns);
  const set = builder.build();
  patternSets.set(patterns, set);
  return set;
}

function addPatterns(builder: DomainSetBuilder, patterns: readonly string[]): void {
  for (const [index, text] of patterns.entries()) {
    const pattern = parsePattern(text);
    if (text.startsWith("*.")) builder.source("").name("below", spanOf(text.slice(2)), index + 1);
    else if (pattern.kind !== "bad") builder.pattern(pattern, index + 1);
  }
}

/** A name that the pattern holds; null where none can be told. */
function exampleOf(text: string): string | null {
  if (text.startsWith("*.")) return `www.${text.slice(2)}`;
  const pattern = parsePattern(text);
  if (pattern.kind === "bad" || pattern.kind === "regexp" || pattern.kind === "single") return null;
  if ("text" in pattern) return `${pattern.text.replace(/[^a-z0-9-]/gi, "")}.example`;
  const name = nameText(pattern.name);
  return name === "." ? null : name;
}

function samplesOf(set: DomainSet, most: number): readonly string[] {
  const samples: string[] = [];
  for (const name of set.names()) {
    if (samples.length >= most) break;
    const text = nameText(name.startsWith("\x01*") ? (`\x03www${name.slice(2)}` as Name) : name);
    if (/^[\w.-]+$/.test(text) && text !== ".") samples.push(text);
  }
  return samples;
}

export function isUrl(path: string): boolean {
  return /^https?:\/\//.test(path);
}

/** An address or a network. */
export function isNetwork(text: string): boolean {
  return "value" in parseNetwork(text);
}

export function isAddress(text: string): boolean {
  return isNetwork(text) && !text.includes("/");
}

/** A pattern as section `rules` writes it, or why there is none. */
export function readPattern(written: string): { readonly pattern: string } | { readonly why: string } {
  const pattern = written.replace(/^domain:/, "");
  const parsed = parsePattern(pattern);
  if (parsed.kind === "bad") return { why: parsed.reason };
  if (/^!|^list:/.test(pattern)) return { why: `${pattern} is no pattern` };
  return { pattern };
}

/** A name for a host, or null. */
export function hostName(written: string): string | null {
  const name = nameFromText(written.toLowerCase());
  return name === null || !/^[\w-]+(\.[\w-]+)*$/.test(nameText(name)) ? null : nameText(name);
}

/** An address, a network, a client id, or a MAC address, as `clients` of a rule has it; null = it is none. */
export function clientId(written: string): string | null {
  if (/^([0-9a-f]{2}[:.-]){5}[0-9a-f]{2}$/i.test(written)) return written.toLowerCase().replace(/[.-]/g, ":");
  return "value" in parseClient(written) ? written : null;
}

/** A rule knows the MAC addresses of `devices` alone. */
export function isMac(id: string): boolean {
  return /^!?([0-9a-f]{2}:){5}[0-9a-f]{2}$/.test(id);
}
