/**
 * `node bench/drain.ts [ROUNDS]`: what a repeated reply costs in each step, and its record in the query log, without sockets and threads: processor
 * time, so that other programs disturb it little.
 */
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { EntryReader } from "../src/log/entries.ts";
import { takeBatch } from "../src/log/entry-batch.ts";
import { ProblemTracker } from "../src/log/problems.ts";
import { ENTRY, FLAGS, QueryRing, RingWalk, SOURCES, TextTable } from "../src/log/ring.ts";
import { Store } from "../src/log/store.ts";
import { HEADER, SHAPE } from "../src/replies/layout.ts";
import { ReplyReader, threadBooks } from "../src/replies/reader.ts";
import { ReplyTable } from "../src/replies/table.ts";
import { nameOf } from "../test/dns/zone.ts";
import { queryWire } from "../test/support/message.ts";
import { zoneOf } from "./zone.ts";

const NAMES = 10_000;
/** Between two drains. */
const QUERIES = 12_288;
/** Queries that come together. */
const TOGETHER = 16;
const WARMING_ROUNDS = 6;
const LIFE_SECONDS = 86_400;

const CLIENT = new Uint8Array(16).fill(7);
const CLIENT_WORD = 0x0707_0707;
const OPT_BYTES = 11;
/** Name, A, IN, a day, 198.51.100.1. */
const ANSWER = Buffer.from("c00c00010001000151800004c6336401", "hex");

const texts = new TextTable();
const table = new ReplyTable();
const ring = new QueryRing(4 * 1024 * 1024);
const reader = new ReplyReader(table.memory, threadBooks(table.memory, ring.memory), {
  now: () => performance.now(),
  wallOffsetMs: () => Date.now() - performance.now(),
});
const folder = mkdtempSync(join(tmpdir(), "fenliu-bench-drain-"));
const store = new Store({ path: join(folder, "queries.db"), keepMs: 7 * 86_400_000, maxRows: 5_000_000 });
const entries = new EntryReader(texts);
const problems = new ProblemTracker();
const questions = publishAll();
const room = new Uint8Array(2048);
const spentMicros = new Map<string, number>();
let next = 0;
let recorded = 0;

try {
  const rounds = Number(process.argv[2] ?? 40);
  for (let round = -WARMING_ROUNDS; round < rounds; round++) {
    if (round === 0) {
      spentMicros.clear();
      recorded = 0;
    }
    Atomics.store(table.header, HEADER.logWanted, 0);
    time("a reply, without the log", askAll);
    Atomics.store(table.header, HEADER.logWanted, 1);
    time("a reply, with its entry", askAll);
    drain();
  }
  console.log("| step | CPU ns a query |\n| --- | --: |");
  for (const [step, micros] of spentMicros) console.log(`| ${step} | ${((micros * 1000) / recorded).toFixed(0)} |`);
} finally {
  store.close();
  rmSync(folder, { recursive: true, force: true });
}

function publishAll(): readonly Uint8Array[] {
  table.addClient(CLIENT, 1, { address: "192.168.88.20", clientId: "" });
  const log = new Int32Array(ENTRY.editTo - ENTRY.flags + 1);
  log[0] = (SOURCES.indexOf("cache") << FLAGS.source.shift) | FLAGS.sent | FLAGS.question;
  log[ENTRY.type - ENTRY.flags] = 1;
  log[ENTRY.action - ENTRY.flags] = texts.numberOf("none");
  log[ENTRY.line - ENTRY.flags] = -1;
  log[ENTRY.route - ENTRY.flags] = texts.numberOf("overseas");
  log[ENTRY.version - ENTRY.flags] = texts.numberOf("0123456789ab");
  return zoneOf(NAMES).hosts.map((host) => {
    const message = queryWire(host, "A", { edns: 1232 });
    const bodyBytes = message.length - OPT_BYTES;
    const wire = Buffer.concat([message.subarray(0, bodyBytes), ANSWER, message.subarray(bodyBytes)]);
    wire.writeUInt16BE(0x8180, 2);
    wire.writeUInt16BE(1, 6);
    table.publish(message, {
      name: nameOf(host),
      type: 1,
      shape: SHAPE.edns,
      clientClass: 1,
      wire,
      ttls: [{ offset: bodyBytes + 6, seconds: LIFE_SECONDS }],
      answerTtls: 1,
      isNegative: false,
      lifeSeconds: LIFE_SECONDS,
      storedAtMs: performance.now(),
      usableMs: LIFE_SECONDS * 1000,
      log,
      tally: () => {},
    });
    return message;
  });
}

/** A name that finds no room in the table, which hardly happens, is not repeated, and not counted. */
function askAll(): void {
  for (let asked = 0; asked < QUERIES; ) {
    reader.begin();
    for (let index = 0; index < TOGETHER; index++, asked++) {
      const message = questions[next] ?? new Uint8Array();
      next = (next + 1) % NAMES;
      room.set(message);
      const client = reader.findClient(CLIENT_WORD, CLIENT_WORD, CLIENT_WORD, CLIENT_WORD);
      reader.answer(room, 0, message.length, client);
    }
    reader.end();
  }
}

function drain(): void {
  const walk = new RingWalk(ring, ring.taken, ring.written);
  for (let batch = takeBatch([walk], entries); batch.ids.length > 0; batch = takeBatch([walk], entries)) {
    time("its row into the store", () => store.insert(batch));
    recorded += batch.seen.count;
    time("a look for problems", () => batch.seen.tell(problems));
  }
  ring.release(walk.position);
}

function time(step: string, work: () => void): void {
  const before = process.cpuUsage();
  work();
  const { user, system } = process.cpuUsage(before);
  spentMicros.set(step, (spentMicros.get(step) ?? 0) + user + system);
}
