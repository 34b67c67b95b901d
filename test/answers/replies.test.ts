import { describe, expect, test } from "vitest";
import { zone } from "../dns/zone.ts";
import { queryWire, readReply } from "../support/message.ts";
import { type AskTransport, siteWith, type TestSite } from "../support/site.ts";
import { honest, respond } from "../support/zone-script.ts";
import type { Script } from "../upstreams/scripted-server.ts";

const page = honest("page.example 100 A 192.0.2.7", "page.example 100 TXT here");

/** As many addresses as asked for, 16 bytes of reply each. */
function many(count: number): Script {
  const answers = zone(...Array.from({ length: count }, (_, index) => `page.example 100 A 192.0.2.${index}`));
  return (asked) => respond(asked, { answers });
}

describe("replies carry", () => {
  test("the id", async () => {
    const site = await siteWith({ upstreams: { main: page } });
    for (const id of [0, 1, 0xffff]) expect(await site.ask("page.example", "A", { id })).toMatchObject({ id });
  });

  test("the question with its letter case, also from the cache", async () => {
    const site = await siteWith({ upstreams: { main: page } });
    for (const name of ["PAGE.example", "page.example", "PaGe.eXaMpLe"]) {
      expect(await site.ask(name)).toMatchObject({ question: name, answers: ["192.0.2.7"] });
    }
    expect(site.asked()).toEqual(["page.example A"]);
  });

  test("the letter case in a reply made here, in an alias of the hosts table and in a refusal", async () => {
    const yaml = "hosts: { records: { nas.lan: 10.0.0.5, photos.lan: { cname: nas.lan } } }";
    const site = await siteWith({ upstreams: { main: page }, yaml });
    for (const name of ["Nas.LAN", "Photos.Lan", "loCALhost"]) expect(await site.ask(name)).toMatchObject({ question: name });
    expect(await site.ask("Page.Example", "AXFR")).toMatchObject({ question: "Page.Example", rcode: "REFUSED" });
  });

  test.each([
    { rd: true, cd: false, flags: "qr rd ra" },
    { rd: false, cd: false, flags: "qr ra" },
    { rd: true, cd: true, flags: "qr rd ra cd" },
    { rd: false, cd: true, flags: "qr ra cd" },
  ])("RD and CD as asked, and RA: $flags", async ({ rd, cd, flags }) => {
    const site = await siteWith({ upstreams: { main: page } });
    for (const name of ["page.example", "page.example", "localhost", "nowhere.example"]) {
      expect(await site.ask(name, "A", { rd, cd })).toMatchObject({ flags });
    }
  });

  test("OPT only where the query had OPT", async () => {
    const site = await siteWith({ upstreams: { main: page } });
    for (const name of ["page.example", "page.example", "localhost", "nowhere.example"]) {
      expect(await site.ask(name, "A", { edns: null })).toMatchObject({ edns: null });
      expect(await site.ask(name, "A", { edns: 4096 })).toMatchObject({ edns: { version: 0, udpPayloadBytes: 1232 } });
    }
  });

  test("DO as asked (RFC 3225)", async () => {
    const site = await siteWith({ upstreams: { main: page } });
    for (const asked of [true, false]) {
      expect(await site.ask("page.example", "A", { do: asked })).toMatchObject({ edns: { dnssecOk: asked } });
    }
  });
});

describe("AD", () => {
  const validated: Script = (asked) => respond(asked, { authenticData: true, answers: zone("page.example A 192.0.2.7") });
  const ways = [
    { options: { ad: true }, isPassedOn: true },
    { options: { do: true }, isPassedOn: true },
    { options: {}, isPassedOn: false },
  ];

  test.each(ways)("from an encrypted upstream, to a question with $options: $isPassedOn", async ({ options, isPassedOn }) => {
    for (const transport of ["tls", "https"] as const) {
      const site = await siteWith({ upstreams: { main: { servers: [validated], transport } } });
      for (let times = 0; times < 2; times++) {
        expect((await site.ask("page.example", "A", options)).flags.includes("ad")).toBe(isPassedOn);
      }
    }
  });

  test.each(ways)("never from one in clear, whatever was asked: $options", async ({ options }) => {
    const site = await siteWith({ upstreams: { main: validated } });
    for (let times = 0; times < 2; times++) expect((await site.ask("page.example", "A", options)).flags).not.toContain("ad");
  });
});

describe("UDP replies are bounded by the client's size and 1232, TC beyond", () => {
  const cases = [
    { bytes: "no EDNS", edns: null, count: 29, isCut: false },
    { bytes: "no EDNS", edns: null, count: 31, isCut: true },
    { bytes: "700", edns: 700, count: 40, isCut: false },
    { bytes: "700", edns: 700, count: 43, isCut: true },
    { bytes: "4096", edns: 4096, count: 74, isCut: false },
    { bytes: "4096", edns: 4096, count: 76, isCut: true },
    { bytes: "100, which counts as 512", edns: 100, count: 28, isCut: false },
  ];
  test.each(cases)("$bytes and $count addresses: TC $isCut", async ({ edns, count, isCut }) => {
    const site = await siteWith({ upstreams: { main: many(count) } });
    const reply = await site.ask("page.example", "A", { edns });
    expect(reply.flags.includes("tc")).toBe(isCut);
    expect(reply.answers).toHaveLength(isCut ? 0 : count);
    expect(reply.wire.length).toBeLessThanOrEqual(Math.min(1232, Math.max(512, edns ?? 512)));
  });

  test.each(["tcp", "dot", "doh"] as const)("over %s the answer is whole", async (transport) => {
    const site = await siteWith({ upstreams: { main: many(200) } });
    const reply = await site.ask("page.example", "A", { transport, edns: null });
    expect(reply.flags).toBe("qr rd ra");
    expect(reply.answers).toHaveLength(200);
  });

  test("the additional section is left out before TC is set", async () => {
    const answers = zone(...Array.from({ length: 10 }, (_, index) => `page.example 100 MX ${index} mail.example`));
    const additional = zone(...Array.from({ length: 20 }, (_, index) => `mail.example 100 AAAA 2001:db8::${index}`));
    const site = await siteWith({ upstreams: { main: (asked) => respond(asked, { answers, additional }) } });
    const cut = await site.ask("page.example", "MX", { edns: null });
    expect(cut).toMatchObject({ flags: "qr rd ra", additional: [] });
    expect(cut.answers).toHaveLength(10);
    const whole = await site.ask("page.example", "MX", { edns: 1232 });
    expect(whole.additional).toHaveLength(20);
  });
});

describe("messages that are no questions", () => {
  const good = queryWire("page.example", "A", { id: 77, edns: null });
  /** A copy with some bytes changed; bytes may be added. */
  const changed = (change: (wire: Buffer) => void, more: readonly number[] = []): Buffer => {
    const wire = Buffer.concat([good, Uint8Array.from(more)]);
    change(wire);
    return wire;
  };
  const opt = [0, 0, 41, 4, 208, 0, 0, 0, 0, 0, 0];
  const malformed = {
    "no question": changed((wire) => wire.writeUInt16BE(0, 4)).subarray(0, 12),
    "two questions": changed((wire) => wire.writeUInt16BE(2, 4)),
    "a question cut short": good.subarray(0, -1),
    "a name that runs over the end": changed((wire) => wire.writeUInt8(63, 12)),
    "a compressed name": changed((wire) => wire.writeUInt8(0xc0, 12)),
    "bytes behind the end": changed(() => {}, [0]),
    "a count without its record": changed((wire) => wire.writeUInt16BE(1, 10)),
    "a record cut short": changed((wire) => wire.writeUInt16BE(1, 10), opt.slice(0, -1)),
    "two OPT records": changed((wire) => wire.writeUInt16BE(2, 10), [...opt, ...opt]),
    "an OPT record among the answers": changed((wire) => wire.writeUInt16BE(1, 6), opt),
    "an option that is longer than OPT": changed((wire) => wire.writeUInt16BE(1, 10), [...opt.slice(0, -1), 4, 0, 12, 0, 9]),
    "type 0": changed((wire) => wire.writeUInt16BE(0, wire.length - 4)),
    "type OPT": changed((wire) => wire.writeUInt16BE(41, wire.length - 4)),
    "class NONE": changed((wire) => wire.writeUInt16BE(254, wire.length - 2)),
  };
  const transports: readonly AskTransport[] = ["udp", "tcp", "dot", "doh"];

  test.each(Object.entries(malformed))("%s: FORMERR, with the id", async (_case, message) => {
    const site = await siteWith({ upstreams: { main: page } });
    for (const transport of transports) {
      const reply = readReply(await site.send(message, transport));
      expect(reply).toMatchObject({ id: 77, rcode: "FORMERR", records: [] });
    }
    expect(await site.ask("page.example")).toMatchObject({ answers: ["192.0.2.7"] });
  });

  test.each([1, 2, 3, 4, 5, 6, 15])("opcode %i: NOTIMP", async (opcode) => {
    const site = await siteWith({ upstreams: { main: page } });
    const message = changed((wire) => wire.writeUInt8((opcode << 3) | 1, 2));
    for (const transport of transports) {
      const reply = await site.send(message, transport);
      expect(readReply(reply)).toMatchObject({ id: 77, rcode: "NOTIMP" });
      expect(((reply[2] ?? 0) >> 3) & 15).toBe(opcode);
    }
  });

  test("another version of EDNS: BADVERS, with OPT of ours (RFC 6891 §6.1.3)", async () => {
    const site = await siteWith({ upstreams: { main: page } });
    const message = queryWire("page.example", "A", { id: 77 });
    message.writeUInt8(1, message.length - 5);
    expect(readReply(await site.send(message))).toMatchObject({ id: 77, rcode: "BADVERS", edns: { version: 0 } });
  });

  test.each(["AXFR", "IXFR"])("%s: REFUSED", async (type) => {
    const site = await siteWith({ upstreams: { main: page } });
    for (const transport of transports)
      expect(await site.ask("page.example", type, { transport })).toMatchObject({ rcode: "REFUSED" });
    expect(site.asked()).toEqual([]);
  });

  test("ANY is minimal (RFC 8482), whoever has the name", async () => {
    const yaml = "hosts: { records: { nas.lan: 10.0.0.5 } }";
    const site = await siteWith({ upstreams: { main: page }, yaml });
    for (const name of ["page.example", "nas.lan"]) {
      expect(await site.ask(name, "ANY")).toMatchObject({ rcode: "NOERROR", answers: ['"RFC8482" ""'] });
    }
    expect(site.asked()).toEqual([]);
  });

  test("a response gets silence on UDP and TCP and 400 on HTTP", async () => {
    const site = await siteWith({ upstreams: { main: page } });
    const response = changed((wire) => wire.writeUInt8(0x81, 2));
    for (const transport of ["udp", "tcp", "dot"] as const) expect(await site.isSilentTo(response, transport)).toBe(true);
    await expect(site.send(response, "doh")).rejects.toThrow("status 400");
  });

  test("what is shorter than a header gets silence on UDP and 400 on HTTP", async () => {
    const site = await siteWith({ upstreams: { main: page } });
    for (const bytes of [0, 1, 11]) {
      expect(await site.isSilentTo(good.subarray(0, bytes), "udp")).toBe(true);
      await expect(site.send(good.subarray(0, bytes), "doh")).rejects.toThrow("status 400");
    }
  });
});

describe("a rule's `drop`", () => {
  const yaml = "rules: [{ name: away, domains: [page.example], answer: drop }]";

  test("is silence on UDP", async () => {
    const site = await siteWith({ upstreams: { main: page }, yaml });
    expect(await site.isSilentTo(queryWire("page.example", "A"), "udp")).toBe(true);
    expect(await site.isSilentTo(queryWire("localhost", "A"), "udp")).toBe(false);
  });

  test.each(["tcp", "dot", "doh"] as const)("is REFUSED on %s", async (transport) => {
    const site = await siteWith({ upstreams: { main: page }, yaml });
    expect(await site.ask("page.example", "A", { transport })).toMatchObject({ rcode: "REFUSED", ede: [15] });
  });
});

describe("access", () => {
  test("clients outside it are REFUSED with EDE 18, for good questions and bad ones", async () => {
    const site = await siteWith({ upstreams: { main: page }, yaml: "access: { clients: [10.0.0.0/8, tv-key] }" });
    for (const transport of ["udp", "tcp", "dot", "doh"] as const) {
      expect(await site.ask("page.example", "A", { transport })).toMatchObject({
        rcode: "REFUSED",
        ede: [18],
        flags: "qr rd ra",
      });
      expect(await site.ask("localhost", "A", { transport })).toMatchObject({ rcode: "REFUSED" });
    }
    const malformed = queryWire("page.example", "A", { id: 9, edns: null }).subarray(0, -1);
    expect(readReply(await site.send(malformed))).toMatchObject({ id: 9, rcode: "REFUSED" });
    expect(await site.ask("page.example", "A", { client: "10.1.2.3" })).toMatchObject({ answers: ["192.0.2.7"] });
    expect(await site.ask("page.example", "A", { clientId: "tv-key" })).toMatchObject({ answers: ["192.0.2.7"] });
    expect(await site.ask("page.example", "A", { client: "10.1.2.3, 203.0.113.9" })).toMatchObject({ rcode: "REFUSED" });
  });

  test("over the rate a client gets TC on UDP and REFUSED elsewhere, until it slows down", async () => {
    const yaml = "access: { rateLimit: { perSecond: 1, burst: 3, exempt: [10.0.0.1] } }";
    const site = await siteWith({ upstreams: { main: page }, yaml });
    for (let times = 0; times < 3; times++) expect(await site.ask("page.example")).toMatchObject({ answers: ["192.0.2.7"] });
    expect(await site.ask("page.example")).toMatchObject({ rcode: "NOERROR", flags: "qr tc rd ra", records: [] });
    for (const transport of ["tcp", "dot", "doh"] as const) {
      expect(await site.ask("page.example", "A", { transport })).toMatchObject({ rcode: "REFUSED", ede: [18] });
    }
    expect(await site.ask("page.example", "A", { client: "10.0.0.1" })).toMatchObject({ answers: ["192.0.2.7"] });
    await site.clock.advance(1000);
    expect(await site.ask("page.example")).toMatchObject({ answers: ["192.0.2.7"] });
    expect(await site.ask("page.example")).toMatchObject({ flags: "qr tc rd ra" });
  });
});

describe("the cache keeps apart", () => {
  async function countOf(questions: (site: TestSite) => Promise<unknown>[]): Promise<number> {
    const site = await siteWith({ upstreams: { main: honest("page.example A 192.0.2.7", "page.example TXT here") } });
    for (const _ of [1, 2]) for (const question of questions(site)) await question;
    return site.asked().length;
  }

  test("questions with DO and CD", async () => {
    expect(await countOf((site) => [site.ask("page.example"), site.ask("page.example", "A", { do: true })])).toBe(2);
    expect(await countOf((site) => [site.ask("page.example"), site.ask("page.example", "A", { cd: true })])).toBe(2);
  });

  test("but not those that differ in RD, AD, letters, size or transport", async () => {
    const same = [
      {},
      { rd: false },
      { ad: true },
      { edns: null },
      { edns: 4096 },
      { transport: "tcp" },
      { transport: "doh" },
    ] as const;
    expect(await countOf((site) => same.map((options) => site.ask("Page.example", "A", options)))).toBe(1);
  });

  test("classes: CH is forwarded, and apart from IN", async () => {
    const site = await siteWith({
      upstreams: {
        main: (asked) => respond(asked, { answers: zone(`version.bind ${asked.query.class === 3 ? "CH TXT nine" : "TXT in"}`) }),
      },
    });
    for (let times = 0; times < 2; times++) {
      expect(await site.ask("version.bind", "TXT", { class: 3 })).toMatchObject({ answers: ['"nine"'] });
      expect(await site.ask("version.bind", "TXT")).toMatchObject({ answers: ['"in"'] });
    }
    expect(site.asked()).toHaveLength(2);
  });
});

describe("over HTTP", () => {
  const get = (site: TestSite, query: string, headers: Record<string, string> = {}) =>
    fetch(`http://127.0.0.1:${site.app.bound.http[0]?.port}/dns-query?${query}`, { headers });
  const dns = (name: string, type = "A") => `dns=${queryWire(name, type).toString("base64url")}`;

  test("Cache-Control is the lowest TTL sent; negatives by the SOA rule; failures and stale not at all", async () => {
    const site = await siteWith({
      upstreams: { main: page },
      yaml: "hosts: { ttl: 90s, records: { nas.lan: 10.0.0.5, www.lan: { cname: page.example } } }",
    });
    const control = async (name: string, type = "A") => (await get(site, dns(name, type))).headers.get("cache-control");
    expect(await control("page.example")).toBe("max-age=100");
    await site.clock.advance(40_000);
    expect(await control("page.example")).toBe("max-age=60");
    expect(await control("page.example", "AAAA")).toBe("max-age=30");
    expect(await control("nas.lan")).toBe("max-age=90");
    expect(await control("nas.lan", "AAAA")).toBe("max-age=60");
    expect(await control("www.lan")).toBe("max-age=60");
    site.server().follow((asked) => respond(asked, { rcode: 2 }));
    await site.clock.advance(70_000);
    expect(await control("page.example")).toBe("no-store");
    expect(await control("www.lan")).toBe("no-store");
    expect(await control("other.example")).toBe("no-store");
  });

  test("`application/dns-json` shows the same answer as JSON", async () => {
    const site = await siteWith({ upstreams: { main: page } });
    const json = async (query: string) => {
      const response = await get(site, query, { accept: "application/dns-json" });
      return { status: response.status, body: await response.text() };
    };
    const { status, body } = await json("name=page.example");
    expect(status).toBe(200);
    expect(JSON.parse(body)).toMatchObject({
      Status: 0,
      Question: [{ name: "page.example.", type: 1 }],
      Answer: [{ name: "page.example.", type: 1, TTL: 100, data: "192.0.2.7" }],
    });
    expect(JSON.parse((await json("name=nowhere.example&type=AAAA&cd=1")).body)).toMatchObject({ Status: 3, CD: true });
    for (const bad of ["name=", "name=page.example&type=NOTYPE", "name=a..b"]) expect((await json(bad)).status).toBe(400);
  });
});
