import fc from "fast-check";
import { expect, test } from "vitest";
import { AnswerCache } from "../../src/cache/answer-cache.ts";
import { cacheKey } from "../../src/cache/key.ts";
import { lifetimeSeconds } from "../../src/cache/lifetime.ts";
import { type Answer, type AnswerOutcome, outcomeOf } from "../../src/dns/answer.ts";
import { nameText } from "../../src/dns/name.ts";
import { CLASS, TYPE } from "../../src/dns/types.ts";
import { fakeClock } from "../support/fake-clock.ts";
import { runs } from "../support/properties.ts";
import { bare, failure, name, nodata, nxdomain, plain, positive, question, usualLimits } from "./answers.ts";

const limits = usualLimits;
const keepMs = 40_000;

/** One of a few questions, so that scripts return to the same ones. */
interface Asked {
  readonly text: string;
  readonly type: number;
  readonly dnssecOk: boolean;
  readonly route: string;
}

interface Put {
  readonly asked: Asked;
  readonly make: typeof positive;
  readonly alias: string | null;
  readonly ttlSeconds: number;
  readonly made: boolean;
  readonly volatile: boolean;
  /** Time that passes before the step. */
  readonly waitMs: number;
}

const texts = ["a.example", "b.example"];
const questions = fc.record<Asked>({
  text: fc.constantFrom(...texts),
  type: fc.constantFrom(TYPE.A, TYPE.AAAA),
  dnssecOk: fc.constantFrom(false, false, false, true),
  route: fc.constantFrom("near", "near", "near", "near", "far"),
});
const puts = fc.record<Put>({
  asked: questions,
  make: fc.constantFrom(positive, nodata, nxdomain, bare, failure),
  alias: fc.constantFrom(null, null, null, "b.example", "end.example", "end.example"),
  ttlSeconds: fc.constantFrom(0, 3, 20, 50),
  made: fc.boolean(),
  volatile: fc.constantFrom(false, false, true),
  waitMs: fc.constantFrom(0, 0, 1_000, 4_000, 20_000, 45_000),
});

/** The laws of the cache over a plain list, without regard to speed or size. */
class Model {
  #facts: Fact[] = [];

  /** @returns whether the answer is to be held. */
  put({ asked, made, volatile }: Put, answer: Answer, nowMs: number): boolean {
    const outcome = outcomeOf(answer);
    const lookedUp = this.get(asked, nowMs);
    // A client may still hold the positive answer that this one renews.
    const heldUntilMs = outcome === "positive" && lookedUp?.outcome === "positive" ? promisedUntilMs(lookedUp) : 0;
    const fact: Fact = { asked, answer, made, volatile, storedAtMs: nowMs, outcome, heldUntilMs };
    const route = this.#facts.filter((each) => each.asked.route === asked.route);
    const speaksOfWholeName = (each: Fact) => each.outcome === "nxdomain" && each.answer.chainEnd === each.answer.name;
    if (fact.outcome === "failure" && lookedUp !== null && lookedUp.outcome !== "failure") {
      if (lookedUp.outcome === "positive" || isFresh(lookedUp, nowMs)) return false;
    }
    if (fact.outcome !== "positive" && lookedUp?.outcome === "positive" && isFresh(lookedUp, nowMs)) return false;
    if (fact.outcome === "nxdomain" && this.proves(nameText(answer.chainEnd), asked.route, nowMs)) return false;
    const gone = route.filter((each) => {
      const sameQuestion = each.asked.text === asked.text && each.asked.dnssecOk === asked.dnssecOk;
      if (sameQuestion && each.asked.type === asked.type && !speaksOfWholeName(each)) return true;
      if (sameQuestion && speaksOfWholeName(each) && speaksOfWholeName(fact)) return true;
      const proof = fact.outcome === "positive" || (fact.outcome === "nodata" && !made);
      const about = (text: string) => nameText(each.answer.name) === text || nameText(each.answer.chainEnd) === text;
      if (proof && each.outcome === "nxdomain") {
        return each.answer.chainEnd === answer.name || each.answer.chainEnd === answer.chainEnd;
      }
      return fact.outcome === "nxdomain" && each.outcome !== "nxdomain" && about(nameText(answer.chainEnd));
    });
    this.#facts = this.#facts.filter((each) => !gone.includes(each));
    if (lifetimeSeconds(answer, limits) === 0) return false;
    this.#facts.push(fact);
    return true;
  }

  get(asked: Asked, nowMs: number): Fact | null {
    const alive = this.#facts.filter(
      (each) =>
        isOfUse(each, nowMs) &&
        each.asked.text === asked.text &&
        each.asked.route === asked.route &&
        each.asked.dnssecOk === asked.dnssecOk,
    );
    const wholeName = alive.find((each) => each.outcome === "nxdomain" && each.answer.chainEnd === each.answer.name);
    return alive.find((each) => each !== wholeName && each.asked.type === asked.type) ?? wholeName ?? null;
  }

  proves(text: string, route: string, nowMs: number): boolean {
    return this.#facts.some(
      ({ asked, answer, made, outcome, ...fact }) =>
        asked.route === route &&
        [nameText(answer.name), nameText(answer.chainEnd)].includes(text) &&
        (outcome === "positive" || (outcome === "nodata" && !made)) &&
        nowMs < promisedUntilMs({ answer, ...fact }),
    );
  }
}

interface Fact {
  readonly asked: Asked;
  readonly answer: Answer;
  readonly outcome: AnswerOutcome;
  readonly made: boolean;
  readonly volatile: boolean;
  readonly storedAtMs: number;
  readonly heldUntilMs: number;
}

function promisedUntilMs({ answer, storedAtMs, heldUntilMs }: Pick<Fact, "answer" | "storedAtMs" | "heldUntilMs">): number {
  return Math.max(storedAtMs + lifetimeSeconds(answer, limits) * 1000, heldUntilMs);
}

function isFresh(fact: Fact, nowMs: number): boolean {
  return nowMs < promisedUntilMs(fact);
}

function isOfUse(fact: Fact, nowMs: number): boolean {
  const staleMs = fact.outcome === "positive" && !fact.volatile ? keepMs : 0;
  return nowMs < Math.max(fact.storedAtMs + lifetimeSeconds(fact.answer, limits) * 1000 + staleMs, fact.heldUntilMs);
}

const everyQuestion: readonly Asked[] = texts.flatMap((text) =>
  [TYPE.A, TYPE.AAAA].flatMap((type) =>
    [true, false].flatMap((dnssecOk) => ["near", "far"].map((route) => ({ text, type, dnssecOk, route }))),
  ),
);

test("after any sequence of puts, the cache has exactly the answers that the laws allow", async () => {
  await fc.assert(
    fc.asyncProperty(fc.array(puts, { maxLength: 30, size: "max" }), async (script) => {
      const clock = fakeClock();
      const options = { sizeBytes: 1 << 20, prefetch: true, file: null, volatile: [] };
      const stale = { keepMs, afterMs: 1_800, ttlSeconds: 30, recheckMs: 30_000 };
      const cache = new AnswerCache({ ...options, stale }, clock);
      const model = new Model();
      const keyOf = ({ text, type, dnssecOk, route }: Asked) => cacheKey(question(text, type, { dnssecOk }), route);
      for (const put of script) {
        const { asked, made, volatile } = put;
        if (put.waitMs > 0) await clock.advance(put.waitMs);
        const alias = put.alias === null || put.alias === asked.text ? {} : { alias: put.alias };
        const answer = put.make(asked.text, { type: asked.type, ttlSeconds: put.ttlSeconds, ...alias });
        const taken = cache.put(keyOf(asked), answer, { limits, synthesized: made, volatile }) === "taken";
        expect(taken).toBe(model.put(put, answer, clock.now()));
        for (const each of everyQuestion) {
          const held = cache.peek(keyOf(each));
          const expected = model.get(each, clock.now());
          expect(held?.storedAtMs).toBe(expected?.storedAtMs);
          expect(held?.answer).toEqual(expected === null ? undefined : plain(expected.answer));
        }
        for (const text of [...texts, "end.example"]) {
          for (const route of ["near", "far"]) {
            const proven = cache.provesExistence(name(text), { class: CLASS.IN, route }, limits);
            expect(proven).toBe(model.proves(text, route, clock.now()));
            // Law 2: a name that is proven to exist has no NXDOMAIN in any type.
            const denied = [...cache.entries()].some(
              ({ parts, outcome, held: { answer: other } }) =>
                outcome === "nxdomain" && parts.route === route && nameText(other.chainEnd) === text,
            );
            expect(proven && denied).toBe(false);
          }
        }
      }
    }),
    { numRuns: runs(150) },
  );
});
