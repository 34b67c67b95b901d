import { describe, expect, test } from "vitest";
import { type Outcome, type Workbench, workbenchWith } from "../support/workbench.ts";
import { membersOf } from "./behaviours.ts";

/**
 * What every question comes to, by upstream's behaviour, type, rule and what is held. Expected values are written by hand from RFC 2308,
 * 6604, 8020 and 8767. Cells:
 * - mode: the file, or nothing. before: earlier questions, each with the upstream's behaviour then and the seconds that pass after it.
 * - upstream: see `membersOf`. asks: the types, each a test of its own; "+DO".
 * - reply: rcode and data of the answers, "-" without any. soa: owner, TTL/MINIMUM. ttl: the lowest of the answer section.
 * - from: source and action. lives: for how many seconds the answer is given from the cache, "0" not at all, "-" not looked at. upstream questions: how many.
 */
type Column = "mode" | "before" | "upstream" | "asks" | "reply" | "soa" | "ttl" | "from" | "lives" | "questions" | "afterMs";

function check(title: string, table: string, fixed: Partial<Record<Column, string>> = {}): void {
  const [heading = [], ...rows] = table
    .trim()
    .split("\n")
    .map((line) => line.split("|").map((cell) => cell.trim()));
  describe(title, () => {
    for (const row of rows) {
      const cells = { ...fixed, ...Object.fromEntries(heading.map((column, index) => [column, row[index] ?? ""])) };
      const given = `${cells.mode ?? ""} ${cells.before ?? ""} ${cells.upstream ?? "has"}`.trim();
      for (const type of (cells.asks ?? "").split(/ +/))
        test(`${given}: ${type}: ${cells.reply}, ${cells.from ?? ""}`, () => holds(cells, type));
    }
  });
}

async function holds(cells: Partial<Record<Column, string>>, asks: string): Promise<void> {
  const [type = "", option] = asks.split("+");
  const { yaml, keys } = MODES[cells.mode ?? ""] ?? { yaml: cells.mode ?? "" };
  const bench = await workbenchWith({
    yaml: yaml.includes("cache:") ? yaml : `${yaml}\ncache: { prefetch: false }`,
    upstreams: { main: membersOf(cells.upstream ?? "has") },
    keys: keys ?? "strategy: failover",
  });
  for (const step of (cells.before ?? "").split(",").filter((text) => text.trim() !== "")) await take(bench, step.trim());
  bench.follow("main", membersOf(cells.upstream ?? "has"));
  const options = { do: option === "DO" };
  const outcome = await bench.ask("page.example", type, options);
  const wanted = Object.entries(cells).filter(([column]) => column in READINGS);
  expect(Object.fromEntries(wanted.map(([column]) => [column, READINGS[column]?.(outcome)]))).toEqual(Object.fromEntries(wanted));
  const { lives = "-" } = cells;
  if (lives === "-") return;
  const again = (): Promise<Outcome> => bench.ask("page.example", type, options);
  const lifeMs = Number(lives) * 1000;
  if (lifeMs > 0) {
    await bench.clock.advance(lifeMs - 1);
    expect(await again()).toMatchObject({ source: "cache", asked: [], reply: { rcode: outcome.reply.rcode } });
    await bench.clock.advance(1);
  }
  expect((await again()).asked).not.toEqual([]);
}

/** "has A +40": the upstream has everything, A is asked, and 40 seconds pass. */
async function take(bench: Workbench, step: string): Promise<void> {
  const words = step.split(" ");
  const seconds = words.at(-1)?.startsWith("+") ? Number(words.pop()) : 0;
  const [type = "", option] = (words.pop() ?? "").split("+");
  bench.follow("main", membersOf(words.join(" ")));
  await bench.ask("page.example", type, { do: option === "DO" });
  await bench.clock.advance(seconds * 1000);
}

const READINGS: Readonly<Record<string, (outcome: Outcome) => string>> = {
  reply: ({ reply }) => `${reply.rcode} ${reply.answers.join(" ") || "-"}`,
  soa: ({ reply }) => (reply.soa === null ? "-" : `${reply.soa.owner} ${reply.soa.ttl}/${reply.soa.minimum}`),
  ttl: ({ reply }) => String(reply.ttl ?? "-"),
  from: ({ source, action }) => `${source} ${action}`,
  questions: ({ asked }) => String(asked.length),
  afterMs: ({ elapsedMs }) => String(elapsedMs),
};

const MODES: Readonly<Record<string, { readonly yaml: string; readonly keys?: string }>> = {
  "https off": { yaml: "answers: { https: nodata }" },
  "ipv6 off": { yaml: "answers: { ipv6: nodata }" },
  "ipv4 off": { yaml: "answers: { ipv4: nodata }" },
  "https off by rule": { yaml: "rules: [{ name: r, domains: [page.example], https: nodata, negative: { block: 7s } }]" },
  "ipv6 off by rule": { yaml: "rules: [{ name: r, domains: [page.example], ipv6: nodata, negative: { block: 7s } }]" },
  "https blocked": { yaml: "rules: [{ name: r, types: [HTTPS, SVCB], answer: nodata }]" },
  "zero for A": { yaml: "rules: [{ name: r, types: [A], answer: zero }]" },
  nxdomain: { yaml: "rules: [{ name: r, domains: [page.example], answer: nxdomain }]" },
  nodata: { yaml: "rules: [{ name: r, domains: [example], answer: nodata }]" },
  zero: { yaml: "rules: [{ name: r, domains: [page.example], answer: zero }]" },
  refused: { yaml: "rules: [{ name: r, domains: [page.example], answer: refused }]" },
  "max 60s": { yaml: "answers: { ttl: { max: 60s } }" },
  "min 300s": { yaml: "answers: { ttl: { min: 300s } }" },
  "negative 5s to 20s": { yaml: "answers: { negative: { min: 5s, max: 20s } }" },
  "failure 2s": { yaml: "answers: { negative: { failure: 2s } }" },
  "bare 3s": { yaml: "answers: { negative: { bare: 3s } }" },
  "never stale": { yaml: "cache: { stale: false, prefetch: false }" },
  race: { yaml: "", keys: "strategy: race" },
  volatile: { yaml: "", keys: "volatile: true" },
};

check(
  "a type that is switched off: NODATA, whatever upstream would say",
  `
  mode              | upstream | asks       | reply            | soa                | from                | questions
  https off         | has      | HTTPS      | NOERROR -        | page.example 60/60 | rule type65:nodata  | 0
  https off         | has      | SVCB       | NOERROR -        | page.example 60/60 | rule type64:nodata  | 0
  https off         | empty    | HTTPS      | NOERROR -        | page.example 60/60 | rule type65:nodata  | 0
  https off         | denies   | HTTPS      | NOERROR -        | page.example 60/60 | rule type65:nodata  | 0
  https off         | denies   | SVCB       | NOERROR -        | page.example 60/60 | rule type64:nodata  | 0
  https off         | silent   | HTTPS      | NOERROR -        | page.example 60/60 | rule type65:nodata  | 0
  https off         | servfail | HTTPS      | NOERROR -        | page.example 60/60 | rule type65:nodata  | 0
  https off         | has      | A          | NOERROR 192.0.2.7 | -                 | upstream none       | 1
  https off         | has      | AAAA       | NOERROR 2001:db8::7 | -               | upstream none       | 1
  https off         | has      | MX         | NOERROR 10 mail.example. | -          | upstream none       | 1
  ipv6 off          | has      | AAAA       | NOERROR -        | page.example 60/60 | rule ipv6:nodata    | 0
  ipv6 off          | empty    | AAAA       | NOERROR -        | page.example 60/60 | rule ipv6:nodata    | 0
  ipv6 off          | denies   | AAAA       | NOERROR -        | page.example 60/60 | rule ipv6:nodata    | 0
  ipv6 off          | silent   | AAAA       | NOERROR -        | page.example 60/60 | rule ipv6:nodata    | 0
  ipv6 off          | has      | A          | NOERROR 192.0.2.7 | -                 | upstream none       | 1
  ipv6 off          | denies   | A          | NXDOMAIN -       | example 30/30      | upstream none       | 1
  ipv4 off          | has      | A          | NOERROR -        | page.example 60/60 | rule ipv4:nodata    | 0
  ipv4 off          | denies   | A          | NOERROR -        | page.example 60/60 | rule ipv4:nodata    | 0
  ipv4 off          | silent   | A          | NOERROR -        | page.example 60/60 | rule ipv4:nodata    | 0
  ipv4 off          | has      | AAAA       | NOERROR 2001:db8::7 | -               | upstream none       | 1
  ipv4 off          | denies A:has | AAAA   | NOERROR -        | example 30/30      | upstream nxdomain:guarded | 2
  https off by rule | has      | HTTPS      | NOERROR -        | page.example 7/7   | rule type65:nodata  | 0
  https off by rule | denies   | SVCB       | NOERROR -        | page.example 7/7   | rule type64:nodata  | 0
  https off by rule | has      | A          | NOERROR 192.0.2.7 | -                 | upstream none       | 1
  ipv6 off by rule  | has      | AAAA       | NOERROR -        | page.example 7/7   | rule ipv6:nodata    | 0
  ipv6 off by rule  | has      | A          | NOERROR 192.0.2.7 | -                 | upstream none       | 1
  https blocked     | has      | HTTPS SVCB | NOERROR -        | page.example 60/60 | rule block          | 0
  https blocked     | denies   | HTTPS SVCB | NOERROR -        | page.example 60/60 | rule block          | 0
  https blocked     | has      | A          | NOERROR 192.0.2.7 | -                 | upstream none       | 1
  zero for A        | has      | A          | NOERROR 0.0.0.0  | -                  | rule block          | 0
  zero for A        | has      | AAAA       | NOERROR 2001:db8::7 | -               | upstream none       | 1
`,
);

check(
  "a blocked name: one answer for all types",
  `
  mode     | asks                                     | reply           | soa
  nxdomain | A AAAA HTTPS SVCB MX TXT NS SOA DS ANY   | NXDOMAIN -      | page.example 60/60
  nodata   | A AAAA HTTPS SVCB MX TXT NS SOA DS ANY   | NOERROR -       | page.example 60/60
  zero     | A                                        | NOERROR 0.0.0.0 | -
  zero     | AAAA                                     | NOERROR ::      | -
  zero     | HTTPS SVCB MX TXT                        | NOERROR -       | page.example 60/60
  refused  | A AAAA HTTPS SVCB MX TXT                 | REFUSED -       | -
`,
  { from: "rule block", questions: "0" },
);

check(
  "NXDOMAIN is believed only where nothing says that the name exists",
  `
  before              | upstream          | asks              | reply      | soa                | from                      | questions | lives
                      | denies            | A                 | NXDOMAIN - | example 30/30      | upstream none             | 1         | 30
                      | denies            | AAAA HTTPS SVCB   | NXDOMAIN - | example 30/30      | upstream none             | 2         | 30
                      | denies            | MX TXT NS CAA DS  | NXDOMAIN - | example 30/30      | upstream none             | 1         | 30
                      | denies A:has      | AAAA HTTPS SVCB   | NOERROR -  | example 30/30      | upstream nxdomain:guarded | 2         | 30
                      | denies A:has      | MX TXT CAA        | NXDOMAIN - | example 30/30      | upstream none             | 1         | 30
                      | denies A:hasAlias | AAAA HTTPS SVCB   | NOERROR -  | example 30/30      | upstream nxdomain:guarded | 2         | 30
                      | denies A:empty    | AAAA HTTPS SVCB   | NOERROR -  | example 30/30      | upstream nxdomain:guarded | 2         | 30
                      | denies A:bare     | AAAA HTTPS SVCB   | NOERROR -  | example 30/30      | upstream nxdomain:guarded | 2         | 30
                      | denies A:servfail | AAAA HTTPS SVCB   | NOERROR -  | example 1/1        | upstream nxdomain:guarded | 3         | 1
                      | denies A:refused  | AAAA              | NOERROR -  | example 1/1        | upstream nxdomain:guarded | 2         | 1
                      | denies A:broken   | AAAA              | NOERROR -  | example 1/1        | upstream nxdomain:guarded | 3         | 1
                      | deniesBare A:has  | AAAA HTTPS SVCB   | NOERROR -  | page.example 10/10 | upstream nxdomain:guarded | 2         | 10
                      | deniesBare        | A MX              | NXDOMAIN - | page.example 10/10 | upstream none             | 1         | 10
                      | deniesBare        | AAAA HTTPS        | NXDOMAIN - | page.example 10/10 | upstream none             | 2         | 10
                      | denies_3600_3600 A:has | AAAA         | NOERROR -  | example 60/60      | upstream nxdomain:guarded | 2         | 60
  has A               | denies            | AAAA HTTPS SVCB   | NOERROR -  | example 30/30      | upstream nxdomain:guarded | 1         | 30
  has A               | denies            | MX TXT            | NOERROR -  | example 30/30      | upstream nxdomain:guarded | 1         | 30
  has MX              | denies            | A TXT             | NOERROR -  | example 30/30      | upstream nxdomain:guarded | 1         | 30
  has MX              | denies            | AAAA HTTPS        | NOERROR -  | example 30/30      | upstream nxdomain:guarded | 1         | 30
  has A +99           | denies            | MX                | NOERROR -  | example 30/30      | upstream nxdomain:guarded | 1         | -
  has A +100          | denies            | MX                | NXDOMAIN - | example 30/30      | upstream none             | 1         | 30
  has A +100          | denies            | AAAA HTTPS        | NXDOMAIN - | example 30/30      | upstream none             | 2         | 30
  has0 A              | denies            | MX                | NXDOMAIN - | example 30/30      | upstream none             | 1         | 30
  empty MX            | denies            | A TXT             | NOERROR -  | example 30/30      | upstream nxdomain:guarded | 1         | 30
  empty MX +29        | denies            | TXT               | NOERROR -  | example 30/30      | upstream nxdomain:guarded | 1         | -
  empty MX +30        | denies            | TXT               | NXDOMAIN - | example 30/30      | upstream none             | 1         | 30
  empty A             | denies            | AAAA HTTPS        | NOERROR -  | example 30/30      | upstream nxdomain:guarded | 1         | 30
  bare MX             | denies            | A TXT             | NXDOMAIN - | example 30/30      | upstream none             | 1         | 30
  servfail MX         | denies            | A TXT             | NXDOMAIN - | example 30/30      | upstream none             | 1         | 30
  denies A:servfail AAAA | denies         | TXT               | NXDOMAIN - | example 30/30      | upstream none             | 1         | 30
  denies A:has AAAA   | denies            | TXT               | NOERROR -  | example 30/30      | upstream nxdomain:guarded | 1         | 30
  denies MX           | has               | A AAAA HTTPS TXT  | NXDOMAIN - | example 30/30      | cache none                | 0         | 30
  denies MX +12       | has               | A AAAA HTTPS TXT  | NXDOMAIN - | example 18/18      | cache none                | 0         | 18
  denies MX +30       | has               | A                 | NOERROR 192.0.2.7 | -           | upstream none             | 1         | 100
  denies A:has AAAA   | denies            | AAAA              | NOERROR -  | example 30/30      | cache nxdomain:guarded    | 0         | 30
  denies A:has AAAA +10 | denies          | AAAA              | NOERROR -  | example 20/20      | cache nxdomain:guarded    | 0         | 20
  denies A:has HTTPS  | silent            | A                 | NOERROR 192.0.2.7 | -           | cache none                | 0         | 100
`,
);

check(
  "in a chain of aliases NXDOMAIN speaks of the last name (RFC 2308 §2.1, RFC 6604 §3)",
  `
  before        | upstream      | asks            | reply      | soa           | ttl | from                      | questions | lives
                | deniesAlias   | A MX            | NXDOMAIN - | example 30/30 | 30  | upstream none             | 1         | 30
                | deniesAlias   | AAAA HTTPS SVCB | NXDOMAIN - | example 30/30 | 30  | upstream none             | 2         | 30
  hasAlias MX   | deniesAlias   | A AAAA HTTPS    | NOERROR -  | example 30/30 | 30  | upstream nxdomain:guarded | 1         | 30
  deniesAlias A | deniesAlias   | MX TXT          | NXDOMAIN - | example 30/30 | 30  | upstream none             | 1         | 30
  hasAlias MX   | denies        | TXT             | NOERROR -  | example 30/30 | -   | upstream nxdomain:guarded | 1         | 30
                | emptyAlias5   | AAAA HTTPS MX   | NOERROR -  | example 5/5   | 5   | upstream none             | 1         | 5
                | bareAlias5    | HTTPS MX        | NOERROR -  | host.example 5/5 | 5 | upstream none            | 1         | 5
                | bareAlias300  | A AAAA HTTPS MX | NOERROR -  | host.example 10/10 | 10 | upstream none         | 1         | 10
                | hasAlias      | A               | NOERROR 192.0.2.7 | -      | 50  | upstream none             | 1         | 50
                | hasAlias      | NS              | NOERROR -  | example 30/30 | 30  | upstream none             | 1         | 30
`,
);

check(
  "negatives live for the lesser of the SOA's TTL and MINIMUM, within the limits (RFC 2308 §5)",
  `
  mode               | before                    | upstream         | asks      | reply      | soa           | from          | lives
                     |                           | empty            | A AAAA HTTPS MX | NOERROR - | example 30/30 | upstream none | 30
                     |                           | empty_3600_3600  | A HTTPS   | NOERROR -  | example 60/60 | upstream none | 60
                     |                           | empty_3600_20    | A HTTPS   | NOERROR -  | example 20/20 | upstream none | 20
                     |                           | empty_20_3600    | A HTTPS   | NOERROR -  | example 20/20 | upstream none | 20
                     |                           | empty_0_0        | A HTTPS   | NOERROR -  | example 1/1   | upstream none | 1
                     |                           | denies_3600_3600 | A MX      | NXDOMAIN - | example 60/60 | upstream none | 60
                     |                           | denies_3600_20   | A MX      | NXDOMAIN - | example 20/20 | upstream none | 20
                     |                           | denies_20_3600   | A MX      | NXDOMAIN - | example 20/20 | upstream none | 20
                     |                           | denies_0_0       | A MX      | NXDOMAIN - | example 1/1   | upstream none | 1
  negative 5s to 20s |                           | empty            | A HTTPS   | NOERROR -  | example 20/20 | upstream none | 20
  negative 5s to 20s |                           | denies           | A MX      | NXDOMAIN - | example 20/20 | upstream none | 20
  negative 5s to 20s |                           | empty_0_0        | A HTTPS   | NOERROR -  | example 5/5   | upstream none | 5
  negative 5s to 20s |                           | denies A:servfail | AAAA     | NOERROR -  | example 5/5   | upstream nxdomain:guarded | 5
                     | empty_3600_3600 HTTPS +45 | has              | HTTPS     | NOERROR -  | example 15/15 | cache none    | 15
                     | denies_3600_3600 A +45    | has              | A MX      | NXDOMAIN - | example 15/15 | cache none    | 15
                     | empty HTTPS +29           | has              | HTTPS     | NOERROR -  | example 1/1   | cache none    | 1
                     | empty HTTPS               | silent           | HTTPS     | NOERROR -  | example 30/30 | cache none    | 30
`,
);

check(
  "an answer that is empty and has no SOA",
  `
  mode    | before  | upstream          | asks          | reply             | soa                | from          | questions | afterMs | lives
          |         | bare              | A AAAA HTTPS MX | NOERROR -       | page.example 10/10 | upstream none | 1         | 0       | 10
  bare 3s |         | bare              | A HTTPS       | NOERROR -         | page.example 3/3   | upstream none | 1         | 0       | 3
          |         | referral          | A MX          | NOERROR -         | page.example 10/10 | upstream none | 1         | 0       | 10
          |         | bare & has        | A             | NOERROR 192.0.2.7 | -                  | upstream none | 2         | 0       | 100
          |         | bare & has        | AAAA          | NOERROR 2001:db8::7 | -                | upstream none | 2         | 0       | 100
          |         | bare & has        | HTTPS MX TXT  | NOERROR -         | page.example 10/10 | upstream none | 1         | 0       | 10
          |         | bare & bare       | A AAAA        | NOERROR -         | page.example 10/10 | upstream none | 2         | 0       | 10
          |         | bare & empty      | A AAAA        | NOERROR -         | example 30/30      | upstream none | 2         | 0       | 30
          |         | bare & denies     | A             | NXDOMAIN -        | example 30/30      | upstream none | 2         | 0       | 30
          |         | bare & hasLate400 | A             | NOERROR 192.0.2.7 | -                  | upstream none | 2         | 400     | 100
          |         | bare & servfail   | A             | NOERROR -         | page.example 10/10 | upstream none | 2         | 0       | 10
          |         | servfail & bare   | A             | NOERROR -         | page.example 10/10 | upstream none | 2         | 0       | 10
          |         | referral & has    | A             | NOERROR 192.0.2.7 | -                  | upstream none | 2         | 0       | 100
          |         | bareAlias300 & has | A            | NOERROR 192.0.2.7 | -                  | upstream none | 2         | 0       | 100
          | has A   | bare & has        | AAAA          | NOERROR -         | page.example 10/10 | upstream none | 1         | 0       | 10
          | has A +100 | bare & has     | AAAA          | NOERROR 2001:db8::7 | -                | upstream none | 2         | 0       | 100
  race    |         | bare & hasLate200 | A             | NOERROR 192.0.2.7 | -                  | upstream none | 2         | 200     | 100
  race    |         | bare & hasLate400 | A             | NOERROR -         | page.example 10/10 | upstream none | 2         | 300     | 10
  race    |         | bare & hasLate200 | HTTPS         | NOERROR -         | page.example 10/10 | upstream none | 2         | 0       | 10
`,
);

check(
  "failures",
  `
  mode       | before   | upstream             | asks            | reply             | from         | questions | lives
             |          | servfail             | A AAAA HTTPS MX | SERVFAIL -        | failure none | 2 | 5
             |          | refused              | A AAAA HTTPS MX | SERVFAIL -        | failure none | 1 | 5
             |          | formerr              | A HTTPS         | SERVFAIL -        | failure none | 1 | 5
             |          | notimp               | A HTTPS         | SERVFAIL -        | failure none | 1 | 5
             |          | notauth              | A HTTPS         | SERVFAIL -        | failure none | 1 | 5
             |          | broken               | A AAAA HTTPS    | SERVFAIL -        | failure none | 2 | 5
             |          | garbage              | A HTTPS         | SERVFAIL -        | failure none | 2 | 5
             |          | silent               | A AAAA HTTPS MX | SERVFAIL -        | failure none | 1 | -
             |          | servfail & refused   | A               | SERVFAIL -        | failure none | 2 | 5
             |          | servfail & silent    | A               | SERVFAIL -        | failure none | 2 | 5
  failure 2s |          | servfail             | A HTTPS         | SERVFAIL -        | failure none | 2 | 2
             | servfail A    | has             | A               | SERVFAIL -        | cache none   | 0 | 5
             | servfail A    | has             | AAAA            | NOERROR 2001:db8::7 | upstream none | 1 | 100
             | servfail A +5 | has             | A               | NOERROR 192.0.2.7 | upstream none | 1 | 100
             | has A         | servfail        | A               | NOERROR 192.0.2.7 | cache none   | 0 | -
             | empty A +30   | servfail        | A               | SERVFAIL -        | failure none | 2 | 5
             | denies MX +30 | servfail        | MX              | SERVFAIL -        | failure none | 2 | 5
             |          | servfail & has       | A               | NOERROR 192.0.2.7 | upstream none | 2 | 100
             |          | garbage & has        | HTTPS           | NOERROR 1 . alpn=h2 | upstream none | 2 | 100
             |          | silent & has         | A               | NOERROR 192.0.2.7 | upstream none | 2 | 100
`,
);

check(
  "stale answers (RFC 8767): positives only, and a believed negative ends them",
  `
  mode        | before     | upstream    | asks  | reply                 | soa                | ttl | from          | afterMs
              | has A +100 | servfail    | A     | NOERROR 192.0.2.7     | -                  | 30  | stale none    | 0
              | has A +100 | refused     | A     | NOERROR 192.0.2.7     | -                  | 30  | stale none    | 0
              | has A +100 | broken      | A     | NOERROR 192.0.2.7     | -                  | 30  | stale none    | 0
              | has A +100 | silent      | A     | NOERROR 192.0.2.7     | -                  | 30  | stale none    | 1800
              | has A +100 | hasLate2000 | A     | NOERROR 192.0.2.7     | -                  | 30  | stale none    | 1800
              | has A +100 | hasLate400  | A     | NOERROR 192.0.2.7     | -                  | 100 | upstream none | 400
              | has A +100 | denies      | A     | NXDOMAIN -            | example 30/30      | -   | upstream none | 0
              | has A +100 | empty       | A     | NOERROR -             | example 30/30      | -   | upstream none | 0
              | has A +100 | bare        | A     | NOERROR -             | page.example 10/10 | -   | upstream none | 0
              | has A +100 | has         | A     | NOERROR 192.0.2.7     | -                  | 100 | upstream none | 0
              | has AAAA +100  | servfail | AAAA | NOERROR 2001:db8::7   | -                  | 30  | stale none    | 0
              | has HTTPS +100 | servfail | HTTPS | NOERROR 1 . alpn=h2  | -                  | 30  | stale none    | 0
              | has MX +100    | silent  | MX    | NOERROR 10 mail.example. | -               | 30  | stale none    | 1800
              | hasAlias A +50 | servfail | A    | NOERROR 192.0.2.7     | -                  | 30  | stale none    | 0
              | has A +100, servfail A +1  | silent | A | NOERROR 192.0.2.7 | -               | 30  | stale none    | 0
              | has A +100, denies A +1, denies A +30 | servfail | A | SERVFAIL - | -          | -   | failure none  | 0
              | has A +100, empty A +30    | servfail | A | SERVFAIL -     | -                  | -   | failure none  | 0
              | has A +100, denies MX +30  | servfail | A | SERVFAIL -     | -                  | -   | failure none  | 0
              | has A +86499 | servfail  | A     | NOERROR 192.0.2.7     | -                  | 30  | stale none    | 0
              | has A +86500 | servfail  | A     | SERVFAIL -            | -                  | -   | failure none  | 0
              | hasFakeIp A +100 | servfail | A  | SERVFAIL -            | -                  | -   | failure none  | 0
              | denies A +30 | servfail  | A     | SERVFAIL -            | -                  | -   | failure none  | 0
  never stale | has A +100 | servfail    | A     | SERVFAIL -            | -                  | -   | failure none  | 0
  volatile    | has A +100 | servfail    | A     | SERVFAIL -            | -                  | -   | failure none  | 0
`,
);

check(
  "TTLs of positive answers: within the limits, and counting down",
  `
  mode     | before       | upstream       | asks            | ttl   | from          | lives
           |              | has            | A AAAA HTTPS MX | 100   | upstream none | 100
           |              | has0           | A HTTPS         | 0     | upstream none | 0
           |              | hasNegativeTtl | A               | 0     | upstream none | 0
           |              | hasLong        | A               | 86400 | upstream none | 86400
  max 60s  |              | has            | A HTTPS         | 60    | upstream none | 60
  max 60s  |              | has0           | A               | 0     | upstream none | 0
  min 300s |              | has            | A HTTPS         | 300   | upstream none | 300
  min 300s |              | has0           | A               | 300   | upstream none | 300
           | has A +40    | silent         | A               | 60    | cache none    | 60
           | has HTTPS +99 | silent        | HTTPS           | 1     | cache none    | 1
  max 60s  | has A +40    | silent         | A               | 20    | cache none    | 20
  min 300s | has A +299   | silent         | A               | 1     | cache none    | 1
`,
);

check(
  "signed negatives to a question with DO: TTLs are lowered, MINIMUM stays, and the proof passes",
  `
  before                          | upstream               | asks               | reply      | soa               | from          | questions | lives
                                  | signedEmpty_3600_1800  | A+DO HTTPS+DO MX+DO | NOERROR - | example 60/1800   | upstream none | 1         | 60
                                  | signedEmpty_20_3600    | A+DO HTTPS+DO      | NOERROR -  | example 20/3600   | upstream none | 1         | 20
                                  | signedEmpty_0_0        | A+DO               | NOERROR -  | example 0/0       | upstream none | 1         | 1
                                  | signedDenies_3600_1800 | A+DO MX+DO         | NXDOMAIN - | example 60/1800   | upstream none | 1         | 60
                                  | signedDenies_3600_1800 | AAAA+DO HTTPS+DO SVCB+DO | NXDOMAIN - | example 60/1800 | upstream none | 1     | 60
                                  | signedDenies3          | AAAA+DO HTTPS+DO   | NXDOMAIN - | example 60/1800   | upstream none | 1         | 60
                                  | signedDenies_20_3600   | HTTPS+DO           | NXDOMAIN - | example 20/3600   | upstream none | 1         | 20
  signedEmpty_3600_1800 HTTPS+DO +45 | silent              | HTTPS+DO           | NOERROR -  | example 15/1800   | cache none    | 0         | 15
  signedDenies_3600_1800 MX+DO +45 | silent                | MX+DO A+DO         | NXDOMAIN - | example 15/1800   | cache none    | 0         | 15
  has A                           | signedDenies_3600_1800 | MX+DO              | NXDOMAIN - | example 60/1800   | upstream none | 1         | -
                                  | signedDenies_3600_1800 A:has | AAAA HTTPS   | NOERROR -  | example 60/1800   | upstream nxdomain:guarded | 2 | 60
                                  | signedNoProof A:has    | AAAA+DO            | NOERROR -  | example 30/30     | upstream nxdomain:guarded | 2 | 30
                                  | empty                  | A+DO HTTPS+DO      | NOERROR -  | example 30/30     | upstream none | 1         | 30
                                  | denies A:has           | AAAA+DO HTTPS+DO   | NOERROR -  | example 30/30     | upstream nxdomain:guarded | 2 | 30
`,
);
