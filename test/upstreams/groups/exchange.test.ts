import { getEventListeners } from "node:events";
import { describe, expect, test } from "vitest";
import { RCODE, TYPE } from "../../../src/dns/types.ts";
import { MAX_GROUP_IN_FLIGHT } from "../../../src/upstreams/group.ts";
import { serverOptions } from "../server-options.ts";
import { answers, fails, groupOptions, question, Site, silent } from "./scripted.ts";

describe("one question", () => {
  test("a member that answers in time is the only one asked", async () => {
    const site = new Site(groupOptions("g"));
    expect(await site.ask()).toMatchObject({ outcome: "a", elapsedMs: 10 });
    expect(site.takeAsked()).toEqual(["a"]);
  });

  test("a silent member is joined by the next after attemptMs", async () => {
    const site = new Site(groupOptions("g"));
    site.behave({ a: silent });
    expect(await site.ask()).toMatchObject({ outcome: "b", elapsedMs: 610 });
    expect(site.takeAsked()).toEqual(["a", "b"]);
  });

  test("the late answer of a member that was joined still counts", async () => {
    const site = new Site(groupOptions("g"));
    site.behave({ a: answers(700), b: answers(500) });
    expect(await site.ask()).toMatchObject({ outcome: "a", elapsedMs: 700 });
  });

  test.each([RCODE.REFUSED, RCODE.SERVFAIL, RCODE.FORMERR, RCODE.NOTIMP, RCODE.NOTAUTH])(
    "after rcode %i the next is asked at once",
    async (rcode) => {
      const site = new Site(groupOptions("g"));
      site.behave({ a: answers(5, rcode) });
      expect(await site.ask()).toMatchObject({ outcome: "b", elapsedMs: 15 });
    },
  );

  test.each(["timeout", "refused", "network", "tls", "proxy", "bootstrap", "malformed", "http", "barred", "closed"] as const)(
    "after failure %s the next is asked at once",
    async (failure) => {
      const site = new Site(groupOptions("g"));
      site.behave({ a: fails(failure, 5) });
      expect(await site.ask()).toMatchObject({ outcome: "b", elapsedMs: 15 });
    },
  );

  test.each([
    ["rcode SERVFAIL", answers(5, RCODE.SERVFAIL)],
    ["a broken connection", fails("network", 5)],
    ["an HTTP status", fails("http", 5)],
  ])("after %s the only member of a group is asked once more", async (_, behaviour) => {
    const site = new Site(groupOptions("g", { servers: [serverOptions("a")] }));
    site.behave({ a: behaviour });
    await site.ask();
    expect(site.takeAsked()).toEqual(["a", "a"]);
  });

  test.each([
    ["rcode REFUSED", answers(5, RCODE.REFUSED)],
    ["a refused connection", fails("refused", 5)],
  ])("after %s the only member of a group is not asked again", async (_, behaviour) => {
    const site = new Site(groupOptions("g", { servers: [serverOptions("a")] }));
    site.behave({ a: behaviour });
    await site.ask();
    expect(site.takeAsked()).toEqual(["a"]);
  });

  test("NXDOMAIN is a good answer", async () => {
    const site = new Site(groupOptions("g"));
    site.behave({ a: answers(5, RCODE.NXDOMAIN) });
    expect(await site.ask()).toMatchObject({ outcome: "a", answer: { rcode: RCODE.NXDOMAIN } });
  });

  test.each([
    ["to another question", { type: TYPE.AAAA }],
    ["that is truncated", { truncated: true }],
  ])("an answer %s is not taken", async (_, edit) => {
    const site = new Site(groupOptions("g", { servers: [serverOptions("a"), serverOptions("b")] }));
    site.behave({ a: answers(5, RCODE.NOERROR, edit), b: answers(5, RCODE.NOERROR, edit) });
    expect(await site.ask()).toMatchObject({ outcome: "exhausted", elapsedMs: 10 });
  });

  test("a member that fails after the next one was asked brings in no other", async () => {
    const site = new Site(groupOptions("g"));
    site.behave({ a: fails("network", 700), b: answers(300) });
    expect(await site.ask()).toMatchObject({ outcome: "b", elapsedMs: 900 });
    expect(site.takeAsked()).toEqual(["a", "b"]);
  });

  test("pending attempts are aborted when one wins", async () => {
    const site = new Site(groupOptions("g"));
    site.behave({ a: silent });
    await site.ask();
    expect([site.server("a").aborted, site.server("b").aborted, site.server("c").aborted]).toEqual([1, 0, 0]);
  });
});

describe("no good answer", () => {
  test("every member failed: exhausted, and it says who failed how", async () => {
    const site = new Site(groupOptions("g"));
    site.behave({ a: fails("refused"), b: fails("tls"), c: fails("malformed") });
    const options = { signal: new AbortController().signal, attempts: [], requester: null };
    const failed = expect(site.group.exchange(question(), options)).rejects.toMatchObject({
      failure: "exhausted",
      message: "g: a refused, b tls, c malformed",
    });
    await site.clock.advance(10);
    await failed;
  });

  test("SERVFAIL with extended errors beats rcodes about the server", async () => {
    const site = new Site(groupOptions("g"));
    const why = { extendedErrors: [{ code: 6, text: "bogus" }] };
    site.behave({ a: answers(1, RCODE.SERVFAIL, why), b: answers(1, RCODE.SERVFAIL), c: answers(1, RCODE.REFUSED) });
    expect(await site.ask()).toMatchObject({ outcome: "a", elapsedMs: 3, answer: { rcode: RCODE.SERVFAIL, ...why } });
  });

  test("one refusal among failures is the answer", async () => {
    const site = new Site(groupOptions("g"));
    site.behave({ a: fails("network"), b: answers(1, RCODE.REFUSED), c: fails("network") });
    expect(await site.ask()).toMatchObject({ outcome: "b", answer: { rcode: RCODE.REFUSED } });
  });

  test("a refusal waits for a silent member twice attemptMs, or once if the member is unhealthy", async () => {
    const site = new Site(groupOptions("g", { servers: [serverOptions("a"), serverOptions("b")] }));
    site.behave({ a: answers(5, RCODE.SERVFAIL), b: silent });
    expect(await site.ask()).toMatchObject({ outcome: "a", elapsedMs: 1205, answer: { rcode: RCODE.SERVFAIL } });
    await site.askTimes(2);
    expect(await site.ask()).toMatchObject({ outcome: "a", elapsedMs: 605, answer: { rcode: RCODE.SERVFAIL } });
  });

  test("all are silent: the caller's signal ends it, at that moment", async () => {
    const site = new Site(groupOptions("g"));
    site.behave({ a: silent, b: silent, c: silent });
    expect(await site.ask({ deadlineMs: 1500 })).toMatchObject({ outcome: "aborted", elapsedMs: 1500 });
    expect(site.group.status()).toMatchObject({ inFlight: 0, members: [{ inFlight: 0 }, { inFlight: 0 }, { inFlight: 0 }] });
  });

  test("a signal that has aborted already asks nobody", async () => {
    const site = new Site(groupOptions("g"));
    const options = { signal: AbortSignal.abort(), attempts: [], requester: null };
    await expect(site.group.exchange(question(), options)).rejects.toMatchObject({ failure: "aborted" });
    expect(site.takeAsked()).toEqual([]);
  });
});

describe("the trace", () => {
  test("attempts stand in the order of asking, with the group's name, abandoned ones too", async () => {
    const site = new Site(groupOptions("g"));
    site.behave({ a: silent, b: answers(5, RCODE.REFUSED), c: answers(20) });
    const { attempts } = await site.ask();
    expect(attempts).toEqual([
      { group: "g", server: "a", transport: "udp", startedMs: 0, elapsedMs: 625, rcode: null, failure: "timeout" },
      { group: "g", server: "b", transport: "udp", startedMs: 600, elapsedMs: 5, rcode: RCODE.REFUSED, failure: null },
      { group: "g", server: "c", transport: "udp", startedMs: 605, elapsedMs: 20, rcode: RCODE.NOERROR, failure: null },
    ]);
  });

  test("an abandoned server that has added no attempt is in the trace too", async () => {
    const site = new Site(groupOptions("g"));
    const hanging = site.server("a");
    hanging.exchange = () => new Promise(() => {});
    expect((await site.ask()).attempts).toMatchObject([
      { group: "g", server: "a", transport: "udp", failure: "timeout", elapsedMs: 610 },
      { group: "g", server: "b", rcode: RCODE.NOERROR },
    ]);
  });

  test("it is complete when the caller gives up, too", async () => {
    const site = new Site(groupOptions("g", { fallback: "h" }), groupOptions("h", { servers: [serverOptions("x")] }));
    site.behave({ a: fails("network"), b: fails("network"), c: fails("network"), x: silent });
    const { attempts } = await site.ask({ deadlineMs: 900 });
    expect(attempts.map(({ group, server, failure }) => `${group} ${server} ${failure}`)).toEqual([
      "g a network",
      "g b network",
      "g c network",
      "h x timeout",
    ]);
  });

  test("before the end it has pending attempts, those of the fallback too", async () => {
    const site = new Site(
      groupOptions("g", { fallback: "h" }),
      groupOptions("h", { servers: [serverOptions("x"), serverOptions("y")] }),
    );
    site.behave({ a: fails("network"), b: fails("network"), c: fails("network"), x: silent, y: silent });
    const dispatch = site.group.start(question(), { requester: null });
    await site.clock.advance(700);
    const failed = { group: "g", rcode: null, failure: "network" };
    expect(dispatch.attempts()).toMatchObject([
      { ...failed, server: "a" },
      { ...failed, server: "b" },
      { ...failed, server: "c" },
      { group: "h", server: "x", elapsedMs: 697, rcode: null, failure: "timeout" },
      { group: "h", server: "y", elapsedMs: 97, rcode: null, failure: null },
    ]);
    await site.group.close();
    await expect(dispatch.result).rejects.toThrow("closed");
  });

  test("a member abandoned before attemptMs was not silent", async () => {
    const site = new Site(groupOptions("g", { strategy: "race" }));
    site.behave({ a: answers(50), b: answers(5), c: answers(50) });
    const { attempts } = await site.ask();
    expect(attempts.map(({ server, failure }) => `${server} ${failure}`)).toEqual(["a aborted", "b null", "c aborted"]);
  });
});

describe("limits", () => {
  test("over a server's maxQps the next one is asked, and a second later it has room again", async () => {
    const site = new Site(groupOptions("g", { servers: [serverOptions("a", { maxQps: 2 }), serverOptions("b")] }));
    const outcomes = (await site.askTimes(3)).map(({ outcome }) => outcome);
    expect(outcomes).toEqual(["a", "a", "b"]);
    await site.clock.advance(1000);
    expect((await site.askTimes(3)).map(({ outcome }) => outcome)).toEqual(["a", "a", "b"]);
  });

  test("maxQps below one lets a question through now and then", async () => {
    const site = new Site(groupOptions("g", { servers: [serverOptions("a", { maxQps: 0.5 })] }));
    expect((await site.askTimes(2)).map(({ outcome }) => outcome)).toEqual(["a", "limited"]);
    await site.clock.advance(2000);
    expect(await site.ask()).toMatchObject({ outcome: "a" });
  });

  test("all members over their maxQps: the fallback is asked, or the failure is ours at once", async () => {
    const servers = [serverOptions("a", { maxQps: 1 })];
    const alone = new Site(groupOptions("g", { servers }));
    await alone.ask();
    expect(await alone.ask()).toMatchObject({ outcome: "limited", elapsedMs: 0 });
    const site = new Site(groupOptions("g", { servers, fallback: "h" }), groupOptions("h", { servers: [serverOptions("x")] }));
    await site.ask();
    expect(await site.ask()).toMatchObject({ outcome: "x", elapsedMs: 10 });
  });

  test("one client has half of the places of a group, and a further question fails at once", async () => {
    const site = new Site(groupOptions("g", { servers: [serverOptions("a"), serverOptions("b")] }));
    site.behave({ a: silent, b: silent });
    const waiting = Array.from({ length: MAX_GROUP_IN_FLIGHT / 2 }, () => site.begin());
    await site.clock.advance(100);
    const { inFlight, members } = site.group.status();
    expect(inFlight).toBe(MAX_GROUP_IN_FLIGHT / 2);
    expect(members[0]?.inFlight).toBe(MAX_GROUP_IN_FLIGHT / 2);
    expect(await site.ask()).toMatchObject({ outcome: "crowded", elapsedMs: 0 });
    await site.groups.close();
    expect(new Set((await Promise.all(waiting)).map(({ outcome }) => outcome))).toEqual(new Set(["closed"]));
  });
});

describe("closing", () => {
  test("silent members are not probed after it", async () => {
    const site = new Site(groupOptions("g", { servers: [serverOptions("a")] }));
    site.behave({ a: silent });
    const waiting = [site.begin(), site.begin(), site.begin()];
    await site.clock.advance(700);
    await site.groups.close();
    await Promise.all(waiting);
    expect(site.takeAsked().length).toBe(3);
    await site.clock.advance(10_000);
    expect(site.takeAsked()).toEqual([]);
  });

  test("a probe under way is aborted", async () => {
    const site = new Site(groupOptions("g", { servers: [serverOptions("a")] }));
    site.behave({ a: fails("refused") });
    await site.ask();
    site.behave({ a: silent });
    await site.clock.advance(1500);
    expect(site.server("a").aborted).toBe(0);
    await site.groups.close();
    expect(site.server("a").aborted).toBe(1);
  });

  test("pending and later questions end with closed, and the members are closed once", async () => {
    const site = new Site(groupOptions("g"));
    site.behave({ a: silent });
    const waiting = site.begin();
    await site.clock.advance(50);
    await Promise.all([site.groups.close(), site.groups.close()]);
    expect(await waiting).toMatchObject({ outcome: "closed", elapsedMs: 50 });
    expect(await site.ask()).toMatchObject({ outcome: "closed" });
    expect([site.server("a").closed, site.server("a").aborted]).toEqual([1, 1]);
  });

  test("no probe is sent any more", async () => {
    const site = new Site(groupOptions("g"));
    site.behave({ a: fails("refused"), b: fails("refused"), c: fails("refused") });
    await site.ask();
    await site.clock.advance(500);
    await site.groups.close();
    site.takeAsked();
    await site.clock.advance(60_000);
    expect(site.takeAsked()).toEqual([]);
  });
});

test("no listener is left on the caller's signal", async () => {
  const site = new Site(groupOptions("g"));
  const { signal } = new AbortController();
  const exchanging = site.group.exchange(question(), { signal, attempts: [], requester: null });
  expect(getEventListeners(signal, "abort").length).toBe(1);
  await site.clock.advance(10);
  await exchanging;
  expect(getEventListeners(signal, "abort")).toEqual([]);
});

test("a bug in a member is not taken for a failure of the network", async () => {
  const site = new Site(groupOptions("g"));
  site.server("a").exchange = () => Promise.reject(new TypeError("a bug"));
  const options = { signal: new AbortController().signal, attempts: [], requester: null };
  await expect(site.group.exchange(question(), options)).rejects.toThrow(TypeError);
  expect(site.group.status()).toMatchObject({ inFlight: 0, members: [{ inFlight: 0 }, { inFlight: 0 }, { inFlight: 0 }] });
});
