import { setTimeout as pause } from "node:timers/promises";
import type { Reply } from "../support/message.ts";
import { type Patience, Stub } from "./stub.ts";
import { Turns } from "./turns.ts";
import { ADDRESSES, type Fault, faults, MODES, type Mode, NEGATIVE_SECONDS, zoneOf } from "./type65-faults.ts";

/** `below` is a name below the one asked: its A and its HTTPS. */
type Step = "HTTPS" | "A" | "AAAA" | "below";

/** What is asked about one name, one step after the other, or all of them at once, as browsers do. */
export interface Order {
  readonly steps: readonly Step[];
  readonly atOnce: boolean;
}

const STEPS = ["HTTPS", "A", "AAAA", "below"] as const;

/** Each of the 24 orders, and four names asked for everything at once. */
export const ORDERS: readonly Order[] = [
  ...permutations(STEPS).map((steps) => ({ steps, atOnce: false })),
  ...STEPS.map(() => ({ steps: STEPS, atOnce: true })),
];

function permutations<T>(items: readonly T[]): T[][] {
  if (items.length === 0) return [[]];
  return items.flatMap((item, index) => permutations(items.toSpliced(index, 1)).map((rest) => [item, ...rest]));
}

/** One pass through all steps. */
export interface Round {
  readonly caches: "cold" | "warm" | "partly spent" | "spent";
  readonly afterMs: number;
  /** By how many steps the order is turned, so that another one comes first when answers have expired. */
  readonly turn: number;
}

/** Within the TTLs: nothing is held, and then all of it. */
export const WITHIN_TTLS: readonly Round[] = [
  { caches: "cold", afterMs: 0, turn: 0 },
  { caches: "warm", afterMs: 0, turn: 0 },
];

/** And past them: first those of A and HTTPS, which are 1 s, then all. */
export const PAST_TTLS: readonly Round[] = [
  ...WITHIN_TTLS,
  { caches: "partly spent", afterMs: 1_100, turn: 2 },
  { caches: "spent", afterMs: NEGATIVE_SECONDS * 1_000 + 1_100, turn: 1 },
];

/** A query with an unexpected result. */
export interface Wrong {
  readonly mode: Mode;
  readonly question: string;
  readonly order: string;
  readonly caches: Round["caches"];
  readonly type: keyof typeof ADDRESSES | "HTTPS";
  /** The data of the records, or what came in their place. */
  readonly heard: string;
}

export interface Findings {
  readonly questions: number;
  readonly wrong: readonly Wrong[];
}

export interface Asking {
  /** The port of 127.0.0.1 to ask. */
  readonly port: number;
  /** Sets its names apart from those of others. */
  readonly label: string;
  readonly modes: readonly Mode[];
  readonly orders: readonly Order[];
  readonly rounds: readonly Round[];
  readonly patience?: Patience;
}

/** Goes through all rounds with a name of its own for every fault, mode and order, all names side by side. */
export async function askAll({ port, patience, ...asking }: Asking): Promise<ReadonlyMap<Fault, Findings>> {
  const stub = await Stub.open(port, patience);
  const found = await Promise.all(faults.map(async (fault) => [fault, await askAboutFault(stub, fault, asking)] as const));
  await stub.close();
  return new Map(found);
}

/**
 * How many names may be asked about; where an upstream is silent most of them wait for somebody's deadline. More of the quick ones would be
 * done no sooner: they only wait for each other, and on a slow machine so long that a deadline comes.
 */
const AT_A_TIME = { quick: 2, slow: 150 };

/** Between one name and the next, so that they do not all come in one burst, which would overrun the buffers of sockets. */
const SPACING_MS = 5;

async function askAboutFault(
  stub: Stub,
  fault: Fault,
  { label, modes, orders, rounds }: Omit<Asking, "port" | "patience">,
): Promise<Findings> {
  const turns = new Turns(fault === "drop" ? AT_A_TIME.slow : AT_A_TIME.quick);
  const sequences = modes.flatMap((mode) =>
    orders.map((order, index) => {
      const name = `${label}-${index}.${mode}.${zoneOf(fault)}`;
      // Each kind of name below with each order of its types.
      const below = `${index % 2 === 0 ? "sub" : "alias"}.${name}`;
      const belowTypes: Sequence["belowTypes"] = index % 4 < 2 ? ["A", "HTTPS"] : ["HTTPS", "A"];
      return { fault, mode, name, below, belowTypes, order, rounds };
    }),
  );
  const asked = sequences.map(async (sequence, index) => {
    await pause(index * SPACING_MS);
    return askAboutName({ stub, turns }, sequence);
  });
  const found = await Promise.all(asked);
  return { questions: found.reduce((sum, each) => sum + each.questions, 0), wrong: found.flatMap(({ wrong }) => wrong) };
}

interface Sequence {
  readonly fault: Fault;
  readonly mode: Mode;
  readonly name: string;
  readonly below: string;
  readonly belowTypes: readonly Wrong["type"][];
  readonly order: Order;
  readonly rounds: readonly Round[];
}

async function askAboutName({ stub, turns }: { stub: Stub; turns: Turns }, sequence: Sequence): Promise<Findings> {
  const { fault, mode, name, below, belowTypes, order, rounds } = sequence;
  const wrong: Wrong[] = [];
  let questions = 0;
  for (const { caches, afterMs, turn } of rounds) {
    await pause(afterMs);
    const steps = [...order.steps.slice(turn), ...order.steps.slice(0, turn)];
    const asked = steps.flatMap((step) =>
      step === "below" ? belowTypes.map((type) => ({ name: below, type })) : [{ name, type: step }],
    );
    const askOne = async ({ name: owner, type }: (typeof asked)[number]) => {
      const heard = textOf(await stub.ask(owner, type));
      questions += 1;
      if (rightFor(type, fault, mode).includes(heard)) return;
      wrong.push({ mode, question: `${owner} ${type}`, order: steps.join(order.atOnce ? "+" : " "), caches, type, heard });
    };
    // The whole round in one turn: what it makes a cache hold is to be there still at its end.
    await turns.take(async () => {
      if (order.atOnce) await Promise.all(asked.map(askOne));
      else for (const each of asked) await askOne(each);
    });
  }
  return { questions, wrong };
}

/** Questions of one name and round. */
const QUESTIONS = 5;

/** How many questions there are about each fault. */
export function questionsOf({ modes, orders, rounds }: Pick<Asking, "modes" | "orders" | "rounds">): number {
  return modes.length * orders.length * rounds.length * QUESTIONS;
}

// HTTPS may fail where the upstream does, but is never NXDOMAIN: the name is there.
function rightFor(type: Wrong["type"], fault: Fault, mode: Mode): readonly string[] {
  if (type !== "HTTPS") return [ADDRESSES[type]];
  const { left } = MODES[mode];
  if (left === null) return ["NODATA"];
  switch (fault) {
    case "none":
      return [left];
    case "drop":
    case "servfail":
    case "refused":
      return ["SERVFAIL", "REFUSED", "silence"];
    default:
      return ["NODATA"];
  }
}

/** The result of a reply in one word; null = there was no reply. */
export function textOf(reply: Reply | null): string {
  if (reply === null) return "silence";
  if (reply.answers.length > 0) return reply.answers.join(", ");
  return reply.rcode === "NOERROR" ? "NODATA" : reply.rcode;
}

/** Where addresses were lost, as "MODE FAULT" in alphabetical order. */
export function losses(found: ReadonlyMap<Fault, Findings>): readonly string[] {
  const lost = [...found].flatMap(([fault, { wrong }]) =>
    wrong.filter(({ type }) => type !== "HTTPS").map(({ mode }) => `${mode} ${fault}`),
  );
  return [...new Set(lost)].sort();
}
