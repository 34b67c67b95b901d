import { type Findings, ImportError, type Meaning } from "../model.ts";
import { childOf } from "../source.ts";
import { readBundle } from "./bundle.ts";
import { SERVER_TYPES } from "./listeners.ts";
import { readVersion4 } from "./v4.ts";
import { readVersion5 } from "./v5.ts";

/** Reads a configuration of mosdns, whatever its version. Read `steps.ts`, then `walk.ts`: a version is one reader of steps. @throws ImportError */
export function readMosdns(file: string, findings: Findings): Meaning {
  const bundle = readBundle(file, findings);
  const sequences = [...bundle.plugins.values()].filter(({ type }) => type === "sequence");
  const isFour = sequences.some(({ args }) => childOf(args, "exec") !== null);
  const isFive =
    sequences.some(({ args }) => args?.kind === "list") ||
    [...bundle.plugins.values()].some(({ type }) => SERVER_TYPES.includes(type));
  if (isFour === isFive)
    throw new ImportError(
      { file, line: 1 },
      "sequences of mosdns 5 are lists, those of mosdns 4 have `exec`: this has neither, or both",
    );
  return isFour ? readVersion4(bundle, findings) : readVersion5(bundle, findings);
}
