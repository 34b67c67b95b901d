import Type from "typebox";
import { isSeq } from "yaml";
import type { AnswersOptions, HttpsMode, HttpsStrip } from "../answers/options.ts";
import { formatDuration } from "../lib/duration.ts";
import { key, object } from "./object.ts";
import type { ConfigReader, Located, SourceLocation } from "./reading.ts";
import { keyword, located, type Shape, scalarOf } from "./shape.ts";
import { duration, seconds } from "./units.ts";

export const ipv6Mode = keyword("pass", "nodata", "prefer-ipv4");
export const ipv4Mode = keyword("pass", "nodata", "prefer-ipv6");
export const rebindingMode = keyword("allow", "nodata");

const httpsWord = keyword("pass", "nodata", "strip-ech", "strip-hints", "strip-ipv6hint", "strip-h3");
const httpsStrip: Shape<HttpsStrip> = keyword("strip-ech", "strip-hints", "strip-ipv6hint", "strip-h3");

/** `pass`, `nodata`, one of the strips, or an array of strips. */
export const httpsMode: Shape<HttpsMode> = {
  schema: Type.Union([httpsWord.schema, Type.Array(httpsStrip.schema, { minItems: 1 })]),
  expected: "`pass`, `nodata`, or some of `strip-ech`, `strip-hints`, `strip-ipv6hint`, `strip-h3`",
  read(place, reading) {
    if (isSeq(place.node)) return stripsOf(place, reading);
    const word = httpsWord.read(place, reading);
    return word === undefined || word === "pass" || word === "nodata" ? word : [word];
  },
};

function stripsOf(place: SourceLocation, reading: ConfigReader): readonly HttpsStrip[] | undefined {
  const nodes = isSeq(place.node) ? place.node.items : [];
  if (nodes.length === 0) return reading.fail(place, "nothing is listed here", "write `pass` to leave the records as they are");
  const places = nodes.map((node, index) => reading.place(node, `${place.key}[${index}]`, place.offset));
  const word = places.find((each) => scalarOf(each.node) === "pass" || scalarOf(each.node) === "nodata");
  if (word !== undefined)
    return reading.fail(
      word,
      `\`${String(scalarOf(word.node))}\` stands alone`,
      `write \`https: ${String(scalarOf(word.node))}\``,
    );
  return places.map((each) => httpsStrip.read(each, reading)).filter((strip) => strip !== undefined);
}

/** Bounds and meaning of the lifetimes that `answers` and rules share. */
export const TTL_KEYS = {
  min: { shape: located(seconds("0s", "7d")), description: "Positive answers are held and sent with at least this TTL." },
  max: { shape: located(seconds("1s", "365d")), description: "Positive answers are held and sent with at most this TTL." },
} as const;

// RFC 2308 §5 advises at most one to three hours for negatives; RFC 9520 §3.2 wants failures held from 1 s to 5 min.
export const NEGATIVE_KEYS = {
  min: { shape: located(seconds("0s", "3h")), description: "An upstream's negative answer is held at least this long." },
  max: { shape: located(seconds("1s", "3h")), description: "An upstream's negative answer is held at most this long." },
  block: { shape: located(seconds("0s", "1d")), description: "TTL of negative answers that rules make." },
  bare: { shape: located(seconds("0s", "3h")), description: "An empty answer without SOA that is believed is held this long." },
  failure: { shape: located(seconds("1s", "5m")), description: "A failure (SERVFAIL, no answer) is held this long." },
} as const;

const ttlShape = object("a map with `min` and `max`", {
  min: key(TTL_KEYS.min.shape, TTL_KEYS.min.description, "0s"),
  max: key(TTL_KEYS.max.shape, TTL_KEYS.max.description, "1d"),
});

const negativeShape = object("a map with `min`, `max`, `block`, `bare` and `failure`", {
  min: key(NEGATIVE_KEYS.min.shape, NEGATIVE_KEYS.min.description, "1s"),
  max: key(NEGATIVE_KEYS.max.shape, NEGATIVE_KEYS.max.description, "60s"),
  block: key(NEGATIVE_KEYS.block.shape, NEGATIVE_KEYS.block.description, "60s"),
  bare: key(NEGATIVE_KEYS.bare.shape, NEGATIVE_KEYS.bare.description, "10s"),
  failure: key(NEGATIVE_KEYS.failure.shape, NEGATIVE_KEYS.failure.description, "5s"),
});

export const answersShape = object("a map of what answers look like", {
  https: key(httpsMode, "Records of TYPE64 (SVCB) and TYPE65 (HTTPS): pass, nodata, or some of the strips.", "pass"),
  ipv6: key(ipv6Mode, "AAAA: pass, nodata, or prefer-ipv4 (AAAA only where the name has no A).", "pass"),
  ipv4: key(ipv4Mode, "A: pass, nodata, or prefer-ipv6 (A only where the name has no AAAA).", "pass"),
  ttl: key(ttlShape, "Bounds of the TTL of positive answers.", {}),
  negative: key(negativeShape, "How long answers without records live.", {}),
  deadline: key(located(duration("100ms", "30s")), "Every query has its reply by then, whatever the upstreams do.", "4s"),
  rebinding: key(
    rebindingMode,
    "Private addresses for public names: allow, or nodata (protects devices at home against DNS rebinding).",
    "allow",
  ),
});

export type RawAnswers = NonNullable<ReturnType<(typeof answersShape)["read"]>>;

export function answersOptions({ deadline, ttl, negative, ...rest }: RawAnswers): AnswersOptions {
  return {
    ...rest,
    ttl: { minSeconds: ttl.min.value, maxSeconds: ttl.max.value },
    negative: {
      minSeconds: negative.min.value,
      maxSeconds: negative.max.value,
      blockSeconds: negative.block.value,
      bareSeconds: negative.bare.value,
      failureSeconds: negative.failure.value,
    },
    deadlineMs: deadline.value,
  };
}

export function checkAnswers({ deadline, ttl, negative }: RawAnswers, reading: ConfigReader): void {
  checkOrder(ttl.min, ttl.max, reading);
  checkOrder(negative.min, negative.max, reading);
  if (deadline.value >= 5000)
    reading.warn(deadline.place, "RouterOS gives up after 5 s: with this deadline some replies come too late", "write `4s`");
}

export function checkOrder(min: Located<number>, max: Located<number>, reading: ConfigReader): void {
  if (min.value <= max.value) return;
  const [least, most] = [formatDuration(min.value * 1000), formatDuration(max.value * 1000)];
  reading.fail(min.place, `the minimum ${least} is above the maximum ${most}`, `write at most \`${most}\`, or raise the maximum`);
}

/** Waiting longer than the deadline of the whole query is never seen to its end. */
export function warnBeyondDeadline(
  wait: Located<number>,
  deadline: Located<number>,
  consequence: string,
  reading: ConfigReader,
): void {
  if (wait.value < deadline.value) return;
  const [waits, ends] = [formatDuration(wait.value), formatDuration(deadline.value)];
  reading.warn(wait.place, `${waits} is not below \`answers.deadline\` (${ends}): ${consequence}`, `write less than \`${ends}\``);
}
