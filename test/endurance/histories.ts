/**
 * Random histories of a server that repeats replies beside one that does not: `npm run histories [-- --count 1000 --seed 1]`. Says every few seconds how many
 * have passed; ends with 1, and with the seed and the path that find it again, at the first in which the two differ.
 */
import { parseArgs } from "node:util";
import { checkHistories } from "../replies/histories.ts";

const { values } = parseArgs({
  options: { count: { type: "string", default: "1000" }, seed: { type: "string", default: String(Date.now() % 0x7fff_ffff) } },
});
const count = Number(values.count);
const firstSeed = Number(values.seed);

/** Each portion has a seed of its own, so that one of a night's histories is found again soon. */
const PORTION = 250;

let repeated = 0;
for (let done = 0; done < count; done += PORTION) {
  const numRuns = Math.min(PORTION, count - done);
  repeated += await checkHistories({ numRuns, seed: firstSeed + done / PORTION });
  const { user, system } = process.cpuUsage();
  console.log(
    `${new Date().toISOString().slice(11, 19)} ${done + numRuns} histories from seed ${firstSeed} on, ${repeated} replies repeated, ${((user + system) / 1000 / (done + numRuns)).toFixed(1)} ms of processor time each`,
  );
}
