import { styleText } from "node:util";
import { printable } from "../lib/text.ts";
import type { QueryRecord } from "../log/record.ts";
import { localTime, milliseconds, ruleText, upstreamText } from "../log/text.ts";

interface TableOptions {
  /** Cells of a line; null = no limit. */
  readonly cells: number | null;
  /** Whether the terminal shows colours. */
  readonly color: boolean;
}

/**
 * Records as lines for a terminal: local time, client, type, name, rcode, source/action, rule (list:line), upstream, milliseconds, and the id for
 * `fenliu log ID`. Without a limit of cells a long text pushes the next columns to the right, and nothing is cut. With a limit columns become narrower and
 * then fewer, and `…` replaces the middle of a long text.
 */
export class RecordTable {
  /** Titles of the columns without room. */
  readonly leftOut: readonly string[];
  readonly #columns: readonly Column[];
  readonly #options: TableOptions;

  constructor(options: TableOptions) {
    const { cells } = options;
    this.#options = options;
    this.#columns = cells === null ? COLUMNS : fitted(cells);
    this.leftOut = COLUMNS.filter(({ title }) => this.#columns.every((column) => column.title !== title)).map(
      ({ title }) => title,
    );
  }

  heading(): string {
    return this.#columns.map(({ title, width }) => this.#painted(padCells(title, width), "bold")).join(GAP);
  }

  line(record: QueryRecord): string {
    const cells = this.#columns.map(({ title, width, text, style }) => {
      const said = title === "time" && this.lacksDay ? clockText(record) : text(record);
      const shown = printable(said === "" ? "-" : said);
      const fitting = this.#options.cells === null ? shown : cut(shown, width);
      return this.#painted(padCells(fitting, width), style?.(record));
    });
    return cells.join(GAP);
  }

  /** Whether times have no day: the caller writes the day on a line of its own where it changes. */
  get lacksDay(): boolean {
    return this.#columns.some(({ title, width, least }) => title === "time" && width === least);
  }

  #painted(text: string, style: Style | undefined): string {
    return style === undefined || !this.#options.color ? text : styleText(style, text, { validateStream: false });
  }
}

/** `2026-11-21` where this machine is. */
export function dayText({ time }: QueryRecord): string {
  return localTime(time).slice(0, "2026-11-21".length);
}

/** `21:03:11` */
function clockText({ time }: QueryRecord): string {
  return localTime(time).slice("2026-11-21 ".length, "2026-11-21 21:03:11".length);
}

type Style = "dim" | "bold" | "green" | "yellow" | "red";

interface Column {
  readonly title: string;
  /** In cells. */
  readonly width: number;
  /** With fewer cells the column is of no use. */
  readonly least: number;
  /** Empty where the record has no such value. */
  readonly text: (record: QueryRecord) => string;
  readonly style?: (record: QueryRecord) => Style;
}

const GAP = "  ";

const COLUMNS: readonly Column[] = [
  { title: "time", width: 18, least: 8, text: ({ time }) => localTime(time).slice("2026-".length), style: () => "dim" },
  { title: "client", width: 15, least: 15, text: ({ clientId, client }) => clientId ?? client },
  { title: "type", width: 6, least: 6, text: ({ type }) => type },
  { title: "name", width: 36, least: 20, text: ({ name }) => name },
  { title: "rcode", width: 8, least: 8, text: ({ rcode }) => rcode ?? "", style: rcodeStyle },
  {
    title: "source/action",
    width: 20,
    least: 13,
    text: ({ source, action }) => (action === "none" ? source : `${source}/${action}`),
  },
  { title: "rule", width: 20, least: 12, text: ruleText },
  { title: "upstream", width: 28, least: 14, text: upstreamText },
  { title: "ms", width: 8, least: 8, text: ({ durationUs }) => milliseconds(durationUs / 1000) },
  { title: "id", width: 16, least: 16, text: ({ id }) => String(id), style: () => "dim" },
];

/** On short lines the last column is left out first. */
const IMPORTANCE = ["name", "rcode", "time", "type", "source/action", "client", "id", "rule", "ms", "upstream"];

/** These columns grow to their normal width, as far as there is room. */
const WIDENED = ["name", "source/action", "rule", "upstream"];

/** With room for all columns these grow further, up to so many cells; the name takes the rest. */
const LONGEST = { upstream: 48, name: 64, client: 39, rule: 32, "source/action": 32 } as const;

function fitted(cells: number): readonly Column[] {
  let free = cells + GAP.length;
  const widths = new Map<string, number>();
  for (const title of IMPORTANCE) {
    const { least } = columnOf(title);
    // The first four columns are of use only together: on a shorter line the terminal wraps them.
    if (widths.size >= 4 && free < least + GAP.length) break;
    free -= least + GAP.length;
    widths.set(title, least);
  }
  const widen = (title: string, by: number): void => {
    const width = widths.get(title);
    if (width === undefined || by <= 0) return;
    widths.set(title, width + by);
    free -= by;
  };
  for (const title of WIDENED) widen(title, Math.min(free, columnOf(title).width - columnOf(title).least));
  const time = columnOf("time");
  if (free >= time.width - time.least) widen("time", time.width - time.least);
  for (const [title, longest] of Object.entries(LONGEST)) widen(title, Math.min(free, longest - (widths.get(title) ?? longest)));
  widen("name", free);
  return COLUMNS.flatMap((column) => {
    const width = widths.get(column.title);
    return width === undefined ? [] : [{ ...column, width }];
  });
}

function columnOf(title: string): Column {
  const column = COLUMNS.find((each) => each.title === title);
  if (column === undefined) throw new Error(`there is no column ${title}`);
  return column;
}

/** Keeps both ends of a long text: they are the most telling parts of a name. */
function cut(text: string, cells: number): string {
  if (cellsOf(text) <= cells) return text;
  const characters = Array.from(new Intl.Segmenter().segment(text), ({ segment }) => segment);
  const tail = beginning(characters.toReversed(), Math.floor((cells - 1) / 2)).toReversed();
  return `${beginning(characters, Math.ceil((cells - 1) / 2)).join("")}…${tail.join("")}`;
}

function beginning(characters: readonly string[], cells: number): readonly string[] {
  let free = cells;
  const end = characters.findIndex((character) => {
    free -= cellsOf(character);
    return free < 0;
  });
  return end < 0 ? characters : characters.slice(0, end);
}

function rcodeStyle({ rcode, answers }: QueryRecord): Style {
  if (rcode === null) return "dim";
  if (rcode === "NOERROR" && answers.length > 0) return "green";
  return rcode === "NOERROR" || rcode === "NXDOMAIN" ? "yellow" : "red";
}

/** Rows as lines of text, with two spaces between the columns. */
export function alignColumns(rows: readonly (readonly string[])[]): string {
  const widths = (rows[0] ?? []).map((_, column) => Math.max(...rows.map((row) => cellsOf(row[column] ?? ""))));
  const lines = rows.map((row) =>
    row
      .map((cell, column) => padCells(cell, widths[column] ?? 0))
      .join("  ")
      .trimEnd(),
  );
  return lines.map((line) => `${line}\n`).join("");
}

/** Pads a text with blanks to so many cells; a longer text stays whole. */
export function padCells(text: string, cells: number): string {
  return text + " ".repeat(Math.max(0, cells - cellsOf(text)));
}

/** Cells that a text without control characters takes: Chinese, Japanese, Korean and emoji take two, combining marks none. */
export function cellsOf(text: string): number {
  let cells = 0;
  for (const character of text) cells += MARK.test(character) ? 0 : WIDE.test(character) ? 2 : 1;
  return cells;
}

const MARK = /\p{Mn}|\p{Me}/u;

// UAX #11, classes W and F, by script. The half-width forms from U+FF61 on belong to such a script and are narrow.
const WIDE =
  /(?![\uff61-\uffdc])[\p{Script=Han}\p{Script=Hangul}\p{Script=Hiragana}\p{Script=Katakana}\p{Script=Bopomofo}\p{Emoji_Presentation}\u3000-\u303e\uff01-\uff60\uffe0-\uffe6]/u;
