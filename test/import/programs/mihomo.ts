import fc from "fast-check";
import { geoip, geosite } from "../../support/dat.ts";
import {
  type Answerer,
  answerOf,
  BANNED,
  domainsOf,
  type Format,
  GROUPS,
  type Group,
  HOME,
  KINDS,
  type Question,
  questionOf,
  Rows,
} from "./program.ts";

/**
 * mihomo, section `dns`: of the keys of a policy, label by label from the end, a literal one beats `*`, which beats `.`; sets of names stand in their order
 * among runs of such keys; hosts come before, and names with a fake address before all that is asked.
 */

type Mark = "" | "*." | "." | "+." | "geosite:";

interface Policy {
  readonly mark: Mark;
  /** Of `geosite:` a category. */
  readonly domain: string;
  readonly target: Group;
}

interface Fallback {
  readonly target: Group;
  /** null = it is not written, which is the country's. */
  readonly isByCountry: boolean | null;
  readonly isBannedForeign: boolean;
  readonly domains: readonly string[];
  readonly categories: readonly string[];
}

type Fake =
  | { readonly mode: "blacklist" | "whitelist"; readonly filter: readonly string[] }
  /** The first rule that matches decides; without one the address is fake. */
  | { readonly mode: "rule"; readonly filter: readonly FakeRule[] };

interface FakeRule {
  readonly type: "DOMAIN" | "DOMAIN-SUFFIX" | "DOMAIN-KEYWORD" | "GEOSITE" | "MATCH";
  readonly payload: string;
  readonly isFake: boolean;
}

interface Program {
  readonly standard: Group;
  readonly policies: readonly Policy[];
  readonly fallback: Fallback | null;
  /** The filter of names with fake addresses; null = none are made. */
  readonly fake: Fake | null;
  readonly host: string | null;
  readonly isIpv6: boolean;
}

const DOMAINS = ["example.com", "a.example.com", "b.a.example.com", "shop.example.com", "test.net"];
const NAMES = [...DOMAINS, "c.b.a.example.com", "x.a.example.com", "y.example.com", "z.test.net", "w.org"];
const CATEGORIES: Readonly<Record<string, readonly string[]>> = {
  cn: ["shop.example.com", "full:a.example.com"],
  games: ["test.net", "a.example.com"],
};
const FOUR = "10.1.2.3";
const KEYS = [...DOMAINS.flatMap((domain) => ["", "*.", "+."].map((mark) => `${mark}${domain}`))];

const policyOf = fc
  .record({ target: fc.constantFrom<Group>("near", "far", "third") })
  .chain(({ target }) =>
    fc
      .oneof(
        { weight: 4, arbitrary: fc.tuple(fc.constantFrom<Mark>("", "*.", ".", "+."), fc.constantFrom(...DOMAINS)) },
        { weight: 1, arbitrary: fc.tuple(fc.constant<Mark>("geosite:"), fc.constantFrom(...Object.keys(CATEGORIES))) },
      )
      .map(([mark, domain]): Policy => ({ mark, domain, target })),
  );

const fallbackOf: fc.Arbitrary<Fallback> = fc.record({
  target: fc.constantFrom<Group>("far", "third"),
  isByCountry: fc.constantFrom(null, true, false),
  isBannedForeign: fc.boolean(),
  domains: fc.subarray([...KEYS], { maxLength: 2 }),
  categories: fc.subarray(Object.keys(CATEGORIES), { maxLength: 1 }),
});

const fakeRuleOf: fc.Arbitrary<FakeRule> = fc.record({
  type: fc.constantFrom<FakeRule["type"]>("DOMAIN", "DOMAIN-SUFFIX", "DOMAIN-KEYWORD", "GEOSITE", "MATCH"),
  payload: fc.constantFrom(...DOMAINS),
  isFake: fc.boolean(),
});

/** mihomo does not find `a.x` by `*.x` where the set has `b.a.x` too: it does not come back from the literal label. That is no man's wish. */
function hasNoKeyBelowStar(keys: readonly string[]): boolean {
  const stars = keys.filter((key) => key.startsWith("*."));
  return !stars.some((star) => keys.some((key) => key !== star && key.endsWith(star.slice(1)) && key !== `+${star.slice(1)}`));
}

const fakeOf: fc.Arbitrary<Fake> = fc.oneof(
  fc.record({
    mode: fc.constantFrom("blacklist" as const, "whitelist" as const),
    filter: fc.subarray([...KEYS, "geosite:cn"], { maxLength: 3 }).filter(hasNoKeyBelowStar),
  }),
  fc.record({ mode: fc.constant("rule" as const), filter: fc.array(fakeRuleOf, { minLength: 1, maxLength: 4 }) }),
);

const program: fc.Arbitrary<Program> = fc.record({
  standard: fc.constantFrom<Group>("near", "far"),
  policies: fc.uniqueArray(policyOf, {
    // What two lines for one name come to is no man's rule.
    maxLength: 5,
    selector: ({ mark, domain }) => `${mark === "*." || mark === "geosite:" ? mark : ""}${domain}`,
  }),
  fallback: fc.option(fallbackOf),
  fake: fc.option(fakeOf, { freq: 3 }),
  host: fc.option(fc.constantFrom(...DOMAINS)),
  isIpv6: fc.boolean(),
});

export const MIHOMO: Format<Program> = {
  kind: "mihomo",
  program,
  question: questionOf(NAMES, ["A", "AAAA", "TXT"], KINDS),
  make: (made, { servers, listen }) => {
    const { standard, policies, fallback, fake, host, isIpv6 } = made;
    const rows = new Rows();
    const list = (items: readonly string[]) => JSON.stringify(items);
    const shown = (group: Group) => `${servers[group].address}:${servers[group].port}`;
    rows.add(`ipv6: true\ngeodata-mode: true\ndns:\n  enable: true\n  listen: ${listen.address}:${listen.port}`);
    const ipv6 = rows.add(`  ipv6: ${isIpv6}`);
    rows.add(`  enhanced-mode: ${fake === null ? "redir-host" : "fake-ip"}`);
    if (fake !== null) rows.add(`  fake-ip-filter-mode: ${fake.mode}\n  fake-ip-filter: ${list(filterOf(fake))}`);
    rows.add(`  nameserver: [${shown(standard)}]`);
    const judged = fallback === null ? 0 : rows.add(`  fallback: [${shown(fallback.target)}]`);
    if (fallback !== null) rows.add(`  fallback-filter: ${filterText(fallback)}`);
    rows.add("  nameserver-policy:");
    const numbered = policies.map((each) => ({
      ...each,
      number: rows.add(`    "${each.mark}${each.domain}": ${shown(each.target)}`),
    }));
    const hosts = host === null ? 0 : rows.add(`hosts:\n  ${host}: ${FOUR}`);
    return {
      files: {
        "config.yaml": rows.text,
        "geosite.dat": geosite(CATEGORIES),
        "geoip.dat": geoip({ CN: HOME }),
      },
      run: (question) => {
        const { name, type } = question;
        const found = numbered.filter(({ mark, domain }) => matches(`${mark}${domain}`, name));
        const lines = new Set([ipv6, hosts, judged, ...found.map(({ number }) => number)]);
        const answered = (answer: Answerer) => ({ answers: [answer], asked: new Set<Group>(), lines });
        if (type === "AAAA" && !isIpv6) return answered("!nodata");
        if (host === name && type === "A") return answered(`=${FOUR}`);
        // An IPv4 address is given to both families.
        if (host === name && type === "AAAA") return answered("!nodata");
        if (fake !== null && isFaked(fake, name)) return answered("!fake");
        const policy = policyFor(numbered, name);
        if (policy !== null) return { ...askOne(policy, question), lines };
        if (fallback === null) return { ...askOne(standard, question), lines };
        return { ...askTwo(standard, fallback, question), lines };
      },
    };
  },
};

function filterOf(fake: Fake): readonly string[] {
  if (fake.mode !== "rule") return fake.filter;
  return fake.filter.map(({ type, isFake, ...rule }) =>
    [type, ...(type === "MATCH" ? [] : [payloadOf(type, rule.payload)]), isFake ? "fake-ip" : "real-ip"].join(),
  );
}

function payloadOf(type: FakeRule["type"], payload: string): string {
  return type === "GEOSITE" ? "cn" : type === "DOMAIN-KEYWORD" ? (payload.split(".")[0] ?? "") : payload;
}

function isFaked(fake: Fake, name: string): boolean {
  if (fake.mode !== "rule") return fake.filter.some((key) => matches(key, name)) === (fake.mode === "whitelist");
  return fake.filter.find(({ type, payload }) => matchesRule(type, payloadOf(type, payload), name))?.isFake ?? true;
}

function matchesRule(type: FakeRule["type"], payload: string, name: string): boolean {
  switch (type) {
    case "DOMAIN":
      return name === payload;
    case "DOMAIN-SUFFIX":
      return domainsOf(name).includes(payload);
    case "DOMAIN-KEYWORD":
      return name.includes(payload);
    case "GEOSITE":
      return matches(`geosite:${payload}`, name);
    case "MATCH":
      return true;
  }
}

function filterText({ isByCountry, isBannedForeign, domains, categories }: Fallback): string {
  return JSON.stringify({
    ...(isByCountry === null ? {} : { geoip: isByCountry, "geoip-code": "CN" }),
    ...(isBannedForeign ? { ipcidr: BANNED } : {}),
    ...(domains.length === 0 ? {} : { domain: domains }),
    ...(categories.length === 0 ? {} : { geosite: categories }),
  });
}

function askOne(group: Group, question: Question) {
  return { answers: [answerOf(group, question)], asked: new Set([group]) };
}

/** The standard server's addresses count where they are all of the country, and none is banned; other types are its own. */
function askTwo(standard: Group, { target, isByCountry, isBannedForeign, domains, categories }: Fallback, question: Question) {
  const { name, type, answers } = question;
  if (type !== "A" && type !== "AAAA") return askOne(standard, question);
  const keys = [...domains, ...categories.map((category) => `geosite:${category}`)];
  if (keys.some((key) => matches(key, name))) return askOne(target, question);
  const kind = answers[standard];
  const isForeign = (isByCountry !== false && kind !== "home") || (isBannedForeign && kind === "banned");
  const hasAddresses = kind === "home" || kind === "foreign" || kind === "banned";
  // Newer versions ask both at once, unless `fallback-lazy-query` is on.
  const asked = new Set(GROUPS.filter((each) => each === standard || each === target));
  return { answers: [answerOf(hasAddresses && !isForeign ? standard : target, question)], asked };
}

/** Sets in their order; of keys that follow each other the best. */
function policyFor(policies: readonly Policy[], name: string): Group | null {
  let best: { readonly rank: string; readonly target: Group } | null = null;
  for (const { mark, domain, target } of policies)
    if (mark !== "geosite:") {
      const rank = rankOf(mark, domain, name);
      if (rank !== null && (best === null || rank > best.rank)) best = { rank, target };
    } else if (best !== null) return best.target;
    else if (matches(`${mark}${domain}`, name)) return target;
  return best?.target ?? null;
}

function matches(key: string, name: string): boolean {
  const [, mark = "", domain = ""] = /^(geosite:|\*\.|\+\.|\.)?(.*)$/.exec(key) ?? [];
  if (mark !== "geosite:") return rankOf(mark as Mark, domain, name) !== null;
  return (CATEGORIES[domain] ?? []).some((each) =>
    each.startsWith("full:") ? each === `full:${name}` : domainsOf(name).includes(each),
  );
}

/** The labels from the end, each 2 for a literal one, 1 for `*` and 0 for what `.` leaves open; null = it does not match. */
function rankOf(mark: Mark, domain: string, name: string): string | null {
  const literal = "2".repeat(domain.split(".").length);
  if (name === domain) return mark === "" || mark === "+." ? literal : null;
  if (!domainsOf(name).includes(domain)) return null;
  const below = name.split(".").length - domain.split(".").length;
  if (mark === "*.") return below === 1 ? `${literal}1` : null;
  return mark === "." || mark === "+." ? `${literal}0` : null;
}
