import { describe, expect, test } from "vitest";
import { QueryRing } from "../../src/log/ring.ts";
import { ReplyMemory, ROW_BYTES, ROWS, SHAPE } from "../../src/replies/layout.ts";
import { ReplyReader, threadBooks } from "../../src/replies/reader.ts";
import { type RepeatableReply, ReplyTable } from "../../src/replies/table.ts";
import { nameOf } from "../dns/zone.ts";
import { queryWire } from "../support/message.ts";

const CLIENT = new Uint8Array(16).fill(7);
const CLIENT_WORD = 0x0707_0707;

function bench() {
  const table = new ReplyTable();
  let nowMs = 1000;
  let wallOffsetMs = 0;
  const reader = new ReplyReader(table.memory, threadBooks(table.memory, new QueryRing(4096).memory), {
    now: () => nowMs,
    wallOffsetMs: () => wallOffsetMs,
  });
  const find = () => reader.findClient(CLIENT_WORD, CLIENT_WORD, CLIENT_WORD, CLIENT_WORD);
  /** The last byte of the reply, which tells replies apart; null = there is none. */
  const look = (name: string): number | null => {
    const room = new Uint8Array(1024);
    const message = queryWire(name, "A", { edns: null });
    room.set(message);
    const client = find();
    const length = client < 0 ? 0 : reader.answer(room, 0, message.length, client);
    return length === 0 ? null : (room[length - 1] ?? null);
  };
  const ask = (name: string): number | null => {
    reader.begin();
    const found = look(name);
    reader.end();
    return found;
  };
  table.addClient(CLIENT, 1, { address: "7", clientId: "" });
  return {
    table,
    reader,
    look,
    ask,
    wait: (ms: number) => {
      nowMs += ms;
    },
    /** Somebody sets the clock. */
    setClock: (ms: number) => {
      wallOffsetMs += ms;
    },
  };
}

function replyTo(name: string, mark: number, changed: Partial<RepeatableReply> = {}): RepeatableReply {
  const wire = Buffer.concat([queryWire(name, "A", { edns: null }), Buffer.alloc(15), Uint8Array.of(mark)]);
  wire[2] = 0x81;
  return {
    name: nameOf(name),
    type: 1,
    shape: 0,
    clientClass: 1,
    wire,
    ttls: [],
    answerTtls: 0,
    isNegative: false,
    lifeSeconds: 60,
    storedAtMs: 1000,
    usableMs: 60_000,
    log: null,
    tally: () => {},
    ...changed,
  };
}

describe("a published reply", () => {
  test("is repeated for the same question of the same class of clients until its time is over", () => {
    const { table, ask, wait } = bench();
    table.publish({}, replyTo("page.example", 5));
    table.publish({}, replyTo("other.example", 6, { clientClass: 2 }));
    table.publish({}, replyTo("edns.example", 7, { shape: SHAPE.edns }));
    expect(["page.example", "PaGe.example", "other.example", "edns.example", "nobody.example"].map(ask)).toEqual([
      5,
      5,
      null,
      null,
      null,
    ]);
    wait(59_999);
    expect(ask("page.example")).toBe(5);
    wait(1);
    expect(ask("page.example")).toBeNull();
  });

  test("goes with its owner, and with everything", () => {
    const { table, ask } = bench();
    const [owner, other] = [{}, {}];
    table.publish(owner, replyTo("a.example", 1));
    table.publish(owner, replyTo("b.example", 2));
    table.publish(other, replyTo("c.example", 3));
    table.withdraw(owner);
    expect(["a.example", "b.example", "c.example"].map(ask)).toEqual([null, null, 3]);
    table.clear();
    table.addClient(CLIENT, 1, { address: "7", clientId: "" });
    expect(ask("c.example")).toBeNull();
  });

  test("is repeated while the clock on the wall is within the span of the table, also when the clock is set", () => {
    const { table, ask, wait, setClock } = bench();
    table.renew({ from: 0, until: 2 });
    table.publish({}, replyTo("page.example", 5, { usableMs: 10 * 60_000 }));
    wait(118_999);
    expect(ask("page.example")).toBe(5);
    wait(1);
    expect(ask("page.example")).toBeNull();
    setClock(-60_000);
    wait(1_000);
    expect(ask("page.example")).toBe(5);
    setClock(-120_000);
    wait(1_000);
    expect(ask("page.example")).toBeNull();
    table.renew({ from: -2, until: 2 });
    expect(ask("page.example")).toBeNull();
  });

  test("takes the place of the one for the same question", () => {
    const { table, ask } = bench();
    const [before, after] = [{}, {}];
    table.publish(before, replyTo("a.example", 1));
    table.publish(after, replyTo("a.example", 2));
    expect(ask("a.example")).toBe(2);
    table.withdraw(before);
    expect(ask("a.example")).toBe(2);
    table.withdraw(after);
    expect(ask("a.example")).toBeNull();
  });

  test("that is too long is left out", () => {
    const { table, ask } = bench();
    table.publish({}, replyTo("a.example", 1, { wire: new Uint8Array(500) }));
    expect(ask("a.example")).toBeNull();
  });
});

describe("while the reader is at work on a batch", () => {
  test("what it may have found is not written over, and later it is", () => {
    const { table, reader } = bench();
    const { rowBytes } = new ReplyMemory(table.memory);
    const first = () => Buffer.from(rowBytes.subarray(0, ROW_BYTES)).toString("hex");
    const owner = {};
    table.publish(owner, replyTo("a.example", 1));
    const before = first();
    reader.begin();
    table.withdraw(owner);
    for (let index = 0; index < ROWS + 100; index++) table.publish({}, replyTo(`n${index}.example`, index & 0xff));
    expect(first()).toBe(before);
    reader.end();
    for (let index = 0; index < 2000; index++) table.publish({}, replyTo(`late${index}.example`, 2));
    expect(first()).not.toBe(before);
  });

  test("a client that was forgotten is not put in another's place", () => {
    const { table, reader, look, ask } = bench();
    table.publish({}, replyTo("a.example", 1));
    reader.begin();
    table.forgetClients();
    table.addClient(CLIENT, 1, { address: "7", clientId: "" });
    expect(look("a.example")).toBeNull();
    reader.end();
    table.addClient(CLIENT, 1, { address: "7", clientId: "" });
    expect(ask("a.example")).toBe(1);
  });
});

test("uses are told once each, also those of a batch in which the reply was withdrawn", () => {
  const { table, reader, look, ask } = bench();
  const owner = {};
  const told: number[] = [];
  table.publish(owner, replyTo("a.example", 1, { tally: (_, uses) => told.push(uses) }));
  ask("a.example");
  ask("a.example");
  table.settle(owner);
  table.settle(owner);
  reader.begin();
  look("a.example");
  table.withdraw(owner);
  reader.end();
  table.publish({}, replyTo("b.example", 2));
  table.settleAll();
  expect(told).toEqual([2, 1]);
});

test("ten thousand replies have room beside each other: one of them is lost in one of twenty tables", () => {
  const { table, ask } = bench();
  const names = Array.from({ length: 10_000 }, (_, index) => `n${index}.example`);
  for (const name of names) table.publish({}, replyTo(name, 5));
  expect(names.filter((name) => ask(name) === null).length).toBeLessThan(5);
});

test("where all rows are taken, those that nobody asks for make room", () => {
  const { table, ask } = bench();
  for (let index = 0; index < ROWS; index++) table.publish({}, replyTo(`n${index}.example`, 3));
  const used = Array.from({ length: 50 }, (_, index) => `n${index * 3}.example`).filter((name) => ask(name) !== null);
  // One in fifty has lost its place to later ones of its bucket.
  expect(used.length).toBeGreaterThan(30);
  for (let index = 0; index < 200; index++) table.publish({}, replyTo(`new${index}.example`, 4));
  expect(used.filter((name) => ask(name) !== null).length).toBeGreaterThan(used.length - 5);
  expect(
    Array.from({ length: 200 }, (_, index) => ask(`new${index}.example`)).filter((mark) => mark === 4).length,
  ).toBeGreaterThan(190);
});
