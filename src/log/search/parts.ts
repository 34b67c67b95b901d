import type { Database } from "../store/database.ts";
import type { Part } from "../store/schema.ts";
import { allParts } from "../store/upkeep.ts";

/** From one id up to another, which is not included. */
export interface IdRange {
  readonly from: number;
  readonly to: number;
}

/** A part that has records. */
export interface FilledPart extends Part {
  readonly firstId: number;
  readonly lastId: number;
}

/** The parts with records in this range, the one that reaches furthest first. */
export function partsWithin(database: Database, { from, to }: IdRange): readonly FilledPart[] {
  return allParts(database)
    .filter(isFilled)
    .filter(({ firstId, lastId }) => firstId < to && lastId >= from);
}

function isFilled(part: Part): part is FilledPart {
  return part.firstId !== null && part.lastId !== null;
}
