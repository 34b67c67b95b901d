import { setFlagsFromString } from "node:v8";
import { runInNewContext } from "node:vm";

setFlagsFromString("--expose-gc");

/** Collects all garbage, so that a measurement does not depend on when the collector last ran. */
export const collectGarbage: () => void = runInNewContext("gc");
