import { typeNumber } from "../../dns/types.ts";
import { hostsOf, hostWith, joinHosts } from "../hosts.ts";
import { clientId, hostName, isAddress, isMac, isNetwork, readPattern } from "../lists.ts";
import {
  answered,
  decide,
  type Findings,
  forNames,
  type Host,
  joinNames,
  type ModelRule,
  namesOf,
  type OwnAnswer,
  type Place,
  type RuleCondition,
} from "../model.ts";
import type { SourceLine } from "../source.ts";

/** Rules that a user wrote. What is not known takes its whole line with it: no line is read without its modifiers. */
interface UserRules {
  readonly blocked: readonly string[];
  readonly allowed: readonly string[];
  /** What is allowed to single clients, by their addresses and ids. */
  readonly allowedTo: ReadonlyMap<string, readonly string[]>;
  /** Blocked whatever is allowed. */
  readonly important: readonly string[];
  /** Exceptions of `important` too. */
  readonly importantAllowed: readonly string[];
  /** Those for some clients or types, and those with an answer of their own. */
  readonly rules: readonly ModelRule[];
  readonly hosts: readonly Host[];
  /** Of the first. */
  readonly place: Place | null;
}

interface UserRulesOptions {
  /** What is blocked gets. */
  readonly answer: OwnAnswer;
  /** Whether a line of a hosts file gives its address: any other mode of blocking blocks the name. */
  readonly givesAddresses: boolean;
  /** The addresses and ids of a client that the source has by this name. */
  readonly idsOf: (name: string) => readonly string[];
  readonly findings: Findings;
}

/** Those of AdGuard Home 0.108: a line with any other means nothing there. */
const MODIFIERS = new Set(
  `third-party first-party match-case important badfilter elemhide generichide genericblock jsinject urlblock content stealth popup empty mp4 script
  stylesheet subdocument object image xmlhttprequest media font websocket ping other extension dnstype dnsrewrite domain denyallow ctag client document
  respgeo`.split(/\s+/),
);

export function readUserRules(
  lines: readonly SourceLine[],
  { answer, givesAddresses, idsOf, findings }: UserRulesOptions,
): UserRules {
  const lists = { blocked: [] as string[], allowed: [] as string[], important: [] as string[], importantAllowed: [] as string[] };
  const allowedTo = new Map<string, readonly string[]>();
  const rules: ModelRule[] = [];
  const conditional: { readonly condition: RuleCondition; readonly place: Place }[] = [];
  const hosts: Host[] = [];
  // A rule with `$badfilter` takes another away.
  const bad = new Set(lines.map(({ text }) => /^(.*)[$,]badfilter$/.exec(text)?.[1]));
  for (const { text, ...place } of lines) {
    const leaveCapitals = (name: string) =>
      findings.add("left", place, `\`${name}\`: in capitals it matches nothing in AdGuard Home`);
    const leave = (why: string) =>
      findings.add(text.startsWith("@@") ? "blank" : "changed", place, `\`${text}\`: ${why}; the line is left out`);
    if (text === "" || /^[!#]/.test(text) || bad.has(text) || /[$,]badfilter$/.test(text)) continue;
    const [first = "", ...names] = text.replace(/\s+#.*$/, "").split(/\s+/);
    if (isNetwork(first) && names.length > 0) {
      for (const written of names) {
        const name = hostName(written);
        if (name === null) leave(`\`${written}\` is no name`);
        else if (written !== written.toLowerCase()) leaveCapitals(written);
        else if (!givesAddresses || /^(0\.0\.0\.0|127\.0\.0\.1|::1?)$/.test(first)) {
          lists.blocked.push(`full:${name}`);
          if (givesAddresses && first.endsWith("1"))
            findings.add("changed", place, `\`${name}\` was answered with ${first}: it is blocked as any other name here`);
        } else hosts.push({ ...hostWith(name, [first], place), others: "nodata" });
      }
      continue;
    }
    const isAllowed = text.startsWith("@@");
    const rule = isAllowed ? text.slice(2) : text;
    const dollar = /^\/.*\/$/.test(rule) ? -1 : rule.lastIndexOf("$");
    const written = dollar < 0 ? rule : rule.slice(0, dollar);
    const isHost = !isAllowed && dollar < 0;
    if (isHost && hostName(written) !== null && written !== written.toLowerCase()) {
      leaveCapitals(written);
      continue;
    }
    const patterns = patternsOf(written, isHost);
    const modifiers =
      dollar < 0
        ? []
        : rule
            .slice(dollar + 1)
            .split(",")
            .filter((modifier) => modifier !== "");
    if (patterns === null) {
      leave("it is no rule about a name, or no pattern that can be used here");
      continue;
    }
    const stranger = modifiers
      .map((modifier) => modifier.replace(/[~=].*$/s, ""))
      .find((key) => key !== "" && !MODIFIERS.has(key));
    if (stranger !== undefined) {
      findings.add(
        "left",
        place,
        `\`${text}\`: AdGuard Home knows no modifier \`${stranger}\`, and does not read the line either`,
      );
      continue;
    }
    const read = readModifiers(modifiers, patterns, idsOf);
    if (read === null) leave(`the modifier \`$${modifiers.join(",")}\` has no equal`);
    else if (isAllowed && isForClients(read, modifiers))
      for (const client of read.condition.clients ?? []) allowedTo.set(client, [...(allowedTo.get(client) ?? []), ...patterns]);
    else if (isAllowed && modifiers.some((modifier) => modifier !== "important")) leave("an exception under a condition");
    else if (isAllowed) {
      lists.allowed.push(...patterns);
      if (modifiers.includes("important")) lists.importantAllowed.push(...patterns);
    } else if (read.rewrite !== null) {
      const closed = closedPatterns(written, patterns);
      if (closed !== patterns)
        findings.add("changed", place, `\`${text}\`: names that only begin or end like it were rewritten too: here they are not`);
      const made = rewritten(read.rewrite, closed, place);
      if (made === null) leave(`\`${read.rewrite}\` is no answer that can be given here`);
      else if ("hosts" in made && read.isConditional) leave("an answer of its own under a condition");
      else if ("hosts" in made) hosts.push(...made.hosts);
      else rules.push(decide(read.condition, answered(made.answer, place), place));
    } else if (read.isConditional) {
      conditional.push({ condition: read.condition, place });
      if (read.condition.clients?.some(isMac) === true)
        findings.add("changed", place, `\`${text}\` holds where \`devices\` knows the MAC address of the client`);
    } else if (modifiers.includes("important")) lists.important.push(...patterns);
    else lists.blocked.push(...patterns);
  }
  // Exceptions hold wherever they stand.
  for (const { condition, place } of conditional) {
    const except = joinNames([condition.except, namesOf(lists.allowed)]);
    if (allowedTo.size > 0 && condition.clients?.some((client) => /^[^!].*\//.test(client)) === true)
      findings.add("blank", place, "what is allowed to a single client does not pierce this rule, which is for a network");
    for (const each of forClients({ ...condition, except }, allowedTo)) rules.push(decide(each, answered(answer, place), place));
  }
  return { ...lists, allowedTo, rules, hosts: joinHosts(hosts), place: lines[0] ?? null };
}

/** The condition for each client to whom more is allowed, and for all others. */
export function forClients(condition: RuleCondition, allowedTo: UserRules["allowedTo"]): readonly RuleCondition[] {
  const { clients } = condition;
  const isForOthers = clients === null || clients.every((client) => client.startsWith("!"));
  const own = [...allowedTo].filter(([client]) =>
    isForOthers ? clients?.includes(`!${client}`) !== true : clients.includes(client),
  );
  const named = own.map(([client]) => client);
  const rest = isForOthers
    ? [...(clients ?? []), ...named.map((client) => `!${client}`)]
    : clients.filter((client) => !named.includes(client));
  return [
    ...own.map(([client, names]) => ({ ...condition, clients: [client], except: joinNames([condition.except, namesOf(names)]) })),
    ...(own.length === 0 ? [condition] : rest.length === 0 ? [] : [{ ...condition, clients: rest }]),
  ];
}

/** Whether all that an exception asks is that one of some clients asks, and none of them is a network. */
function isForClients({ condition, isConditional }: ReadModifiers, modifiers: readonly string[]): boolean {
  const { clients } = condition;
  return isConditional && clients !== null && modifiers.length === 1 && clients.every((client) => !/^!|\//.test(client));
}

/**
 * `||x^` is x and below, `|x^` x alone, `.x^` what is below it, `/…/` an expression. Where a name may go on at one end, as at its begin in `x^` and behind it in
 * `||x`, it is an expression too.
 * @param isHost whether a bare name is that of a hosts file: x alone.
 * @returns null = it is no pattern, or none that can be used.
 */
export function patternsOf(text: string, isHost: boolean): readonly string[] | null {
  const patterns = readPatterns(text, isHost);
  return patterns?.every((pattern) => !pattern.startsWith("regexp:") || "pattern" in readPattern(pattern)) === true
    ? patterns
    : null;
}

function readPatterns(text: string, isHost: boolean): readonly string[] | null {
  if (/^\/.+\/$/.test(text)) return [`regexp:${text.slice(1, -1)}`];
  const [, start = "", name = "", end = ""] = /^(\|{0,2})([\w*.-]+)(\^?\|?)$/.exec(text.toLowerCase()) ?? [];
  if (isHost && start + end === "" && hostName(name) !== null) return [`full:${name}`];
  const below = name.replace(/^\*?\./, "");
  if (end !== "" && hostName(below) !== null) {
    if (below !== name && (name.startsWith("*") || start === "")) return [`*.${below}`];
    if (below === name && start !== "") return [start === "||" ? name : `full:${name}`];
  }
  if (name.replaceAll("*", "") === "") return null;
  const begin = { "||": "(?:^|\\.)", "|": "^" }[start] ?? "";
  const expression = `${begin}${name.replaceAll(".", "\\.").replace(/\*+/g, ".*")}${end === "" ? "" : "$"}`;
  // What may stand at either end need not be looked for.
  return [`regexp:${expression.replace(/^(\^|\(\?:\^\|\\\.\))?\.\*/, "").replace(/\.\*\$?$/, "")}`];
}

/** Names in place of an expression, where there are some for which it stands first of all. */
function closedPatterns(text: string, patterns: readonly string[]): readonly string[] {
  if (/^\//.test(text) || !patterns.some((pattern) => pattern.startsWith("regexp:"))) return patterns;
  const closed = patternsOf(`${/[|*]/.test(text) ? "" : "|"}${text.replace(/[\^|]*$/, "")}^`, false);
  return closed?.some((pattern) => pattern.startsWith("regexp:")) === false ? closed : patterns;
}

interface ReadModifiers {
  readonly condition: RuleCondition;
  readonly isConditional: boolean;
  readonly rewrite: string | null;
}

/** null = one of them is not known. */
function readModifiers(
  modifiers: readonly string[],
  patterns: readonly string[],
  idsOf: UserRulesOptions["idsOf"],
): ReadModifiers | null {
  let condition = forNames(namesOf(patterns));
  let rewrite: string | null = null;
  for (const modifier of modifiers) {
    const [key = "", value = ""] = modifier.split(/=(.*)/s);
    const values = value.split("|");
    if (key === "important") continue;
    if (key === "client") {
      const clients = values.map((each) => clientsOf(each, idsOf));
      if (clients.includes(null)) return null;
      condition = { ...condition, clients: clients.flatMap((each) => each ?? []) };
    } else if (key === "dnstype") {
      const types = values.map((each) => typeNumber(each.toUpperCase())).filter((type) => type !== null);
      if (types.length < values.length) return null;
      condition = { ...condition, types };
    } else if (key === "denyallow" && values.every((each) => hostName(each) !== null))
      condition = { ...condition, except: namesOf(values) };
    else if (key === "dnsrewrite") rewrite = value;
    else return null;
  }
  const isConditional = condition.clients !== null || condition.types !== null || condition.except.patterns.length > 0;
  return { condition, isConditional, rewrite };
}

/** An address, a network, the name of a client, perhaps in quotes; `~` before it excepts it. null = it cannot be told. */
function clientsOf(written: string, idsOf: UserRulesOptions["idsOf"]): readonly string[] | null {
  const [, except = "", text = ""] = /^(~?)(.*)$/.exec(written) ?? [];
  const name = text.replace(/^(["'])(.*)\1$/, "$2").replaceAll("\\", "");
  const ids = idsOf(name);
  const all = ids.length === 0 ? [name] : ids;
  // A word that is no client of the source could be anybody's id here.
  if (ids.length === 0 && !isNetwork(name)) return null;
  const told = all.map(clientId);
  return told.every((id) => id !== null) ? told.map((id) => (except === "" ? id : `!${id}`)) : null;
}

function rewritten(
  value: string,
  patterns: readonly string[],
  place: Place,
): { readonly hosts: readonly Host[] } | { readonly answer: OwnAnswer } | null {
  const [rcode = "", type = "", data = ""] = value.includes(";") ? value.split(";") : [];
  const word = (rcode || value).toUpperCase();
  if (type + data === "" && word === "NOERROR") return { answer: "nodata" };
  if (type === "" && (word === "NXDOMAIN" || word === "REFUSED")) return { answer: word === "NXDOMAIN" ? "nxdomain" : "refused" };
  const target = data || value;
  const hasAddress = isAddress(target);
  const cname = hasAddress ? null : hostName(target);
  if ((!hasAddress && cname === null) || !["", "A", "AAAA", "CNAME"].includes(type.toUpperCase())) return null;
  if (patterns.some((pattern) => pattern.startsWith("regexp:"))) return null;
  const host = { addresses: hasAddress ? [target] : [], cname, others: "nodata", place } as const;
  return { hosts: patterns.flatMap((pattern) => hostsOf(pattern, host)) };
}
