import fc from "fast-check";
import { expect, test } from "vitest";
import { operationsLog } from "../../src/log/operations.ts";
import { AddressListFeeder } from "../../src/routeros/address-lists.ts";
import { queryWire, readReply } from "../support/message.ts";
import { runs } from "../support/properties.ts";
import { RouterCalls } from "../support/routeros/calls.ts";
import { Router } from "../support/routeros/router.ts";
import { honest } from "../support/zone-script.ts";
import type { Asked } from "../upstreams/scripted-server.ts";
import { World } from "./world.ts";

const MENU = "ip/firewall/address-list";
const MINUTE_MS = 60_000;

/** Names that share addresses, with short and long TTLs, and whose addresses change from era to era. */
const TTLS = [5, 60, 300, 1500, 3600, 100_000];

function answersOf(asked: Asked, era: number) {
  const [, digit = "0"] = /^n(\d)/.exec(asked.name) ?? [];
  const place = Number(digit);
  const ttl = TTLS[place] ?? 60;
  const hosts = [(place + era) % 3, 10 + place];
  return honest(...hosts.map((host) => `n${place}.example ${ttl} A 203.0.113.${host}`))(asked);
}

const ask = fc.record({ kind: fc.constant("ask" as const), place: fc.nat(TTLS.length - 1) });
const wait = fc.record({
  kind: fc.constant("wait" as const),
  ms: fc.constantFrom(10, 300, 1000, 30_000, MINUTE_MS, MINUTE_MS, 5 * MINUTE_MS, 14 * MINUTE_MS),
});
const fault = fc.record({ kind: fc.constantFrom("era", "era", "restart", "remove", "away") });
const step = fc.oneof({ weight: 10, arbitrary: ask }, { weight: 5, arbitrary: wait }, { weight: 2, arbitrary: fault });

/**
 * Faults that were planted in turn, each of which this finds: a reply repeated before the list has its addresses; a later name with a short TTL that
 * shortens what was promised; a restart of the router that goes unnoticed.
 */
test("an address that a client was given is in the router's list until the client forgets it, whenever the router is in step, also where replies are repeated", async () => {
  const histories = runs(240);
  let repeated = 0;
  await fc.assert(
    fc.asyncProperty(fc.array(step, { minLength: 10, maxLength: 60 }), async (steps) => {
      let era = 0;
      const yaml = `rules: [{ name: fed, domains: example, upstream: main, ttl: { max: 1d } }]
routeros: { url: 'https://192.168.1.1', user: fenliu, passwordFile: '${import.meta.filename}', addressLists: [{ rule: fed, list: FED }] }`;
      const world = await World.open({ repeats: true, yaml, script: (asked) => answersOf(asked, era), cacheBytes: 1 << 20 });
      const { clock } = world;
      const router = new Router({ clock });
      const rest = new RouterCalls(router, clock);
      const log = operationsLog("silent", () => {}, false);
      const options = { addressLists: [{ rule: "fed", list: "FED" }], holdMs: 150, dryRun: false };
      const feeder = new AddressListFeeder(options, { clock, log, rest, onLoss: world.onLoss });
      world.feed = feeder;
      /** From when the list must have an address, and until when clients hold it. */
      const given = new Map<string, { readonly fromMs: number; readonly untilMs: number }>();
      /** The router has lost entries, and is not expected to have them again before. */
      let inStepFromMs = clock.now() + 2 * MINUTE_MS;
      const askOnce = async (name: string) => {
        const before = world.repeated;
        const reply = await world.ask(queryWire(name, "A"), "192.168.1.2");
        const { answers, ttl } = readReply(Buffer.from(reply ?? "", "hex"));
        const nowMs = clock.now();
        // What is given in full waits a while for the list, or not at all; what is repeated is there already.
        const fromMs = world.repeated === before ? nowMs + 1000 : nowMs;
        const untilMs = nowMs + (ttl ?? 0) * 1000;
        for (const address of answers) {
          const known = given.get(address);
          const isHeld = known !== undefined && known.untilMs > nowMs;
          const earliestMs = isHeld ? Math.min(known.fromMs, fromMs) : fromMs;
          given.set(address, { fromMs: earliestMs, untilMs: Math.max(known?.untilMs ?? 0, untilMs) });
        }
        check();
      };
      const check = () => {
        if (clock.now() < inStepFromMs) return;
        const list = new Set(router.rows(MENU).map((row) => row["address"]));
        const nowMs = clock.now();
        const held = [...given]
          .filter(([, { fromMs, untilMs }]) => fromMs <= nowMs && nowMs < untilMs)
          .map(([address]) => address);
        expect(held.filter((address) => !list.has(address))).toEqual([]);
      };
      try {
        await clock.advance(2 * MINUTE_MS);
        for (const each of steps) {
          if (each.kind === "ask") {
            for (let time = 0; time < 3; time++) await askOnce(`n${each.place}.example`);
          } else if (each.kind === "wait") await clock.advance(each.ms);
          else if (each.kind === "era") era++;
          else if (each.kind === "restart") {
            // No router starts more quickly.
            await clock.advance(10_000);
            router.reboot();
            inStepFromMs = Math.max(inStepFromMs, clock.now() + 2 * MINUTE_MS);
          } else if (each.kind === "remove") {
            router.remove(
              MENU,
              router.rows(MENU).map((row) => row[".id"] ?? ""),
            );
            // A list of each family is looked at in turn.
            inStepFromMs = Math.max(inStepFromMs, clock.now() + 21 * MINUTE_MS);
          } else {
            rest.isGone = true;
            await clock.advance(4 * MINUTE_MS);
            rest.isGone = false;
            inStepFromMs = Math.max(inStepFromMs, clock.now() + 2 * MINUTE_MS);
          }
          check();
        }
        repeated += world.repeated;
      } finally {
        await Promise.all([feeder.close(), clock.advance(1000)]);
        await world.close();
      }
    }),
    { numRuns: histories },
  );
  expect(repeated).toBeGreaterThan(histories);
});
