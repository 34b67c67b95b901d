import { expect, test } from "vitest";
import { file } from "../support/files.ts";
import { queryWire } from "../support/message.ts";
import { siteWith } from "../support/site.ts";
import { asked, leaveOneRecord, page, plain } from "./endings.ts";
import { recorder } from "./recorder.ts";

leaveOneRecord([
  {
    what: "a type that is switched off",
    yaml: "rules: [{ name: plain, domains: [page.example], https: nodata }]",
    ask: (site) => site.ask("page.example", "HTTPS"),
    record: {
      ...plain,
      type: "HTTPS",
      source: "rule",
      action: "type65:nodata",
      negativeTtl: 60,
      ede: ["17 (Filtered): type65:nodata"],
    },
  },
  {
    what: "a blocked name",
    yaml: "rules: [{ name: ads, domains: [ads.example], answer: nxdomain }]",
    ask: (site) => site.ask("www.ads.example"),
    record: {
      ...plain,
      name: "www.ads.example",
      source: "rule",
      action: "block",
      rule: "ads",
      rcode: "NXDOMAIN",
      negativeTtl: 60,
      ede: ["15 (Blocked): rule ads"],
      trace: [
        { kind: "rule", rule: "ads", outcome: "decides", match: { list: null, source: "", line: 1, pattern: "ads.example" } },
      ],
    },
  },
  {
    what: "silence by a rule, on a stream",
    yaml: "rules: [{ name: gone, domains: [gone.example], answer: drop }]",
    ask: (site) => site.ask("gone.example", "A", { transport: "tcp" }),
    record: {
      ...plain,
      transport: "tcp",
      name: "gone.example",
      source: "rule",
      action: "drop",
      rule: "gone",
      rcode: "REFUSED",
      ede: ["15 (Blocked)"],
    },
  },
  {
    what: "a name of the hosts table",
    yaml: "hosts: { records: { nas.lan: [10.0.0.5, 10.0.0.6] } }",
    ask: (site) => site.ask("nas.lan"),
    record: {
      ...plain,
      name: "nas.lan",
      source: "hosts",
      answers: ["60 A 10.0.0.5", "60 A 10.0.0.6"],
      trace: [{ kind: "hosts", pattern: "nas.lan", source: "hosts.records", line: 1 }],
    },
  },
  {
    what: "an alias of the hosts table to a name outside",
    yaml: "hosts: { records: { photos.lan: { cname: page.example } } }",
    ask: (site) => site.ask("photos.lan"),
    record: {
      ...asked,
      name: "photos.lan",
      source: "hosts",
      answers: ["60 CNAME page.example.", "300 A 192.0.2.7"],
      edits: ["put the alias before it"],
      trace: [
        { kind: "hosts", pattern: "photos.lan", source: "hosts.records", line: 1 },
        { kind: "alias", target: "page.example" },
        { kind: "first-group", group: "main" },
      ],
    },
  },
  {
    what: "a special name",
    ask: (site) => site.ask("printer.home.arpa"),
    record: {
      ...plain,
      name: "printer.home.arpa",
      source: "special",
      rcode: "NXDOMAIN",
      negativeTtl: 60,
      trace: [{ kind: "special", zone: "home.arpa" }],
    },
  },
  {
    what: "a question that a group must never get",
    yaml: "rules: [{ name: all, upstream: second }]",
    upstreams: { main: page, second: { servers: [page], keys: "never: { types: [TXT] }" } },
    ask: (site) => site.ask("page.example", "TXT"),
    record: {
      ...plain,
      type: "TXT",
      source: "failure",
      action: "never",
      rule: "all",
      route: "second",
      rcode: "SERVFAIL",
      ede: ["0 (Other Error): second: never gets type TXT"],
    },
  },
]);

test("a query over UDP that a rule drops leaves a record without an rcode", async () => {
  const site = await siteWith({ yaml: "rules: [{ name: gone, domains: [gone.example], answer: drop }]" });
  const records = recorder(site);
  expect(await site.isSilentTo(queryWire("gone.example", "A"), "udp")).toBe(true);
  expect(records()).toMatchObject([
    { ...plain, name: "gone.example", source: "rule", action: "drop", rule: "gone", rcode: null, size: 0 },
    { name: "localhost" },
  ]);
});

test("a query for a name in a list leaves a record with the list and the line", async () => {
  const list = file("ads.txt", ["# ads", "other.example", "ads.example"]);
  const yaml = `lists: { ads: { domains: [${JSON.stringify(list)}] } }
rules: [{ name: block, domains: "list:ads", answer: nodata }]`;
  const site = await siteWith({ yaml, upstreams: { main: page } });
  const records = recorder(site);
  await site.ask("x.ads.example");
  const match = { list: "ads", source: list, line: 3, pattern: "ads.example" };
  expect(records()).toMatchObject([
    { rule: "block", list: "ads", line: 3, trace: [{ kind: "rule", rule: "block", outcome: "decides", match }] },
  ]);
});
