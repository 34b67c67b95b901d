import { describe, expect, test } from "vitest";
import { RCODE } from "../../../src/dns/types.ts";
import { openGroups } from "../../../src/upstreams/group.ts";
import { fakeClock } from "../../support/fake-clock.ts";
import { serverOptions } from "../server-options.ts";
import { answers, fails, groupOptions, ScriptedServer, Site, silent } from "./scripted.ts";

describe("opening", () => {
  test("a group is found by its name, and an unknown name is a bug", () => {
    const site = new Site(groupOptions("g"), groupOptions("h"));
    expect(site.groups.get("h").label).toBe("h");
    expect(() => site.groups.get("i")).toThrow("there is no group i");
  });

  test.each([
    ["fallbacks in a circle", [groupOptions("g", { fallback: "h" }), groupOptions("h", { fallback: "g" })]],
    ["a group that falls back on itself", [groupOptions("g", { fallback: "g" })]],
    ["a fallback that is not there", [groupOptions("h"), groupOptions("g", { fallback: "i" })]],
    ["a group without servers", [groupOptions("h"), groupOptions("g", { servers: [] })]],
  ])("%s is refused, and what was opened is closed", (_, options) => {
    const clock = fakeClock();
    const opened: ScriptedServer[] = [];
    const openMember = (server: Parameters<typeof serverOptions>[1]): ScriptedServer => {
      const scripted = new ScriptedServer(serverOptions("s", server), clock);
      opened.push(scripted);
      return scripted;
    };
    expect(() => openGroups(options, { openMember, clock, random: () => 0 })).toThrow();
    expect(opened.every(({ closed }) => closed === 1)).toBe(true);
  });

  test("a group is encrypted if every member and the fallback are", () => {
    const tls = [serverOptions("t", { protocol: "tls" })];
    const https = [serverOptions("d", { protocol: "https" })];
    const mixed = [serverOptions("m", { protocol: "https" }), serverOptions("n")];
    const site = new Site(
      groupOptions("both", { servers: tls, fallback: "safe" }),
      groupOptions("safe", { servers: https }),
      groupOptions("mixed", { servers: mixed }),
      groupOptions("leaning", { servers: tls, fallback: "mixed" }),
    );
    const encrypted = ["both", "safe", "mixed", "leaning"].map((name) => site.groups.get(name).encrypted);
    expect(encrypted).toEqual([true, true, false, false]);
  });
});

describe("fallback", () => {
  const withFallback = () => {
    const site = new Site(groupOptions("g", { fallback: "h" }), groupOptions("h", { servers: [serverOptions("x")] }));
    return site;
  };

  test("it is asked when every member has failed, at once", async () => {
    const site = withFallback();
    site.behave({ a: fails("network"), b: answers(1, RCODE.REFUSED), c: fails("malformed") });
    expect(await site.ask()).toMatchObject({ outcome: "x", elapsedMs: 13 });
  });

  test("it is not asked if one member has a good answer", async () => {
    const site = withFallback();
    site.behave({ a: fails("network"), b: fails("network"), c: answers(1000) });
    expect(await site.ask()).toMatchObject({ outcome: "c" });
    expect(site.server("x").asked).toEqual([]);
  });

  test("silent members count as failed after twice attemptMs, and their late answers still count", async () => {
    const site = withFallback();
    site.behave({ a: silent, b: silent, c: silent, x: answers(100) });
    expect(await site.ask()).toMatchObject({ outcome: "x", elapsedMs: 2500 });
    site.behave({ b: answers(1850) });
    expect(await site.ask()).toMatchObject({ outcome: "b", elapsedMs: 2450 });
  });

  test("when all members are unhealthy it is asked after one attemptMs", async () => {
    const site = withFallback();
    site.behave({ a: silent, b: silent, c: silent });
    await site.askTimes(3);
    expect(site.group.healthy).toBe(false);
    expect(await site.ask()).toMatchObject({ outcome: "x", elapsedMs: 610 });
  });

  describe("with `after`", () => {
    const withAfter = (attemptMs = 600) => {
      const g = groupOptions("g", { servers: [serverOptions("a")], attemptMs, fallback: "h", fallbackAfterMs: 500 });
      return new Site(g, groupOptions("h", { servers: [serverOptions("x")] }));
    };

    test("it is asked too when no answer has come by then, and the first answer wins", async () => {
      const site = withAfter(2000);
      site.behave({ a: silent, x: answers(100) });
      expect(await site.ask()).toMatchObject({ outcome: "x", elapsedMs: 600 });
      site.behave({ a: answers(550), x: answers(100) });
      expect(await site.ask()).toMatchObject({ outcome: "a", elapsedMs: 550 });
    });

    test("it is not asked after an answer, and at once when all members have failed", async () => {
      const site = withAfter();
      site.behave({ a: answers(499) });
      expect(await site.ask()).toMatchObject({ outcome: "a" });
      expect(site.server("x").asked).toEqual([]);
      site.behave({ a: fails("network"), x: answers(10) });
      expect(await site.ask()).toMatchObject({ outcome: "x", elapsedMs: 11 });
      expect(site.server("x").asked).toHaveLength(1);
    });

    test("its failure does not end the wait for the members", async () => {
      const site = withAfter(2000);
      site.behave({ a: answers(1500), x: fails("network") });
      expect(await site.ask()).toMatchObject({ outcome: "a" });
    });
  });

  test("when it fails too, the best bad answer of the group is returned, else exhausted", async () => {
    const site = withFallback();
    site.behave({ a: answers(1, RCODE.SERVFAIL), b: fails("network"), c: fails("network"), x: answers(1, RCODE.REFUSED) });
    expect(await site.ask()).toMatchObject({ outcome: "a" });
    site.behave({ a: fails("network"), x: fails("network") });
    expect(await site.ask()).toMatchObject({ outcome: "exhausted" });
  });

  test("fallbacks may have fallbacks", async () => {
    const site = new Site(
      groupOptions("g", { servers: [serverOptions("a")], fallback: "h" }),
      groupOptions("h", { servers: [serverOptions("b")], fallback: "i" }),
      groupOptions("i", { servers: [serverOptions("c")] }),
    );
    site.behave({ a: fails("network"), b: fails("network") });
    const { outcome, attempts } = await site.ask();
    expect(outcome).toBe("c");
    expect(attempts.map(({ group, server }) => `${group} ${server}`)).toEqual(["g a", "h b", "i c"]);
  });
});

describe("loops", () => {
  const router = (changes = {}) => serverOptions("router", { host: "192.168.88.1", ...changes });

  test("a member never gets a question from its own address", async () => {
    const site = new Site(groupOptions("g", { servers: [router(), serverOptions("other")] }));
    expect(await site.ask({ origin: "192.168.88.1" })).toMatchObject({ outcome: "other", elapsedMs: 10 });
    expect(await site.ask({ origin: "192.168.88.2" })).toMatchObject({ outcome: "router" });
  });

  test("if no member is left the failure is barred, and the fallback is not asked", async () => {
    const site = new Site(groupOptions("g", { servers: [router()], fallback: "h" }), groupOptions("h"));
    expect(await site.ask({ origin: "192.168.88.1" })).toMatchObject({ outcome: "barred", elapsedMs: 0, attempts: [] });
    expect(site.takeAsked()).toEqual([]);
  });

  test("if other members were asked and failed the failure is exhausted", async () => {
    const site = new Site(groupOptions("g", { servers: [router(), serverOptions("other")] }));
    site.behave({ other: fails("network") });
    expect(await site.ask({ origin: "192.168.88.1" })).toMatchObject({ outcome: "exhausted" });
  });

  test.each([
    ["in another spelling", { host: "FD00:0:0::1" }, "fd00::1"],
    ["as IPv4-mapped IPv6", { host: "::ffff:10.0.0.1" }, "10.0.0.1"],
    ["with its zone", { host: "fe80::1%eth0" }, "fe80::1%eth0"],
    ["among its pinned addresses", { host: "dns.example", addresses: ["10.0.0.1", "10.0.0.2"] }, "10.0.0.2"],
  ])("the address is recognized %s", async (_, changes, origin) => {
    const site = new Site(groupOptions("g", { servers: [router(changes)] }));
    expect(await site.ask({ origin })).toMatchObject({ outcome: "barred" });
  });

  test("an address that was looked up counts as well", async () => {
    const site = new Site(groupOptions("g", { servers: [router({ host: "dns.example" })] }));
    site.server("router").boundTo = ["10.0.0.9"];
    expect(await site.ask({ origin: "10.0.0.9" })).toMatchObject({ outcome: "barred" });
  });

  test("asksFrom bars the whole group", async () => {
    const site = new Site(groupOptions("g", { asksFrom: ["172.17.0.0/16", "127.0.0.1"] }));
    expect(await site.ask({ origin: "172.17.3.4" })).toMatchObject({ outcome: "barred" });
    expect(await site.ask({ origin: "127.0.0.1" })).toMatchObject({ outcome: "barred" });
    expect(await site.ask({ origin: "172.18.3.4" })).toMatchObject({ outcome: "a" });
  });

  test("127.0.0.1 and ::1 bar nothing, because all programs of the host share them; another loopback address does", async () => {
    const at = (host: string) => new Site(groupOptions("g", { servers: [router({ host })] })).ask({ origin: host });
    expect(await at("127.0.0.1")).toMatchObject({ outcome: "router" });
    expect(await at("::1")).toMatchObject({ outcome: "router" });
    expect(await at("127.0.0.2")).toMatchObject({ outcome: "barred" });
  });

  test("`excludes` tells which questions must not wait for the answers to others", () => {
    const site = new Site(
      groupOptions("g", { servers: [router(), serverOptions("other")] }),
      groupOptions("h", { servers: [serverOptions("x")], fallback: "g" }),
      groupOptions("i", { servers: [serverOptions("y")] }),
    );
    const excluding = (origin: string) => ["g", "h", "i"].filter((name) => site.groups.get(name).excludes(origin));
    expect(excluding("192.168.88.1")).toEqual(["g", "h"]);
    expect(excluding("192.168.88.2")).toEqual([]);
  });
});
