import { readFileSync } from "node:fs";
import { seeded } from "../../bench/random.ts";
import { decodeMessage } from "../../src/dns/message.ts";
import { OPCODE, RCODE, rcodeName } from "../../src/dns/types.ts";
import { HEADER_BYTES } from "../../src/dns/wire.ts";
import { type HouseClient, LOST_MS, SteadyHouse, Tally, TRANSPORTS } from "./household.ts";
import { Mutator } from "./mutator.ts";
import { inOrder, type World } from "./world.ts";

/** Messages under way on one transport: few enough that none is shed. */
const AT_ONCE = 64;

/** How long a message that must be ignored is waited for. */
const IGNORED_MS = 30;

/** What is put into messages, besides what the mutator makes up: an OPT record, a pointer, types and classes. */
const WORDS = ["\0\0)\x10\0\0\0\0\0\0\0", "\xc0\x0c", "\0\x01\0\x01", "\0\xff\0\x01", "\0\x41", "\x03www", "\x3f"];

const SEEDS = readFileSync(new URL("./seeds/query.txt", import.meta.url), "utf8")
  .split("\n")
  .filter((line) => line !== "")
  .map((line) => Buffer.from(line, "base64"));

interface MutatedOptions {
  /** Messages on each transport. */
  readonly count: number;
  readonly expect: (scene: string, holds: boolean, promise: string) => void;
}

/** Messages that are nearly queries, over each transport, beside a house that asks: each has the reply that its header demands, or none. */
export async function mutated(world: World, { count, expect }: MutatedOptions): Promise<void> {
  world.follow(inOrder);
  const house = new SteadyHouse(
    TRANSPORTS.map((transport) => world.client(transport)),
    { perSecond: 50, lateMs: LOST_MS },
    () => "nas.lan",
  );
  const before = world.usage();
  for (const transport of TRANSPORTS) {
    const seed = Math.floor(Math.random() * 2 ** 31);
    const mutator = new Mutator(seeded(seed), WORDS);
    const client = world.client(transport);
    const rcodes = new Map<string, number>();
    const faults: string[] = [];
    let left = count;
    const work = async (): Promise<void> => {
      while (left > 0) {
        const message = withId(mutator.mutate(SEEDS), left-- & 0xffff);
        const outcome = await outcomeOf(client, message);
        rcodes.set(outcome.name, (rcodes.get(outcome.name) ?? 0) + 1);
        if (outcome.fault !== null) faults.push(`${outcome.fault}: ${message.toString("hex")}`);
      }
    };
    await Promise.all(Array.from({ length: AT_ONCE }, work));
    client.close();
    const told = [...rcodes].sort(([, a], [, b]) => b - a).map(([name, times]) => `${times} ${name}`);
    console.log(`  ${count} over ${transport.padEnd(9)} (seed ${seed}): ${told.join(", ")}`);
    expect(
      `mutated over ${transport}`,
      faults.length === 0,
      `${faults.length} wrong outcomes, first ${faults.slice(0, 3).join("; ")}`,
    );
  }
  await house.stop();
  const tally = new Tally(LOST_MS);
  for (const each of house.tallies.values()) tally.add(each);
  const after = world.usage();
  console.log(
    `  beside them ${tally.row()}; ${before.residentMiB.toFixed(0)} to ${after.residentMiB.toFixed(0)} MiB, ${before.handles} to ${after.handles} handles`,
  );
  expect("mutated", tally.counts.right === tally.asked, `beside them: ${tally.details.join("; ")}`);
}

/** A message of at least a header: a shorter one ends a stream, and all that is under way on it. */
function withId(message: Buffer, id: number): Buffer {
  const whole = message.length >= HEADER_BYTES ? Buffer.from(message) : Buffer.concat([message], HEADER_BYTES);
  whole.writeUInt16BE(id, 0);
  return whole;
}

async function outcomeOf(
  client: HouseClient,
  message: Buffer,
): Promise<{ readonly name: string; readonly fault: string | null }> {
  const flags = message.readUInt16BE(2);
  const isResponse = (flags & 0x8000) !== 0;
  const isHttp = client.transport.startsWith("h");
  const reply = await client.send(message, isResponse && !isHttp ? IGNORED_MS : LOST_MS);
  // HTTP says 400, in words.
  if (isResponse) return { name: "ignored", fault: isHttp || reply === null ? null : "a reply to a response" };
  if (reply === null) return { name: "lost", fault: "no reply" };
  const decoded = decodeMessage(reply);
  if (decoded === null) return { name: "unreadable", fault: `an unreadable reply ${Buffer.from(reply).toString("hex")}` };
  const opcode = (flags >> 11) & 15;
  const replyFlags = ((reply[2] ?? 0) << 8) | (reply[3] ?? 0);
  const rcode = replyFlags & 15;
  const isOurs = reply[0] === message[0] && reply[1] === message[1] && replyFlags >> 11 === (16 | opcode);
  const wanted = opcode !== OPCODE.QUERY ? RCODE.NOTIMP : message.readUInt16BE(4) !== 1 ? RCODE.FORMERR : rcode;
  const fault = !isOurs ? "not the reply to this" : rcode !== wanted ? `${rcodeName(rcode)}, not ${rcodeName(wanted)}` : null;
  return { name: rcodeName(rcode), fault };
}
