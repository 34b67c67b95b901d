import { type Clock, systemClock } from "../lib/clock.ts";
import { BROKEN_NAMES, type DemoFaults, GONE_NAME, SITES } from "./demo-internet.ts";

/**
 * The made-up house of `fenliu demo`: a week of its queries, sent through the server like any others while the clock of the server is set back and
 * moved on, and then a few every second.
 */

/** A clock that is set back and catches up. Timers wait real time. */
export class DemoClock implements Clock {
  #behindMs: number;

  constructor(behindMs: number) {
    this.#behindMs = behindMs;
  }

  readonly now = (): number => systemClock.now() - this.#behindMs;
  readonly wallMs = (): number => systemClock.wallMs() - this.#behindMs;
  readonly setTimer: Clock["setTimer"] = (run, delayMs) => systemClock.setTimer(run, delayMs);

  /** Moves on to so long before the present; never back. */
  moveTo(behindMs: number): void {
    this.#behindMs = Math.min(this.#behindMs, behindMs);
  }
}

const MINUTE_MS = 60_000;
const HOUR_MS = 60 * MINUTE_MS;
const DAY_MS = 24 * HOUR_MS;
export const WEEK_MS = 7 * DAY_MS;
const STEP_MS = 15 * MINUTE_MS;

/** Their ids, and the addresses that they have. */
const CLIENTS = [
  ["phone", "10.0.7.31"],
  ["laptop", "10.0.7.21"],
  ["tv", "10.0.7.12"],
  ["tablet", "10.0.7.33"],
  ["nas", "10.0.0.5"],
] as const;
const STRANGER = "203.0.113.9";

export function isDemoClient(address: string): boolean {
  return address === STRANGER || CLIENTS.some(([, known]) => known === address);
}

const NAMES = SITES.flatMap((site) => ["www", "api", "img"].map((host) => `${host}.${site}`));
const BLOCKED = ["ads.example.net", "track.example.net", "metrics.game.example"];
const OWN = ["nas.lan", "photos.lan", "grafana.apps.lan"];
/** The blocked name that the television asks for again and again. */
const INSISTED = "page.example.cn";
/** When everything overseas failed, and when the television insisted: hours before the present. */
const OUTAGE_HOURS = 16;
const INSISTENCE_HOURS = 14;
/** When the power was cut, and when it was back. */
const POWER_CUT_HOURS = { from: 6, to: 4.5 };

export interface DemoHouse {
  /** URL of DoH in clear. */
  readonly url: string;
  readonly clock: DemoClock;
  readonly overseas: DemoFaults;
  /** Called once, some minutes before the television begins to insist. */
  readonly changeRules: () => Promise<void>;
  /** Stops the server, has the hours of the power cut pass, and starts it again. */
  readonly cutPower: (pass: () => void) => Promise<void>;
}

/** Sends a week of queries. It ends at the present. */
export async function liveAWeek({ url, clock, overseas, changeRules, cutPower }: DemoHouse): Promise<void> {
  const random = seeded(7);
  const isAt = (behindMs: number, hours: number) => Math.abs(behindMs - hours * HOUR_MS) < STEP_MS / 2;
  // The last day is what the page shows first.
  for (let behindMs = WEEK_MS; behindMs > 0; behindMs -= behindMs > DAY_MS ? 6 * STEP_MS : STEP_MS) {
    const hoursAgo = behindMs / HOUR_MS;
    if (hoursAgo < POWER_CUT_HOURS.from && hoursAgo >= POWER_CUT_HOURS.to) continue;
    if (isAt(behindMs, POWER_CUT_HOURS.from)) {
      await cutPower(() => clock.moveTo(POWER_CUT_HOURS.to * HOUR_MS));
      continue;
    }
    clock.moveTo(behindMs);
    overseas.isDown = isAt(behindMs, OUTAGE_HOURS);
    const hour = new Date(clock.wallMs()).getHours();
    const busy = hour < 7 ? 2 : hour < 17 ? 6 : 12;
    const asked = Array.from({ length: busy }, () => usualQuery(url, random));
    if (overseas.isDown) asked.push(...SITES.map((site) => ask(url, { name: `img.${site}`, type: "A", client: CLIENTS[1] })));
    await Promise.all(asked);
    if (!isAt(behindMs, INSISTENCE_HOURS)) continue;
    await changeRules();
    for (let attempt = 0; attempt < 14; attempt++) {
      clock.moveTo(behindMs - 2 * MINUTE_MS - attempt * 12_000);
      await ask(url, { name: INSISTED, type: attempt % 2 === 0 ? "A" : "HTTPS", client: CLIENTS[2] });
    }
  }
  overseas.isDown = false;
  clock.moveTo(0);
}

const LIVE_MS = 3000;

/** Sends a query every few seconds. @returns what ends it. */
export function liveOn(url: string): () => void {
  const random = seeded(11);
  const timer = setInterval(() => {
    void usualQuery(url, random);
    if (random() < 0.05) void ask(url, { name: INSISTED, type: "A", client: CLIENTS[2] });
  }, LIVE_MS);
  return () => clearInterval(timer);
}

interface Asked {
  readonly name: string;
  readonly type: string;
  readonly client: readonly [id: string, address: string];
}

function usualQuery(url: string, random: () => number): Promise<void> {
  const pick = <T>(values: readonly T[]): T => values[Math.floor(random() ** 2 * values.length)] as T;
  const chance = random();
  const name =
    chance < 0.09
      ? pick(BLOCKED)
      : chance < 0.15
        ? pick(OWN)
        : chance < 0.17
          ? pick(BROKEN_NAMES)
          : chance < 0.2
            ? GONE_NAME
            : pick(NAMES);
  const type = pick(["A", "A", "AAAA", "HTTPS"]);
  if (chance > 0.995) return ask(url, { name, type, client: ["", STRANGER] });
  return ask(url, { name, type, client: pick(CLIENTS) });
}

async function ask(url: string, { name, type, client: [id, address] }: Asked): Promise<void> {
  const path = id === "" ? url : `${url}/${id}`;
  const headers = { accept: "application/dns-json", "x-forwarded-for": address };
  // A query of the demonstration may come while the server stops.
  await fetch(`${path}?name=${name}&type=${type}`, { headers }).then(
    (response) => response.arrayBuffer(),
    () => {},
  );
}

/** mulberry32: every demonstration is the same. */
function seeded(seed: number): () => number {
  let state = seed;
  return () => {
    state = (state + 0x6d2b79f5) | 0;
    let mixed = Math.imul(state ^ (state >>> 15), 1 | state);
    mixed = (mixed + Math.imul(mixed ^ (mixed >>> 7), 61 | mixed)) ^ mixed;
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 2 ** 32;
  };
}
