import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { RCODE, TYPE } from "../../../src/dns/types.ts";
import { SILENCES_UNTIL_UNHEALTHY } from "../../../src/upstreams/member.ts";
import type { UpstreamFailure } from "../../../src/upstreams/upstream.ts";
import { serverOptions } from "../server-options.ts";
import { answers, type Behaviour, fails, groupOptions, question, Site, silent } from "./scripted.ts";

const one = groupOptions("g", { servers: [serverOptions("a")] });
const two = groupOptions("g", { servers: [serverOptions("a"), serverOptions("b")] });

function healthOf(site: Site): boolean[] {
  return site.group.status().members.map(({ healthy }) => healthy);
}

/** Seconds after `sinceMs` at which a server was asked. */
function secondsAsked(site: Site, label: string, sinceMs: number): number[] {
  return site.server(label).asked.map(({ atMs }) => (atMs - sinceMs) / 1000);
}

describe("becoming unhealthy", () => {
  test.each([
    [TYPE.A, false],
    [TYPE.AAAA, false],
    [TYPE.HTTPS, true],
    [TYPE.TXT, true],
  ])("after three silences on questions of type %i, a member is healthy: %s", async (type, healthy) => {
    const site = new Site(two);
    site.behave({ a: silent });
    await site.askTimes(3, { question: question("www.example", type) });
    expect(healthOf(site)).toEqual([healthy, true]);
  });

  test("two silences are not enough, and a reply with any rcode restarts the count", async () => {
    const site = new Site(two);
    site.behave({ a: silent });
    await site.askTimes(2);
    site.behave({ a: answers(1, RCODE.SERVFAIL) });
    await site.ask();
    site.behave({ a: silent });
    await site.askTimes(2);
    expect(healthOf(site)).toEqual([true, true]);
    await site.ask();
    expect(healthOf(site)).toEqual([false, true]);
  });

  test("a dead member counts as silent when the next member answers", async () => {
    const site = new Site(two);
    site.behave({ a: silent, b: answers(20) });
    for (const { elapsedMs } of await site.askTimes(3)) expect(elapsedMs).toBe(620);
    expect(healthOf(site)).toEqual([false, true]);
  });

  test("a caller that gives up before attemptMs says nothing about the member, one that gives up later does", async () => {
    const site = new Site(one);
    site.behave({ a: silent });
    await site.askTimes(5, { deadlineMs: 590 });
    expect(healthOf(site)).toEqual([true]);
    await site.askTimes(3, { deadlineMs: 610 });
    expect(healthOf(site)).toEqual([false]);
  });

  test.each<[UpstreamFailure, number | null]>([
    ["refused", 1],
    ["timeout", 3],
    ["network", 3],
    ["tls", 3],
    ["proxy", 3],
    ["bootstrap", 3],
    ["malformed", null],
    ["http", null],
    ["aborted", null],
    ["barred", null],
  ])("failure %s makes unhealthy after this many times: %s", async (failure, times) => {
    const site = new Site(two);
    site.behave({ a: fails(failure) });
    let asked = 0;
    while (asked < 10 && healthOf(site)[0] === true) {
      await site.ask();
      asked += 1;
    }
    expect(healthOf(site)[0] === true ? null : asked).toBe(times);
  });
});

describe("probes", () => {
  test("while another member is healthy their delay grows from one second to five", async () => {
    const site = new Site(two);
    site.behave({ a: fails("refused", 0) });
    await site.ask();
    const illMs = site.clock.now() - 10;
    site.takeAsked();
    await site.clock.advance(33_000);
    expect(secondsAsked(site, "a", illMs)).toEqual([1, 3, 7, 12, 17, 22, 27, 32]);
  });

  test.each([
    [0, [0.8, 2.4, 5.6, 9.6, 13.6, 17.6, 21.6]],
    [0.999_999, [1.2, 3.6, 8.4, 14.4, 20.4]],
  ])(
    "come up to a fifth earlier or later than that: those that lost a server together do not come back together",
    async (random, seconds) => {
      const site = new Site(two);
      site.random = () => random;
      site.behave({ a: fails("refused", 0) });
      await site.ask();
      const illMs = site.clock.now() - 10;
      site.takeAsked();
      await site.clock.advance(22_000);
      expect(site.server("a").asked.map(({ atMs }) => Math.round((atMs - illMs) / 100) / 10)).toEqual(seconds);
    },
  );

  test("while no member is healthy each is probed every second", async () => {
    const site = new Site(two);
    site.behave({ a: fails("refused", 0) });
    await site.ask();
    await site.clock.advance(40_000);
    site.behave({ b: fails("refused", 0) });
    await site.ask();
    const illMs = site.clock.now();
    site.takeAsked();
    await site.clock.advance(4500);
    expect(secondsAsked(site, "a", illMs)).toEqual([1, 2, 3, 4]);
    expect(secondsAsked(site, "b", illMs)).toEqual([1, 2, 3, 4]);
  });

  test("probes of a dead member end after three seconds, and never more than three wait on it", async () => {
    const site = new Site(one);
    site.behave({ a: silent });
    await site.askTimes(3);
    const before = site.server("a").aborted;
    site.takeAsked();
    await site.clock.advance(30_400);
    expect(site.server("a").asked.length).toBe(30);
    expect(site.server("a").aborted - before).toBe(27);
  });

  test("they ask in turn for the last address question and for the root", async () => {
    const site = new Site(one);
    site.behave({ a: silent });
    await site.askTimes(3, { question: question("late.example", TYPE.AAAA) });
    site.takeAsked();
    await site.clock.advance(3500);
    const types = site.server("a").asked.map((asked) => asked.question.type);
    expect(types).toEqual([TYPE.AAAA, TYPE.NS, TYPE.AAAA]);
  });

  test.each([RCODE.NOERROR, RCODE.REFUSED, RCODE.SERVFAIL])("a reply with rcode %i makes a member healthy", async (rcode) => {
    const site = new Site(one);
    site.behave({ a: fails("refused") });
    await site.ask();
    site.behave({ a: answers(30, rcode) });
    await site.clock.advance(1029);
    expect(healthOf(site)).toEqual([false]);
    await site.clock.advance(1);
    expect(healthOf(site)).toEqual([true]);
    site.takeAsked();
    await site.clock.advance(60_000);
    expect(site.takeAsked()).toEqual([]);
  });

  test("after a recovery only the reply to the probe counts for the latency", async () => {
    const site = new Site(one);
    site.behave({ a: answers(500) });
    await site.ask();
    site.behave({ a: fails("refused", 0) });
    await site.ask();
    site.behave({ a: answers(30) });
    await site.clock.advance(1100);
    expect(site.group.status()).toMatchObject({ members: [{ healthy: true, latencyMs: 30 }] });
  });

  test("a reply that is not DNS does not make a member healthy", async () => {
    const site = new Site(one);
    site.behave({ a: fails("refused") });
    await site.ask();
    site.behave({ a: fails("malformed") });
    await site.clock.advance(10_000);
    expect(healthOf(site)).toEqual([false]);
  });

  test("they count against maxQps and are skipped when it is used up", async () => {
    const site = new Site(groupOptions("g", { servers: [serverOptions("a", { maxQps: 0.25 })] }));
    site.behave({ a: fails("refused", 0) });
    await site.ask();
    const illMs = site.clock.now();
    site.takeAsked();
    await site.clock.advance(12_500);
    expect(secondsAsked(site, "a", illMs)).toEqual([4, 8, 12]);
  });

  test("a member that answers probes but not clients is probed ever less often", async () => {
    const site = new Site(two);
    const illSeconds: number[] = [];
    for (let round = 0; round < 7; round++) {
      site.behave({ a: silent });
      await site.askTimes(3);
      const illMs = site.clock.now();
      site.behave({ a: answers(0) });
      while (healthOf(site)[0] === false) await site.clock.advance(100);
      illSeconds.push(Math.round((site.clock.now() - illMs) / 1000));
    }
    expect(illSeconds).toEqual([1, 2, 4, 8, 16, 30, 30]);
  });
});

describe("recovery", () => {
  test("`onRecovery` is called for the first healthy member of a group, not for further ones", async () => {
    const site = new Site(two, groupOptions("h", { servers: [serverOptions("x")] }));
    site.behave({ a: fails("refused", 0), b: fails("refused", 0) });
    await site.ask();
    site.behave({ a: answers(10) });
    await site.clock.advance(1100);
    expect(site.recovered).toEqual(["g"]);
    site.behave({ b: answers(10) });
    await site.clock.advance(40_000);
    expect(healthOf(site)).toEqual([true, true]);
    expect(site.recovered).toEqual(["g"]);
  });

  test("a client's question can bring it before a probe does", async () => {
    const site = new Site(one);
    site.behave({ a: fails("refused", 0) });
    await site.ask();
    site.behave({ a: answers(10) });
    expect(await site.ask()).toMatchObject({ outcome: "a", elapsedMs: 10 });
    expect(site.recovered).toHaveLength(1);
  });
});

test("status has the health, the counters and the last failure", async () => {
  const site = new Site(two);
  site.behave({ a: answers(5, RCODE.REFUSED), b: answers(20) });
  await site.ask();
  site.behave({ a: fails("tls", 5) });
  await site.ask();
  expect(site.groups.status()).toEqual([
    {
      name: "g",
      strategy: "failover",
      fallback: null,
      healthy: true,
      inFlight: 0,
      violations: 0,
      members: [
        {
          label: "a",
          healthy: true,
          latencyMs: 600,
          questions: 2,
          failures: 2,
          lastFailure: { reason: "tls", atWallMs: site.clock.wallMs() - 20 },
          inFlight: 0,
        },
        { label: "b", healthy: true, latencyMs: 20, questions: 2, failures: 0, lastFailure: null, inFlight: 0 },
      ],
    },
  ]);
});

/** What the state of the one member must be after each step, by the words of the rule alone. */
interface Model {
  healthy: boolean;
  silences: number;
  recoveries: number;
  behaviour: Behaviour;
}

interface Real {
  readonly site: Site;
}

function replies({ behaviour }: Model): boolean {
  return behaviour.kind === "answer";
}

function gotReply(model: Model): void {
  if (!model.healthy) model.recoveries += 1;
  model.healthy = true;
  model.silences = 0;
}

function agree(model: Model, { site }: Real): void {
  expect(healthOf(site)).toEqual([model.healthy]);
  expect(site.recovered).toHaveLength(model.recoveries);
}

type Step = fc.AsyncCommand<Model, Real>;

// Long enough for a probe and its reply, so that no probe is under way when the behaviour changes.
const PROBED_MS = 1100;

function becomes(behaviour: Behaviour): Step {
  return {
    check: () => true,
    async run(model, real) {
      await real.site.clock.advance(PROBED_MS);
      if (replies(model) && !model.healthy) gotReply(model);
      model.behaviour = behaviour;
      real.site.behave({ a: behaviour });
      agree(model, real);
    },
    toString: () => `becomes ${JSON.stringify(behaviour)}`,
  };
}

function isAsked(type: number, deadlineMs: number): Step {
  return {
    check: () => true,
    async run(model, real) {
      await real.site.ask({ question: question("www.example", type), deadlineMs });
      if (replies(model)) gotReply(model);
      else if (model.behaviour.kind === "fail") model.healthy = false;
      else if (type === TYPE.A && deadlineMs > 600) model.silences += 1;
      if (model.silences >= SILENCES_UNTIL_UNHEALTHY) model.healthy = false;
      agree(model, real);
    },
    toString: () => `isAsked type ${type} for ${deadlineMs} ms`,
  };
}

test("health follows the rule through any sequence of events", async () => {
  const steps = [
    fc.constantFrom(answers(10), answers(10, RCODE.SERVFAIL), silent, fails("refused")).map(becomes),
    fc.tuple(fc.constantFrom(TYPE.A, TYPE.TXT), fc.constantFrom(300, 700)).map(([type, deadlineMs]) => isAsked(type, deadlineMs)),
  ];
  await fc.assert(
    fc.asyncProperty(fc.commands(steps, { maxCommands: 40 }), async (commands) => {
      const site = new Site(one);
      const real: Real = { site };
      const model: Model = { healthy: true, silences: 0, recoveries: 0, behaviour: answers(10) };
      await fc.asyncModelRun(() => ({ model, real }), commands);
      await site.groups.close();
    }),
    { numRuns: 40 },
  );
});
