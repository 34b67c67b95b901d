import fc from "fast-check";
import { expect, test } from "vitest";
import { addressText } from "../../src/dns/address.ts";
import { runs } from "../support/properties.ts";
import {
  type Answerer,
  GROUPS,
  type Group,
  program,
  type Question,
  question,
  runProgram,
  writeProgram,
} from "./dnsmasq-program.ts";
import { decisionsFor, type Outcome, runImport } from "./sources.ts";

const SERVERS: Readonly<Record<Group, string>> = { near: "192.0.2.1", far: "192.0.2.2", third: "192.0.2.3" };

/** Who answers by the new file. */
async function answererOf(outcome: Outcome, questions: readonly Question[]): Promise<readonly Answerer[]> {
  const decided = await decisionsFor(
    outcome,
    questions.map(({ name, type }) => `${name} ${type}`),
  );
  return decided.map((decision): Answerer => {
    if (decision?.kind === "forward") {
      const servers = outcome.config?.upstreams.groups.find(({ name }) => name === decision.group)?.servers ?? [];
      return GROUPS.find((each) => servers.some(({ label }) => label.includes(SERVERS[each]))) ?? expect.fail(decision.group);
    }
    if (decision?.kind !== "reply" || decision.answer.kind !== "addresses") return "!nothing";
    const [address = ""] = decision.answer.addresses.map(addressText);
    return /^(0\.0\.0\.0|::)$/.test(address) ? "!zero" : `=${address}`;
  });
}

test("what is imported of a random configuration of dnsmasq answers as dnsmasq does, or the report names the line", {
  timeout: 120_000,
}, async () => {
  let same = 0;
  let all = 0;
  await fc.assert(
    fc.asyncProperty(program, fc.array(question, { minLength: 12, maxLength: 12 }), async (lines, questions) => {
      const { text, first } = writeProgram(lines, SERVERS, 5353);
      const outcome = await runImport("dnsmasq.conf", { "dnsmasq.conf": text }, "--allow-leaks");
      const got = await answererOf(outcome, questions);
      for (const [index, one] of questions.entries()) {
        const expected = runProgram(lines, one);
        const answerer = got[index] ?? expect.fail("no answer");
        all++;
        if (expected.answers.includes(answerer)) {
          same++;
          continue;
        }
        const passed = new Set(expected.lines.map((number) => number + first));
        const told = outcome.findings.filter(({ kind, line }) => kind !== "carried" && passed.has(line));
        const why = `${text}\n${JSON.stringify(one)}: dnsmasq ${expected.answers.join(" or ")}, new ${answerer}\n${outcome.text}`;
        expect(told, why).not.toEqual([]);
      }
    }),
    { numRuns: runs(120) },
  );
  expect(same).toBeGreaterThan(all / 2);
});
