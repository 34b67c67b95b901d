import { readFileSync } from "node:fs";
import { join } from "node:path";
import { expect, test } from "vitest";
import { addressText } from "../../src/dns/address.ts";
import { nameFromText, nameText } from "../../src/dns/name.ts";
import { typeName, typeNumber } from "../../src/dns/types.ts";
import { runSync } from "../../src/lib/cooperative.ts";
import type { Match } from "../../src/lists/domain-set.ts";
import { DomainSetBuilder } from "../../src/lists/domain-set-builder.ts";
import { readDomains } from "../../src/lists/readers.ts";
import { WarningLog } from "../../src/lists/types.ts";

/**
 * Random lists, each with questions (`name type client outcome`) and what AdGuard's own engine said, recorded from urlfilter as AdGuard Home 0.107.52
 * has it. Lists with two exceptions of `$dnsrewrite` are left out: that engine passes over the second.
 */
const RECORDED = readFileSync(join(import.meta.dirname, "adguard-engine.jsonl"), "utf8")
  .trim()
  .split("\n");

interface Recorded {
  readonly list: readonly string[];
  readonly asks: readonly string[];
}

function outcomeOf(match: Match | null, type: number): string {
  if (match === null) return "pass";
  const { rewritten } = match;
  if (rewritten === undefined) return "block";
  if (rewritten.kind === "cname") return `cname ${nameText(rewritten.target)}`;
  if (rewritten.kind === "nxdomain" || rewritten.kind === "refused") return rewritten.kind.toUpperCase();
  const size = typeName(type) === "A" ? 4 : typeName(type) === "AAAA" ? 16 : 0;
  const addresses = rewritten.kind === "addresses" ? rewritten.addresses.filter(({ length }) => length === size) : [];
  return `addr [${addresses.map(addressText).toSorted().join(" ")}]`;
}

/** As `outcomeOf` writes it: the order of addresses does not matter. */
function sorted(outcome: string): string {
  return outcome.replace(/\[(.*)\]/, (_, addresses: string) => `[${addresses.split(" ").toSorted().join(" ")}]`);
}

test("lists with modifiers, exceptions and rewrites decide as AdGuard's engine does", () => {
  for (const line of RECORDED) {
    const { list, asks }: Recorded = JSON.parse(line);
    const builder = new DomainSetBuilder("list");
    const warnings = new WarningLog();
    runSync(readDomains(Buffer.from(list.join("\n")), "adguard", { sink: builder.source("list"), warnings }));
    expect(warnings.first).toEqual([]);
    const set = builder.build();
    const outcomes = asks.map((ask) => {
      const [written = "", typeText = "", client = ""] = ask.split(" ");
      const type = typeNumber(typeText) ?? expect.fail(typeText);
      const name = nameFromText(written) ?? expect.fail(written);
      const asked = { type, requester: { address: client, clientId: null }, rewrites: true };
      return `${written} ${typeText} ${client} ${outcomeOf(set.match(name, true, asked), type)}`;
    });
    expect(outcomes, list.join("\n")).toEqual(asks.map(sorted));
  }
});
