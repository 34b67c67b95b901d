/** How long one kind of event is kept quiet after it was told. */
const QUIET_MS = 60_000;

/**
 * Tells an event of each kind at once and then at most once a minute, with how many there were meanwhile: what can happen a thousand times a
 * second must not fill a disk.
 */
export function seldom(
  nowMs: () => number,
  tell: (kind: string, details: object) => void,
): (kind: string, details: object) => void {
  const told = new Map<string, { atMs: number; missed: number }>();
  return (kind, details) => {
    const last = told.get(kind);
    if (last !== undefined && nowMs() - last.atMs < QUIET_MS) {
      last.missed++;
      return;
    }
    tell(kind, last === undefined || last.missed === 0 ? details : { ...details, missed: last.missed });
    told.set(kind, { atMs: nowMs(), missed: 0 });
  };
}
