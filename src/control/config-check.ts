import type { ConfigCheck, ConfigProblem } from "../admin/control.ts";
import type { ConfigResult } from "../config/load.ts";
import type { Problem } from "../config/reading.ts";
import type { Config } from "../config/types.ts";
import { expectationFaults, openDecisions, type ShortcomingPlace } from "../decisions.ts";
import { copiesOf } from "../lists/cache.ts";
import { refusalsOf, reloadRefusalOf } from "../refusals.ts";

/**
 * What would be said of this draft, were it the file: at a start, and in warnings also at a reload in place of what is in force. Files that it
 * names are read, nothing is downloaded.
 */
export async function checkDraft(read: ConfigResult, inForce: Config | null): Promise<ConfigCheck> {
  if (read.kind === "invalid") return { ok: false, problems: read.problems.map(shown), warnings: [] };
  const { config } = read;
  const warnings = read.warnings.map(shown);
  const refusals = refusalsOf(config);
  if (refusals.length > 0) return { ok: false, problems: refusals.map(nowhere), warnings };
  const reloadRefusal = inForce === null ? null : reloadRefusalOf(config, inForce);
  if (reloadRefusal !== null) warnings.push(nowhere(reloadRefusal));
  const log = { warn: (place: ShortcomingPlace, text: string) => void warnings.push(nowhere(placed(place, text))) };
  const faults = expectationFaults(await openDecisions(config, { copies: copiesOf(config), log }), config, log);
  return { ok: faults.length === 0, problems: faults.map(nowhere), warnings };
}

function shown({ message, fix, line, column }: Problem): ConfigProblem {
  return { message: `${message}; ${fix}`, line, column };
}

/** Of something that no place in the text is to blame for. */
function nowhere(message: string): ConfigProblem {
  return { message, line: null, column: null };
}

/**
 * `list ads: rules/ads.txt: 3 lines were passed over`. What stands in the file is not told: a draft may name any file of this machine, keys and
 * passwords as well as hosts.
 */
function placed({ list, source, line, lines }: ShortcomingPlace, said: string): string {
  const text = line === undefined ? said : said.replace(/"(?:[^"\\]|\\.)*"/g, "what stands there");
  const where = [...(list === undefined ? [] : [`list ${list}`]), ...(source === undefined ? [] : [source])];
  const place = line === undefined || line === 0 ? where.join(": ") : `${where.join(": ")}:${line}`;
  return `${place === "" ? "" : `${place}: `}${lines === undefined ? "" : `${lines} `}${text}`;
}
