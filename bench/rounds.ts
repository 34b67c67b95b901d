import { cpuNanoseconds } from "./cpu.ts";
import type { Load, LoadGenerator, Outcome, Target } from "./load.ts";
import type { Contestant, Scene } from "./scene.ts";

/** One server under one load in one round. */
export interface Sample extends Outcome {
  readonly round: number;
  readonly server: string;
  readonly load: Load;
  /** User and system mode of all its threads, divided by the queries answered. */
  readonly cpuMicrosPerQuery: number;
}

export interface RoundsOptions {
  readonly loads: readonly Load[];
  readonly rounds: number;
  readonly secondsEach: number;
  readonly progress: (text: string) => void;
}

/** Compiled code and full buffers before the first sample; not counted. */
const RUN_IN_SECONDS = 2;

/**
 * Measures every server under every load, round by round: within a round the servers follow each other directly, each round beginning with
 * another one, so that whatever else the machine does meanwhile hits all alike. A server that answers nothing any more keeps the samples it has
 * and is left out from then on.
 */
export async function measureRounds(scene: Scene, asker: LoadGenerator, options: RoundsOptions): Promise<readonly Sample[]> {
  const { loads, rounds, secondsEach, progress } = options;
  for (const load of loads) {
    for (const { contestant, target } of scene.over(load.transport)) {
      progress(`run-in: ${contestant.peer.name}`);
      await asker.ask(target, load.perSecond, Math.min(RUN_IN_SECONDS, secondsEach));
    }
  }
  const samples: Sample[] = [];
  const fallen = new Set<Contestant>();
  for (let round = 0; round < rounds; round++) {
    for (const load of loads) {
      for (const { contestant, target } of rotated(scene.over(load.transport), round)) {
        if (fallen.has(contestant)) continue;
        progress(`round ${round + 1} of ${rounds}: ${contestant.peer.name} over ${load.transport}`);
        const measured = await measure(asker, { contestant, target }, { perSecond: load.perSecond, seconds: secondsEach });
        if (measured !== null) samples.push({ round, server: contestant.peer.name, load, ...measured });
        else fallen.add(contestant);
      }
    }
  }
  return samples;
}

async function measure(
  asker: LoadGenerator,
  { contestant, target }: { readonly contestant: Contestant; readonly target: Target },
  { perSecond, seconds }: { readonly perSecond: number | null; readonly seconds: number },
): Promise<(Outcome & Pick<Sample, "cpuMicrosPerQuery">) | null> {
  const { pid } = contestant.running.child;
  if (pid === undefined) throw new Error(`${contestant.peer.name} does not run`);
  const before = cpuNanoseconds(pid);
  const outcome = await asker.ask(target, perSecond, seconds);
  if (!(outcome.answered > 0)) return null;
  const usedMicros = (cpuNanoseconds(pid) - before) / 1000;
  return { ...outcome, cpuMicrosPerQuery: usedMicros / outcome.answered };
}

function rotated<Item>(items: readonly Item[], by: number): readonly Item[] {
  const start = by % Math.max(1, items.length);
  return [...items.slice(start), ...items.slice(0, start)];
}
