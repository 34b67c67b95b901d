/** A cursor that no page ended with. */
export class CursorError extends Error {
  constructor() {
    super("the cursor is none that a search gave");
    this.name = "CursorError";
  }
}

/** Records of the next page have ids below this one. @throws CursorError */
export function idOfCursor(cursor: string): number {
  const id = /^[1-9]\d{0,15}$/.test(cursor) ? Number(cursor) : Number.NaN;
  if (!Number.isSafeInteger(id)) throw new CursorError();
  return id;
}

export function cursorBelow(id: number): string {
  return String(id);
}
