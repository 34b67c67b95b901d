/**
 * What came of a query, in one word for people: the colours of the dashboard, and the counts beside them. The dashboard uses this file as well, so it
 * imports nothing.
 *
 * - `local`: the hosts table, a special name, or a group whose servers are all of this network
 * - `rule`: a rule or a switched-off type answered here, or met it with silence
 * - `cache`, `stale`: a held answer, within its time and past it
 * - `near`, `far`: an upstream at home or elsewhere
 * - `failed`: nothing usable came; `refused`: the client may not ask, or not like this
 */
export type QueryOutcome = "local" | "rule" | "cache" | "stale" | "near" | "far" | "failed" | "refused";

/** Where the servers of a group are. */
export type GroupSide = "local" | "near" | "far";

/** The fields of a record that tell. */
interface Ended {
  readonly source: string | null;
  readonly rcode: string | null;
  readonly route: string | null;
}

/** @param sideOf where each group is; a group that is not there any more counts as far. */
export function queryOutcome({ source, rcode, route }: Ended, sideOf: Readonly<Record<string, GroupSide>>): QueryOutcome {
  if (source === "refused") return "refused";
  if (source === "failure" || rcode === "SERVFAIL") return "failed";
  if (source === "rule") return "rule";
  const side = route === null ? "local" : (sideOf[route] ?? "far");
  if (source === "hosts" || source === "special" || side === "local") return "local";
  if (source === "stale" || source === "cache") return source;
  return side;
}
