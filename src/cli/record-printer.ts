import type { QueryRecord } from "../log/record.ts";
import { recordDetails } from "../log/text.ts";
import { dayText, RecordTable } from "./record-table.ts";
import type { Invocation } from "./run.ts";
import type { Terminal } from "./terminal.ts";

/** Writes records one by one: as JSON, in full, or as the lines of a table that fits the terminal, also when that becomes wider or narrower. */
export class RecordPrinter {
  readonly #terminal: Terminal;
  readonly #json: boolean;
  readonly #full: boolean;
  #cells: number | null = null;
  #table: RecordTable | null = null;
  #day = "";

  constructor({ json, full }: Pick<Invocation, "json" | "full">, terminal: Terminal) {
    this.#terminal = terminal;
    this.#json = json;
    this.#full = full;
  }

  /** Writes what stands above the first record. */
  begin(): void {
    if (!this.#json && !this.#full) this.#fittingTable();
  }

  show(record: QueryRecord): void {
    if (this.#json) this.#write(JSON.stringify(record));
    // A blank line ends each, because it is some lines long.
    else if (this.#full) this.#write(`${recordDetails(record).join("\n")}\n`);
    else this.#showLine(record);
  }

  #showLine(record: QueryRecord): void {
    const table = this.#fittingTable();
    const day = dayText(record);
    if (table.lacksDay && day !== this.#day) this.#write(day);
    this.#day = day;
    this.#write(table.line(record));
  }

  #fittingTable(): RecordTable {
    const { cells, colors, interactive } = this.#terminal;
    if (this.#table !== null && cells === this.#cells) return this.#table;
    this.#cells = cells;
    const table = new RecordTable({ cells, color: colors });
    this.#table = table;
    if (interactive) {
      if (table.leftOut.length > 0)
        this.#terminal.err(`fenliu: no room for ${table.leftOut.join(", ")}: a wider terminal or --full shows all\n`);
      this.#write(table.heading());
    }
    return table;
  }

  #write(line: string): void {
    this.#terminal.out(`${line}\n`);
  }
}
