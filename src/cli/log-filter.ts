import { FILTER_PARAMETERS, parseFilter } from "../log/filter.ts";
import { localMoment, parseMoment } from "../log/time.ts";
import { UsageError } from "./terminal.ts";

export type Parameter = readonly [field: string, value: string];

/**
 * What the API is to be asked, of the words of `fenliu log`: `FIELD=VALUE`, or a name. They mean what they mean there, but that times without a zone are
 * those of this machine, as the times it shows.
 * @throws UsageError with everything that is wrong.
 */
export function logFilter(words: readonly string[], nowMs: number): readonly Parameter[] {
  const given = words.map(parameterOf);
  const from = textOf(given, "from");
  const fromMs = localMoment(from, { nowMs, afterMs: null });
  const toMs = localMoment(textOf(given, "to"), { nowMs, afterMs: fromMs ?? parseMoment(from, nowMs) });
  const local: Readonly<Record<string, number | null>> = { from: fromMs, to: toMs };
  const parameters = given.map(([field, value]): Parameter => {
    const moment = local[field] ?? null;
    return [field, moment === null ? value : new Date(moment).toISOString()];
  });
  const parsed = parseFilter(parameters, nowMs);
  if (parsed.kind === "bad")
    throw new UsageError(parsed.problems.map(({ parameter, reason }) => `${parameter}: ${withLocalTimes(reason)}`).join("\n"));
  return parameters;
}

/** The API knows no times of this machine. */
function withLocalTimes(reason: string): string {
  return reason.replace(" is no time: ", " is no time: 21:03, 11-21 21:03, 2026-11-21T21:03 where this machine is, ");
}

function parameterOf(word: string): Parameter {
  const [, field = "name", value = ""] = /^(?:(\w+)=)?(.*)$/s.exec(word) ?? [];
  if (!FILTER_PARAMETERS.some((known) => known === field))
    throw new UsageError(`\`${field}\` is no field of the log; there are ${FILTER_PARAMETERS.join(", ")}`);
  if (value === "") throw new UsageError(`\`${word}\`: a value is missing`);
  return [field, value];
}

function textOf(parameters: readonly Parameter[], wanted: string): string {
  const [, value = ""] = parameters.find(([field]) => field === wanted) ?? [];
  return value;
}
