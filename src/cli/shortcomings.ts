import type { ShortcomingPlace } from "../decisions.ts";
import type { ListStatus } from "../lists/load.ts";

/** Something that could not be read, and was left out. */
export interface Shortcoming extends ShortcomingPlace {
  readonly text: string;
}

/** Lines shown of each source; scripts get them from `fenliu lists --json`. */
const SHORTCOMING_EXAMPLES = 3;

/** Each as a warning, and below it which lines are meant. Ends in a newline unless empty. */
export function shortcomingNotes(shortcomings: readonly Shortcoming[], lists: readonly ListStatus[]): string {
  return shortcomings.map((shortcoming) => note(shortcoming, lists)).join("");
}

function note({ list, source, line, lines, text }: Shortcoming, lists: readonly ListStatus[]): string {
  const file = line === undefined || source === undefined ? source : `${source}:${line}`;
  const place = [list === undefined ? undefined : `list ${list}`, file].filter((part) => part !== undefined);
  const said = `warning: ${[...place, lines === undefined ? text : `${lines} ${text}`].join(": ")}\n`;
  if (lines === undefined) return said;
  const sources = lists.find(({ name }) => name === list)?.sources ?? [];
  const warnings = sources.find((each) => each.source === source)?.warnings.slice(0, SHORTCOMING_EXAMPLES) ?? [];
  const more = lines > warnings.length ? `    and ${lines - warnings.length} more\n` : "";
  return `${said}${warnings.map((warning) => `    line ${warning.line}: ${warning.reason}\n`).join("")}${more}`;
}
