import { once } from "node:events";
import { type AddressInfo, connect, createServer, type Socket } from "node:net";
import { describe, expect, onTestFinished, test } from "vitest";
import { IDLE_MS } from "../../../src/upstreams/pending.ts";
import { openServer } from "../../../src/upstreams/server.ts";
import { fakeClock } from "../../support/fake-clock.ts";
import { addresses, addressMessage, questionFor, silence } from "../messages.ts";
import { type Action, type Asked, type ScriptedTransport, scriptedServer } from "../scripted-server.ts";
import { addressTexts, contextWith, countingClock, errand, site, until, type Way } from "./set-up.ts";

const question = questionFor("www.example");
const DNS_TYPE = { "content-type": "application/dns-message" };

function way(server: ScriptedTransport, method: "GET" | "POST" = "GET"): Way {
  return { title: server, server, protocol: "https", method, proxy: null };
}

function tcpSockets(): number {
  return process.getActiveResourcesInfo().filter((resource) => resource === "TCPSocketWrap").length;
}

describe.each(["h1", "h2"] as const)("a request over %s", (version) => {
  test("by GET has the question in its path, id 0, base64url without padding, and is the same for the same question", async () => {
    const { upstream, server } = await site(way(version), (asked) => addresses(asked, "192.0.2.1"));
    await upstream.exchange(question, errand());
    await upstream.exchange(question, errand());
    const [first, second] = server.asked;
    expect(first?.http).toMatchObject({ method: "GET", accept: "application/dns-message" });
    expect(first?.http?.path).toMatch(/^\/dns-query\?dns=[A-Za-z0-9_-]+$/);
    expect(first?.query.id).toBe(0);
    expect(second?.http?.path).toBe(first?.http?.path);
  });

  test("by GET keeps the query of the URL", async () => {
    const changes = { path: "/resolve?token=a%20b" };
    const { upstream, server } = await site(way(version), (asked) => addresses(asked, "192.0.2.1"), { changes });
    await upstream.exchange(question, errand());
    expect(server.asked[0]?.http?.path).toMatch(/^\/resolve\?token=a%20b&dns=[A-Za-z0-9_-]+$/);
  });

  test("by POST has the question, padded, as its body", async () => {
    const { upstream, server } = await site(way(version, "POST"), (asked) => addresses(asked, "192.0.2.1"));
    await upstream.exchange(question, errand());
    expect(server.asked[0]?.http).toMatchObject({ method: "POST", path: "/dns-query", accept: "application/dns-message" });
    expect(server.asked[0]?.message.length).toBe(128);
  });

  test.each([204, 301, 302, 307, 400, 404, 429, 500, 503])(
    "answered with status %i is a failure, and no redirect is followed",
    async (status) => {
      const { upstream, server } = await site(way(version), (asked) => ({
        kind: "http",
        status,
        headers: { ...DNS_TYPE, location: "/elsewhere", "retry-after": "20" },
        body: status === 204 ? new Uint8Array() : addressMessage(asked.query, ["203.0.113.1"]),
      }));
      const trip = errand();
      await expect(upstream.exchange(question, trip)).rejects.toMatchObject({ failure: "http", retryAfter: "20" });
      expect(trip.attempts).toMatchObject([{ failure: "http" }]);
      expect(server.asked).toHaveLength(1);
    },
  );

  test.each([
    ["application/dns-message", true],
    ["Application/DNS-Message; charset=binary", true],
    ["application/dns-json", false],
    ["application/dns-messages", false],
    ["text/html", false],
    [null, false],
  ])("answered as %s: its body counts %s", async (type, counts) => {
    const { upstream } = await site(way(version), ({ query }) => ({
      kind: "http",
      status: 200,
      headers: type === null ? {} : { "content-type": type },
      body: addressMessage(query, ["192.0.2.1"]),
    }));
    const exchange = upstream.exchange(question, errand());
    if (counts) expect(addressTexts(await exchange)).toEqual(["192.0.2.1"]);
    else await expect(exchange).rejects.toMatchObject({ failure: "malformed" });
  });

  test.each([
    [65_535, true],
    [65_536, false],
    [1_000_000, false],
  ])("answered with %i bytes: read to the end %s", async (length, isRead) => {
    const { upstream } = await site(way(version), () => ({ kind: "raw", message: new Uint8Array(length) }));
    const detail = isRead ? /answers another question/ : /bytes|size/i;
    await expect(upstream.exchange(question, errand())).rejects.toMatchObject({
      failure: "malformed",
      message: expect.stringMatching(detail),
    });
  });

  test("answered with nothing is malformed", async () => {
    const { upstream } = await site(way(version), () => ({ kind: "raw", message: new Uint8Array() }));
    await expect(upstream.exchange(question, errand())).rejects.toMatchObject({ failure: "malformed" });
  });

  test("after requests that failed with a status uses the same connections", async () => {
    const { upstream, server } = await site(way(version), (asked) =>
      asked.serial <= 5 ? { kind: "http", status: 503, headers: {}, body: Buffer.from("busy") } : addresses(asked, "192.0.2.1"),
    );
    for (let count = 0; count < 5; count++)
      await expect(upstream.exchange(question, errand())).rejects.toMatchObject({ failure: "http" });
    await upstream.exchange(question, errand());
    expect(server.accepted).toBeLessThanOrEqual(version === "h1" ? 2 : 1);
  });
});

describe("the version of HTTP", () => {
  test.each([
    ["https", "2.0"],
    ["h2", "2.0"],
    ["h1", "1.1"],
  ] as const)("of a server that offers %s is %s", async (transport, version) => {
    const { upstream, server } = await site(way(transport), (asked) => addresses(asked, "192.0.2.1"));
    await upstream.exchange(question, errand());
    await upstream.exchange(question, errand());
    expect(server.asked.map(({ http }) => http?.version)).toEqual([version, version]);
  });

  test("is negotiated again ten minutes after it was 1.1", async () => {
    const clock = fakeClock();
    const { upstream, server } = await site(way("h1"), (asked) => addresses(asked, "192.0.2.1"), { clock });
    await upstream.exchange(question, errand());
    await clock.advance(600_000);
    await until(() => server.open === 0);
    expect(addressTexts(await upstream.exchange(question, errand()))).toEqual(["192.0.2.1"]);
  });

  test("2 has at most as many concurrent requests as the server allows, and all are answered", async () => {
    let open = 0;
    let most = 0;
    const script = async (asked: Asked): Promise<Action> => {
      open += 1;
      most = Math.max(most, open);
      await until(() => open === 3 || server.asked.length === 51);
      open -= 1;
      return addresses(asked, "192.0.2.1");
    };
    const { upstream, server } = await site(way("h2"), (asked) => addresses(asked, "192.0.2.1"), { maxStreams: 3 });
    // The first answer brings the server's settings.
    await upstream.exchange(question, errand());
    server.follow(script);
    const exchanges = Array.from({ length: 50 }, () => upstream.exchange(question, errand()));
    expect((await Promise.all(exchanges)).map(addressTexts)).toEqual(Array.from({ length: 50 }, () => ["192.0.2.1"]));
    expect(most).toBe(3);
  });
});

describe("connections of HTTP/1.1", () => {
  test("that fall silent after earlier answers are left, and the questions are sent on new ones", async () => {
    const clock = fakeClock();
    const script = (asked: Asked): Action => (asked.name.startsWith("late") ? silence : addresses(asked, "192.0.2.1"));
    const { upstream, server } = await site(way("h1"), script, { clock });
    await Promise.all(["a", "b"].map((name) => upstream.exchange(questionFor(`${name}.example`), errand())));
    const known = server.accepted;
    const late = ["late1", "late2"].map((name) => upstream.exchange(questionFor(`${name}.example`), errand()));
    await until(() => server.asked.length === 4);
    server.follow((asked) => (asked.connection <= known ? silence : addresses(asked, "192.0.2.2")));
    await clock.advance(1_500);
    for (const answer of await Promise.all(late)) expect(addressTexts(answer)).toEqual(["192.0.2.2"]);
    expect(addressTexts(await upstream.exchange(question, errand()))).toEqual(["192.0.2.2"]);
    // Those it left are closed.
    await until(() => server.open === 2);
  });

  test("that answer others meanwhile are kept when one is slow", async () => {
    const clock = fakeClock();
    const isFirst = ({ name }: Asked) => server.asked.filter((other) => other.name === name).length === 1;
    const script = (asked: Asked): Action =>
      asked.name.startsWith("slow") && isFirst(asked) ? silence : addresses(asked, "192.0.2.1");
    const { upstream, server } = await site(way("h1"), script, { clock });
    await upstream.exchange(question, errand());
    const slow = upstream.exchange(questionFor("slow.example"), errand());
    await until(() => server.asked.length === 2);
    await clock.advance(1_000);
    await upstream.exchange(question, errand());
    const kept = server.asked.at(-1)?.connection;
    await clock.advance(500);
    expect(addressTexts(await slow)).toEqual(["192.0.2.1"]);
    expect(server.asked.at(-1)?.connection).toBe(kept);
  });

  test("that never answered are not left for being slow, and a question moves once", async () => {
    const clock = fakeClock();
    const { upstream, server } = await site(way("h1"), () => silence, { clock });
    const giveUp = new AbortController();
    const failed = upstream.exchange(question, errand(giveUp.signal)).catch(() => undefined);
    await until(() => server.asked.length === 1);
    await clock.advance(3_000);
    server.follow((asked) => (asked.name.startsWith("www") ? silence : addresses(asked, "192.0.2.1")));
    await upstream.exchange(questionFor("quick.example"), errand());
    const moved = upstream.exchange(question, errand(giveUp.signal)).catch(() => undefined);
    await until(() => server.asked.length === 3);
    await clock.advance(1_500);
    await until(() => server.asked.length === 4);
    await upstream.exchange(questionFor("quick.example"), errand());
    await clock.advance(3_000);
    expect(server.asked.length).toBe(5);
    giveUp.abort();
    await Promise.all([failed, moved]);
  });
});

test("a request that waits for a stream is answered when the one before it is aborted", async () => {
  const script = (asked: Asked): Action => (asked.name.startsWith("never") ? silence : addresses(asked, "192.0.2.1"));
  const { upstream, server } = await site(way("h2"), script, { maxStreams: 1 });
  await upstream.exchange(question, errand());
  const giveUp = new AbortController();
  const given = Array.from({ length: 20 }, (_, index) =>
    upstream.exchange(questionFor(`never${index}.example`), errand(giveUp.signal)).catch(() => undefined),
  );
  const waiting = upstream.exchange(question, errand());
  await until(() => server.asked.length === 2);
  giveUp.abort();
  await Promise.all(given);
  expect(addressTexts(await waiting)).toEqual(["192.0.2.1"]);
  expect(server.accepted).toBe(1);
});

describe("a session of HTTP/2", () => {
  test("that refuses a stream only costs a second request, also on a new session", async () => {
    const { upstream, server } = await site(way("h2"), (asked) =>
      asked.serial === 1 ? { kind: "refuseStream" } : addresses(asked, "192.0.2.1"),
    );
    const trip = errand();
    expect(addressTexts(await upstream.exchange(question, trip))).toEqual(["192.0.2.1"]);
    expect(trip.attempts).toHaveLength(1);
    expect(server.asked).toHaveLength(2);
  });

  test("that sends GOAWAY before it processed a stream only costs another session", async () => {
    const { upstream, server } = await site(way("h2"), (asked) =>
      asked.serial === 2 ? { kind: "goaway", lastStreamId: 1 } : addresses(asked, "192.0.2.1"),
    );
    await upstream.exchange(question, errand());
    const trip = errand();
    expect(addressTexts(await upstream.exchange(question, trip))).toEqual(["192.0.2.1"]);
    expect(trip.attempts).toHaveLength(1);
    expect(server.asked.map(({ connection }) => connection)).toEqual([1, 1, 2]);
  });

  test("that refuses a stream twice fails", async () => {
    const { upstream, server } = await site(way("h2"), () => ({ kind: "refuseStream" }));
    await expect(upstream.exchange(question, errand())).rejects.toMatchObject({ failure: "network" });
    expect(server.asked).toHaveLength(2);
  });

  test("that sends GOAWAY still answers accepted questions, while new ones use another session", async () => {
    const { promise: released, resolve: release } = Promise.withResolvers<void>();
    const { upstream, server } = await site(way("h2"), async (asked): Promise<Action> => {
      if (asked.serial !== 1) return addresses(asked, "192.0.2.2");
      await released;
      return { kind: "all", actions: [{ kind: "goaway", lastStreamId: 2 ** 31 - 1 }, addresses(asked, "192.0.2.1")] };
    });
    const first = upstream.exchange(question, errand());
    await until(() => server.asked.length === 1);
    release();
    expect(addressTexts(await first)).toEqual(["192.0.2.1"]);
    expect(addressTexts(await upstream.exchange(question, errand()))).toEqual(["192.0.2.2"]);
    expect(server.accepted).toBe(2);
  });

  test("is closed after five minutes without a question", async () => {
    const clock = fakeClock();
    const { upstream, server } = await site(way("h2"), (asked) => addresses(asked, "192.0.2.1"), { clock });
    await upstream.exchange(question, errand());
    await clock.advance(IDLE_MS - 1);
    expect(server.open).toBe(1);
    await clock.advance(1);
    await until(() => server.open === 0);
  });

  test("whose server disappeared leaves no socket once it is idle", async () => {
    const clock = fakeClock();
    const server = await scriptedServer("h2", (asked) => addresses(asked, "192.0.2.1"));
    const held: Socket[] = [];
    const relay = createServer({ allowHalfOpen: true }, (client) => {
      const onward = connect({ port: server.port, host: "127.0.0.1" });
      client.pipe(onward).pipe(client);
      held.push(client, onward);
    });
    relay.listen(0, "127.0.0.1");
    await once(relay, "listening");
    const upstream = openServer(server.options({ port: (relay.address() as AddressInfo).port }), contextWith({ clock }));
    onTestFinished(async () => {
      await upstream.close();
      for (const socket of held) socket.destroy();
      await new Promise((resolve) => relay.close(resolve));
      await server.close();
    });
    await upstream.exchange(question, errand());
    for (const socket of held) socket.unpipe().pause();
    const before = tcpSockets();
    await clock.advance(IDLE_MS);
    await until(() => tcpSockets() < before);
  });

  test("that is slow but answers a PING is kept", async () => {
    const clock = countingClock();
    const script = (asked: Asked): Action => {
      const action = addresses(asked, "192.0.2.1");
      return asked.serial === 1 ? action : { kind: "after", delayMs: 60_000, action };
    };
    const { upstream, server } = await site(way("h2"), script, { clock });
    await upstream.exchange(question, errand());
    const exchange = upstream.exchange(question, errand());
    await until(() => server.asked.length === 2);
    await clock.advance(1_000);
    // Once the ping has come back, the server's own timer is left, and the one that watches the addresses of this host.
    await until(() => clock.pending() === 2);
    await clock.advance(59_000);
    expect(addressTexts(await exchange)).toEqual(["192.0.2.1"]);
    expect(server.accepted).toBe(1);
  });

  test("all of whose streams stay without an answer is left by further questions, and by those that have found no stream", async () => {
    const clock = countingClock();
    const script = (asked: Asked): Action => (asked.name.startsWith("never") ? silence : addresses(asked, "192.0.2.1"));
    const { upstream, server } = await site(way("h2"), script, { clock, maxStreams: 2 });
    await upstream.exchange(question, errand());
    const giveUp = new AbortController();
    const never = Array.from({ length: 2 }, (_, index) =>
      upstream.exchange(questionFor(`never${index}.example`), errand(giveUp.signal)).catch(() => undefined),
    );
    const waiting = upstream.exchange(question, errand());
    await until(() => server.asked.length === 3);
    await clock.advance(1_000);
    expect(addressTexts(await waiting)).toEqual(["192.0.2.1"]);
    expect(addressTexts(await upstream.exchange(question, errand()))).toEqual(["192.0.2.1"]);
    expect(server.asked.map(({ connection }) => connection)).toEqual([1, 1, 1, 2, 2]);
    giveUp.abort();
    await Promise.all(never);
  });

  test("whose only question was aborted is closed after the idle time", async () => {
    const clock = countingClock();
    const { upstream, server } = await site(
      way("h2"),
      (asked) => (asked.serial === 1 ? addresses(asked, "192.0.2.1") : silence),
      { clock },
    );
    await upstream.exchange(question, errand());
    const giveUp = new AbortController();
    const failed = expect(upstream.exchange(question, errand(giveUp.signal))).rejects.toMatchObject({ failure: "aborted" });
    await until(() => server.asked.length === 2);
    giveUp.abort();
    await failed;
    await clock.advance(1_000);
    await until(() => clock.delays().includes(IDLE_MS));
    await clock.advance(IDLE_MS);
    await until(() => server.open === 0);
  });

  test("that is silent and does not answer a PING is closed, and its questions are sent on another", async () => {
    const clock = fakeClock();
    const { upstream, server, proxy } = await site({ ...way("h2"), proxy: "socks5" }, (asked) => addresses(asked, "192.0.2.1"), {
      clock,
    });
    await upstream.exchange(question, errand());
    proxy?.freeze();
    const trip = errand();
    const exchange = upstream.exchange(question, trip);
    await clock.advance(1_000);
    await clock.advance(1_000);
    expect(addressTexts(await exchange)).toEqual(["192.0.2.1"]);
    expect(trip.attempts).toHaveLength(1);
    expect(server.accepted).toBe(2);
  });
});
