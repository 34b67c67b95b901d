import { describe, expect, test } from "vitest";
import type { Reply } from "../support/message.ts";
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

  test("with a server that refuses connections: SERVFAIL at once", async () => {
    const site = await siteWith({ upstreams: { main: { servers: [page], transport: "tls" } } });
    await site.server().close();
    expect(await site.ask("page.example")).toMatchObject({ rcode: "SERVFAIL", ede: [23] });
  });
});
