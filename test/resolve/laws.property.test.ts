import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { RCODE } from "../../src/dns/types.ts";
import { zone } from "../dns/zone.ts";
import type { Reply } from "../support/message.ts";
import { runs } from "../support/properties.ts";
import { siteWith, type TestSite } from "../support/site.ts";
import { bare, deny, empty, respond, silent, withRcode } from "../support/zone-script.ts";
import type { Action, Asked } from "../upstreams/scripted-server.ts";

const TYPES = ["A", "AAAA", "HTTPS", "MX"] as const;
const NUMBERS = { A: 1, AAAA: 28, HTTPS: 65, MX: 15 } as const;
const NAMES = ["page.example", "sub.page.example"] as const;
const NEGATIVE_MAX_SECONDS = 60;
const FAILURE_SECONDS = 5;

/** What the upstream does with one type of question, until it is changed. */
const BEHAVIOURS = [
  "positive",
  "nodata",
  "bare",
  "nxdomain",
  "fake-nxdomain",
  "servfail",
  "refused",
  "silent",
  "garbage",
] as const;
type Behaviour = (typeof BEHAVIOURS)[number];

const POSITIVE_SECONDS = 40;
const data: Readonly<Record<number, string>> = {
  1: "A 192.0.2.7",
  28: "AAAA 2001:db8::7",
  65: "HTTPS 1 . alpn=h2",
  15: "MX 10 mail.example",
};

function act(behaviour: Behaviour, asked: Asked): Action {
  switch (behaviour) {
    case "positive":
      return respond(asked, { answers: zone(`${asked.name} ${POSITIVE_SECONDS} ${data[asked.type]}`) });
    case "nodata":
      return empty(asked);
    case "bare":
      return bare(asked);
    case "nxdomain":
      return deny(asked);
    case "fake-nxdomain":
      return respond(asked, { rcode: RCODE.NXDOMAIN, authority: zone("fake.example 86400 SOA a.fake b.fake 1 2 3 4 86400") });
    case "servfail":
      return withRcode(asked, RCODE.SERVFAIL);
    case "refused":
      return withRcode(asked, RCODE.REFUSED);
    case "silent":
      return silent;
    case "garbage":
      return { kind: "raw", message: Buffer.from("no message at all") };
  }
}

interface Ask {
  readonly name: (typeof NAMES)[number];
  readonly type: (typeof TYPES)[number];
}

type Step =
  /** All at once. */
  | { readonly kind: "ask"; readonly questions: readonly Ask[] }
  | { readonly kind: "pass"; readonly ms: number }
  | { readonly kind: "change"; readonly type: (typeof TYPES)[number]; readonly to: Behaviour };

const behaviour = fc.constantFrom(...BEHAVIOURS);
const step: fc.Arbitrary<Step> = fc.oneof(
  {
    weight: 5,
    arbitrary: fc.record({
      kind: fc.constant("ask"),
      questions: fc.array(fc.record({ name: fc.constantFrom(...NAMES), type: fc.constantFrom(...TYPES) }), {
        minLength: 1,
        maxLength: 4,
      }),
    }),
  },
  { weight: 2, arbitrary: fc.record({ kind: fc.constant("pass"), ms: fc.constantFrom(500, 3000, 11_000, 31_000, 61_000) }) },
  { weight: 1, arbitrary: fc.record({ kind: fc.constant("change"), type: fc.constantFrom(...TYPES), to: behaviour }) },
);

/** Beyond `answers.deadline`. */
const LATEST_MS = 10_000;

/** Waits for a reply, with time passing in small steps where none comes. */
async function answerTo(site: TestSite, question: Promise<Reply>): Promise<{ reply: Reply; waitedMs: number }> {
  const startedMs = site.clock.now();
  let reply: Reply | null = null;
  void question.then((value) => {
    reply = value;
  });
  for (;;) {
    for (let times = 0; times < 3; times++) await site.ask("localhost");
    if (reply !== null) return { reply, waitedMs: site.clock.now() - startedMs };
    if (site.clock.now() - startedMs > LATEST_MS) throw new Error("no reply");
    await site.clock.advance(200);
  }
}

/** Until when a name is proven to exist, by what clients have been sent. */
class Proofs {
  readonly #untilMs = new Map<string, number>();

  /** A reply that is neither stale nor made nor held back: a positive, or upstream's own NODATA with SOA. */
  note(name: string, { rcode, answers, ttl, ede, soa }: Reply, nowMs: number): void {
    if (rcode !== "NOERROR" || ede.length > 0) return;
    const seconds = answers.length > 0 ? (ttl ?? 0) : soa?.owner === "example" ? soa.ttl : 0;
    this.#untilMs.set(name, Math.max(this.#untilMs.get(name) ?? 0, nowMs + seconds * 1000));
  }

  holds(name: string, nowMs: number): boolean {
    return nowMs < (this.#untilMs.get(name) ?? 0);
  }
}

describe("for any upstream, any order of questions and any jumps of the clock", () => {
  test("the laws hold", async () => {
    const first = fc.record({ A: behaviour, AAAA: behaviour, HTTPS: behaviour, MX: behaviour });
    await fc.assert(
      fc.asyncProperty(first, fc.array(step, { minLength: 5, maxLength: 25 }), async (initial, steps) => {
        const behaviours: Record<string, Behaviour> = { ...initial };
        const script = (asked: Asked): Action => {
          const type = TYPES.find((name) => NUMBERS[name] === asked.type);
          // Probes of a member that is ill may ask for anything.
          return type === undefined ? silent : act(behaviours[type] ?? "silent", asked);
        };
        const site = await siteWith({ upstreams: { main: script } });
        const proofs = new Proofs();
        const found: { name: string; reply: Reply; askedMs: number }[] = [];
        for (const each of steps) {
          if (each.kind === "change") behaviours[each.type] = each.to;
          else if (each.kind === "pass") await site.clock.advance(each.ms);
          else {
            const askedMs = site.clock.now();
            const replies = each.questions.map(({ name, type }) => answerTo(site, site.ask(name, type)));
            for (const [index, { reply, waitedMs }] of (await Promise.all(replies)).entries()) {
              const { name } = each.questions[index] ?? expect.fail("more replies than questions");
              expect(waitedMs).toBeLessThanOrEqual(4000);
              checkForm(name, reply);
              if (reply.rcode === "NXDOMAIN") expect(proofs.holds(name, site.clock.now())).toBe(false);
              found.push({ name, reply, askedMs });
            }
            // What was asked at the same time may have been answered in any order, so it proves something from now on only.
            for (const { name, reply, askedMs } of found.splice(0)) proofs.note(name, reply, askedMs);
          }
        }
        await site.close();
      }),
      { numRuns: runs(60), endOnFailure: true },
    );
  });
});

function checkForm(name: string, reply: Reply): void {
  expect(reply.question).toBe(name);
  expect(["NOERROR", "NXDOMAIN", "SERVFAIL"]).toContain(reply.rcode);
  if (reply.rcode === "SERVFAIL") {
    expect(reply).toMatchObject({ records: [], authority: [] });
    expect([22, 23]).toContain(reply.ede[0]);
    return;
  }
  if (reply.answers.length > 0) {
    expect(reply.rcode).toBe("NOERROR");
    expect(reply.ttl).toBeLessThanOrEqual(POSITIVE_SECONDS);
    return;
  }
  // An empty answer: one SOA, and nobody may keep it for longer than we want; a guess of ours for no longer than a failure.
  expect(reply.authority).toHaveLength(1);
  expect(reply.soa?.ttl).toBeLessThanOrEqual(NEGATIVE_MAX_SECONDS);
  expect(reply.soa?.minimum).toBe(reply.soa?.ttl);
  expect(reply.ede).not.toContain(3);
  if (reply.edeTexts.some((text) => text.includes("could not be had")))
    expect(reply.soa?.ttl).toBeLessThanOrEqual(FAILURE_SECONDS);
}
