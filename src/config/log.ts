import type { LogOptions } from "../log/options.ts";
import { key, object, oneOrMany } from "./object.ts";
import { boolean, integer, keyword, type Parsed, text } from "./shape.ts";
import { duration } from "./units.ts";
import { path } from "./values.ts";

const sink = text({
  expected: "a URL",
  parse: (written): Parsed<string> =>
    URL.canParse(written) && /^[a-z][a-z0-9+.-]*:\/\/./i.test(written)
      ? { value: written }
      : { wrong: `\`${written}\` is no URL`, fix: "write it as in `https://logs.example/in`" },
});

const queriesShape = object("a map of settings of the query log", {
  enabled: key(boolean(), "Whether queries are recorded.", true),
  store: key(path, "The database of the query log.", "data/queries.db"),
  keep: key(duration("1h", "3650d"), "How long a query is kept.", "7d"),
  max: key(integer(1000, 1_000_000_000), "How many queries are kept; beyond, the oldest go.", 5_000_000),
  clients: key(keyword("full", "prefix", "none"), "What is kept of clients: the address, its /24 or /48, or nothing.", "full"),
});

export const logShape = object("a map with `level`, `queries` and `sinks`", {
  level: key(
    keyword("trace", "debug", "info", "warn", "error", "silent"),
    "What the program says of its own doings, from most to nothing.",
    "info",
  ),
  queries: key(queriesShape, "The query log.", {}),
  sinks: key(oneOrMany(sink), "URLs that records of queries are sent to.", []),
});

type RawLog = NonNullable<ReturnType<(typeof logShape)["read"]>>;

export function logOptions({ queries, ...rest }: RawLog): LogOptions {
  const { keep, max, ...others } = queries;
  return { ...rest, queries: { ...others, keepMs: keep, maxRows: max } };
}
