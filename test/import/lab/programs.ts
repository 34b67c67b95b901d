/**
 * Holds the interpreter of `mosdns-program.ts` against mosdns 5 itself: random configurations, each asked some questions.
 *
 *   node test/import/lab/programs.ts MOSDNS [COUNT]
 */
import { spawn } from "node:child_process";
import { createSocket, type Socket } from "node:dgram";
import { once } from "node:events";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import fc from "fast-check";
import { decodeMessage } from "../../../src/dns/message.ts";
import { isRejection, parseQuery } from "../../../src/dns/query.ts";
import { RCODE, typeName } from "../../../src/dns/types.ts";
import { freePort } from "../../clients/processes.ts";
import { responseWire, zone } from "../../dns/zone.ts";
import { queryWire, readReply } from "../../support/message.ts";
import { GROUPS, type Group, program, type Question, question, type Ran, runProgram, writeProgram } from "../mosdns-program.ts";

const QUESTIONS = 12;
const STARTED_WITHIN_MS = 10_000;
const [, , mosdns = "mosdns", count = "200"] = process.argv;

let current: Question | null = null;
const asked = new Set<Group>();
const sockets = await Promise.all(GROUPS.map(openServer));
const work = mkdtempSync(join(tmpdir(), "fenliu-programs-"));
let differences = 0;
let questions = 0;
try {
  for (const [sequences, each] of fc.sample(
    fc.tuple(program, fc.array(question, { minLength: QUESTIONS, maxLength: QUESTIONS })),
    {
      numRuns: Number(count),
    },
  )) {
    const port = await freePort();
    const servers = Object.fromEntries(GROUPS.map((group, index) => [group, `127.0.0.1:${sockets[index]?.address().port}`]));
    const { text } = writeProgram(sequences, servers as Record<Group, string>, `127.0.0.1:${port}`);
    const file = join(work, "config.yaml");
    writeFileSync(file, text);
    const child = spawn(mosdns, ["start", "-c", file], { stdio: "ignore" });
    await untilAnswered(port);
    for (const one of each) {
      current = one;
      asked.clear();
      const got = await ask(one, port);
      const expected = runProgram(sequences, one);
      questions++;
      if (got === shown(expected, one) && [...asked].sort().join() === [...expected.asked].sort().join()) continue;
      if (++differences <= 5)
        console.log(
          `${text}\n${JSON.stringify(one)}: mosdns ${got} (${[...asked].join()}), here ${shown(expected, one)} (${[...expected.asked].join()})\n`,
        );
    }
    child.kill("SIGKILL");
    await once(child, "exit");
  }
} finally {
  rmSync(work, { recursive: true, force: true });
}
console.log(`${count} configurations, ${questions} questions, ${differences} differences`);
process.exit(differences === 0 ? 0 : 1);

/** A group, or the kind of an answer without records, whoever gave it. */
function shown({ answer }: Ran, { type, answers }: Question): string {
  if (answer.startsWith("!")) return answer === "!made" ? "!zero" : answer;
  const kind = answers[answer as Group];
  if (kind === "empty") return "!nodata";
  return kind === "nxdomain" ? "!nxdomain" : `${answer}${type === "TXT" ? "" : ` ${kind}`}`;
}

async function ask({ name, type }: Question, port: number, withinMs = 6_000): Promise<string> {
  const socket = createSocket("udp4");
  // Not connected: a program that does not listen yet is no error then.
  socket.send(queryWire(name, type), port, "127.0.0.1");
  const late = setTimeout(() => socket.emit("message", null), withinMs);
  const [wire]: (Buffer | null)[] = await once(socket, "message");
  clearTimeout(late);
  socket.close();
  if (wire === null || wire === undefined) return "nothing";
  const { rcode, records } = readReply(wire);
  const found = records.join(" ");
  const group = GROUPS.find(
    (_, index) =>
      found.includes(`.${index + 1}.77`) ||
      found.includes(`203.0.113.${index + 1}`) ||
      found.includes(`::77:${index + 1}`) ||
      found.includes(`group${index}`),
  );
  if (group === undefined)
    return found.includes("0.0.0.0") ? "!zero" : rcode === "NOERROR" ? "!nodata" : `!${rcode.toLowerCase()}`;
  if (type === "TXT") return group;
  const kind = /61\.135|2400:3200/.test(found) ? "home" : /203\.0\.113|2001:db8:113/.test(found) ? "banned" : "foreign";
  return `${group} ${kind}`;
}

async function untilAnswered(port: number): Promise<void> {
  const end = Date.now() + STARTED_WITHIN_MS;
  const ready: Question = { name: "ready.example", type: "TXT", answers: { near: "empty", far: "empty", third: "empty" } };
  current = ready;
  while (Date.now() < end) if ((await ask(ready, port, 50)) !== "nothing") return;
  throw new Error("mosdns does not answer");
}

async function openServer(group: Group, index: number): Promise<Socket> {
  const socket = createSocket("udp4");
  socket.on("message", (wire, peer) => {
    const query = parseQuery(wire);
    if (query === null || isRejection(query) || current === null) return;
    asked.add(group);
    const kind = current.answers[group];
    const type = typeName(query.type);
    const base = { home: "61.135", foreign: "142.250", banned: "203.0.113" }[kind as "home"] ?? "";
    const six = { home: "2400:3200", foreign: "2607:f8b0", banned: "2001:db8:113" }[kind as "home"] ?? "";
    const records: Readonly<Record<string, string>> = {
      A: kind === "banned" ? `A 203.0.113.${index + 1}` : `A ${base}.${index + 1}.77`,
      AAAA: `AAAA ${six}::77:${index + 1}`,
      TXT: `TXT "group${index}"`,
    };
    const rcode = kind === "servfail" ? RCODE.SERVFAIL : kind === "nxdomain" ? RCODE.NXDOMAIN : 0;
    const isEmpty = rcode !== 0 || kind === "empty";
    const reply = responseWire({
      id: wire.readUInt16BE(0),
      questions: decodeMessage(wire)?.questions ?? [],
      rcode,
      answers: isEmpty ? [] : zone(`${current.name} 120 ${records[type] ?? records["TXT"] ?? ""}`),
    });
    socket.send(reply, peer.port, peer.address);
  });
  socket.bind(0, "127.0.0.1");
  await once(socket, "listening");
  return socket;
}
