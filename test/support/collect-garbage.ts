import { setFlagsFromString } from "node:v8";
import { runInNewContext } from "node:vm";

setFlagsFromString("--expose-gc");

/** Leaves in memory what is still used. Without it a measure tells how long the collector has been waiting. */
export const collectGarbage: () => void = runInNewContext("gc");
