import type { Name } from "../dns/name.ts";
import { TYPE } from "../dns/types.ts";
import type { LocalAnswer } from "./decision.ts";
import type { RuleAnswer } from "./options.ts";

const ZERO_IPV4: readonly Uint8Array[] = [new Uint8Array(4)];
const ZERO_IPV6: readonly Uint8Array[] = [new Uint8Array(16)];

/** The answer of a rule that blocks, alike for every type. Negative ones hold for `ttlSeconds` and have the name itself as their SOA's owner. */
export function blockedAnswer(
  answer: Exclude<RuleAnswer, "drop">,
  { name, type }: { readonly name: Name; readonly type: number },
  ttlSeconds: number,
): LocalAnswer {
  if (answer === "refused") return { kind: "refused" };
  if (answer === "zero" && type === TYPE.A) return { kind: "addresses", addresses: ZERO_IPV4, ttlSeconds };
  if (answer === "zero" && type === TYPE.AAAA) return { kind: "addresses", addresses: ZERO_IPV6, ttlSeconds };
  return { kind: answer === "nxdomain" ? "nxdomain" : "nodata", soaOwner: name, ttlSeconds };
}
