import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { nameOfLabels } from "../../src/dns/name.ts";
import { TYPE, typeName } from "../../src/dns/types.ts";
import type { Requester } from "../../src/lib/client.ts";
import type { Decision } from "../../src/rules/decision.ts";
import type { RuleAnswer, RuleOptions } from "../../src/rules/options.ts";
import { runs } from "../support/properties.ts";
import { ask, laptop, rule, type SiteText, site } from "./site.ts";

const types = [TYPE.A, TYPE.AAAA, TYPE.TXT];

/** All names of up to three labels below each of two top-level ones, one of them special. */
const universe = ["example", "lan"].flatMap((top) => {
  const names = [[top]];
  for (const labels of names) if (labels.length < 4) for (const label of ["a", "b", "ads"]) names.push([label, ...labels]);
  return names.map((labels) => labels.join("."));
});

const requesters: Requester[] = [laptop, { address: "10.0.7.1", clientId: null }, { address: "10.0.0.50", clientId: "tv" }];

const someName = fc.constantFrom(...universe);
const pattern = fc.oneof(
  { weight: 4, arbitrary: someName },
  { weight: 2, arbitrary: someName.map((text) => `full:${text}`) },
  {
    weight: 1,
    arbitrary: fc.constantFrom("keyword:ads", "keyword:a.b", "regexp:^ads\\.", "regexp:b\\.example$", "single:", "."),
  },
);
const lists = fc.record({ near: fc.array(pattern, { maxLength: 3 }), far: fc.array(pattern, { maxLength: 3 }) });
const domain = fc
  .tuple(fc.constantFrom("", "", "", "!"), fc.oneof({ weight: 3, arbitrary: pattern }, fc.constantFrom("list:near", "list:far")))
  .map(([except, text]) => except + text);
const action = fc.oneof(
  fc.constantFrom("one", "two"),
  fc.constantFrom<RuleAnswer[]>("nodata", "nxdomain", "nxdomain", "zero", "refused", "drop").map((answer) => ({ answer })),
  fc.constant({ longest: { near: "domestic", far: "overseas" } }),
  fc.constant(null),
);
const someRules = fc
  .array(
    fc.record({
      does: action,
      domains: fc.array(domain, { maxLength: 3 }),
      alsoDomains: fc.oneof(
        { weight: 3, arbitrary: fc.constant([]) },
        { weight: 1, arbitrary: fc.array(fc.array(domain, { minLength: 1, maxLength: 2 }), { maxLength: 2 }) },
      ),
      clients: fc.constantFrom<string[][]>([], [], ["10.0.7.0/24"], ["tv", "10.0.7.1"], ["!tv"], ["!10.0.7.0/24"]),
      types: fc.constantFrom<number[][]>([], [], [TYPE.A], [TYPE.AAAA, TYPE.TXT]),
      exceptTypes: fc.constantFrom<number[][]>([], [], [TYPE.A], [TYPE.AAAA, TYPE.TXT]),
    }),
    { maxLength: 4 },
  )
  .map((drawn) =>
    drawn.map(({ does, ...conditions }, index) => {
      // The configuration refuses other answers in a rule with types.
      const isTyped = conditions.types.length > 0 || conditions.exceptTypes.length > 0;
      const refused = isTyped && typeof does === "object" && does !== null && "answer" in does;
      const exceptTypes = conditions.types.length > 0 ? [] : conditions.exceptTypes;
      return rule(`rule${index}`, refused ? { answer: "nodata" } : does, { ...conditions, exceptTypes });
    }),
  );
const hosts = fc.uniqueArray(someName, { maxLength: 3 }).chain((names) =>
  fc.tuple(
    ...names.map((text) =>
      fc
        .record({ isWildcard: fc.boolean(), addresses: fc.constantFrom(["10.0.0.5"], ["10.0.0.5"], []) })
        .map(({ isWildcard, addresses }) => ({
          name: isWildcard ? `*.${text}` : text,
          addresses,
          others: "forward" as const,
        })),
    ),
  ),
);

/** Whether NOERROR can come of it; what is denied and gets NODATA for another name's sake does not exist either. */
function exists(decision: Decision, rules: readonly RuleOptions[]): boolean {
  if (decision.kind !== "reply") return decision.kind !== "drop";
  const action = rules.find((options) => options.name === decision.context.rule)?.action;
  if (action?.kind === "answer" && action.answer === "nxdomain") return false;
  return decision.answer.kind !== "nxdomain" && decision.answer.kind !== "refused";
}

describe("laws", () => {
  test("NXDOMAIN never denies a type of the name or a name below it that the same client can get (RFC 2308 §5, RFC 8020 §2)", () => {
    fc.assert(
      fc.property(someRules, lists, hosts, (rules, drawnLists, drawnHosts) => {
        const { decide } = site({ rules, lists: drawnLists, hosts: drawnHosts });
        for (const requester of requesters) {
          const questions = universe.flatMap((text) => types.map((type) => ({ text, type })));
          const decided = questions.map(({ text, type }) => ({
            text,
            type,
            decision: decide(`${text} ${typeName(type)}`, requester),
          }));
          const denied = decided.filter(({ decision }) => decision.kind === "reply" && decision.answer.kind === "nxdomain");
          for (const { text } of denied) {
            const taken = decided.filter((other) => `.${other.text}`.endsWith(`.${text}`) && exists(other.decision, rules));
            expect(taken.map((other) => `${other.text} ${typeName(other.type)}`)).toEqual([]);
          }
        }
      }),
      { numRuns: runs(150) },
    );
  });

  test("the decider decides as a plain reading of the rules does", () => {
    fc.assert(
      fc.property(someRules, lists, (rules, drawnLists) => {
        const { decide } = site({ rules, lists: drawnLists });
        for (const requester of requesters) {
          for (const text of universe) {
            for (const type of types) {
              const decision = decide(`${text} ${typeName(type)}`, requester);
              expect(shown(decision)).toBe(plainly({ rules, lists: drawnLists }, { text, type }, requester));
            }
          }
        }
      }),
      { numRuns: runs(100) },
    );
  });

  test("any name, type and class get a decision without an exception", () => {
    const label = fc.uint8Array({ minLength: 1, maxLength: 63 }).map((bytes) => Buffer.from(bytes).toString("latin1"));
    const known = fc.constantFrom("lan", "arpa", "in-addr", "10", "example", "ads", "localhost");
    const labels = fc.array(fc.oneof(label, known), { maxLength: 6 });
    fc.assert(
      fc.property(
        someRules,
        lists,
        labels,
        fc.nat(0xffff),
        fc.constantFrom(1, 3, 255),
        (rules, drawnLists, drawn, type, klass) => {
          const asked = nameOfLabels(drawn);
          fc.pre(asked !== null);
          const { decider } = site({ rules, lists: drawnLists });
          for (const requester of requesters) {
            expect(["forward", "reply", "drop"]).toContain(decider.decide({ name: asked, type, class: klass }, requester).kind);
          }
        },
      ),
    );
  });

  test("explaining decides the same as deciding", () => {
    fc.assert(
      fc.property(someRules, lists, hosts, someName, (rules, drawnLists, drawnHosts, text) => {
        const { decider } = site({ rules, lists: drawnLists, hosts: drawnHosts });
        for (const requester of requesters) {
          const { decision, steps } = decider.explain(ask(text), requester);
          expect(decision).toEqual(decider.decide(ask(text), requester));
          const deciding = steps.filter((step) => step.kind === "rule" && step.outcome === "decides");
          expect(deciding).toMatchObject(decision.context.rule === null ? [] : [{ rule: decision.context.rule }]);
        }
      }),
    );
  });
});

function shown(decision: Decision): string {
  if (decision.kind === "forward") return `${decision.context.rule ?? "nobody"}>${decision.group}`;
  return decision.context.rule === null ? "special" : decision.context.rule;
}

/** The rules read word by word, slowly, from their texts alone. */
function plainly(text: SiteText, question: { text: string; type: number }, requester: Requester): string {
  const zone = specialZone(question);
  for (const options of text.rules ?? []) {
    const { types: wanted, exceptTypes } = options;
    const typed = (wanted.length === 0 || wanted.includes(question.type)) && !exceptTypes.includes(question.type);
    const by = longestOf(options, text, question.text);
    const conditions = [options.domains, ...options.alsoDomains];
    const holds =
      conditions.every((domains) => domainsHold(domains, text, question.text)) &&
      (by !== null || options.action?.kind !== "longest");
    if (!typed || !clientsHold(options.clients, requester) || !holds || options.action === null) continue;
    const patterns = expanded(
      conditions.flat().filter((written) => !written.startsWith("!")),
      text,
    );
    const within = [...patterns, ...(by === null ? [] : [by.pattern])].filter((written) => fits(written, question.text));
    if (zone !== null && !within.some((written) => isWithinZone(written, zone))) return "special";
    if (by !== null) return `${options.name}>${by.group}`;
    return options.action.kind === "upstream" ? `${options.name}>${options.action.group}` : options.name;
  }
  return zone === null ? "nobody>first" : "special";
}

function specialZone({ text, type }: { text: string; type: number }): string | null {
  if (text === "lan" || text.endsWith(".lan")) return "lan";
  return !text.includes(".") && type !== TYPE.TXT ? text : null;
}

function isWithinZone(written: string, zone: string): boolean {
  if (written === "single:") return zone !== "lan";
  return (
    /^(full:)?[a-z]/.test(written) &&
    `.${written.replace("full:", "")}`.endsWith(`.${zone}`) &&
    !/^(keyword|regexp)/.test(written)
  );
}

function clientsHold(clients: readonly string[], { address, clientId }: Requester): boolean {
  const holds = (entry: string) =>
    entry === address || entry === clientId || (entry.includes("/") && address.startsWith("10.0.7."));
  const wanted = clients.filter((entry) => !entry.startsWith("!"));
  const excepted = clients.filter((entry) => entry.startsWith("!")).map((entry) => entry.slice(1));
  return (wanted.length === 0 || wanted.some(holds)) && !excepted.some(holds);
}

function expanded(domains: readonly string[], text: SiteText): string[] {
  return domains.flatMap((written) => (written.startsWith("list:") ? (text.lists?.[written.slice(5)] ?? []) : [written]));
}

function domainsHold(domains: readonly string[], text: SiteText, asked: string): boolean {
  const wanted = domains.filter((written) => !written.startsWith("!"));
  const excepted = domains.filter((written) => written.startsWith("!")).map((written) => written.slice(1));
  if (expanded(excepted, text).some((written) => fits(written, asked))) return false;
  return wanted.length === 0 || expanded(wanted, text).some((written) => fits(written, asked));
}

function fits(written: string, asked: string): boolean {
  if (written === ".") return true;
  if (written === "single:") return !asked.includes(".");
  if (written.startsWith("full:")) return asked === written.slice(5);
  if (written.startsWith("keyword:")) return asked.includes(written.slice(8));
  if (written.startsWith("regexp:")) return new RegExp(written.slice(7)).test(asked);
  return asked === written || asked.endsWith(`.${written}`);
}

function longestOf({ action: does }: RuleOptions, text: SiteText, asked: string): { group: string; pattern: string } | null {
  if (does?.kind !== "longest") return null;
  let best: { group: string; pattern: string; worth: number } | null = null;
  for (const { list, group } of does.choices) {
    for (const written of text.lists?.[list] ?? []) {
      if (fits(written, asked) && worth(written) > (best?.worth ?? 0)) best = { group, pattern: written, worth: worth(written) };
    }
  }
  return best;
}

function worth(written: string): number {
  if (written.startsWith("full:")) return 1_000;
  if (/^(keyword|regexp|single):/.test(written)) return 1;
  return written === "." ? 2 : 2 + written.length;
}
