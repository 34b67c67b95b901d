import { once } from "node:events";
import { existsSync, mkdirSync, readFileSync, writeFileSync } from "node:fs";
import { connect } from "node:http2";
import { join } from "node:path";
import fc from "fast-check";
import { describe, expect, test } from "vitest";
import type { DdnsOptions } from "../../src/ddns/options.ts";
import { DdnsService, mergeFamilies } from "../../src/ddns/update.ts";
import { fakeClock } from "../support/fake-clock.ts";
import { directory } from "../support/files.ts";
import { anyString, runs } from "../support/properties.ts";
import { type SiteSetup, siteWith, type TestSite } from "../support/site.ts";
import { honest } from "../support/zone-script.ts";

const TOKEN = "correct-horse";
const YAML = `ddns: { tokens: [{ token: ${TOKEN}, names: [home.example.com, cam.example.com] }, { token: other-horse, names: tv.example.com }] }`;

function basic(token: string, user = "anybody"): string {
  return `Basic ${Buffer.from(`${user}:${token}`).toString("base64")}`;
}

async function house({ yaml = YAML, ...setup }: SiteSetup = {}): Promise<TestSite> {
  return await siteWith({ yaml, admin: true, upstreams: { main: honest("www.example A 192.0.2.7") }, ...setup });
}

/** Status and text of an update. */
async function update(site: TestSite, query: string, { token = TOKEN, from }: { token?: string | null; from?: string } = {}) {
  const headers = new Headers(from === undefined ? {} : { "x-forwarded-for": from });
  if (token !== null) headers.set("authorization", basic(token));
  const response = await site.api(`/nic/update?${query}`, { headers });
  return { status: response.status, text: (await response.text()).trimEnd(), headers: response.headers };
}

async function say(site: TestSite, query: string, options: Parameters<typeof update>[2] = {}): Promise<string> {
  return (await update(site, query, options)).text;
}

describe("a host that reports its address", () => {
  test("is answered at once, in both families; a second report of the same address changes nothing", async () => {
    const site = await house({ folder: directory() });
    expect(await say(site, "hostname=home.example.com&myip=203.0.113.7")).toBe("good 203.0.113.7");
    expect(await site.ask("home.example.com")).toMatchObject({ answers: ["203.0.113.7"] });
    expect(await say(site, "hostname=Home.Example.COM.&myip=203.0.113.7")).toBe("nochg 203.0.113.7");
    // A family that is not named stays.
    expect(await say(site, "hostname=home.example.com&myip=2001:DB8::0:7")).toBe("good 2001:db8::7");
    expect(await site.ask("home.example.com")).toMatchObject({ answers: ["203.0.113.7"] });
    expect(await site.ask("home.example.com", "AAAA")).toMatchObject({ answers: ["2001:db8::7"] });
    expect(await say(site, "system=dyndns&hostname=home.example.com&myip=203.0.113.8,2001:db8::8&wildcard=ON")).toBe(
      "good 203.0.113.8,2001:db8::8",
    );
    expect(await say(site, "hostname=home.example.com&myip=203.0.113.9&myipv6=2001:db8::8")).toBe("good 203.0.113.9,2001:db8::8");
  });

  test("without an address in the request has the address that it comes from, also behind a trusted proxy; it is listed with its source, explained, and told in the log", async () => {
    const site = await house({ folder: directory() });
    expect(await say(site, "hostname=tv.example.com", { token: "other-horse", from: "198.51.100.4" })).toBe("good 198.51.100.4");
    expect(await say(site, "hostname=tv.example.com&myip=", { token: "other-horse", from: "2001:db8::4" })).toBe(
      "good 2001:db8::4",
    );
    const { control } = site.app.administration;
    expect(control.host("tv.example.com")).toMatchObject({
      addresses: ["198.51.100.4", "2001:db8::4"],
      source: "ddns",
      own: false,
    });
    const question = { name: "tv.example.com", type: "A", client: null, clientId: null, resolve: false, version: null };
    expect(JSON.stringify(await control.explain(question))).toContain('"source":"ddns"');
    expect(site.log.join("")).toMatch(/"name":"tv.example.com".*a host reported its addresses/);
  });

  test("gets a line for each name of one request, in its order, or one line for all", async () => {
    const site = await house({ folder: directory() });
    const query = "hostname=cam.example.com,tv.example.com,home,cam.example.com&myip=192.0.2.33";
    expect(await say(site, query)).toBe("good 192.0.2.33\nnohost\nnotfqdn\ngood 192.0.2.33");
    expect(await site.ask("tv.example.com")).toMatchObject({ rcode: "NXDOMAIN" });
    for (const [wrong, text] of WRONG) expect(await update(site, wrong), wrong).toMatchObject({ status: 200, text });
  });

  const WRONG = [
    ["hostname=tv.example.com", "nohost"],
    ["hostname=nobody.example.com&myip=192.0.2.1", "nohost"],
    ["hostname=localhost&myip=192.0.2.1", "notfqdn"],
    ["hostname=a..b&myip=192.0.2.1", "notfqdn"],
    ["myip=192.0.2.1", "notfqdn"],
    ["hostname=,&myip=192.0.2.1", "notfqdn"],
    ["hostname=home.example.com&myip=1.2.3", "dnserr"],
    ["hostname=home.example.com&myip=0.0.0.0", "dnserr"],
    ["hostname=home.example.com&myip=ff02::1", "dnserr"],
    [`hostname=${"home.example.com,".repeat(21)}&myip=192.0.2.1`, "numhost"],
  ] as const;

  test("who is told nothing without the right password: one answer for names that are there and names that are not", async () => {
    const site = await house();
    for (const token of ["wrong-horse", null]) {
      const replies = await Promise.all(
        ["home.example.com", "nobody.example.com", "localhost"].map((name) => update(site, `hostname=${name}`, { token })),
      );
      for (const { status, text, headers } of replies) {
        expect({ status, text }).toEqual({ status: 401, text: "badauth" });
        expect(headers.get("www-authenticate")).toMatch(/^Basic realm=/);
      }
    }
    expect(site.log.join("")).toContain("a client sent a wrong token");
    expect(site.log.join("")).not.toContain("wrong-horse");
  });

  test("DELETE takes the report back until the next one, and the shown configuration hides the tokens", async () => {
    const site = await house({ folder: directory() });
    await say(site, "hostname=home.example.com&myip=203.0.113.7");
    const { control } = site.app.administration;
    expect(await control.deleteHost("home.example.com", false)).toBe(true);
    expect(control.host("home.example.com")).toBeNull();
    expect(await say(site, "hostname=home.example.com&myip=203.0.113.7")).toBe("good 203.0.113.7");
    expect(site.app.administration.control.config().config["ddns"]).toEqual({
      tokens: [
        { token: "***", names: ["home.example.com", "cam.example.com"] },
        { token: "***", names: "tv.example.com" },
      ],
    });
  });
});

describe("what was reported", () => {
  test("survives a restart, and goes with its token", async () => {
    const folder = directory();
    const site = await house({ folder });
    await say(site, "hostname=home.example.com&myip=203.0.113.7");
    await say(site, "hostname=tv.example.com&myip=203.0.113.8", { token: "other-horse" });
    await site.close();
    const again = await house({ folder });
    expect(await again.ask("home.example.com")).toMatchObject({ answers: ["203.0.113.7"] });
    await again.reload("ddns: { tokens: [{ token: other-horse, names: tv.example.com }] }");
    expect(await again.ask("home.example.com")).toMatchObject({ rcode: "NXDOMAIN" });
    expect(await again.ask("tv.example.com")).toMatchObject({ answers: ["203.0.113.8"] });
    expect(await update(again, "hostname=home.example.com&myip=203.0.113.7")).toMatchObject({ status: 401, text: "badauth" });
    await again.reload("");
    expect((await update(again, "hostname=tv.example.com")).status).toBe(404);
    expect(await again.ask("tv.example.com")).toMatchObject({ rcode: "NXDOMAIN" });
  });

  test("gives way to a name that an operator set, and an address that cannot be kept is 911", async () => {
    const folder = directory();
    const site = await house({ folder, yaml: `${YAML}\nexpect: [{ name: cam.example.com, upstream: main }]` });
    await site.app.administration.control.putHost("home.example.com", { address: "10.0.0.9" });
    expect(await say(site, "hostname=home.example.com&myip=203.0.113.7")).toBe("good 203.0.113.7");
    expect(await site.ask("home.example.com")).toMatchObject({ answers: ["10.0.0.9"] });
    expect(await say(site, "hostname=cam.example.com&myip=203.0.113.7")).toBe("911");
    const path = join(folder, "data", "hosts.yaml");
    expect(readFileSync(path, "utf8")).not.toContain("cam.example.com");
    writeFileSync(path, "reported: { home.example.com: 10.0.0 }\n");
    expect(await say(site, "hostname=home.example.com&myip=203.0.113.8")).toBe("911");
    expect(site.log.join("")).toContain("a report could not be kept");
    expect(readFileSync(path, "utf8")).toContain("10.0.0 }");
  });

  test("is in no file where nothing was reported", async () => {
    const folder = directory();
    mkdirSync(join(folder, "data"));
    const site = await house({ folder });
    expect(await say(site, "hostname=nobody.example.com&myip=203.0.113.7")).toBe("nohost");
    expect(existsSync(join(folder, "data", "hosts.yaml"))).toBe(false);
  });
});

describe("on the DoH listeners", () => {
  test("updates are taken by option over HTTP/1.1 and HTTP/2, and are unknown without it", async () => {
    const site = await house({ folder: directory() });
    const { port } = site.app.bound.http[0] ?? { port: 0 };
    const ask = (path: string, init: RequestInit = {}) => fetch(`http://127.0.0.1:${port}${path}`, init);
    const path = "/nic/update?hostname=home.example.com&myip=203.0.113.7";
    const headers = { authorization: basic(TOKEN) };
    expect((await ask(path, { headers })).status).toBe(404);
    await site.reload(YAML.replace("ddns: {", "ddns: { onDoh: true,"));
    const denied = await ask(path);
    expect([denied.status, denied.headers.get("www-authenticate"), await denied.text()]).toEqual([
      401,
      'Basic realm="fenliu", charset="UTF-8"',
      "badauth\n",
    ]);
    expect(await (await ask(path, { headers })).text()).toBe("good 203.0.113.7\n");
    expect((await ask("/nic/updates", { headers })).status).toBe(404);
    const session = connect(`http://127.0.0.1:${port}`);
    const [{ ":status": status }] = await once(session.request({ ":path": path, ...headers }), "response");
    const [{ "www-authenticate": challenge }] = await once(session.request({ ":path": path }), "response");
    session.close();
    expect([status, challenge]).toEqual([200, 'Basic realm="fenliu", charset="UTF-8"']);
    expect((await ask(path, { headers, method: "POST", body: "x" })).status).toBe(404);
  });
});

describe("abuse", () => {
  const OPTIONS: DdnsOptions = { onDoh: false, tokens: [{ token: TOKEN, names: ["home.example.com"] }] };

  function service() {
    const clock = fakeClock();
    const warnings: string[] = [];
    const parts = { clock, options: () => OPTIONS, reported: () => [], report: async () => {} };
    const ddns = new DdnsService({ ...parts, warn: (kind) => warnings.push(kind) });
    const send = async (token: string, client = "192.0.2.1") => {
      const reply = await ddns.update({ query: "hostname=home.example.com", authorization: basic(token), client });
      return reply?.text.trim();
    };
    return { clock, warnings, send, ddns };
  }

  test("after ten wrong tokens neither a wrong nor the right one is looked at for a minute; other networks are free", async () => {
    const { clock, send } = service();
    for (let guess = 0; guess < 10; guess++) expect(await send(`wrong-${guess}`)).toBe("badauth");
    expect([await send("wrong-11"), await send(TOKEN), await send(TOKEN, "198.51.100.1")]).toEqual([
      "abuse",
      "abuse",
      "good 198.51.100.1",
    ]);
    await clock.advance(60_000);
    expect([await send(TOKEN), await send("wrong-12"), await send(TOKEN)]).toEqual(["good 192.0.2.1", "badauth", "abuse"]);
  });

  test("a client with the right token that reports all the time is told to stop", async () => {
    const { clock, send, warnings } = service();
    const replies = await Promise.all(Array.from({ length: 21 }, () => send(TOKEN)));
    expect([replies.filter((text) => text === "good 192.0.2.1").length, replies.at(-1)]).toEqual([20, "abuse"]);
    expect(warnings).toEqual(["ddns: a client reports too often"]);
    await clock.advance(30_000);
    expect(await send(TOKEN)).toBe("good 192.0.2.1");
  });

  test("whatever is sent, the reply is a line of the protocol", async () => {
    const text = fc.oneof(anyString(), fc.constantFrom("home.example.com", TOKEN, "hostname=", "myip=", ",", "&"));
    const { ddns, clock } = service();
    await fc.assert(
      fc.asyncProperty(fc.array(text), fc.oneof(text, fc.constant(basic(TOKEN))), text, async (parts, authorization, client) => {
        await clock.advance(60_000);
        const reply = await ddns.update({ query: parts.join(""), authorization, client });
        expect(reply?.text).toMatch(/^((good|nochg) [\d.a-f:,]+|nohost|notfqdn|numhost|dnserr|badauth|abuse)(\n|$)/);
      }),
      { numRuns: runs(200) },
    );
  });

  test("a report replaces one family and keeps the other", () => {
    expect(mergeFamilies(["192.0.2.1", "2001:db8::1"], ["2001:db8::2"])).toEqual(["192.0.2.1", "2001:db8::2"]);
    expect(mergeFamilies(["192.0.2.1"], [])).toEqual(["192.0.2.1"]);
  });
});
