/**
 * Holds the interpreter of `dnsmasq-program.ts` against dnsmasq itself: random configurations, each asked some questions.
 *
 *   node test/import/lab/dnsmasq-programs.ts [DNSMASQ] [COUNT]
 */
import { spawn } from "node:child_process";
import { createSocket, type Socket } from "node:dgram";
import { once } from "node:events";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import fc from "fast-check";
import { decodeMessage } from "../../../src/dns/message.ts";
import { nameText } from "../../../src/dns/name.ts";
import { isRejection, parseQuery } from "../../../src/dns/query.ts";
import { typeName } from "../../../src/dns/types.ts";
import { freePort } from "../../clients/processes.ts";
import { responseWire, zone } from "../../dns/zone.ts";
import { queryWire, readReply } from "../../support/message.ts";
import {
  type Answerer,
  GROUPS,
  type Group,
  program,
  type Question,
  question,
  runProgram,
  writeProgram,
} from "../dnsmasq-program.ts";

const QUESTIONS = 12;
const STARTED_WITHIN_MS = 10_000;
const [, , dnsmasq = "dnsmasq", count = "100"] = process.argv;

const sockets = await Promise.all(GROUPS.map(openServer));
const servers = Object.fromEntries(
  GROUPS.map((group, index) => [group, `127.0.0.1#${sockets[index]?.address().port}`]),
) as Readonly<Record<Group, string>>;
const work = mkdtempSync(join(tmpdir(), "fenliu-programs-"));
let differences = 0;
let questions = 0;
try {
  const samples = fc.sample(fc.tuple(program, fc.array(question, { minLength: QUESTIONS, maxLength: QUESTIONS })), {
    numRuns: Number(count),
  });
  for (const [lines, each] of samples) {
    const port = await freePort();
    const { text } = writeProgram(lines, servers, port);
    const file = join(work, "dnsmasq.conf");
    writeFileSync(file, text);
    const child = spawn(dnsmasq, ["-k", "-C", file, "--user=root", "--pid-file="], { stdio: "ignore" });
    await untilAnswered(port);
    for (const one of each) {
      const got = await ask(one, port);
      const { answers } = runProgram(lines, one);
      questions++;
      if (got !== null && answers.includes(got)) continue;
      if (++differences <= 8) console.log(`${text}${JSON.stringify(one)}: dnsmasq ${got}, here ${answers.join(" or ")}\n`);
    }
    child.kill("SIGKILL");
    await once(child, "exit");
  }
} finally {
  rmSync(work, { recursive: true, force: true });
}
console.log(`${count} configurations, ${questions} questions, ${differences} differences`);
process.exit(differences === 0 ? 0 : 1);

/** null = no reply. */
async function ask({ name, type }: Question, port: number, withinMs = 6_000): Promise<Answerer | null> {
  const socket = createSocket("udp4");
  socket.on("error", () => undefined);
  socket.send(queryWire(name, type), port, "127.0.0.1");
  const late = setTimeout(() => socket.emit("message", null), withinMs);
  const [wire]: (Buffer | null)[] = await once(socket, "message");
  clearTimeout(late);
  socket.close();
  if (wire === null || wire === undefined) return null;
  const found = readReply(wire).records.join(" ");
  const group = GROUPS.find(
    (_, index) =>
      found.includes(`9.9.9.${index + 1}`) || found.includes(`2001:db8::${index + 1}`) || found.includes(`group${index}`),
  );
  if (group !== undefined) return group;
  const address = /\b(?:A|AAAA) (\S+)$/.exec(found)?.[1];
  if (address === undefined) return "!nothing";
  return address === "0.0.0.0" || address === "::" ? "!zero" : `=${address}`;
}

async function untilAnswered(port: number): Promise<void> {
  const end = Date.now() + STARTED_WITHIN_MS;
  while (Date.now() < end) if ((await ask({ name: "ready.org", type: "TXT" }, port, 100)) !== null) return;
  throw new Error("dnsmasq does not answer");
}

async function openServer(_: Group, index: number): Promise<Socket> {
  const socket = createSocket("udp4");
  socket.on("message", (wire, peer) => {
    const query = parseQuery(wire);
    if (query === null || isRejection(query)) return;
    const type = typeName(query.type);
    const record =
      type === "A" ? `A 9.9.9.${index + 1}` : type === "AAAA" ? `AAAA 2001:db8::${index + 1}` : `TXT "group${index}"`;
    const reply = responseWire({
      id: wire.readUInt16BE(0),
      questions: decodeMessage(wire)?.questions ?? [],
      answers: zone(`${nameText(query.name)} 120 ${record}`),
    });
    socket.send(reply, peer.port, peer.address);
  });
  socket.bind(0, "127.0.0.1");
  await once(socket, "listening");
  return socket;
}
