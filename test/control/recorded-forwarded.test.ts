import { RCODE } from "../../src/dns/types.ts";
import { zone } from "../dns/zone.ts";
import { bare, deny, honest, respond, withRcode } from "../support/zone-script.ts";
import type { Script } from "../upstreams/scripted-server.ts";
import { answers, asked, attempt, leaveOneRecord, page, plain } from "./endings.ts";

leaveOneRecord([
  { what: "an answer from upstream", ask: (site) => site.ask("page.example"), record: { ...asked, answers, size: 57 } },
  {
    what: "one from the cache, with letters in another case",
    before: (site) => site.ask("page.example"),
    ask: (site) => site.ask("Page.EXAMPLE"),
    record: { ...plain, source: "cache", route: "main", answers },
  },
  {
    what: "NODATA from upstream, its TTL clamped",
    yaml: "answers: { negative: { max: 20s } }",
    ask: (site) => site.ask("page.example", "AAAA"),
    record: { ...asked, type: "AAAA", negativeTtl: 20, edits: ["lowered the negative TTL from 30 s to 20 s"] },
  },
  {
    what: "NXDOMAIN",
    ask: (site) => site.ask("nowhere.test2"),
    record: {
      ...asked,
      name: "nowhere.test2",
      rcode: "NXDOMAIN",
      attempts: [{ ...attempt, rcode: "NXDOMAIN" }],
      negativeTtl: 30,
    },
  },
  {
    what: "an empty answer without SOA, which we make",
    upstreams: { main: bare },
    ask: (site) => site.ask("page.example", "TXT"),
    record: { ...asked, type: "TXT", negativeTtl: 10, edits: ["made an SOA"] },
  },
  {
    what: "TTLs raised",
    yaml: "answers: { ttl: { min: 10m } }",
    ask: (site) => site.ask("page.example"),
    record: { ...asked, answers: ["600 A 192.0.2.7"], edits: ["raised TTLs to 600 s"] },
  },
  {
    what: "an NXDOMAIN for TYPE65 that is not believed",
    upstreams: { main: (question) => (question.type === 65 ? deny(question) : page(question)) },
    ask: (site) => site.ask("page.example", "HTTPS"),
    record: {
      ...asked,
      type: "HTTPS",
      action: "nxdomain:guarded",
      attempts: [{ ...attempt, rcode: "NXDOMAIN" }, attempt],
      negativeTtl: 30,
      ede: ["0 (Other Error): NXDOMAIN not believed: A says that the name exists"],
      edits: ["made NXDOMAIN NODATA"],
    },
  },
  {
    what: "parameters of TYPE65 left out",
    yaml: "answers: { https: [strip-hints] }",
    ask: (site) => site.ask("page.example", "HTTPS"),
    record: {
      ...asked,
      type: "HTTPS",
      action: "type65:strip-hints",
      answers: ["300 HTTPS 1 . alpn=h2"],
      edits: ["strip-hints"],
    },
  },
  {
    what: "an address at home for a public name",
    yaml: "answers: { rebinding: nodata }",
    upstreams: { main: honest("page.example 300 A 10.0.0.1") },
    ask: (site) => site.ask("page.example"),
    record: {
      ...asked,
      source: "rule",
      action: "rebinding:nodata",
      negativeTtl: 60,
      ede: ["15 (Blocked): rebinding:nodata"],
      edits: ["left out addresses at home"],
    },
  },
  {
    what: "a failure",
    upstreams: { main: (question) => withRcode(question, RCODE.REFUSED) },
    ask: (site) => site.ask("page.example"),
    record: {
      ...asked,
      rcode: "SERVFAIL",
      source: "failure",
      attempts: [{ ...attempt, rcode: "REFUSED" }],
      ede: ["22 (No Reachable Authority): main answered REFUSED"],
    },
  },
  {
    what: "the same failure, held",
    upstreams: { main: (question) => withRcode(question, RCODE.REFUSED) },
    before: (site) => site.ask("page.example"),
    ask: (site) => site.ask("page.example"),
    record: {
      ...plain,
      rcode: "SERVFAIL",
      source: "cache",
      route: "main",
      ede: ["22 (No Reachable Authority): main answered REFUSED"],
    },
  },
  {
    what: "a client id over DoH",
    ask: (site) => site.ask("page.example", "A", { clientId: "tv" }),
    record: { ...asked, answers, transport: "doh", http: "1.1", method: "POST", clientId: "tv" },
  },
  {
    what: "JSON over DoH",
    ask: (site) => fetch(`http://127.0.0.1:${site.app.bound.http[0]?.port}/dns-query?name=page.example&type=A`),
    record: { ...asked, answers, transport: "doh", http: "1.1", method: "GET" },
  },
  {
    what: "an answer that is too long for UDP",
    upstreams: { main: many(200) },
    ask: (site) => site.ask("page.example"),
    record: {
      ...asked,
      edits: ["truncated"],
      size: 41,
    },
  },
]);

function many(count: number): Script {
  const records = zone(...Array.from({ length: count }, (_, index) => `page.example 300 A 192.0.2.${index}`));
  return (question) => respond(question, { answers: records });
}
