import { expect, test } from "vitest";
import type { TraceStep } from "../../src/log/record.ts";
import { stepText } from "../../src/log/text.ts";

const inList = { list: "cn", source: "rules/cn-domains.txt", line: 12, pattern: "taobao.com" };
const inRule = { list: null, source: "", line: 1, pattern: "keyword:ads" };

test.each<[TraceStep, string]>([
  [
    { kind: "hosts", pattern: "*.apps.lan", source: "rules/hosts.txt", line: 4 },
    "the hosts table has *.apps.lan, line 4 of rules/hosts.txt",
  ],
  [{ kind: "special", zone: "test" }, "the name is in the special zone test, which only a pattern within the zone opens"],
  [
    { kind: "rule", rule: "split", outcome: "decides", match: inList },
    "rule split decides because of taobao.com, line 12 of list cn (rules/cn-domains.txt)",
  ],
  [{ kind: "rule", rule: "ads", outcome: "decides", match: inRule }, "rule ads decides because of keyword:ads"],
  [{ kind: "rule", rule: "others", outcome: "decides", match: null }, "rule others decides"],
  [
    { kind: "rule", rule: "quiet", outcome: "modifies", match: null },
    "rule quiet matches: its settings hold, and the rules after it decide",
  ],
  [{ kind: "rule", rule: "all", outcome: "closed", match: null }, "rule all matches, but has no pattern within the special zone"],
  [{ kind: "rule", rule: "x", outcome: "types", match: null }, "rule x is not for this type"],
  [{ kind: "rule", rule: "x", outcome: "clients", match: null }, "rule x is not for this client"],
  [{ kind: "rule", rule: "x", outcome: "domains", match: null }, "rule x has no pattern for the name"],
  [{ kind: "rule", rule: "x", outcome: "excepted", match: null }, "rule x excepts the name"],
  [{ kind: "rule", rule: "x", outcome: "longest", match: null }, "rule x has no list that holds the name"],
  [{ kind: "kept", because: "hosts" }, "the name does not get NXDOMAIN, because of the hosts table"],
  [{ kind: "kept", because: { rule: "allow" } }, "the name does not get NXDOMAIN, because of rule allow"],
  [{ kind: "first-group", group: "domestic" }, "no rule decides, so it goes to the first group, domestic"],
  [{ kind: "alias", target: "nas.lan" }, "it is an alias: what answers is nas.lan, by its own decision"],
  [
    { kind: "compared", side: "far", near: "foreign", by: "comparison" },
    "both sides were asked, and the far one answers (near: foreign)",
  ],
  [{ kind: "compared", side: "near", near: "kept", by: "verdict" }, "the name is known for the near side (near: kept)"],
  [{ kind: "compared", side: "far", near: null, by: "default" }, "nothing is known of the name, so the far side answers"],
  [
    { kind: "compared", side: "near", near: "foreign", by: "failure" },
    "the far side failed, and the near one has the best that is left (near: foreign)",
  ],
])("%j reads as a sentence", (step, sentence) => {
  expect(stepText(step)).toBe(sentence);
});
