import { describe, expect, test } from "vitest";
import { PROBE_DELAY } from "../../src/upstreams/member.ts";
import { PROBE_JITTER } from "../../src/upstreams/probes.ts";
import type { Reply } from "../support/message.ts";
import { siteWith, type TestSite } from "../support/site.ts";
import { honest, silent, withRcode } from "../support/zone-script.ts";
import { wrongId, wrongQuestion } from "../upstreams/messages.ts";
import type { Script } from "../upstreams/scripted-server.ts";

const right = honest(...Array.from({ length: 8 }, (_, index) => `host${index}.example 100 A 192.0.2.${index}`));

/** What one member of the group does instead of answering. */
const faults: Readonly<Record<string, Script>> = {
  silent: () => silent,
  "slower than any client waits": (asked) => ({ kind: "after", delayMs: 9000, action: withRcode(asked, 2) }),
  "answering SERVFAIL": (asked) => withRcode(asked, 2),
  "answering REFUSED": (asked) => withRcode(asked, 5),
  "lying under a wrong id": (asked) => wrongId(asked, "203.0.113.66"),
  "lying about another question": (asked) => wrongQuestion(asked, "203.0.113.66"),
  "sending garbage": () => ({ kind: "raw", message: Buffer.from("no message at all") }),
};

const DEADLINE_MS = 4000;

/** Lets time pass in small steps, with the sockets' work done at each, until the reply is there. */
async function soon(site: TestSite, reply: Promise<Reply>): Promise<{ readonly reply: Reply; readonly elapsedMs: number }> {
  const startedMs = site.clock.now();
  let found: { readonly reply: Reply; readonly elapsedMs: number } | null = null;
  void reply.then((value) => {
    found = { reply: value, elapsedMs: site.clock.now() - startedMs };
  });
  for (;;) {
    for (let times = 0; times < 3; times++) await site.ask("localhost");
    if (found !== null) return found;
    await site.clock.advance(100);
  }
}

describe.each(["fastest", "race", "failover", "spread"])("strategy %s", (strategy) => {
  describe.each(Object.keys(faults))("with one member %s", (fault) => {
    test.each(["first", "last"])(
      "and the bad member is the %s: every answer is right and comes by the deadline",
      async (place) => {
        const bad = faults[fault];
        if (bad === undefined) throw new Error(fault);
        const servers = place === "first" ? [bad, right] : [right, bad];
        const site = await siteWith({ upstreams: { main: { servers, keys: `strategy: ${strategy}` } } });
        for (let index = 0; index < 8; index++) {
          const { reply, elapsedMs } = await soon(site, site.ask(`host${index}.example`));
          expect(reply).toMatchObject({ rcode: "NOERROR", answers: [`192.0.2.${index}`] });
          expect(elapsedMs).toBeLessThan(DEADLINE_MS / 2);
        }
      },
    );
  });

  test.each(["dns", "tls", "h2"] as const)("with one member dead (%s)", async (transport) => {
    const setup = { servers: [right, right], transport, keys: `strategy: ${strategy}` };
    const site = await siteWith({ upstreams: { main: setup } });
    for (let index = 0; index < 8; index++) {
      if (index === 2) await site.server("main", 0).close();
      const { reply, elapsedMs } = await soon(site, site.ask(`host${index}.example`));
      expect(reply).toMatchObject({ rcode: "NOERROR", answers: [`192.0.2.${index}`] });
      expect(elapsedMs).toBeLessThan(DEADLINE_MS / 2);
    }
  });
});

test("the fallback is asked after every member failed, and its answer is cached under the group", async () => {
  const site = await siteWith({
    upstreams: {
      main: { servers: [(asked) => withRcode(asked, 2), (asked) => withRcode(asked, 5)], keys: "fallback: spare" },
      spare: right,
    },
  });
  for (let times = 0; times < 2; times++) expect(await site.ask("host1.example")).toMatchObject({ answers: ["192.0.2.1"] });
  expect(site.asked("main")).toHaveLength(2);
  expect(site.asked("spare")).toHaveLength(1);
});

test("a recovered group forgets its failures at once", async () => {
  const site = await siteWith({
    upstreams: { main: { servers: [right], keys: "attempt: 500ms" } },
    yaml: "answers: { negative: { failure: 60s } }",
  });
  site.server().follow(() => silent);
  for (let index = 0; index < 3; index++) {
    const { reply } = await soon(site, site.ask(`host${index}.example`));
    expect(reply).toMatchObject({ rcode: "SERVFAIL" });
  }
  site.server().follow(right);
  const before = site.asked().length;
  await site.clock.advance(PROBE_DELAY.leastMs * (1 + PROBE_JITTER));
  await site.until(() => site.asked().length > before);
  for (let times = 0; times < 5; times++) await site.ask("localhost");
  expect(await site.ask("host1.example")).toMatchObject({ answers: ["192.0.2.1"] });
});

test("the only member of a group that answers SERVFAIL once is asked again, and clients get the answer", async () => {
  const site = await siteWith({
    upstreams: { main: (asked) => (asked.serial === 1 ? withRcode(asked, 2) : right(asked)) },
  });
  expect(await site.ask("host1.example")).toMatchObject({ answers: ["192.0.2.1"] });
});
