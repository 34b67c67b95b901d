import { existsSync, mkdirSync, readFileSync, writeFileSync } from "node:fs";
import { dirname, join } from "node:path";
import { expect } from "vitest";
import { run } from "../../src/cli/run.ts";
import { parseConfig } from "../../src/config/load.ts";
import { nameFromText } from "../../src/dns/name.ts";
import { CLASS, typeNumber } from "../../src/dns/types.ts";
import type { Finding } from "../../src/import/model.ts";
import { operationsLog } from "../../src/log/operations.ts";
import { typeFilter } from "../../src/rules/decider.ts";
import type { Decision } from "../../src/rules/decision.ts";
import { openPolicy } from "../../src/server/policy.ts";
import { testTerminal } from "../cli/terminal.ts";
import { directory } from "../support/files.ts";

type Files = Readonly<Record<string, string>>;

/** A folder with these files. */
export function folder(files: Files): string {
  const where = directory();
  for (const [name, text] of Object.entries(files)) {
    mkdirSync(dirname(join(where, name)), { recursive: true });
    writeFileSync(join(where, name), text);
  }
  return where;
}

/** Runs `fenliu import` over `files`, and returns the result; `config` is null if nothing was written. */
export async function runImport(path: string, files: Files, ...options: readonly string[]) {
  const where = folder(files);
  const terminal = testTerminal(where);
  const code = await run(["import", path, "-o", "fenliu.yaml", "--json", ...options], terminal);
  const said: { readonly findings?: readonly Finding[]; readonly error?: { readonly line: number; readonly message: string } } =
    JSON.parse(terminal.written.out);
  const file = join(where, "fenliu.yaml");
  const text = existsSync(file) ? readFileSync(file, "utf8") : "";
  const result = text === "" ? null : parseConfig(text, file);
  if (result?.kind === "invalid") throw new Error(JSON.stringify(result.problems));
  const findings = said.findings ?? [];
  /** `line: text` of each finding of these kinds. */
  const told = (...kinds: readonly Finding["kind"][]) =>
    findings
      .filter(({ kind }) => kinds.includes(kind))
      .map(({ line, what }) => `${line}: ${what}`)
      .join("\n");
  return {
    code,
    where,
    text,
    config: result?.config ?? null,
    error: said.error ?? null,
    findings,
    told,
    out: terminal.written.out,
  };
}

export type Outcome = Awaited<ReturnType<typeof runImport>>;

/** The decision of the new file for `NAME [TYPE] [@CLIENT]` in one word: a group, `near|far`, or the kind of an answer. */
export async function decide(outcome: Written, questions: readonly string[]): Promise<string[]> {
  const decided = await decisionsFor(outcome, questions);
  return decided.map((decision) => {
    if (decision === null) return "nodata";
    if (decision.kind === "forward") return decision.group;
    if (decision.kind === "reply") return decision.answer.kind;
    return decision.kind === "compare" ? `${decision.compare.near}|${decision.compare.far}` : decision.kind;
  });
}

type Written = Pick<Outcome, "config" | "error" | "findings">;

/** null = the type is switched off. */
export async function decisionsFor(
  { config, error, findings }: Written,
  questions: readonly string[],
): Promise<readonly (Decision | null)[]> {
  if (config === null) throw new Error(`nothing was written: ${error?.message ?? JSON.stringify(findings)}`);
  const log = operationsLog("silent", () => undefined, false);
  const { decider } = await openPolicy(config, log, { cache: { read: async () => null } });
  return questions.map((question) => {
    const [text = "", ...rest] = question.split(" ");
    const type = rest.find((word) => !word.startsWith("@")) ?? "A";
    const client = rest.find((word) => word.startsWith("@"))?.slice(1) ?? "10.0.0.9";
    const name = nameFromText(text);
    if (name === null) throw new Error(text);
    const mac = /^(..:){5}..$/.test(client) ? { mac: client } : {};
    const isAddress = !("mac" in mac) && /[.:]/.test(client);
    const clientId = isAddress || "mac" in mac ? null : client;
    const asker = { address: isAddress ? client : "10.0.0.9", clientId, ...mac };
    const number = typeNumber(type) ?? 0;
    const decision = decider.decide({ name, type: number, class: CLASS.IN }, asker);
    return decision.kind !== "reply" && typeFilter(decision.context.settings.shaping, number) !== null ? null : decision;
  });
}

/** Expects that the new file decides every question as named. */
export async function expectDecisions(outcome: Outcome, expected: Readonly<Record<string, string>>): Promise<void> {
  expect(await decisions(outcome, expected)).toEqual(expected);
}

/** The decision of the new file for every key of `expected`. */
export async function decisions(
  outcome: Outcome,
  expected: Readonly<Record<string, string>>,
): Promise<Readonly<Record<string, string>>> {
  const questions = Object.keys(expected);
  const got = await decide(outcome, questions);
  return Object.fromEntries(questions.map((question, index) => [question, got[index] ?? ""]));
}

/** A sequence of mosdns with these steps, a line each; `inExec` as version 4 writes it. */
export function sequence(tag: string, steps: string, inExec = false): string {
  const lines = steps.trim().split("\n");
  const [head, indent] = inExec ? ["args:\n      exec:", "        "] : ["args:", "      "];
  return `  - tag: ${tag}\n    type: sequence\n    ${head}\n${lines.map((line) => `${indent}- ${line.trim()}\n`).join("")}`;
}

/** Addresses of mainland China, as the lists of their sources begin. */
export const CHINA_ADDRESSES = "223.5.5.0/24\n119.29.29.0/24\n114.114.114.0/24\n180.76.76.0/24\n202.96.0.0/16\n61.135.0.0/16\n";
