import { describe, expect, test } from "vitest";
import { decodeMessage } from "../../src/dns/message.ts";
import { httpsData } from "../../src/rules/decider.ts";
import { zone } from "../dns/zone.ts";
import { rdataBytes } from "../support/encode.ts";
import { siteWith } from "../support/site.ts";
import { type Outcome, type WorkbenchSetup, workbenchWith } from "../support/workbench.ts";
import { honest, respond } from "../support/zone-script.ts";
import type { Script } from "../upstreams/scripted-server.ts";

const ech = `ech=${Buffer.from("0045fe0d0041c80020002093f8a2b1", "hex").toString("base64")}`;
const whole = `1 . alpn=h3,h2 port=8443 ipv4hint=192.0.2.7 ${ech} ipv6hint=2001:db8::7 key667=x`;
const addresses = ["page.example A 192.0.2.7", "page.example AAAA 2001:db8::7"];
const site: Script = honest(...addresses, `page.example HTTPS ${whole}`, `page.example SVCB ${whole}`);

async function askedOf(
  yaml: string,
  type = "HTTPS",
  upstream = site,
): Promise<Pick<Outcome, "action"> & { answers: readonly string[] }> {
  const bench = await workbenchWith({ yaml, upstreams: { main: [upstream], other: [upstream] } });
  const first = await bench.ask("page.example", type);
  const second = await bench.ask("page.example", type);
  // What is held is upstream's own: the second client gets the same as the first.
  expect(second.reply.answers).toEqual(first.reply.answers);
  expect(second).toMatchObject({ action: first.action, source: "cache" });
  return { action: first.action, answers: first.reply.answers };
}

describe("what the rules strip, and the action that the log shows", () => {
  const rest = (...gone: readonly string[]) => gone.reduce((left, part) => left.replace(part, ""), whole).replaceAll(/ +/g, " ");
  const four = "ipv4hint=192.0.2.7";
  const six = "ipv6hint=2001:db8::7";
  test.each([
    ["answers: { https: pass }", "none", whole],
    ["answers: { https: [strip-ech] }", "type65:strip-ech", rest(ech)],
    ["answers: { https: [strip-hints] }", "type65:strip-hints", rest(four, six)],
    ["answers: { https: [strip-ipv6hint] }", "type65:strip-ipv6hint", rest(six)],
    ["answers: { https: [strip-h3] }", "type65:strip-h3", rest("h3,")],
    ["answers: { https: [strip-h3, strip-ech] }", "type65:strip-ech,strip-h3", rest("h3,", ech)],
    ["answers: { https: [strip-ech] }\nrules: [{ name: r, domains: [page.example], https: pass }]", "none", whole],
    ["rules: [{ name: r, domains: [page.example], https: [strip-ech] }]", "type65:strip-ech", rest(ech)],
    ["answers: { ipv6: nodata }", "type65:strip-ipv6hint", rest(six)],
    ["answers: { ipv4: nodata }", "type65:strip-ipv4hint", rest(four)],
    ["answers: { ipv6: nodata, https: [strip-ech] }", "type65:strip-ech,strip-ipv6hint", rest(ech, six)],
    ["rules: [{ name: r, domains: [page.example], ipv6: nodata }]", "type65:strip-ipv6hint", rest(six)],
    ["rules: [{ name: r, types: [AAAA], answer: nodata }]", "type65:strip-ipv6hint", rest(six)],
    ["rules: [{ name: r, types: [A], answer: zero }]", "type65:strip-ipv4hint", rest(four)],
    ["rules: [{ name: r, types: [AAAA], upstream: other }]", "type65:strip-ipv6hint", rest(six)],
    ["rules: [{ name: r, types: [HTTPS], upstream: other }]", "type65:strip-ipv4hint,strip-ipv6hint", rest(four, six)],
    ["rules: [{ name: r, upstream: other }]", "none", whole],
    ["rules: [{ name: r, clients: [10.0.0.9], ipv6: nodata }]", "none", whole],
    ["hosts: { records: { page.example: { address: 10.0.0.7, others: forward } } }", "type65:strip-ipv4hint", rest(four)],
    [
      'hosts: { records: { page.example: { address: [10.0.0.7, "fd00::7"], others: forward } } }',
      "type65:strip-ipv4hint,strip-ipv6hint",
      rest(four, six),
    ],
  ])("%s: %s", async (yaml, action, left) => {
    expect(await askedOf(yaml)).toEqual({ action, answers: [left] });
  });

  test("SVCB likewise, under type64", async () => {
    expect(await askedOf("answers: { https: [strip-ech] }", "SVCB")).toEqual({
      action: "type64:strip-ech",
      answers: [rest(ech)],
    });
  });

  test("one client's filter does not change what another gets", async () => {
    const yaml = "rules: [{ name: r, clients: [10.0.0.9], ipv6: nodata, https: [strip-ech] }]";
    const bench = await workbenchWith({ yaml, upstreams: { main: [site] } });
    expect((await bench.ask("page.example", "HTTPS", { address: "10.0.0.9" })).reply.answers).toEqual([rest(ech, six)]);
    expect(await bench.ask("page.example", "HTTPS")).toMatchObject({
      source: "cache",
      action: "none",
      reply: { answers: [whole] },
    });
  });
});

describe("the target's addresses count, not the owner's", () => {
  const hints = "ipv4hint=192.0.2.9 ipv6hint=2001:db8::9";
  const pointing = honest(`page.example HTTPS 1 cdn.example. ${hints}`);
  test.each([
    ["rules: [{ name: r, domains: [cdn.example], ipv6: nodata }]", "1 cdn.example. ipv4hint=192.0.2.9"],
    ["rules: [{ name: r, domains: [page.example], ipv6: nodata }]", `1 cdn.example. ${hints}`],
    ["rules: [{ name: r, domains: [cdn.example], upstream: other }]", "1 cdn.example."],
    ["rules: [{ name: r, domains: [cdn.example], answer: nxdomain }]", "1 cdn.example."],
    ["hosts: { records: { cdn.example: 10.0.0.7 } }", "1 cdn.example."],
  ])("%s", async (yaml, left) => {
    expect((await askedOf(yaml, "HTTPS", pointing)).answers).toEqual([left]);
  });

  test("AliasMode leads to the target's own records, and is not touched", async () => {
    const alias = honest("page.example HTTPS 0 cdn.example.");
    const yaml = "answers: { https: [strip-ech, strip-hints, strip-h3], ipv6: nodata }";
    expect(await askedOf(yaml, "HTTPS", alias)).toEqual({ action: "none", answers: ["0 cdn.example."] });
  });

  test("behind a CNAME a target of `.` is the last name", async () => {
    const chain = honest("page.example CNAME cdn.example", `cdn.example HTTPS 1 . ${hints}`);
    const yaml = "rules: [{ name: r, domains: [cdn.example], ipv6: nodata }]";
    expect((await askedOf(yaml, "HTTPS", chain)).answers).toEqual(["1 . ipv4hint=192.0.2.9"]);
  });

  test("behind a hosts alias the target's own rules hold", async () => {
    const yaml = "hosts: { records: { photos.example: { cname: page.example } } }\nanswers: { https: [strip-ech], ipv6: nodata }";
    const bench = await workbenchWith({ yaml, upstreams: { main: [site] } });
    const { reply, action } = await bench.ask("photos.example", "HTTPS");
    expect(action).toBe("type65:strip-ech,strip-ipv6hint");
    expect(reply.records).toEqual([
      "photos.example. 60 IN CNAME page.example.",
      `page.example. 300 IN HTTPS ${whole.replace(` ${ech} ipv6hint=2001:db8::7`, "")}`,
    ]);
  });
});

describe("address records beside the bindings", () => {
  const beside = ["cdn.example A 192.0.2.9", "cdn.example AAAA 2001:db8::9"];
  const four = "cdn.example. 300 IN A 192.0.2.9";
  const six = "cdn.example. 300 IN AAAA 2001:db8::9";
  const script: Script = (asked) =>
    respond(asked, { authenticData: true, answers: zone("page.example HTTPS 1 cdn.example."), additional: zone(...beside) });

  test.each([
    ["", "none", [four, six]],
    ["answers: { https: [strip-hints, strip-ipv6hint] }", "none", [four, six]],
    ["answers: { ipv6: nodata }", "type65:strip-addresses", [four]],
    ["rules: [{ name: r, domains: [cdn.example], ipv4: nodata }]", "type65:strip-addresses", [six]],
    ["rules: [{ name: r, domains: [page.example], ipv4: nodata }]", "none", [four, six]],
    ["rules: [{ name: r, domains: [cdn.example], upstream: other }]", "type65:strip-addresses", []],
    ["rules: [{ name: r, domains: [cdn.example], answer: nxdomain }]", "type65:strip-addresses", []],
    ["rules: [{ name: r, types: [AAAA], domains: [cdn.example], upstream: other }]", "type65:strip-addresses", [four]],
    ["hosts: { records: { cdn.example: 10.0.0.7 } }", "type65:strip-addresses", []],
  ])("%s: %s", async (yaml, action, left) => {
    const bench = await workbenchWith({ yaml, upstreams: { main: [script], other: [script] }, scheme: "tls" });
    for (const source of ["upstream", "cache"]) {
      const outcome = await bench.ask("page.example", "HTTPS", { ad: true });
      expect(outcome).toMatchObject({ source, action, reply: { answers: ["1 cdn.example."], additional: left } });
      expect(outcome.reply.flags).toBe(action === "none" ? "qr rd ra ad" : "qr rd ra");
    }
  });

  test("beside an empty answer go always: nothing points to them", async () => {
    const empty: Script = (asked) =>
      respond(asked, {
        authority: zone("example 30 SOA a b 1 2 3 4 30"),
        additional: zone(...beside.map((line) => line.replace("cdn", "page"))),
      });
    const bench = await workbenchWith({ upstreams: { main: [empty] } });
    const { action, reply } = await bench.ask("page.example", "HTTPS");
    expect({ action, rcode: reply.rcode, soa: reply.soa?.ttl, additional: reply.additional }).toEqual({
      action: "none",
      rcode: "NOERROR",
      soa: 30,
      additional: [],
    });
  });

  test("private addresses are stripped where rebinding is guarded against", async () => {
    const rebinding: Script = (asked) =>
      respond(asked, {
        answers: zone("page.example HTTPS 1 cdn.example."),
        additional: zone(...beside, "cdn.example A 192.168.1.1"),
      });
    const bench = await workbenchWith({ yaml: "answers: { rebinding: nodata }", upstreams: { main: [rebinding] } });
    expect((await bench.ask("page.example", "HTTPS")).reply.additional).toEqual([six]);
  });
});

describe("where strip-h3 leaves no record", () => {
  const yaml = "answers: { https: [strip-h3], negative: { block: 20s } }";
  const onlyHttp3 = "page.example HTTPS 1 . alpn=h3 no-default-alpn";

  test("the answer is NODATA, as for a type that is filtered, and A stays", async () => {
    const bench = await workbenchWith({ yaml, upstreams: { main: [honest(onlyHttp3, ...addresses)] } });
    for (let round = 0; round < 2; round++) {
      expect(await bench.ask("page.example", "HTTPS")).toMatchObject({
        source: "rule",
        action: "type65:strip-h3",
        reply: { rcode: "NOERROR", records: [], soa: { owner: "page.example", ttl: 20, minimum: 20 }, ede: [17] },
      });
    }
    expect((await bench.ask("page.example", "A")).reply.answers).toEqual(["192.0.2.7"]);
  });

  test("another record stays", async () => {
    const other = "page.example HTTPS 2 . alpn=h2 no-default-alpn";
    const bench = await workbenchWith({ yaml, upstreams: { main: [honest(onlyHttp3, other)] } });
    expect((await bench.ask("page.example", "HTTPS")).reply.answers).toEqual(["2 . alpn=h2 no-default-alpn"]);
  });

  test("behind an alias of the hosts table the alias stays, with an SOA of the target", async () => {
    const hosts = "hosts: { records: { photos.example: { cname: page.example } } }";
    const bench = await workbenchWith({ yaml: `${hosts}\n${yaml}`, upstreams: { main: [honest(onlyHttp3)] } });
    const { reply } = await bench.ask("photos.example", "HTTPS");
    expect(reply).toMatchObject({ rcode: "NOERROR", soa: { owner: "page.example", ttl: 20, minimum: 20 } });
    expect(reply.records).toEqual(["photos.example. 60 IN CNAME page.example."]);
  });
});

describe("AD and signatures", () => {
  const rrsig = "page.example RRSIG HTTPS 13 2 300 20270101000000 20260101000000 1 example. AAAA";
  const signed: Script = (asked) =>
    respond(asked, {
      authenticData: true,
      answers: zone(`page.example HTTPS ${whole}`, "page.example HTTPS 2 cdn.example.", rrsig),
      additional: zone("cdn.example HTTPS 1 . alpn=h2", rrsig.replace("page", "cdn"), `cdn.example HTTPS 2 . ${ech}`),
    });
  const setup = (yaml: string): WorkbenchSetup => ({ yaml, upstreams: { main: [signed] }, scheme: "tls" });

  test("stay where nothing is edited", async () => {
    const { reply } = await (await workbenchWith(setup(""))).ask("page.example", "HTTPS", { do: true });
    expect(reply.flags).toBe("qr rd ra ad");
    expect(reply.records).toHaveLength(3);
    expect(reply.additional).toHaveLength(3);
  });

  test("are cleared where something is edited, in the additional section too", async () => {
    const { reply } = await (await workbenchWith(setup("answers: { https: [strip-ech] }"))).ask("page.example", "HTTPS", {
      do: true,
    });
    expect(reply.flags).toBe("qr rd ra");
    const left = [whole.replace(`${ech} `, ""), "2 cdn.example."];
    expect(reply.records).toEqual(left.map((data) => `page.example. 300 IN HTTPS ${data}`));
    expect(reply.additional).toEqual(["cdn.example. 300 IN HTTPS 1 . alpn=h2", "cdn.example. 300 IN HTTPS 2 ."]);
  });
});

test("with `pass` the bytes after the header are upstream's own, over real sockets", async () => {
  let sent: Uint8Array = new Uint8Array();
  const unknown = "page.example TYPE65 \\# 17 0001 00 0001 0003 026832 029b 0003 78797a";
  const lines = [unknown, `page.example HTTPS ${whole}`, "page.example HTTPS 0 cdn.example."];
  const script: Script = (asked) => {
    const action = respond(asked, {
      answers: zone(...lines),
      additional: zone(...lines.map((line) => line.replace("page", "cdn"))),
    });
    if (action.kind === "reply") sent = action.message;
    return action;
  };
  const server = await siteWith({ upstreams: { main: script } });
  for (const transport of ["udp", "tcp", "dot", "doh"] as const) {
    const { wire } = await server.ask("page.example", "HTTPS", { transport, edns: null });
    expect(Buffer.from(wire.subarray(4)).equals(sent.subarray(4))).toBe(true);
  }
});

describe("a hosts name with `https` of its own", () => {
  const yaml = `hosts:
  records:
    web.example: { address: [10.0.0.7, "fd00::7"], https: { alpn: [h2, h3], port: 8443 } }
    plain.example: { address: 10.0.0.8, https: { alpn: [] } }`;

  test("answers with that record, byte for byte, which has no hints that could contradict the table", async () => {
    const bench = await workbenchWith({ yaml, upstreams: { main: [site] } });
    const { reply, source, action, asked } = await bench.ask("web.example", "HTTPS");
    expect({ source, action, asked }).toEqual({ source: "hosts", action: "none", asked: [] });
    expect(reply.records).toEqual(["web.example. 60 IN HTTPS 1 . alpn=h2,h3 port=8443"]);
    const [record] = decodeMessage(reply.wire)?.answers ?? [];
    expect(record && Buffer.from(rdataBytes(record.data))).toEqual(Buffer.from(httpsData({ alpn: ["h2", "h3"], port: 8443 })));
    expect((await bench.ask("plain.example", "HTTPS")).reply.answers).toEqual(["1 ."]);
  });

  test("is not filtered: the table comes before rules", async () => {
    const bench = await workbenchWith({ yaml: `${yaml}\nanswers: { https: nodata, ipv6: nodata }`, upstreams: { main: [site] } });
    expect((await bench.ask("web.example", "HTTPS")).reply.answers).toEqual(["1 . alpn=h2,h3 port=8443"]);
    expect((await bench.ask("web.example", "AAAA")).reply.answers).toEqual(["fd00::7"]);
    expect((await bench.ask("web.example", "SVCB")).reply).toMatchObject({ rcode: "NOERROR", soa: { owner: "web.example" } });
  });
});

describe("a blocked name is blocked in every type alike", () => {
  const types = ["A", "AAAA", "HTTPS", "SVCB", "MX", "TXT", "CNAME", "NS", "SOA", "DS", "ANY"];
  test.each([
    ["nxdomain", "NXDOMAIN"],
    ["nodata", "NOERROR"],
  ])("%s: one rcode, one SOA", async (answer, rcode) => {
    const yaml = `rules: [{ name: ads, domains: [page.example], answer: ${answer} }]\nanswers: { https: [strip-ech], ipv6: nodata }`;
    const bench = await workbenchWith({ yaml, upstreams: { main: [site] } });
    for (const type of types) {
      expect(await bench.ask("page.example", type)).toMatchObject({
        source: "rule",
        action: "block",
        asked: [],
        reply: { rcode, records: [], soa: { owner: "page.example", ttl: 60, minimum: 60 }, ede: [15] },
      });
    }
  });
});
