import { getEventListeners } from "node:events";
import { describe, expect, test } from "vitest";
import { RCODE, TYPE } from "../../../src/dns/types.ts";
import { hasIpv6 } from "../../support/ipv6.ts";
import { addresses, addressMessage, close, cutShort, questionFor, rcode, silence, wrongId, wrongQuestion } from "../messages.ts";
import type { Action, Asked } from "../scripted-server.ts";
import { addressTexts, errand, site, streamWays, until, type Way, ways } from "./set-up.ts";

const question = questionFor("www.example");

/** Whether what does not fit is passed over until the right answer comes, rather than being a failure of the server. */
const waitsOn = ({ protocol, proxy }: Way): boolean => protocol === "udp" && proxy === null;
const isHttps = ({ protocol }: Way): boolean => protocol === "https";

describe.each(ways)("a server asked by $title", (way) => {
  const transport = way.protocol === "udp" && way.proxy !== null ? "tcp" : way.protocol;

  test("gives the answer, and notes one attempt", async () => {
    const { upstream, server } = await site(way, (asked) => addresses(asked, "192.0.2.1"));
    const trip = errand();
    const answer = await upstream.exchange(question, trip);
    expect(addressTexts(answer)).toEqual(["192.0.2.1"]);
    expect(answer.wire).not.toBeInstanceOf(Buffer);
    expect(trip.attempts).toMatchObject([{ group: null, server: upstream.label, transport, rcode: 0, failure: null }]);
    expect(server.asked).toMatchObject([{ name: "www.example", type: TYPE.A, transport }]);
  });

  test.each([RCODE.SERVFAIL, RCODE.NXDOMAIN, RCODE.REFUSED])("gives an answer with rcode %i like any other", async (code) => {
    const { upstream } = await site(way, (asked) => rcode(asked, code));
    const trip = errand();
    expect((await upstream.exchange(question, trip)).rcode).toBe(code);
    expect(trip.attempts).toMatchObject([{ rcode: code, failure: null }]);
  });

  test("gives 200 questions at once each its own answer, in whatever order they come", async () => {
    const batch: (() => void)[] = [];
    const { upstream } = await site(way, async (asked) => {
      await new Promise<void>((resolve) => {
        batch.push(resolve);
        if (batch.length === 8) for (const release of batch.splice(0).reverse()) release();
      });
      return addresses(asked, `192.0.2.${Number(asked.name.split(".")[0])}`);
    });
    const numbers = Array.from({ length: 200 }, (_, index) => index + 1);
    const answers = await Promise.all(numbers.map((number) => upstream.exchange(questionFor(`${number}.example`), errand())));
    expect(answers.map(addressTexts)).toEqual(numbers.map((number) => [`192.0.2.${number}`]));
  });

  test("does not believe a message under another id, and does no harm to the one that fits", async () => {
    const { upstream } = await site(way, (asked) =>
      isHttps(way) ? wrongId(asked, "192.0.2.1") : both(wrongId(asked, "203.0.113.1"), addresses(asked, "192.0.2.1")),
    );
    expect(addressTexts(await upstream.exchange(question, errand()))).toEqual(["192.0.2.1"]);
  });

  test.each<[string, (asked: Asked) => Action]>([
    ["to another question", (asked) => wrongQuestion(asked, "203.0.113.1")],
    ["that is cut short", (asked) => cutShort(asked, "203.0.113.1")],
    ["that is no response", ({ message }) => ({ kind: "raw", message })],
  ])("does not believe a message %s", async (_, fault) => {
    const { upstream } = await site(way, (asked) => both(fault(asked), addresses(asked, "192.0.2.1")));
    const trip = errand();
    const exchange = upstream.exchange(question, trip);
    if (waitsOn(way)) expect(addressTexts(await exchange)).toEqual(["192.0.2.1"]);
    else await expect(exchange).rejects.toMatchObject({ failure: "malformed" });
    expect(trip.attempts).toHaveLength(1);
  });

  test("lets a caller give up at once, and forgets the signal", async () => {
    const { upstream, server } = await site(way, () => silence);
    const giveUp = new AbortController();
    const trip = errand(giveUp.signal);
    const exchange = upstream.exchange(question, trip);
    await until(() => server.asked.length === 1);
    giveUp.abort();
    await expect(exchange).rejects.toMatchObject({ name: "UpstreamError", failure: "aborted" });
    expect(trip.attempts).toMatchObject([{ rcode: null, failure: "aborted" }]);
    expect(getEventListeners(giveUp.signal, "abort")).toEqual([]);
  });

  test("answers others after one was given up, even if that one's answer is late", async () => {
    const { promise: late, resolve: release } = Promise.withResolvers<void>();
    const { upstream, server } = await site(way, async (asked) => {
      if (asked.name === "slow.example") await late;
      return addresses(asked, asked.name === "slow.example" ? "203.0.113.1" : "192.0.2.1");
    });
    const giveUp = new AbortController();
    const slow = upstream.exchange(questionFor("slow.example"), errand(giveUp.signal));
    await until(() => server.asked.length === 1);
    giveUp.abort();
    await expect(slow).rejects.toMatchObject({ failure: "aborted" });
    release();
    expect(addressTexts(await upstream.exchange(question, errand()))).toEqual(["192.0.2.1"]);
  });

  test("is not asked when the caller has given up before", async () => {
    const { upstream, server } = await site(way, (asked) => addresses(asked, "192.0.2.1"));
    await expect(upstream.exchange(question, errand(AbortSignal.abort()))).rejects.toMatchObject({ failure: "aborted" });
    expect(server.asked).toEqual([]);
  });

  test("is refused where nobody listens", async () => {
    const { upstream, server } = await site(way, () => silence);
    await server.close();
    const trip = errand();
    const failure = way.proxy === null ? "refused" : "proxy";
    await expect(upstream.exchange(question, trip)).rejects.toMatchObject({ failure });
    expect(trip.attempts).toMatchObject([{ rcode: null, failure }]);
  });

  test("ends what is under way when it is closed, and takes nothing more", async () => {
    const { upstream, server } = await site(way, () => silence);
    const exchange = upstream.exchange(question, errand());
    const failed = expect(exchange).rejects.toMatchObject({ failure: "closed" });
    await until(() => server.asked.length === 1);
    await Promise.all([upstream.close(), upstream.close()]);
    await failed;
    await upstream.close();
    await expect(upstream.exchange(question, errand())).rejects.toMatchObject({ failure: "closed" });
    expect(server.asked).toHaveLength(1);
  });

  test("can be closed while it connects", async () => {
    const { upstream } = await site(way, () => silence);
    const failed = expect(upstream.exchange(question, errand())).rejects.toMatchObject({ failure: "closed" });
    await upstream.close();
    await failed;
  });

  test("leaves no connection behind once it is closed", async () => {
    const { upstream, server } = await site(way, (asked) => addresses(asked, "192.0.2.1"));
    await Promise.all([1, 2, 3].map((number) => upstream.exchange(questionFor(`${number}.example`), errand())));
    await upstream.close();
    await until(() => server.open === 0);
  });
});

describe.each(streamWays)("a connection by $title", (way) => {
  test("is kept and used again", async () => {
    const { upstream, server } = await site(way, (asked) => addresses(asked, "192.0.2.1"));
    for (const name of ["a.example", "b.example", "c.example"]) await upstream.exchange(questionFor(name), errand());
    // HTTP/1.1 may open a second one before it knows that the first is free again.
    expect(server.accepted).toBeLessThanOrEqual(way.server === "h1" ? 2 : 1);
  });

  test("that breaks with the first question on it is a failure of the network, and not tried again", async () => {
    const { upstream, server } = await site(way, () => close);
    const trip = errand();
    await expect(upstream.exchange(question, trip)).rejects.toMatchObject({ failure: "network" });
    expect(trip.attempts).toMatchObject([{ rcode: null, failure: "network" }]);
    expect(server.asked).toHaveLength(1);
  });

  test("that breaks in the middle of an answer is a failure of the network", async () => {
    const { upstream } = await site(way, ({ query }) => ({ kind: "closeMidway", message: addressMessage(query, ["192.0.2.1"]) }));
    await expect(upstream.exchange(question, errand())).rejects.toMatchObject({ failure: "network" });
  });

  test("that was kept and is closed under a question costs nothing but another connection", async () => {
    const { upstream, server } = await site(way, (asked) => (asked.serial === 2 ? close : addresses(asked, "192.0.2.1")));
    await upstream.exchange(question, errand());
    const trip = errand();
    expect(addressTexts(await upstream.exchange(question, trip))).toEqual(["192.0.2.1"]);
    expect(trip.attempts).toHaveLength(1);
    expect(server.asked).toHaveLength(3);
  });

  test("that was kept and has been closed since is replaced without anybody noticing", async () => {
    const { upstream, server } = await site(way, (asked) => addresses(asked, "192.0.2.1"));
    await upstream.exchange(question, errand());
    server.dropConnections();
    expect(addressTexts(await upstream.exchange(question, errand()))).toEqual(["192.0.2.1"]);
  });

  test("that is closed under a question twice is a failure", async () => {
    const { upstream, server } = await site(way, (asked) => (asked.serial > 1 ? close : addresses(asked, "192.0.2.1")));
    await upstream.exchange(question, errand());
    await expect(upstream.exchange(question, errand())).rejects.toMatchObject({ failure: "network" });
    expect(server.asked).toHaveLength(3);
  });
});

describe.each(streamWays)("a server that has gone, asked by $title", (way) => {
  test("fails 50 questions at once without waiting for anybody's patience", async () => {
    const { upstream, server } = await site(way, (asked) => addresses(asked, "192.0.2.1"));
    await upstream.exchange(question, errand());
    await server.close();
    const failures = await Promise.all(
      Array.from({ length: 50 }, (_, index) =>
        upstream.exchange(questionFor(`${index}.example`), errand()).then(
          () => "answered",
          ({ failure }: { readonly failure: string }) => failure,
        ),
      ),
    );
    expect(failures.filter((failure) => failure !== "network" && failure !== (way.proxy === null ? "refused" : "proxy"))).toEqual(
      [],
    );
  });
});

// No server can listen on ::1 where IPv6 is switched off.
test.skipIf(!hasIpv6).each(ways.filter(({ proxy }) => proxy === null))(
  "a server at an IPv6 address is asked by $title",
  async (way) => {
    const { upstream, server } = await site(way, (asked) => addresses(asked, "192.0.2.1"), { address: "::1" });
    expect(addressTexts(await upstream.exchange(question, errand()))).toEqual(["192.0.2.1"]);
    expect(server.asked).toHaveLength(1);
    expect(upstream.addresses?.()).toEqual(["::1"]);
  },
);

function both(...actions: readonly Action[]): Action {
  return { kind: "all", actions };
}
