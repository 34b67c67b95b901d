import fc from "fast-check";
import { expect, test } from "vitest";
import { RCODE } from "../../../src/dns/types.ts";
import { PATIENCE } from "../../../src/upstreams/dispatch.ts";
import { openGroups } from "../../../src/upstreams/group.ts";
import { fakeClock } from "../../support/fake-clock.ts";
import { runs } from "../../support/properties.ts";
import { serverOptions } from "../server-options.ts";
import { answers, type Behaviour, fails, groupOptions, question, ScriptedServer, Site, silent } from "./scripted.ts";

const delayMs = fc.integer({ min: 1, max: 1500 });
const behaviour: fc.Arbitrary<Behaviour> = fc.oneof(
  fc.tuple(delayMs, fc.constantFrom(RCODE.NOERROR, RCODE.NXDOMAIN)).map(([ms, rcode]) => answers(ms, rcode)),
  fc.tuple(delayMs, fc.constantFrom(RCODE.SERVFAIL, RCODE.REFUSED)).map(([ms, rcode]) => answers(ms, rcode)),
  fc.tuple(fc.constantFrom("timeout", "refused", "malformed", "tls"), delayMs).map(([failure, ms]) => fails(failure, ms)),
  fc.constant(silent),
);

function isGood(script: Behaviour): boolean {
  return script.kind === "answer" && (script.rcode === RCODE.NOERROR || script.rcode === RCODE.NXDOMAIN);
}

function endMs(script: Behaviour): number {
  return script.kind === "silent" ? Number.POSITIVE_INFINITY : script.afterMs;
}

/** Whether the only member of a group is asked once more: a silence had its time, and a refusal is meant. */
function isAskedTwice(scripts: readonly Behaviour[]): boolean {
  const [only, ...others] = scripts;
  if (only === undefined || others.length > 0) return false;
  return only.kind === "answer" ? only.rcode === RCODE.SERVFAIL : only.kind === "fail" && only.failure === "malformed";
}

/** When each member is asked, if nothing ends the question before: all at once, or each as the one before it fails or has been silent long enough. */
function askedAt(scripts: readonly Behaviour[], attemptMs: number, together: boolean): number[] {
  let atMs = 0;
  return scripts.map((script) => {
    const askedMs = atMs;
    if (!together) atMs += Math.min(attemptMs, isGood(script) ? Number.POSITIVE_INFINITY : endMs(script));
    return askedMs;
  });
}

/**
 * When the question ends if no good answer comes first: as soon as there is another answer and everybody has failed, or been silent for
 * `PATIENCE` times `attemptMs`; where there is none, when everybody has failed.
 */
function withoutGoodMs(scripts: readonly Behaviour[], asked: readonly number[], attemptMs: number): number {
  const ends = scripts.map((script, index) => (asked[index] ?? 0) + endMs(script));
  const bad = ends.filter((_, index) => scripts[index]?.kind === "answer" && !isGood(scripts[index]));
  if (bad.length === 0) return Math.max(...ends);
  const failed = ends.map((ms, index) => Math.min(ms, (asked[index] ?? 0) + PATIENCE * attemptMs));
  return Math.max(...failed, Math.min(...bad));
}

const scene = fc.record({
  strategy: fc.constantFrom("fastest", "race", "failover", "spread"),
  scripts: fc.array(behaviour, { minLength: 1, maxLength: 5 }),
  attemptMs: fc.integer({ min: 20, max: 900 }),
  // Half a millisecond off, so that nothing else ends at the very moment of the deadline.
  deadlineMs: fc.integer({ min: 10, max: 4000 }).map((ms) => ms + 0.5),
});

test("the client waits exactly as long as the best member needs under the schedule of the strategy, and never beyond its signal", async () => {
  await fc.assert(
    fc.asyncProperty(scene, async ({ strategy, scripts: members, attemptMs, deadlineMs }) => {
      const [only = silent] = members;
      const scripts = isAskedTwice(members) ? [only, only] : members;
      const servers = members.map((_, index) => serverOptions(`s${index}`));
      const site = new Site(groupOptions("g", { strategy, servers, attemptMs }));
      site.behave(Object.fromEntries(members.map((script, index) => [`s${index}`, script])));
      const exchanging = site.begin({ deadlineMs });
      await site.clock.advance(4500);
      const { outcome, answer, elapsedMs, attempts } = await exchanging;

      const asked = isAskedTwice(members)
        ? [0, endMs(only)]
        : askedAt(scripts, attemptMs, strategy === "race" || strategy === "fastest");
      const ends = scripts.map((script, index) => (asked[index] ?? 0) + endMs(script));
      const bestMs = Math.min(...ends.filter((_, index) => isGood(scripts[index] ?? silent)));
      const poorMs = withoutGoodMs(scripts, asked, attemptMs);
      expect(elapsedMs).toBe(Math.min(bestMs, poorMs, deadlineMs));
      const isBest = answer !== null && [RCODE.NOERROR, RCODE.NXDOMAIN].some((rcode) => rcode === answer.rcode);
      if (bestMs < Math.min(poorMs, deadlineMs)) expect(isBest).toBe(true);
      else if (bestMs === elapsedMs && isBest) expect(bestMs).toBe(poorMs);
      else if (elapsedMs === deadlineMs) expect(outcome).toBe("aborted");
      else if (scripts.some(({ kind }) => kind === "answer")) expect([RCODE.SERVFAIL, RCODE.REFUSED]).toContain(answer?.rcode);
      else expect(outcome).toBe("exhausted");

      // Whoever was to be asked by then stands in the trace, in that order, and nobody else.
      const servedMs = elapsedMs;
      const labels = attempts.map(({ server }) => server);
      expect(labels).toEqual([...labels].sort());
      expect(labels.length).toBeGreaterThanOrEqual(asked.filter((atMs) => atMs < servedMs).length);
      expect(labels.length).toBeLessThanOrEqual(asked.filter((atMs) => atMs <= servedMs).length);
      expect(site.group.status().inFlight).toBe(0);
      expect(site.group.status().members.every(({ inFlight }) => inFlight === 0)).toBe(true);
      await site.groups.close();
    }),
    { numRuns: runs(300) },
  );
});

test("no timer is set for a time in the past, however long the code takes between two clock readings", async () => {
  await fc.assert(
    fc.asyncProperty(fc.integer({ min: 1, max: 500 }), async (betweenMs) => {
      const still = fakeClock();
      const delaysMs: number[] = [];
      let looks = 0;
      const clock = {
        ...still,
        now: () => still.now() + betweenMs * looks++,
        setTimer: (run: () => void, delayMs: number) => {
          delaysMs.push(delayMs);
          return still.setTimer(run, delayMs);
        },
      };
      const openMember = (server: ReturnType<typeof serverOptions>) => {
        const scripted = new ScriptedServer(server, still);
        scripted.behaviour = server.label === "a" ? answers(10, RCODE.SERVFAIL) : silent;
        return scripted;
      };
      const groups = openGroups([groupOptions("g", { strategy: "race" })], { openMember, clock, random: () => 0.5 });
      const options = { signal: new AbortController().signal, attempts: [], requester: null, doubtsEmpty: false };
      const exchanging = groups.get("g").exchange(question(), options);
      await still.advance(4000);
      expect((await exchanging).rcode).toBe(RCODE.SERVFAIL);
      expect(Math.min(...delaysMs)).toBeGreaterThanOrEqual(0);
      await groups.close();
    }),
    { numRuns: runs(100) },
  );
});
