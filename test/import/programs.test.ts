import { mkdirSync, writeFileSync } from "node:fs";
import { dirname, join } from "node:path";
import fc from "fast-check";
import { expect, test } from "vitest";
import { parseConfig } from "../../src/config/load.ts";
import { addressText } from "../../src/dns/address.ts";
import { nameFromText } from "../../src/dns/name.ts";
import { CLASS, typeNumber } from "../../src/dns/types.ts";
import { importConfig } from "../../src/import/import.ts";
import { type Finding, ImportError } from "../../src/import/model.ts";
import { operationsLog } from "../../src/log/operations.ts";
import { typeFilter } from "../../src/rules/decider.ts";
import { openPolicy } from "../../src/server/policy.ts";
import { checkPolicy } from "../../src/server/preflight.ts";
import { directory } from "../support/files.ts";
import { runs } from "../support/properties.ts";
import { ADGUARDHOME } from "./programs/adguardhome.ts";
import { CHINADNS_NG } from "./programs/chinadns-ng.ts";
import { DNSMASQ } from "./programs/dnsmasq.ts";
import { MIHOMO } from "./programs/mihomo.ts";
import { MOSDNS, type Program, type Rule } from "./programs/mosdns.ts";
import { MOSDNS4 } from "./programs/mosdns4.ts";
import {
  type Answerer,
  type Format,
  GROUPS,
  type Group,
  type Kind,
  type Made,
  type Question,
  type Setting,
} from "./programs/program.ts";
import { SMARTDNS } from "./programs/smartdns.ts";
import { SMARTDNS_GROUPS } from "./programs/smartdns-groups.ts";

const SETTING: Setting = {
  servers: {
    near: { address: "192.0.2.1", port: 53 },
    far: { address: "192.0.2.2", port: 53 },
    third: { address: "192.0.2.3", port: 53 },
  },
  listen: { address: "127.0.0.1", port: 5353 },
};
const TOLD: readonly Finding["kind"][] = ["leak", "blank", "risk", "changed"];

interface New {
  /** Who may answer, and every group that may be asked for it. */
  readonly answer: (question: Question) => { readonly answers: readonly Answerer[]; readonly asked: ReadonlySet<Group> };
  readonly findings: readonly Finding[];
}

/** Imports the configuration; null where nothing is written. */
async function importFiles(where: string, kind: string, files: Made["files"]): Promise<New | null> {
  const [main = ""] = Object.keys(files);
  write(where, Object.entries(files));
  let imported: ReturnType<typeof importConfig>;
  try {
    imported = importConfig(join(where, main), kind, { proxy: null, relative: (path) => path, dataFolder: null });
  } catch (error) {
    if (error instanceof ImportError) return null;
    throw error;
  }
  write(where, imported.files);
  const parsed = parseConfig(imported.yaml, join(where, "fenliu.yaml"));
  if (parsed.kind === "invalid") throw new Error(JSON.stringify(parsed.problems));
  const { config } = parsed;
  const diagnostics = operationsLog("silent", () => undefined, false);
  const policy = await openPolicy(config, diagnostics, { cache: { read: async () => null } });
  const { decider } = policy;
  expect(checkPolicy(policy, config, diagnostics), imported.yaml).toEqual([]);
  const poison = config.poison.length > 0;

  const answer: New["answer"] = ({ name, type, answers, client = "10.0.0.9" }) => {
    const asked = new Set<Group>();
    const isAddress = type === "A" || type === "AAAA";
    /** Any member of the group that gives an answer. */
    const fetch = (label: string): readonly Answerer[] => {
      const options = config.upstreams.groups.find((each) => each.name === label);
      const members = GROUPS.filter((each) =>
        options?.servers.some((server) => server.label.includes(SETTING.servers[each].address)),
      );
      // The program itself, which goes on running.
      if (options?.servers.some(({ label: server }) => server.includes(SETTING.listen.address)) === true) return ["!fake"];
      if (options === undefined || members.length === 0) throw new Error(`no group ${label}`);
      const good = members.filter((group) => {
        asked.add(group);
        const isDropped =
          isAddress &&
          ((answers[group] === "banned" && (poison || options.drop.length > 0)) ||
            (options.accept.length > 0 && answers[group] === "foreign"));
        return answers[group] !== "servfail" && !isDropped;
      });
      return good.length > 0 ? good : options.fallback === null ? ["!servfail"] : fetch(options.fallback);
    };
    const kindOf = (answerer: Answerer): Kind | null => (/^[!=]/.test(answerer) ? null : answers[answerer as Group]);
    const wire = nameFromText(name);
    if (wire === null) throw new Error(name);
    const number = typeNumber(type) ?? 0;
    const decision = decider.decide({ name: wire, type: number, class: CLASS.IN }, { address: client, clientId: null });
    if (decision.kind !== "reply" && typeFilter(decision.context.settings.shaping, number) !== null)
      return { answers: ["!nodata"], asked };
    if (decision.kind === "forward") return { answers: fetch(decision.group), asked };
    if (decision.kind === "compare") {
      const { near, far, first } = decision.compare;
      if (first === "far")
        return {
          answers: fetch(far).map((one) => {
            const [kept] = kindOf(one) === "home" ? fetch(near) : [];
            return kept !== undefined && kindOf(kept) === "home" ? kept : one;
          }),
          asked,
        };
      const others = fetch(far);
      return { answers: fetch(near).flatMap((one) => (kindOf(one) === "home" ? one : others)), asked };
    }
    if (decision.kind !== "reply") throw new Error(decision.kind);
    if (decision.answer.kind !== "addresses") return { answers: [`!${decision.answer.kind}` as Answerer], asked };
    const [address = ""] = decision.answer.addresses.map(addressText);
    return { answers: [/^(0\.0\.0\.0|::)$/.test(address) ? "!zero" : `=${address}`], asked };
  };
  return { answer, findings: imported.findings };
}

function write(where: string, files: Iterable<readonly [string, string | Uint8Array]>): void {
  for (const [name, text] of files) {
    mkdirSync(dirname(join(where, name)), { recursive: true });
    writeFileSync(join(where, name), text);
  }
}

/** Answers without records that no server gave differ in shape alone: some programs fail or refuse where types are NODATA here. */
function nothing(answer: Answerer): string {
  return ["!servfail", "!refused", "!nxdomain", "!nodata"].includes(answer) ? "!" : answer;
}

/** The findings that a question may differ by: those at a line that it came through, and of zones of the house those for names of one label alone. */
function toldOf(findings: readonly Finding[], lines: ReadonlySet<number>, { name }: Question): readonly Finding[] {
  return findings.filter(
    ({ kind, line, what }) =>
      TOLD.includes(kind) && lines.has(line) && (!name.includes(".") || !what.startsWith("names of lan, local, home.arpa")),
  );
}

async function holdTo<Program>(format: Format<Program>, count: number): Promise<{ imported: number; same: number; all: number }> {
  const where = directory();
  const seen = { imported: 0, same: 0, all: 0 };
  await fc.assert(
    fc.asyncProperty(
      format.program,
      fc.array(format.question, { minLength: 10, maxLength: 10 }),
      async (program: Program, questions) => {
        const made = format.make(program, SETTING);
        const result = await importFiles(where, format.kind, made.files);
        if (result === null) return;
        seen.imported++;
        for (const one of questions) {
          const expected = made.run(one);
          const got = result.answer(one);
          seen.all++;
          const may = new Set(expected.answers.map(nothing));
          const isSame = got.answers.every((each) => may.has(nothing(each)));
          const more = [...got.asked].filter((group) => !expected.asked.has(group));
          if (isSame && more.length === 0) {
            seen.same++;
            continue;
          }
          const said = result.findings.map(({ kind, line, what }) => `${line} ${kind}: ${what}`);
          const why = [
            ...Object.entries(made.files).flatMap(([file, text]) => (typeof text === "string" ? [file, text] : [])),
            JSON.stringify(one),
            `${format.kind} ${expected.answers.join(" or ")} (${[...expected.asked].join()}), new ${got.answers.join(" or ")} (${[...got.asked].join()})`,
            ...said,
          ];
          expect(toldOf(result.findings, expected.lines, one), why.join("\n")).not.toEqual([]);
        }
      },
    ),
    { numRuns: runs(count) },
  );
  return seen;
}

test.each([
  { format: MOSDNS as Format<unknown>, count: 1600 },
  { format: MOSDNS4 as Format<unknown>, count: 1200 },
  { format: DNSMASQ as Format<unknown>, count: 600 },
  { format: SMARTDNS as Format<unknown>, count: 600 },
  { format: SMARTDNS_GROUPS as Format<unknown>, count: 600 },
  { format: ADGUARDHOME as Format<unknown>, count: 600 },
  { format: CHINADNS_NG as Format<unknown>, count: 600 },
  { format: MIHOMO as Format<unknown>, count: 600 },
])(
  "what is imported of a random configuration of $format.kind asks whom the program asks, or the report names the line",
  {
    timeout: 300_000,
  },
  async ({ format, count }) => {
    const { imported, same, all } = await holdTo(format, count);
    expect(imported).toBeGreaterThan(runs(count) / 4);
    expect(same).toBeGreaterThan(all / 2);
  },
);

test("the report tells that a later step answers names for which a fallback failed, because both of its branches dropped the answer", async () => {
  const drop: Rule = { matches: [{ negated: false, kind: "resp_ip", set: "home" }], exec: { kind: "drop_resp" } };
  const kindsAfter = async (branch: readonly Rule[], last: Group) => {
    const fallback: Rule = { matches: [], exec: { kind: "fallback", first: 1, second: 1 } };
    const sequences: Program = [[fallback, { matches: [], exec: { kind: "forward", group: last } }], branch];
    const servers = { ...SETTING.servers, near: { address: "223.5.5.5", port: 53 }, far: { address: "8.8.8.8", port: 53 } };
    const { files, run } = MOSDNS.make(sequences, { ...SETTING, servers });
    const question: Question = { name: "c.example", type: "TXT", answers: { near: "home", far: "home", third: "home" } };
    const { lines } = run(question);
    const result = await importFiles(directory(), "mosdns", files);
    return toldOf(result?.findings ?? [], lines, question)
      .filter(({ what }) => what.includes("both branches drop"))
      .map(({ kind }) => kind);
  };
  const near: Rule = { matches: [], exec: { kind: "forward", group: "near" } };
  expect(await kindsAfter([near, drop], "near")).toEqual(["changed"]);
  expect(await kindsAfter([near, drop], "far")).toEqual(["leak"]);
  expect(await kindsAfter([near], "far")).toEqual([]);
});
