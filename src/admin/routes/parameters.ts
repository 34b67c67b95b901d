import { type Static, Type } from "typebox";
import { parseDurationMs } from "../../lib/duration.ts";
import { parseFilter, type QueryFilter } from "../../log/filter.ts";
import { invalid } from "../problem.ts";

const NEGATION = "`!` before a value means none of those; given several times, any of the values.";

// The examples stand in the descriptions, because the documentation page would fill in all of them at once.
function filter(description: string, example: string) {
  return Type.Optional(
    Type.Array(Type.String({ maxLength: 1000 }), {
      description: `${description} For example \`${example}\`. ${NEGATION}`,
      maxItems: 100,
    }),
  );
}

/** The filters of records; a record must pass all of them. */
export const CONDITIONS = {
  name: filter(
    "The name asked for: `example.com` means it and everything below, `full:example.com` it alone, `*` any characters, and `/regexp/` a regular expression, of which there may be eight.",
    "example.com",
  ),
  client: filter("Who asked: an address, a prefix such as `10.0.7.0/24`, or a client id.", "10.0.7.12"),
  type: filter("Mnemonic or number; `*` stands for any characters.", "HTTPS"),
  rcode: filter("Response code, as a mnemonic, or `none` where nothing was sent; `*` stands for any characters.", "NXDOMAIN"),
  rule: filter("The rule that decided; `*` stands for any characters.", "split"),
  upstream: filter("The server whose answer was given, or its group; `*` stands for any characters.", "https://1.1.1.1*"),
  source: filter("Where the answer came from: hosts, special, rule, cache, stale, upstream, failure, refused.", "upstream"),
  action: filter("What was done; `*` stands for any characters.", "type65:*"),
  answer: filter("An address, or a record as text, among the answers; `*` stands for any characters.", "192.0.2.7"),
  minMs: filter("It took at least so many milliseconds.", "100"),
};

const MOMENT = "ISO 8601 such as `2026-11-21T21:03Z`, milliseconds since 1970, or how long ago: `90s`, `1h`, `7d`.";

export function momentParameter(description: string) {
  return Type.Optional(Type.String({ description: `${description} ${MOMENT}`, maxLength: 40 }));
}

export const PERIOD = {
  from: momentParameter("From when on."),
  to: momentParameter("Until before when; without it a search of the log ends now."),
};

const CONDITIONS_AND_PERIOD = Type.Object({ ...CONDITIONS, ...PERIOD });

/** @throws HttpProblem that names each invalid parameter. */
export function filterOf(parameters: Static<typeof CONDITIONS_AND_PERIOD>, nowMs: number): QueryFilter {
  const pairs = Object.entries(parameters).flatMap(([name, values]) => [values].flat().map((value) => [name, value] as const));
  const parsed = parseFilter(pairs, nowMs);
  if (parsed.kind === "bad") throw invalid(parsed.problems);
  return parsed.filter;
}

interface Period {
  readonly fromMs: number;
  readonly toMs: number;
}

const DAY_MS = 86_400_000;

/** The period of a request: the last day by default. @throws HttpProblem */
export function periodOf(written: { readonly from?: string; readonly to?: string }, nowMs: number): Period {
  const { fromMs, toMs } = filterOf(written, nowMs);
  const endMs = toMs ?? nowMs;
  const startMs = fromMs ?? Math.max(0, endMs - DAY_MS);
  if (startMs >= endMs) throw invalid([{ parameter: "from", reason: "lies at or after the end, so nothing is between them" }]);
  return { fromMs: startMs, toMs: endMs };
}

/** A moment that a body names, in milliseconds since 1970. @throws HttpProblem */
export function momentOf(parameter: string, written: string, nowMs: number): number {
  const parsed = parseFilter([["to", written]], nowMs);
  if (parsed.kind === "bad") throw invalid(parsed.problems.map(({ reason }) => ({ parameter, reason })));
  return parsed.filter.toMs ?? nowMs;
}

/** The length of a sample of a time series. */
export const STEP = Type.Optional(
  Type.String({
    pattern: "^[1-9][0-9]{0,8}(ms|s|m|h|d)?$",
    description:
      "The length of one sample: `5m`, or a number of seconds; a hundredth of the period where nothing is said. At least a minute, and longer where there would be more than 2,000.",
  }),
);

const DEFAULT_SAMPLES = 100;

/** In milliseconds. A number without a unit counts seconds. */
export function stepOf(step: string | undefined, periodMs: number): number {
  const text = step === undefined || /[a-z]$/.test(step) ? step : `${step}s`;
  return Math.max(60_000, text === undefined ? periodMs / DEFAULT_SAMPLES : (parseDurationMs(text) ?? 0));
}

/** A domain name: up to 255 bytes, each of which may be written as an escape of four characters. */
export const NAME = Type.String({
  minLength: 1,
  maxLength: 1100,
  description: "A domain name, in A-labels, with or without the final dot.",
  examples: ["www.example.com"],
});

/** The parameters of a search that choose the page. */
export const PAGING = {
  limit: Type.Optional(
    Type.Integer({ minimum: 1, maximum: 1000, description: "Records on a page, such as `10`; 100 where nothing is said." }),
  ),
  cursor: Type.Optional(Type.String({ maxLength: 200, description: "`cursor` of the page before, such as `1838382071277568`." })),
};
