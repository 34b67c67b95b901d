import { isSeq } from "yaml";
import type { AnswersOptions, HttpsMode, HttpsStrip } from "../answers/options.ts";
import { formatDuration } from "../lib/duration.ts";
import type { ConfigReader, Located, SourceLocation } from "./reading.ts";
import { anyOf, type Key, key, keyword, object, optional, type RawOf, type Shape, scalarOf, withPlace } from "./shape.ts";
import { type Bounds, duration, seconds } from "./units.ts";

export const ipv6Mode = keyword("pass", "nodata", "prefer-ipv4");
export const ipv4Mode = keyword("pass", "nodata", "prefer-ipv6");
export const rebindingMode = keyword("allow", "nodata");

const httpsWord = keyword("pass", "nodata", "strip-ech", "strip-hints", "strip-ipv6hint", "strip-h3");
const httpsStrip: Shape<HttpsStrip> = keyword("strip-ech", "strip-hints", "strip-ipv6hint", "strip-h3");

/** `pass`, `nodata`, one of the strips, or an array of strips. */
export const httpsMode: Shape<HttpsMode> = {
  schema: anyOf(httpsWord.schema, { type: "array", items: httpsStrip.schema, minItems: 1 }),
  expected: "`pass`, `nodata`, or some of `strip-ech`, `strip-hints`, `strip-ipv6hint`, `strip-h3`",
  read(place, reader) {
    if (isSeq(place.node)) return stripsOf(place, reader);
    const word = httpsWord.read(place, reader);
    return word === undefined || word === "pass" || word === "nodata" ? word : [word];
  },
};

function stripsOf(place: SourceLocation, reader: ConfigReader): readonly HttpsStrip[] | undefined {
  const nodes = isSeq(place.node) ? place.node.items : [];
  if (nodes.length === 0) return reader.fail(place, "nothing is listed here", "write `pass` to leave the records as they are");
  const places = nodes.map((node, index) => reader.place(node, `${place.key}[${index}]`, place.offset));
  const word = places.find((each) => scalarOf(each.node) === "pass" || scalarOf(each.node) === "nodata");
  if (word !== undefined)
    return reader.fail(
      word,
      `\`${String(scalarOf(word.node))}\` stands alone`,
      `write \`https: ${String(scalarOf(word.node))}\``,
    );
  return places.map((each) => httpsStrip.read(each, reader)).filter((strip) => strip !== undefined);
}

/** A key of section `answers`, and the same key of a rule, which has no default. */
interface Lifetime {
  readonly general: Key<Located<number>>;
  readonly ofRule: Key<Located<number> | null>;
}

function lifetime(bounds: Bounds, byDefault: string, description: string): Lifetime {
  const shape = withPlace(seconds(...bounds));
  return { general: key(shape, description, byDefault), ofRule: optional(shape, description) };
}

const TTL = {
  min: lifetime(["0s", "7d"], "0s", "Positive answers are held and sent with at least this TTL."),
  max: lifetime(["1s", "365d"], "1d", "Positive answers are held and sent with at most this TTL."),
};
// RFC 2308 §5 advises at most one to three hours for negatives; RFC 9520 §3.2 wants failures held from 1 s to 5 min.
const NEGATIVE = {
  min: lifetime(["0s", "3h"], "1s", "An upstream's negative answer is held and sent with at least this TTL."),
  max: lifetime(["1s", "3h"], "60s", "An upstream's negative answer is held and sent with at most this TTL."),
  block: lifetime(["0s", "1d"], "60s", "TTL of negative answers that rules make."),
  bare: lifetime(["0s", "3h"], "10s", "An empty answer without SOA that is believed is held this long."),
  failure: lifetime(["1s", "5m"], "5s", "A failure (SERVFAIL, no answer) is held this long."),
};

function keysOf<N extends string, K extends keyof Lifetime>(lifetimes: Readonly<Record<N, Lifetime>>, kind: K) {
  const keys = Object.entries<Lifetime>(lifetimes).map(([name, lifetime]) => [name, lifetime[kind]]);
  // The compiler cannot see that the names stay the same.
  return Object.fromEntries(keys) as Readonly<Record<N, Lifetime[K]>>;
}

const ttlShape = object("a map with `min` and `max`", keysOf(TTL, "general"));
const negativeShape = object("a map with `min`, `max`, `block`, `bare` and `failure`", keysOf(NEGATIVE, "general"));
export const ruleTtlShape = object("a map with `min` or `max`", keysOf(TTL, "ofRule"));
export const ruleNegativeShape = object("a map with `min`, `max`, `block`, `bare` or `failure`", keysOf(NEGATIVE, "ofRule"));

type LifetimeValues = Readonly<Record<string, Located<number> | null>>;
type InSeconds<T extends LifetimeValues> = {
  readonly [N in keyof T & string as null extends T[N] ? never : `${N}Seconds`]: number;
} & { readonly [N in keyof T & string as null extends T[N] ? `${N}Seconds` : never]?: number };

/** `min` becomes `minSeconds`, and so on. Absent lifetimes are left out. */
export function toSeconds<T extends LifetimeValues>(values: T): InSeconds<T> {
  const found = Object.entries(values).flatMap(([name, value]) => (value === null ? [] : [[`${name}Seconds`, value.value]]));
  return Object.fromEntries(found) as InSeconds<T>;
}

export const answersShape = object("a map of what answers look like", {
  https: key(httpsMode, "Records of TYPE64 (SVCB) and TYPE65 (HTTPS): pass, nodata, or some of the strips.", "pass"),
  ipv6: key(ipv6Mode, "AAAA: pass, nodata, or prefer-ipv4 (AAAA only where the name has no A).", "pass"),
  ipv4: key(ipv4Mode, "A: pass, nodata, or prefer-ipv6 (A only where the name has no AAAA).", "pass"),
  ttl: key(ttlShape, "Bounds of the TTL of positive answers.", {}),
  negative: key(negativeShape, "How long answers without records live.", {}),
  deadline: key(withPlace(duration("100ms", "30s")), "Every query has its reply by then, whatever the upstreams do.", "4s"),
  rebinding: key(
    rebindingMode,
    "Private addresses for public names: allow, or nodata (protects devices at home against DNS rebinding).",
    "allow",
  ),
});

export type RawAnswers = RawOf<typeof answersShape>;

export function toAnswersOptions({ deadline, ttl, negative, ...rest }: RawAnswers): AnswersOptions {
  return { ...rest, ttl: toSeconds(ttl), negative: toSeconds(negative), deadlineMs: deadline.value };
}

export function checkAnswers({ deadline, ttl, negative }: RawAnswers, reader: ConfigReader): void {
  checkOrder(ttl.min, ttl.max, reader);
  checkOrder(negative.min, negative.max, reader);
  if (deadline.value >= 5000)
    reader.warn(deadline.place, "RouterOS gives up after 5 s: with this deadline some replies come too late", "write `4s`");
}

export function checkOrder(min: Located<number>, max: Located<number>, reader: ConfigReader): void {
  if (min.value <= max.value) return;
  const [least, most] = [formatDuration(min.value * 1000), formatDuration(max.value * 1000)];
  reader.fail(min.place, `the minimum ${least} is above the maximum ${most}`, `write at most \`${most}\`, or raise the maximum`);
}

/** Warns of a wait that the deadline of the query cuts short. */
export function warnBeyondDeadline(
  wait: Located<number>,
  deadline: Located<number>,
  consequence: string,
  reader: ConfigReader,
): void {
  if (wait.value < deadline.value) return;
  const [waits, ends] = [formatDuration(wait.value), formatDuration(deadline.value)];
  reader.warn(wait.place, `${waits} is not below \`answers.deadline\` (${ends}): ${consequence}`, `write less than \`${ends}\``);
}
