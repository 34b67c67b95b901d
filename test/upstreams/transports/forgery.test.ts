import { expect, test } from "vitest";
import { TYPE } from "../../../src/dns/types.ts";
import { HOLD_MS } from "../../../src/upstreams/udp.ts";
import { zone } from "../../dns/zone.ts";
import { type FakeClock, fakeClock } from "../../support/fake-clock.ts";
import { respond } from "../../support/zone-script.ts";
import { addresses, questionFor } from "../messages.ts";
import type { Action, Asked } from "../scripted-server.ts";
import { addressTexts, errand, site, until, type Way } from "./set-up.ts";

const udp: Way = { title: "udp", server: "dns", protocol: "udp", method: "GET", proxy: null };
const question = questionFor("www.example");
const FORGED = "203.0.113.1";
const REAL = "192.0.2.1";

/** With OPT, as a server that was asked with it. */
function real(asked: Asked): Action {
  const edns = { udpPayloadBytes: 1232, version: 0, dnssecOk: false, otherFlags: 0, options: [] };
  return respond(asked, { edns, answers: zone(`www.example A ${REAL}`) });
}

const late = (action: Action): Action => ({ kind: "after", delayMs: HOLD_MS - 1, action });
const outwaiting = () => ({ ...errand(), holdSuspects: true });

test("a forged early answer is outwaited where the real one has EDNS", async () => {
  const clock = fakeClock();
  const script = (asked: Asked): Action => ({
    kind: "all",
    actions: [addresses(asked, FORGED), addresses(asked, FORGED), late(real(asked))],
  });
  const { upstream, server } = await site(udp, script, { clock });
  const exchange = upstream.exchange(question, outwaiting());
  await until(() => server.asked.length === 1);
  await clock.advance(HOLD_MS - 1);
  expect(addressTexts(await exchange)).toEqual([REAL]);
});

test("an answer with EDNS is not waited with", async () => {
  const clock = fakeClock();
  const { upstream } = await site(udp, real, { clock });
  expect(addressTexts(await upstream.exchange(question, outwaiting()))).toEqual([REAL]);
  expect(clock.now()).toBe(0);
});

test("a server without EDNS costs the wait once, and then no more", async () => {
  const clock = fakeClock();
  const { upstream, server } = await site(udp, (asked) => addresses(asked, REAL), { clock });
  const exchange = upstream.exchange(question, outwaiting());
  await until(() => server.asked.length === 1);
  expect(await passing(clock, exchange)).toBeGreaterThanOrEqual(HOLD_MS);
  const before = clock.now();
  expect(addressTexts(await upstream.exchange(question, outwaiting()))).toEqual([REAL]);
  expect(clock.now()).toBe(before);
});

test("a server that has shown EDNS is waited for each time", async () => {
  const clock = fakeClock();
  let script = real;
  const { upstream, server } = await site(udp, (asked) => script(asked), { clock });
  await upstream.exchange(question, outwaiting());
  for (let times = 0; times < 2; times++) {
    script = (asked) => addresses(asked, FORGED);
    const exchange = upstream.exchange(question, outwaiting());
    await until(() => server.asked.length === 2 + times);
    expect(await passing(clock, exchange)).toBeGreaterThanOrEqual(HOLD_MS);
  }
});

test("other types, other rcodes and other errands are not held back", async () => {
  const clock = fakeClock();
  const { upstream } = await site(
    udp,
    (asked) =>
      respond(asked, { answers: zone('www.example TXT "x"', `www.example A ${REAL}`).filter(({ type }) => type === asked.type) }),
    { clock },
  );
  await upstream.exchange(questionFor("www.example", TYPE.TXT), outwaiting());
  await upstream.exchange(questionFor("www.example", TYPE.AAAA), outwaiting());
  expect(addressTexts(await upstream.exchange(question, errand()))).toEqual([REAL]);
  expect(clock.now()).toBe(0);
});

/** Lets time pass until the answer is there. @returns how much, in steps of the wait less a millisecond. */
async function passing(clock: FakeClock, exchange: Promise<unknown>): Promise<number> {
  const startedMs = clock.now();
  let isAnswered = false;
  void exchange.then(() => {
    isAnswered = true;
  });
  await until(() => clock.advance(isAnswered ? 0 : HOLD_MS - 1).then(() => isAnswered));
  return clock.now() - startedMs;
}
