import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import fc from "fast-check";
import { expect, onTestFinished, test } from "vitest";
import { AnswerCache } from "../../src/cache/answer-cache.ts";
import { loadCache, saveCache } from "../../src/cache/cache-file.ts";
import type { PutOptions } from "../../src/cache/entry.ts";
import type { CacheKey } from "../../src/cache/key.ts";
import { AddressSet } from "../../src/dns/address.ts";
import type { Answer } from "../../src/dns/answer.ts";
import { ROOT } from "../../src/dns/name.ts";
import { RCODE } from "../../src/dns/types.ts";
import { usualLimits } from "../cache/answers.ts";
import { zone } from "../dns/zone.ts";
import { type Outcome, type Workbench, workbenchWith } from "../support/workbench.ts";
import { respond, withRcode } from "../support/zone-script.ts";
import type { Action, Asked } from "../upstreams/scripted-server.ts";

const ADDRESSES = ["203.0.113.1", "203.0.113.2", "203.0.113.3"] as const;
type Address = (typeof ADDRESSES)[number];

/** What upstream does until it is changed. */
interface Saying {
  readonly kind: "gives" | "denies" | "fails";
  readonly address: Address;
  /** Longer than clients wait where something stale is held. */
  readonly late: boolean;
}

/** Where the addresses stand that are known for forged. */
interface Known {
  readonly poison: readonly Address[];
  readonly bogus: readonly Address[];
  readonly listed: readonly Address[];
}

type Step =
  | { readonly kind: "ask"; readonly name: string; readonly type: string }
  | { readonly kind: "pass"; readonly ms: number }
  | { readonly kind: "say"; readonly saying: Saying }
  /** A reload, or a list that was refreshed: where only `listed` differs, the file is the same. */
  | { readonly kind: "know"; readonly known: Known }
  /** The cache is saved, and another one is filled from the file. */
  | { readonly kind: "restart" };

const saying: fc.Arbitrary<Saying> = fc.record({
  kind: fc.constantFrom("gives", "gives", "gives", "denies", "fails"),
  address: fc.constantFrom(...ADDRESSES),
  late: fc.boolean(),
});
const some = fc.subarray([...ADDRESSES], { maxLength: 2 });
const none = fc.constant([]);
const known: fc.Arbitrary<Known> = fc.oneof(
  fc.record({ poison: none, bogus: none, listed: some }),
  fc.record({ poison: some, bogus: none, listed: none }),
  fc.record({ poison: some, bogus: some, listed: some }),
);
const step: fc.Arbitrary<Step> = fc.oneof(
  {
    weight: 6,
    arbitrary: fc.record({
      kind: fc.constant("ask"),
      name: fc.constantFrom("page.example", "other.example"),
      type: fc.constantFrom("A", "A", "HTTPS"),
    }),
  },
  { weight: 2, arbitrary: fc.record({ kind: fc.constant("pass"), ms: fc.constantFrom(30, 5000, 92_000, 101_000) }) },
  { weight: 2, arbitrary: fc.record({ kind: fc.constant("say"), saying }) },
  { weight: 2, arbitrary: fc.record({ kind: fc.constant("know"), known }) },
  { weight: 1, arbitrary: fc.record({ kind: fc.constant("restart") }) },
);

let refusedHits = 0;

/** Believes no mark, so that every hit is looked into. */
class ForgetfulCache extends AnswerCache {
  override put(key: CacheKey, answer: Answer, { filterFingerprint: _, ...options }: PutOptions) {
    return super.put(key, answer, options);
  }

  override noteFiltered(): void {}

  override delete(key: CacheKey): void {
    refusedHits++;
    super.delete(key);
  }
}

test("no cache hit sends an address that is forged by the current sets, and checking every hit would change nothing", async () => {
  const folder = await mkdtemp(join(tmpdir(), "fenliu-forged-"));
  onTestFinished(() => rm(folder, { recursive: true }));
  const seen = { cache: 0, stale: 0 };
  await fc.assert(
    fc.asyncProperty(fc.array(step, { minLength: 30, maxLength: 60 }), async (steps) => {
      const world = await worldOf(folder, AnswerCache);
      const naive = await worldOf(folder, ForgetfulCache);
      for (const each of steps) {
        const outcome = await world.take(each);
        expect(outcome).toEqual(await naive.take(each));
        expect(world.bench.cache.stats()).toEqual(naive.bench.cache.stats());
        if (outcome?.source !== "cache" && outcome?.source !== "stale") continue;
        seen[outcome.source]++;
        const sent = JSON.stringify(outcome.reply);
        for (const address of world.forged()) expect(sent).not.toContain(address);
      }
    }),
    { numRuns: 20, endOnFailure: true },
  );
  expect(seen.cache).toBeGreaterThan(0);
  expect(seen.stale).toBeGreaterThan(0);
  expect(refusedHits).toBeGreaterThan(0);
});

interface World {
  readonly bench: Workbench;
  readonly forged: () => readonly Address[];
  /** null where nothing was asked. */
  readonly take: (step: Step) => Promise<Outcome | null>;
}

const routes = new Map([["main", "mark"]]);

async function worldOf(folder: string, Cache: typeof AnswerCache): Promise<World> {
  const listPath = join(folder, "list.txt");
  const filePath = join(folder, "cache.db");
  let said: Saying = { kind: "gives", address: ADDRESSES[0], late: false };
  let forged: readonly Address[] = [];
  const script = (asked: Asked): Action => {
    const action = actionOf(said, asked);
    return said.late ? { kind: "after", delayMs: 40, action } : action;
  };
  const yaml = "cache: { stale: { after: 10ms } }";
  const bench = await workbenchWith({ yaml, upstreams: { main: [script] }, Cache });
  const take = async (step: Step): Promise<Outcome | null> => {
    switch (step.kind) {
      case "ask":
        return bench.ask(step.name, step.type, { id: 1 });
      case "pass":
        await bench.clock.advance(step.ms);
        return null;
      case "say":
        said = step.saying;
        return null;
      case "know": {
        const { poison, bogus, listed } = step.known;
        forged = [...poison, ...bogus, ...listed];
        await writeFile(listPath, ["198.51.100.1", ...listed, ""].join("\n"));
        await bench.reload(`lists: { forged: { addresses: ${JSON.stringify(listPath)} } }
poison: ${JSON.stringify([...poison, "list:forged"])}
bogus: ${JSON.stringify(bogus)}
`);
        return null;
      }
      case "restart":
        await saveCache(bench.cache, filePath, routes);
        bench.cache.flush(ROOT, true);
        await loadCache(bench.cache, filePath, {
          limits: usualLimits,
          clock: bench.clock,
          routes,
          volatileAddresses: AddressSet.of(),
        });
        return null;
    }
  };
  return { bench, forged: () => forged, take };
}

function actionOf({ kind, address }: Saying, asked: Asked): Action {
  const beside = zone(`beside.example 100 A ${address}`);
  switch (kind) {
    case "gives": {
      const data = asked.type === 1 ? `A ${address}` : `HTTPS 1 . ipv4hint=${address}`;
      return respond(asked, { answers: zone(`${asked.name} 100 ${data}`) });
    }
    case "denies": {
      const authority = zone("example 60 SOA ns.example hostmaster.example 1 2 3 4 60");
      return respond(asked, { rcode: RCODE.NXDOMAIN, authority, additional: beside });
    }
    case "fails":
      return withRcode(asked, RCODE.REFUSED);
  }
}
