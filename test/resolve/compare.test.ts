import { describe, expect, test } from "vitest";
import { comparing } from "./comparing.ts";

/** What page.example comes to: by near's behaviour (rows) and far's (columns). A cell: the word that stands for the outcome, and the wait in ms. */
const A_TABLE = `
  near         | finding | far     | far@200 | silent        | servfail     | broken       | poison       | empty   | bare    | nxdomain
  honest       | kept    | near 0  | near 0  | near 0        | near 0       | near 0       | near 0       | near 0  | near 0  | near 0
  honest@300   | kept    | near 300| near 300| near 300      | near 300     | near 300     | near 300     | near 300| near 300| near 300
  honest@900   | silent  | far 800 | far 800 | unproven 4000 | fails 800    | fails 800    | fails 800    | empty 800 | empty 800 | denied 800
  silent       | silent  | far 800 | far 800 | fails 4000    | fails 800    | fails 800    | fails 800    | empty 800 | empty 800 | denied 800
  servfail     | failed  | far 0   | far 200 | fails 4000    | fails 0      | fails 0      | fails 0      | empty 0 | empty 0 | denied 0
  refused      | failed  | far 0   | far 200 | fails 4000    | fails 0      | fails 0      | fails 0      | empty 0 | empty 0 | denied 0
  broken       | failed  | far 0   | far 200 | fails 4000    | fails 0      | fails 0      | fails 0      | empty 0 | empty 0 | denied 0
  empty        | empty   | far 0   | far 200 | fails 4000    | fails 0      | fails 0      | fails 0      | empty 0 | empty 0 | denied 0
  bare         | empty   | far 0   | far 200 | fails 4000    | fails 0      | fails 0      | fails 0      | empty 0 | empty 0 | denied 0
  nxdomain     | empty   | far 0   | far 200 | fails 4000    | fails 0      | fails 0      | fails 0      | empty 0 | empty 0 | denied 0
  foreign      | foreign | far 0   | far 200 | unproven 4000 | unproven 0   | unproven 0   | unproven 0   | empty 0 | empty 0 | denied 0
  foreign@300  | foreign | far 300 | far 300 | unproven 4000 | unproven 300 | unproven 300 | unproven 300 | empty 300 | empty 300 | denied 300
  mixed        | foreign | far 0   | far 200 | unproven 4000 | unproven 0   | unproven 0   | unproven 0   | empty 0 | empty 0 | denied 0
  poison       | void    | far 0   | far 200 | fails 4000    | fails 0      | fails 0      | fails 0      | empty 0 | empty 0 | denied 0
  bogus        | void    | far 0   | far 200 | fails 4000    | fails 0      | fails 0      | fails 0      | empty 0 | empty 0 | denied 0
  partlyPoison | void    | far 0   | far 200 | fails 4000    | fails 0      | fails 0      | fails 0      | empty 0 | empty 0 | denied 0
`;

/** The others at the ways that differ. A row: type, near, far, outcome, near's finding, how it was decided, who was asked what. */
const OTHER_TYPES = `
  AAAA  | honest     | far      | near 0        | kept    | verdict | near A, far A, near AAAA
  AAAA  | honest     | servfail | near 0        | kept    | verdict | near A, far A, near AAAA
  AAAA  | honest@300 | silent   | near 600      | kept    | verdict | near A, far A, near AAAA
  AAAA  | foreign    | far      | far 0         | foreign | verdict | near A, far A, far AAAA
  AAAA  | silent     | far      | far 800       | silent  | verdict | near A, far A, far AAAA
  AAAA  | silent     | far@200  | far 1000      | silent  | verdict | near A, far A, far AAAA
  AAAA  | servfail   | far      | far 0         | failed  | verdict | near A, far A, far AAAA
  AAAA  | empty      | far      | far 0         | empty   | verdict | near A, far A, far AAAA
  AAAA  | nxdomain   | far      | far 0         | empty   | verdict | near A, far A, far AAAA
  AAAA  | poison     | far      | far 0         | void    | verdict | near A, far A, far AAAA
  AAAA  | bogus      | far      | far 0         | void    | verdict | near A, far A, far AAAA
  AAAA  | nxdomain   | nxdomain | denied 0      | empty   | verdict | near A, far A
  AAAA  | foreign    | empty    | empty 0       | foreign | verdict | near A, far A, far AAAA
  AAAA  | foreign    | servfail | unproven 0    | foreign | failure | near A, far A, near AAAA, far AAAA
  AAAA  | foreign    | silent   | unproven 4000 | foreign | failure | near A, far A, near AAAA, far AAAA
  AAAA  | poison     | servfail | fails 0       | void    | failure | near A, far A, near AAAA, far AAAA
  AAAA  | silent     | servfail | fails 800     | silent  | failure | near A, far A, near AAAA, far AAAA
  AAAA  | silent     | silent   | fails 4000    | silent  | failure | near A, far A, near AAAA, far AAAA
  AAAA  | servfail   | servfail | fails 0       | failed  | failure | near A, far A, near AAAA, far AAAA
  HTTPS | honest     | far      | near 0        | kept    | verdict | near A, far A, near HTTPS
  HTTPS | honest     | silent   | near 0        | kept    | verdict | near A, far A, near HTTPS
  HTTPS | foreign    | far      | far 0         | foreign | verdict | near A, far A, far HTTPS
  HTTPS | silent     | far      | far 800       | silent  | verdict | near A, far A, far HTTPS
  HTTPS | poison     | far      | far 0         | void    | verdict | near A, far A, far HTTPS
  HTTPS | empty      | far      | far 0         | empty   | verdict | near A, far A, far HTTPS
  HTTPS | servfail   | far      | far 0         | failed  | verdict | near A, far A, far HTTPS
  HTTPS | nxdomain   | nxdomain | denied 0      | empty   | verdict | near A, far A
  HTTPS | foreign    | servfail | fails 0       | -       | default | near A, far A, far HTTPS
  HTTPS | silent     | silent   | fails 4000    | -       | default | near A, far A, far HTTPS
  TXT   | honest     | far      | far 0         | -       | default | far TXT
  TXT   | poison     | far      | far 0         | -       | default | far TXT
  TXT   | honest     | servfail | fails 0       | -       | default | far TXT
  TXT   | honest     | silent   | fails 4000    | -       | default | far TXT
  TXT   | silent     | nxdomain | denied 0      | -       | default | far TXT
  TXT   | silent     | empty    | empty 0       | -       | default | far TXT
`;

function rowsOf(table: string): string[][] {
  return table
    .trim()
    .split("\n")
    .map((line) => line.split("|").map((cell) => cell.trim()));
}

type Found = Awaited<ReturnType<Awaited<ReturnType<typeof comparing>>["ask"]>>;

/** The same words as in the tables. */
function outcomeOf({ reply, action, comparison, elapsedMs }: Found): string {
  const has = reply.answers.length > 0;
  if (action === "compare:unproven") return `unproven ${elapsedMs}`;
  if (has) return `${comparison?.side} ${elapsedMs}`;
  return `${{ NOERROR: "empty", NXDOMAIN: "denied", SERVFAIL: "fails" }[reply.rcode]} ${elapsedMs}`;
}

describe("A of a name that nothing is known of", () => {
  const [heading = [], ...rows] = rowsOf(A_TABLE);
  for (const [near = "", finding = "", ...cells] of rows) {
    for (const [index, wanted] of cells.entries()) {
      const far = heading[index + 2] ?? "";
      test(`near ${near}, far ${far}: ${wanted}`, async () => {
        const site = await comparing({ near, far });
        const first = await site.ask();
        expect(outcomeOf(first)).toBe(wanted);
        expect(first.toWhom).toEqual(["near A", "far A"]);
        expect(first.comparison?.near).toBe(finding);
        const [outcome = ""] = wanted.split(" ");
        const isProven = !["fails", "unproven"].includes(outcome);
        expect(first.comparison?.by).toBe(isProven ? "comparison" : "failure");
        if (outcome === "near") expect(first.reply.answers).toEqual(["192.0.2.7"]);
        if (outcome === "far") expect(first.reply.answers).toEqual(["198.51.100.9"]);
        if (outcome === "unproven")
          expect(first.reply).toMatchObject({ ttl: 5, answers: expect.not.arrayContaining(["198.51.100.9"]) });
        expect(first.reply.answers.join()).not.toMatch(/203\.0\.113/);
        const second = await site.ask();
        expect(second.toWhom).toEqual([]);
        // A near answer that came late is held by then, and is weighed alone.
        if (near !== "honest@900" || isProven) expect(second.comparison?.by).toBe(isProven ? "verdict" : "failure");
      });
    }
  }
});

describe("the other types of a name that nothing is known of", () => {
  test.each(rowsOf(OTHER_TYPES))("%s: near %s, far %s: %s", async (type, near = "", far = "", wanted, finding, by, toWhom) => {
    const site = await comparing({ near, far });
    const found = await site.ask(type);
    expect(outcomeOf(found)).toBe(wanted);
    expect(found.comparison?.near ?? "-").toBe(finding);
    expect(found.comparison?.by).toBe(by);
    expect(found.toWhom.join(", ")).toBe(toWhom);
    expect(found.reply.answers.join()).not.toMatch(/203\.0\.113|db8:bad/);
  });
});

/** With `first: far`. A row: type, far, near, outcome, near's finding, how it was decided, who was asked what. */
const FAR_FIRST = `
  A     | far        | honest   | far 0         | -       | comparison | far A
  A     | mixed      | honest   | far 0         | -       | comparison | far A
  A     | empty      | honest   | empty 0       | -       | comparison | far A
  A     | nxdomain   | honest   | denied 0      | -       | comparison | far A
  A     | servfail   | honest   | fails 0       | -       | failure    | far A
  A     | silent     | honest   | fails 4000    | -       | failure    | far A
  A     | poison     | honest   | fails 0       | -       | failure    | far A
  A     | honest     | honest   | near 0        | kept    | comparison | far A, near A
  A     | honest@200 | honest@300 | near 500    | kept    | comparison | far A, near A
  A     | honest     | foreign  | far 0         | foreign | comparison | far A, near A
  A     | honest     | poison   | far 0         | void    | comparison | far A, near A
  A     | honest     | empty    | far 0         | empty   | comparison | far A, near A
  A     | honest     | servfail | far 0         | failed  | comparison | far A, near A
  A     | honest     | silent   | far 800       | silent  | comparison | far A, near A
  AAAA  | honest     | honest   | near 0        | kept    | verdict    | far A, near A, near AAAA
  AAAA  | far        | honest   | far 0         | foreign | verdict    | far A, far AAAA
  HTTPS | honest     | honest   | near 0        | kept    | verdict    | far A, near A, near HTTPS
  HTTPS | far        | honest   | far 0         | foreign | verdict    | far A, far HTTPS
  TXT   | honest     | honest   | far 0         | -       | default    | far TXT
`;

describe("with `first: far` near is asked only where all far addresses are near", () => {
  test.each(rowsOf(FAR_FIRST))("%s: far %s, near %s: %s", async (type, far = "", near = "", wanted, finding, by, toWhom) => {
    const site = await comparing({ near, far, compare: ", first: far" });
    const found = await site.ask(type);
    expect(outcomeOf(found)).toBe(wanted);
    expect(found.comparison?.near ?? "-").toBe(finding);
    expect(found.comparison?.by).toBe(by);
    expect(found.toWhom.join(", ")).toBe(toWhom);
    expect((await site.ask(type)).toWhom).toEqual([]);
  });

  test("a held near answer is given while far fails, and nobody else is shown the name", async () => {
    const site = await comparing({
      near: "honest",
      far: "honest",
      compare: ", first: far, verdict: 10s",
      yaml: "cache: { stale: false, prefetch: false }\nanswers: { ttl: { max: 50s } }",
    });
    await site.ask();
    site.follow("far", "servfail");
    await site.bench.clock.advance(20_000);
    expect(outcomeOf(await site.ask())).toBe("near 0");
    await site.bench.clock.advance(60_000);
    expect(await site.ask()).toMatchObject({ reply: { rcode: "SERVFAIL" }, toWhom: ["far A"] });
  });
});

describe("a verdict", () => {
  test("asks its side only, for every type, until it expires", async () => {
    const site = await comparing({ near: "honest", far: "far", compare: ", verdict: 1h" });
    await site.ask();
    for (const type of ["AAAA", "HTTPS", "TXT", "MX"]) expect((await site.ask(type)).toWhom).toEqual([`near ${type}`]);
    await site.bench.clock.advance(3_599_000);
    expect(await site.ask()).toMatchObject({ toWhom: ["near A"], comparison: { by: "verdict", side: "near", near: "kept" } });
    await site.bench.clock.advance(200_000);
    expect((await site.ask()).toWhom).toEqual(["near A", "far A"]);
  });

  test("for far holds although the near answer would be kept now", async () => {
    const site = await comparing({ near: "foreign", far: "far", compare: ", verdict: 1h" });
    await site.ask();
    site.follow("near", "honest");
    await site.bench.clock.advance(1_000_000);
    expect(await site.ask()).toMatchObject({ toWhom: ["far A"], reply: { answers: ["198.51.100.9"] } });
    await site.bench.clock.advance(2_600_000);
    expect(await site.ask()).toMatchObject({ toWhom: ["near A", "far A"], reply: { answers: ["192.0.2.7"] } });
  });

  test("by silence or failure lives for minutes: an outage of near does not send its names abroad for a day", async () => {
    for (const near of ["silent", "servfail"]) {
      const site = await comparing({ near, far: "far" });
      await site.ask();
      site.follow("near", "honest");
      await site.bench.clock.advance(299_000);
      expect((await site.ask()).toWhom).toEqual(["far A"]);
      await site.bench.clock.advance(101_000);
      expect(await site.ask()).toMatchObject({ comparison: { side: "near", by: "comparison" } });
    }
  });

  test.each([
    ["foreign", "foreign"],
    ["mixed", "foreign"],
    ["poison", "void"],
  ])("for near ends when its answer becomes %s", async (cell, finding) => {
    const site = await comparing({ near: "honest", far: "far", yaml: "cache: { stale: false, prefetch: false }" });
    await site.ask();
    site.follow("near", cell);
    await site.bench.clock.advance(101_000);
    const found = await site.ask();
    expect(found).toMatchObject({ toWhom: ["near A", "far A"], reply: { answers: ["198.51.100.9"] } });
    expect(found.comparison).toEqual({ side: "far", group: "far", near: finding, by: "comparison" });
  });

  test("for near survives a failure, silence or an empty answer of near", async () => {
    const site = await comparing({ near: "honest", far: "far", yaml: "cache: { stale: false, prefetch: false }" });
    await site.ask();
    for (const [cell, rcode] of [
      ["servfail", "SERVFAIL"],
      ["empty", "NOERROR"],
      ["silent", "SERVFAIL"],
    ] as const) {
      site.follow("near", cell);
      await site.bench.clock.advance(101_000);
      expect(await site.ask()).toMatchObject({
        toWhom: ["near A"],
        reply: { rcode, answers: [] },
        comparison: { by: "verdict" },
      });
    }
  });

  test("by AAAA holds until there is one by A", async () => {
    const site = await comparing({ near: "honest", far: "servfail" });
    site.follow("near", "silent");
    await site.ask("A");
    site.follow("near", "honest");
    // A is held as a failure on both sides: AAAA has to be judged by itself.
    expect(await site.ask("AAAA")).toMatchObject({
      toWhom: ["near AAAA", "far AAAA"],
      comparison: { side: "near", by: "comparison" },
    });
    expect(await site.ask("TXT")).toMatchObject({ toWhom: ["near TXT"] });
    await site.bench.clock.advance(6000);
    site.follow("near", "foreign");
    site.follow("far", "far");
    expect(await site.ask("A")).toMatchObject({ comparison: { side: "far", by: "comparison" } });
    expect(await site.ask("TXT")).toMatchObject({ toWhom: ["far TXT"] });
  });
});

describe("a cached answer", () => {
  test("of near that is kept is sent at once, even without a verdict", async () => {
    const site = await comparing({ near: "honest", far: "silent", compare: ", verdict: 10s" });
    await site.ask();
    await site.bench.clock.advance(20_000);
    expect(await site.ask()).toMatchObject({ toWhom: [], source: "cache", elapsedMs: 0, reply: { ttl: 80 } });
  });

  test("of near that is foreign lets only far be asked", async () => {
    const site = await comparing({ near: "foreign", far: "servfail" });
    await site.ask();
    await site.bench.clock.advance(6000);
    site.follow("far", "far");
    expect(await site.ask()).toMatchObject({ toWhom: ["far A"], reply: { answers: ["198.51.100.9"] } });
  });

  test("of far that is stale beats a foreign one of near", async () => {
    const site = await comparing({ near: "foreign", far: "far", compare: ", verdict: 60s" });
    await site.ask();
    site.follow("far", "servfail");
    await site.bench.clock.advance(101_000);
    expect(await site.ask()).toMatchObject({
      source: "stale",
      reply: { answers: ["198.51.100.9"], ttl: 30 },
      comparison: { by: "failure" },
    });
  });

  test("of near that is stale and in the list beats a failure", async () => {
    const site = await comparing({ near: "honest", far: "servfail", compare: ", verdict: 60s" });
    await site.ask();
    site.follow("near", "servfail");
    await site.bench.clock.advance(101_000);
    expect(await site.ask()).toMatchObject({ source: "stale", reply: { answers: ["192.0.2.7"] } });
  });
});

test.each(["MX", "TXT", "AAAA", "HTTPS"])(
  "a name whose near addresses are held is not denied in %s by far, though its verdict is over",
  async (type) => {
    const site = await comparing({ near: "honest", far: "nxdomain", compare: ", verdict: 1s" });
    expect(await site.ask()).toMatchObject({ reply: { answers: ["192.0.2.7"] } });
    await site.bench.clock.advance(2000);
    expect(await site.ask(type)).toMatchObject({
      reply: { rcode: "NOERROR" },
      toWhom: [`near ${type}`],
      comparison: { side: "near" },
    });
  },
);

test("two rules share verdicts only with equal lists and groups", async () => {
  const site = await comparing({ near: "honest", far: "far" });
  await site.ask("A", "one.example");
  expect((await site.ask("A", "two.example")).toWhom).toEqual(["near A", "far A"]);
  expect((await site.ask("AAAA", "one.example")).toWhom).toEqual(["near AAAA"]);
});

test("a void answer makes the group ask another member", async () => {
  const site = await comparing({ near: "poison & honest", far: "far@200" });
  expect(await site.ask()).toMatchObject({
    toWhom: ["near A", "far A"],
    asked: ["page.example A", "page.example A", "page.example A"],
    reply: { answers: ["192.0.2.7"] },
    elapsedMs: 0,
  });
});

test("the modifiers of the rule apply to compared answers", async () => {
  const shaped = "answers: { ttl: { max: 40s }, ipv6: nodata, https: [strip-hints] }";
  const site = await comparing({ near: "honest", far: "far", yaml: shaped });
  expect(await site.ask()).toMatchObject({ reply: { ttl: 40 } });
  expect(await site.ask("AAAA")).toMatchObject({ toWhom: [], action: "ipv6:nodata" });
  expect(await site.ask("HTTPS")).toMatchObject({ action: "type65:strip-hints", reply: { answers: ["1 . alpn=h2"] } });
});

describe("hints of an HTTPS record", () => {
  test("stay if A and AAAA come from the same side, and are removed if nothing is known", async () => {
    const site = await comparing({ near: "honest", far: "far" });
    expect(await site.ask("HTTPS")).toMatchObject({ action: "none", reply: { answers: ["1 . alpn=h2 ipv4hint=192.0.2.7"] } });
    expect(await site.ask("SVCB")).toMatchObject({ reply: { answers: [] } });
  });

  test("are removed without a verdict", async () => {
    const site = await comparing({ near: "foreign", far: "servfail" });
    await site.ask();
    site.follow("far", "far");
    expect(await site.ask("HTTPS")).toMatchObject({ action: "type65:strip-ipv4hint", reply: { answers: ["1 . alpn=h2"] } });
  });
});
