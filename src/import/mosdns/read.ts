import { type Findings, ImportError, type Meaning, NO_NETWORKS } from "../model.ts";
import { childOf } from "../source.ts";
import { cacheSettings, readBundle } from "./bundle.ts";
import { readListeners, SERVER_TYPES } from "./listeners.ts";
import { MosdnsPlugins } from "./plugins.ts";
import { StepReader4 } from "./v4.ts";
import { StepReader5 } from "./v5.ts";
import { walk } from "./walk.ts";

/** Reads a configuration of mosdns, whatever its version. Read `steps.ts`, then `walk.ts`: a version is one reader of steps, and `plugins.ts` what they share. @throws ImportError */
export function readMosdns(file: string, findings: Findings): Meaning {
  const bundle = readBundle(file, findings);
  const sequences = [...bundle.plugins.values()].filter(({ type }) => type === "sequence");
  const four = sequences.find(({ args }) => childOf(args, "exec") !== null);
  const five =
    sequences.find(({ args }) => args?.kind === "list") ??
    bundle.plugins.values().find(({ type }) => SERVER_TYPES.includes(type));
  if (four !== undefined && five !== undefined)
    throw new ImportError(
      five.place,
      `\`${five.tag}\` is of mosdns 5, and \`${four.tag}\` (line ${four.place.line}) of mosdns 4, whose sequences have \`exec\`: leave those of one version`,
    );
  if (four === undefined && five === undefined)
    throw new ImportError({ file, line: 1 }, "there is no sequence: those of mosdns 5 are lists, those of mosdns 4 have `exec`");
  const isFour = four !== undefined;
  const { entry, settings } = readListeners(bundle, findings);
  const plugins = new MosdnsPlugins(bundle, findings);
  const reader = isFour ? new StepReader4(plugins) : new StepReader5(plugins);
  const { rules, hosts } = walk(reader.stepsOf(entry.tag, entry.place), entry.place, findings);
  return {
    origin: isFour ? "mosdns 4" : "mosdns 5",
    file: bundle.file,
    rules,
    hosts,
    bootstrap: [...plugins.groups.bootstrap],
    poison: NO_NETWORKS,
    bogus: NO_NETWORKS,
    settings: { ...settings, ...cacheSettings(plugins.caches, findings) },
  };
}
