import { describe, expect, test } from "vitest";
import type { HandlerReply } from "../../src/listen/types.ts";
import { operationsLog } from "../../src/log/operations.ts";
import { handlerFor } from "../../src/server/pipeline.ts";
import { queryWire, type Reply, readReply } from "../support/message.ts";
import { siteWith } from "../support/site.ts";
import { honest, silent, withRcode } from "../support/zone-script.ts";

const page = honest("page.example 100 A 192.0.2.7");

describe("equal questions in flight", () => {
  test("200 at once are one upstream query, and all are answered", async () => {
    const site = await siteWith({ upstreams: { main: page } });
    const transports = ["udp", "tcp", "dot", "doh"] as const;
    const replies = await Promise.all(
      Array.from({ length: 200 }, (_, index) => site.ask("page.example", "A", { transport: transports[index % 4] ?? "udp" })),
    );
    expect(replies.map(({ answers }) => answers)).toEqual(replies.map(() => ["192.0.2.7"]));
    expect(new Set(replies.map(({ id }) => id)).size).toBe(200);
    expect(site.asked()).toEqual(["page.example A"]);
  });

  test("a failure is shared too", async () => {
    const site = await siteWith({ upstreams: { main: (asked) => withRcode(asked, 5) } });
    const replies = await Promise.all(Array.from({ length: 50 }, () => site.ask("page.example")));
    expect(new Set(replies.map(({ rcode }) => rcode))).toEqual(new Set(["SERVFAIL"]));
    expect(site.asked()).toHaveLength(1);
  });
});

describe("every query is answered within `answers.deadline`, whatever the upstreams do", () => {
  test.each(["fastest", "race", "failover", "spread"])(
    "with all members of a group silent (%s): SERVFAIL with EDE 22",
    async (strategy) => {
      const setup = { servers: [() => silent, () => silent, () => silent], keys: `strategy: ${strategy}, attempt: 600ms` };
      const site = await siteWith({ upstreams: { main: setup }, yaml: "answers: { deadline: 3s }" });
      const reply = site.ask("page.example");
      await site.until(() => site.asked().length > 0);
      await site.clock.advance(3000);
      expect(await reply).toMatchObject({ rcode: "SERVFAIL", ede: [22], records: [], authority: [] });
    },
  );

  test("with a silent fallback too", async () => {
    const site = await siteWith({
      upstreams: { main: { servers: [() => silent], keys: "fallback: other" }, other: () => silent },
    });
    const reply = site.ask("page.example");
    await site.until(() => site.asked("main").length === 1);
    await site.clock.advance(4000);
    expect(await reply).toMatchObject({ rcode: "SERVFAIL", ede: [22] });
  });

  test.each(["tls", "h1", "h2"] as const)("with a silent upstream over %s", async (transport) => {
    const site = await siteWith({ upstreams: { main: { servers: [() => silent], transport } } });
    const reply = site.ask("page.example");
    await site.until(() => site.asked().length === 1);
    // In steps, so that the answer to a PING over HTTP/2 has its time: the connection is alive.
    for (let passedMs = 0; passedMs < 4000; passedMs += 100) await site.clock.advance(100);
    expect(await reply).toMatchObject({ rcode: "SERVFAIL", ede: [22] });
  });

  test("cached names and hosts names at once, while 500 questions wait for a dead upstream", async () => {
    const site = await siteWith({
      upstreams: { main: page },
      yaml: "hosts: { records: { nas.lan: 10.0.0.5, photos.lan: { cname: page.example } } }",
    });
    await site.ask("page.example");
    site.server().follow(() => silent);
    let answered = 0;
    const hanging: Promise<Reply>[] = [];
    for (let index = 0; index < 500; index++) {
      const transport = (["udp", "tcp", "doh"] as const)[index % 3] ?? "udp";
      hanging.push(site.ask(`host${index}.example`, "A", { transport }));
      // Datagrams sent at once by the hundred would not all find room in a socket's buffer.
      if (index % 25 === 24) await site.until(() => site.asked().length > index);
    }
    for (const reply of hanging) void reply.then(() => answered++);
    for (const transport of ["udp", "tcp", "dot", "doh"] as const) {
      expect(await site.ask("page.example", "A", { transport })).toMatchObject({ answers: ["192.0.2.7"] });
      expect(await site.ask("nas.lan", "A", { transport })).toMatchObject({ answers: ["10.0.0.5"] });
      expect(await site.ask("photos.lan", "A", { transport })).toMatchObject({ answers: ["192.0.2.7"] });
    }
    expect(answered).toBe(0);
    await site.clock.advance(4000);
    const rcodes = (await Promise.all(hanging)).map(({ rcode }) => rcode);
    expect(new Set(rcodes)).toEqual(new Set(["SERVFAIL"]));
  });

  describe("the time in which a question waited for its turn counts", () => {
    const client = { address: "127.0.0.1", port: 5353, transport: "tcp", http: null, method: null, clientId: null } as const;

    async function siteBeforeSilence() {
      const site = await siteWith({ upstreams: { main: page } });
      await site.ask("page.example");
      site.server().follow(() => silent);
      const handler = handlerFor(
        site.app,
        operationsLog("silent", () => {}, false),
      );
      /** Asks with a question that came some time ago. */
      const ask = (name: string, agoMs: number) => {
        const reply = handler.answer(queryWire(name, "A"), client, site.clock.now() - agoMs);
        return reply instanceof Promise ? reply.then(read) : read(reply);
      };
      const read = (reply: HandlerReply | null) => readReply(reply?.wire ?? new Uint8Array());
      return { site, ask };
    }

    test("a question that came 1.5 s ago has its reply after 2.5 s", async () => {
      const { site, ask } = await siteBeforeSilence();
      const before = site.asked().length;
      const reply = ask("hangs.example", 1500);
      await site.until(() => site.asked().length > before);
      await site.clock.advance(2500);
      expect(await reply).toMatchObject({ rcode: "SERVFAIL", ede: [22] });
    });

    test("one that has used up half of its time is not begun, and nothing is held against the name", async () => {
      const { site, ask } = await siteBeforeSilence();
      expect(ask("page.example", 3000)).toMatchObject({ answers: ["192.0.2.7"] });
      const before = site.asked().length;
      expect(ask("late.example", 3000)).toMatchObject({ rcode: "SERVFAIL", ede: [0] });
      expect(site.asked()).toHaveLength(before);
      site.server().follow(honest("late.example 100 A 192.0.2.8"));
      expect(await ask("late.example", 0)).toMatchObject({ answers: ["192.0.2.8"] });
    });
  });

  test("a query that finds no room to wait for its turn gets SERVFAIL; nobody is asked, and who may not ask is refused", async () => {
    const site = await siteWith({ upstreams: { main: page } });
    const handler = handlerFor(
      site.app,
      operationsLog("silent", () => {}, false),
    );
    const from = (address: string) =>
      ({ address, port: 5353, transport: "udp", http: null, method: null, clientId: null }) as const;
    const query = queryWire("Page.example", "A", { id: 77 });
    const shed = (message: Uint8Array, address = "127.0.0.1") => handler.shed(message, from(address))?.wire ?? null;
    expect(readReply(shed(query) ?? new Uint8Array())).toMatchObject({ id: 77, rcode: "SERVFAIL", answers: [] });
    expect(readReply(shed(query, "203.0.113.9") ?? new Uint8Array())).toMatchObject({ id: 77, rcode: "REFUSED" });
    expect(shed(query.subarray(0, 11))).toBeNull();
    expect(site.asked()).toEqual([]);
  });

  test("with a server that refuses connections: SERVFAIL at once", async () => {
    const site = await siteWith({ upstreams: { main: { servers: [page], transport: "tls" } } });
    await site.server().close();
    expect(await site.ask("page.example")).toMatchObject({ rcode: "SERVFAIL", ede: [23] });
  });
});
