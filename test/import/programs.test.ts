import { mkdirSync, writeFileSync } from "node:fs";
import { dirname, join } from "node:path";
import fc from "fast-check";
import { expect, test } from "vitest";
import { parseConfig } from "../../src/config/load.ts";
import { nameFromText } from "../../src/dns/name.ts";
import { CLASS, typeNumber } from "../../src/dns/types.ts";
import { importConfig } from "../../src/import/import.ts";
import { type Finding, ImportError } from "../../src/import/model.ts";
import { operationsLog } from "../../src/log/operations.ts";
import { typeFilter } from "../../src/rules/decider.ts";
import { openPolicy } from "../../src/server/policy.ts";
import { directory } from "../support/files.ts";
import { runs } from "../support/properties.ts";
import {
  type Answerer,
  GROUPS,
  type Group,
  type Kind,
  type Program,
  program,
  type Question,
  question,
  type Rule,
  runProgram,
  writeProgram,
} from "./mosdns-program.ts";

const SERVERS = { near: "192.0.2.1", far: "192.0.2.2", third: "192.0.2.3" };
const TOLD: readonly Finding["kind"][] = ["leak", "blank", "risk", "changed"];

interface New {
  /** Who answers, and every group that may be asked for it. */
  readonly answer: (question: Question) => { readonly answer: Answerer; readonly asked: ReadonlySet<Group> };
  readonly findings: readonly Finding[];
}

/** Imports the configuration; null where nothing is written. */
async function importProgram(where: string, text: string): Promise<New | null> {
  const file = join(where, "config.yaml");
  writeFileSync(file, text);
  let imported: ReturnType<typeof importConfig>;
  try {
    imported = importConfig(file, "mosdns", { proxy: null, relative: (path) => path });
  } catch (error) {
    if (error instanceof ImportError) return null;
    throw error;
  }
  for (const [name, list] of imported.files) {
    mkdirSync(dirname(join(where, name)), { recursive: true });
    writeFileSync(join(where, name), list);
  }
  const parsed = parseConfig(imported.yaml, join(where, "fenliu.yaml"));
  if (parsed.kind === "invalid") throw new Error(JSON.stringify(parsed.problems));
  const { config } = parsed;
  const { decider } = await openPolicy(
    config,
    operationsLog("silent", () => undefined, false),
    { cache: { read: async () => null } },
  );
  const poison = config.poison.length > 0;

  const answer: New["answer"] = ({ name, type, answers }) => {
    const asked = new Set<Group>();
    const isAddress = type === "A" || type === "AAAA";
    const fetch = (label: string): Answerer => {
      const options = config.upstreams.groups.find((each) => each.name === label);
      const group = GROUPS.find((each) => options?.servers.some((server) => server.label.includes(SERVERS[each])));
      if (options === undefined || group === undefined) throw new Error(`no group ${label}`);
      asked.add(group);
      const isDropped = isAddress && answers[group] === "banned" && (poison || options.drop.length > 0);
      if (answers[group] !== "servfail" && !isDropped) return group;
      return options.fallback === null ? "!servfail" : fetch(options.fallback);
    };
    const kindOf = (answerer: Answerer): Kind | null => (answerer.startsWith("!") ? null : answers[answerer as Group]);
    const wire = nameFromText(name);
    if (wire === null) throw new Error(name);
    const number = typeNumber(type) ?? 0;
    const decision = decider.decide({ name: wire, type: number, class: CLASS.IN }, { address: "10.0.0.9", clientId: null });
    if (decision.kind !== "reply" && typeFilter(decision.context.settings.shaping, number) !== null)
      return { answer: "!nodata", asked };
    if (decision.kind === "forward") return { answer: fetch(decision.group), asked };
    if (decision.kind === "compare") {
      const { near, far, first } = decision.compare;
      const [one, other] = first === "far" ? [fetch(far), null] : [fetch(near), fetch(far)];
      if (other === null) {
        const kept = kindOf(one) === "home" ? fetch(near) : null;
        return { answer: kept !== null && kindOf(kept) === "home" ? kept : one, asked };
      }
      return { answer: kindOf(one) === "home" ? one : other, asked };
    }
    if (decision.kind !== "reply") throw new Error(decision.kind);
    const { kind } = decision.answer;
    return { answer: kind === "addresses" ? "!zero" : (`!${kind}` as Answerer), asked };
  };
  return { answer, findings: imported.findings };
}

/** Answers without records that no server gave differ in shape alone: mosdns fails or refuses where types are NODATA here. */
function nothing(answer: Answerer): string {
  return ["!servfail", "!refused", "!nxdomain", "!nodata"].includes(answer) ? "!" : answer;
}

/** The findings that a question may differ by: those at a line that it came through. */
function toldOf(findings: readonly Finding[], lines: ReadonlySet<number>): readonly Finding[] {
  return findings.filter(({ kind, line }) => TOLD.includes(kind) && lines.has(line));
}

test("what is imported of a random configuration asks whom mosdns asks, or the report names the line", {
  timeout: 300_000,
}, async () => {
  const where = directory();
  let imported = 0;
  let same = 0;
  let all = 0;
  await fc.assert(
    fc.asyncProperty(program, fc.array(question, { minLength: 10, maxLength: 10 }), async (sequences: Program, questions) => {
      const { text, lines } = writeProgram(sequences, SERVERS, "127.0.0.1:5353");
      const result = await importProgram(where, text);
      if (result === null) return;
      imported++;
      for (const one of questions) {
        const expected = runProgram(sequences, one);
        const got = result.answer(one);
        all++;
        const more = [...got.asked].filter((group) => !expected.asked.has(group));
        if (nothing(got.answer) === nothing(expected.answer) && more.length === 0) {
          same++;
          continue;
        }
        const passed = new Set([...expected.rules].flatMap((rule) => lines.get(rule) ?? []));
        const told = toldOf(result.findings, passed);
        expect(
          told,
          `${text}\n${JSON.stringify(one)}\nmosdns ${expected.answer} (${[...expected.asked].join()}), new ${got.answer} (${[...got.asked].join()})\n${JSON.stringify(result.findings, null, 1)}`,
        ).not.toEqual([]);
      }
    }),
    { numRuns: runs(1600) },
  );
  expect(imported).toBeGreaterThan(runs(1600) / 4);
  expect(same).toBeGreaterThan(all / 2);
});

test("the report tells that a later step answers names for which a fallback failed, because both of its branches dropped the answer", async () => {
  const drop: Rule = { matches: [{ negated: false, kind: "resp_ip", set: "home" }], exec: { kind: "drop_resp" } };
  const kindsAfter = async (branch: readonly Rule[], last: Group) => {
    const fallback: Rule = { matches: [], exec: { kind: "fallback", first: 1, second: 1 } };
    const sequences: Program = [[fallback, { matches: [], exec: { kind: "forward", group: last } }], branch];
    const { text, lines } = writeProgram(sequences, SERVERS, "127.0.0.1:5353");
    const result = await importProgram(
      directory(),
      text.replaceAll(SERVERS.near, "223.5.5.5").replaceAll(SERVERS.far, "8.8.8.8"),
    );
    return toldOf(result?.findings ?? [], new Set(lines.get(fallback)))
      .filter(({ what }) => what.includes("both branches drop"))
      .map(({ kind }) => kind);
  };
  const near: Rule = { matches: [], exec: { kind: "forward", group: "near" } };
  expect(await kindsAfter([near, drop], "near")).toEqual(["changed"]);
  expect(await kindsAfter([near, drop], "far")).toEqual(["leak"]);
  expect(await kindsAfter([near], "far")).toEqual([]);
});
