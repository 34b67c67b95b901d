import type { Expectation } from "../rules/options.ts";
import { arrayOf } from "./arrays.ts";
import { client, domainName, recordType, reference } from "./names.ts";
import { parseAddress } from "./network.ts";
import { key, object, optional, required } from "./object.ts";
import type { Located, Reading } from "./reading.ts";
import { located, type Parsed, type Shape, text } from "./shape.ts";

const ANSWERS = ["nodata", "nxdomain", "zero", "refused", "drop"];

const answer = text({
  expected: "an answer such as `nodata`, or an address",
  examples: [...ANSWERS, "10.0.0.5"],
  parse: (written): Parsed<string> =>
    ANSWERS.includes(written) || "value" in parseAddress(written)
      ? { value: written }
      : { wrong: `\`${written}\` is no answer`, fix: `write ${ANSWERS.join(", ")} or an address` },
});

const expectationShape = object("a map with `name`", {
  name: required(domainName, "The name that is asked.", () => ""),
  type: key(recordType, "The type that is asked.", "A"),
  client: optional(client, "Address or id of the client that asks."),
  rule: optional(located(reference), "The rule that decides."),
  upstream: optional(located(reference), "The group that is asked."),
  answer: optional(answer, "The answer that is made without asking: nodata, nxdomain, zero, refused, drop, or an address."),
});

export type RawExpectation = NonNullable<ReturnType<(typeof expectationShape)["read"]>>;

export const expectShape: Shape<readonly Located<RawExpectation>[]> = arrayOf(located(expectationShape));

export function expectation({ rule, upstream, ...rest }: RawExpectation): Expectation {
  return { ...rest, rule: rule?.value ?? null, upstream: upstream?.value ?? null };
}

export function checkExpectations(expectations: readonly Located<RawExpectation>[], reading: Reading): void {
  for (const { value, place } of expectations)
    if (value.rule === null && value.upstream === null && value.answer === null && reading.isClean(place.key))
      reading.fail(place, "this expects nothing", "add `rule:`, `upstream:` or `answer:`");
}
