/**
 * Holds the interpreters of `../programs/` against the servers themselves: random configurations, each asked some questions.
 *
 *   node test/import/lab/programs.ts KIND PROGRAM [COUNT]
 *
 * KIND is that of `fenliu import`, PROGRAM the server's file. Clients of questions need their addresses on this machine, and chinadns-ng the sets of its
 * addresses: run it in a network namespace then.
 */
import { execFileSync, spawn } from "node:child_process";
import { createSocket, type Socket } from "node:dgram";
import { once } from "node:events";
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import fc from "fast-check";
import { decodeMessage } from "../../../src/dns/message.ts";
import { nameText } from "../../../src/dns/name.ts";
import { isRejection, parseQuery } from "../../../src/dns/query.ts";
import { RCODE, typeName } from "../../../src/dns/types.ts";
import { freePort } from "../../clients/processes.ts";
import { responseWire, zone } from "../../dns/zone.ts";
import { queryWire, readReply } from "../../support/message.ts";
import { ADGUARDHOME } from "../programs/adguardhome.ts";
import { CHINADNS_NG } from "../programs/chinadns-ng.ts";
import { DNSMASQ } from "../programs/dnsmasq.ts";
import { MIHOMO } from "../programs/mihomo.ts";
import { MOSDNS } from "../programs/mosdns.ts";
import { MOSDNS4 } from "../programs/mosdns4.ts";
import {
  type Answerer,
  type Format,
  GROUPS,
  type Group,
  HOME,
  type Kind,
  type Question,
  type Setting,
} from "../programs/program.ts";
import { SMARTDNS } from "../programs/smartdns.ts";

interface Case {
  readonly format: Format<unknown>;
  /** How the program is started with its main file in `folder`. */
  readonly args: (file: string, folder: string) => readonly string[];
  /** Called once before the first start. */
  readonly prepare?: () => void;
  /** It keeps what it was answered, for so long that a name with a type is asked once of each configuration. */
  readonly caches?: boolean;
}

const CASES: Readonly<Record<string, Case>> = {
  mosdns: { format: MOSDNS as Format<unknown>, args: (file) => ["start", "-c", file] },
  mosdns4: { format: MOSDNS4 as Format<unknown>, args: (file) => ["start", "-c", file] },
  dnsmasq: { format: DNSMASQ as Format<unknown>, args: (file) => ["-k", "-C", file, "--user=root", "--pid-file="] },
  adguardhome: {
    format: ADGUARDHOME as Format<unknown>,
    args: (file, folder) => ["-c", file, "-w", folder, "--no-check-update"],
  },
  smartdns: { format: SMARTDNS as Format<unknown>, args: (file, folder) => ["-f", "-c", file, "-p", join(folder, "pid")] },
  "chinadns-ng": { format: CHINADNS_NG as Format<unknown>, args: (file) => ["-C", file], prepare: makeAddressSets },
  mihomo: { format: MIHOMO as Format<unknown>, args: (file, folder) => ["-d", folder, "-f", file], caches: true },
};

const QUESTIONS = 12;
const SHOWN = 5;
const STARTED_WITHIN_MS = 10_000;
const READY: Question = { name: "ready.org", type: "TXT", answers: { near: "empty", far: "empty", third: "empty" } };
const ADDRESSES: Readonly<Record<Kind, readonly [four: string, six: string] | null>> = {
  home: ["61.135.0.", "2400:3200::77:"],
  foreign: ["142.250.0.", "2607:f8b0::77:"],
  banned: ["203.0.113.", "2001:db8:113::77:"],
  empty: null,
  nxdomain: null,
  servfail: null,
};

const [, , kind = "", program = kind, count = "100"] = process.argv;
const { format, args, prepare, caches = false } = CASES[kind] ?? fail(`${kind}: ${Object.keys(CASES).join(", ")}`);
let current: Question = READY;
const asked = new Set<Group>();
const sockets = await Promise.all(GROUPS.map(openServer));
const work = mkdtempSync(join(tmpdir(), "fenliu-programs-"));
let differences = 0;
let questions = 0;
prepare?.();
try {
  const questionsOfOne = fc.array(format.question, { minLength: QUESTIONS, maxLength: QUESTIONS });
  for (const [sample, each] of fc.sample(fc.tuple(format.program, questionsOfOne), { numRuns: Number(count) })) {
    const listen = { address: "127.0.0.1", port: await freePort() };
    const { files, run } = format.make(sample, settingOf(listen));
    for (const [name, text] of Object.entries(files)) {
      mkdirSync(dirname(join(work, name)), { recursive: true });
      writeFileSync(join(work, name), text);
    }
    const child = spawn(program, args(join(work, Object.keys(files)[0] ?? ""), work), { stdio: "ignore", cwd: work });
    await untilAnswered(listen.port);
    const done = new Set<string>();
    for (const one of each) {
      const key = `${one.name} ${one.type}`;
      if (caches && done.has(key)) continue;
      done.add(key);
      const expected = run(one);
      questions++;
      let got = "";
      let isSame = false;
      // What differs is asked again: a program may still wait for the answer of a question before.
      for (let tries = 0; tries < 2 && !isSame; tries++) {
        current = one;
        asked.clear();
        got = await ask(one, listen.port);
        const isAsked = [...asked].every((group) => expected.asked.has(group));
        isSame = isAsked && expected.answers.some((answerer) => shown(answerer, one) === got);
        // Other types of a name with a made-up address are asked of whom the program likes: Fenliu asks the program.
        isSame ||= expected.answers.includes("!fake") && one.type !== "A" && one.type !== "AAAA";
      }
      if (isSame) continue;
      if (++differences <= SHOWN)
        console.log(
          `${Object.values(files)
            .filter((text) => typeof text === "string")
            .join(
              "\n",
            )}\n${JSON.stringify(one)}: ${kind} ${got} (${[...asked].join()}), here ${expected.answers.join(" or ")} (${[...expected.asked].join()})\n`,
        );
    }
    child.kill("SIGKILL");
    await once(child, "exit");
  }
} finally {
  rmSync(work, { recursive: true, force: true });
}
console.log(`${kind}: ${count} configurations, ${questions} questions, ${differences} differences`);
process.exit(differences === 0 ? 0 : 1);

function settingOf(listen: Setting["listen"]): Setting {
  const endpoint = (index: number) => ({ address: "127.0.0.1", port: sockets[index]?.address().port ?? 0 });
  return { servers: { near: endpoint(0), far: endpoint(1), third: endpoint(2) }, listen };
}

/** A group with what it answered, an address, or the kind of an answer without records, whoever gave it. */
function shown(answer: Answerer, { type, answers }: Question): string {
  if (answer === "!made") return "!zero";
  if (answer === "!fake") return type === "A" ? "!fake" : "!nodata";
  if (/^[!=]/.test(answer)) return answer;
  const given = answers[answer as Group];
  if (given === "empty") return "!nodata";
  return given === "nxdomain" || given === "servfail" ? `!${given}` : type === "TXT" ? answer : `${answer} ${given}`;
}

async function ask({ name, type, client }: Question, port: number, withinMs = 6_000): Promise<string> {
  const socket = createSocket("udp4");
  socket.on("error", () => undefined);
  if (client !== undefined) socket.bind(0, client);
  // Not connected: a program that does not listen yet is no error then.
  socket.send(queryWire(name, type), port, "127.0.0.1");
  const late = setTimeout(() => socket.emit("message", null), withinMs);
  const [wire]: (Buffer | null)[] = await once(socket, "message");
  clearTimeout(late);
  socket.close();
  if (wire === null || wire === undefined) return "nothing";
  const { rcode, records } = readReply(wire);
  const found = records.join(" ");
  const text = GROUPS.find((_, index) => found.includes(`group${index}`));
  if (text !== undefined) return text;
  const address = /\b(?:A|AAAA) (\S+)$/.exec(found)?.[1];
  if (address === undefined) return rcode === "NOERROR" ? "!nodata" : `!${rcode.toLowerCase()}`;
  if (/^(0\.0\.0\.0|::)$/.test(address)) return "!zero";
  // An IPv4 address as AAAA, which nobody can reach.
  if (address.startsWith("::ffff:")) return "!nodata";
  if (address.startsWith("198.18.")) return "!fake";
  for (const [given, prefixes] of Object.entries(ADDRESSES))
    for (const prefix of prefixes ?? [])
      if (address.startsWith(prefix)) return `${GROUPS[Number(address.slice(prefix.length)) - 1]} ${given}`;
  return `=${address}`;
}

async function untilAnswered(port: number): Promise<void> {
  const end = Date.now() + STARTED_WITHIN_MS;
  current = READY;
  while (Date.now() < end) if ((await ask(READY, port, 50)) !== "nothing") return;
  throw new Error(`${kind} does not answer`);
}

async function openServer(group: Group, index: number): Promise<Socket> {
  const socket = createSocket("udp4");
  socket.on("message", (wire, peer) => {
    const query = parseQuery(wire);
    if (query === null || isRejection(query)) return;
    // A program may ask for what nobody asked.
    const name = nameText(query.name);
    if (name === current.name) asked.add(group);
    const given = current.answers[group];
    const type = typeName(query.type);
    const [four, six] = ADDRESSES[given] ?? [];
    const record = type === "A" ? `A ${four}${index + 1}` : type === "AAAA" ? `AAAA ${six}${index + 1}` : `TXT "group${index}"`;
    const reply = responseWire({
      id: wire.readUInt16BE(0),
      questions: decodeMessage(wire)?.questions ?? [],
      rcode: given === "servfail" ? RCODE.SERVFAIL : given === "nxdomain" ? RCODE.NXDOMAIN : 0,
      answers: four === undefined ? [] : zone(`${name} ${caches ? 0 : 120} ${record}`),
    });
    socket.send(reply, peer.port, peer.address);
  });
  socket.bind(0, "127.0.0.1");
  await once(socket, "listening");
  return socket;
}

/** The addresses of the country, which chinadns-ng looks for in the kernel. */
function makeAddressSets(): void {
  for (const [name, family, isSix] of [["chnroute", "inet", false] as const, ["chnroute6", "inet6", true] as const]) {
    execFileSync("ipset", ["create", name, "hash:net", "family", family]);
    for (const network of HOME) if (network.includes(":") === isSix) execFileSync("ipset", ["add", name, network]);
  }
}

function fail(why: string): never {
  throw new Error(why);
}
