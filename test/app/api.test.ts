import { writeFileSync } from "node:fs";
import { join } from "node:path";
import { describe, expect, test } from "vitest";
import { directory } from "../support/files.ts";
import { siteWith, type TestSite } from "../support/site.ts";
import { honest } from "../support/zone-script.ts";

function house(yaml = ""): Promise<TestSite> {
  return siteWith({ yaml, admin: true, upstreams: { main: honest("page.example 100 A 192.0.2.7") } });
}

const JSON_TYPE = { "content-type": "application/json" };

function sent(method: string, body: unknown = {}): RequestInit {
  return { method, headers: JSON_TYPE, body: JSON.stringify(body) };
}

async function json(response: Promise<Response>): Promise<unknown> {
  return (await response).json();
}

describe("the API of a server at work", () => {
  test("a flushed name is asked upstream again by the next query", async () => {
    const site = await house();
    await site.ask("page.example");
    await site.ask("page.example");
    expect(site.asked()).toEqual(["page.example A"]);
    expect(await json(site.api("cache?name=page.example"))).toMatchObject({
      answers: [{ type: "A", route: "main", outcome: "positive", answers: ["100 A 192.0.2.7"] }],
    });
    const flush = { method: "DELETE", headers: JSON_TYPE };
    expect(await json(site.api("cache?name=example&subtree=true", flush))).toMatchObject({ flushed: 1 });
    await site.ask("page.example");
    expect(site.asked()).toEqual(["page.example A", "page.example A"]);
  });

  test("a token set by a reload is required from the next call on", async () => {
    const site = await house();
    expect((await site.api("upstreams")).status).toBe(200);
    await site.reload('admin: { token: "a-token-of-the-house" }');
    expect((await site.api("upstreams")).status).toBe(401);
    expect((await site.api("upstreams", { headers: { authorization: "Bearer a-token-of-the-house" } })).status).toBe(200);
  });

  test("metrics show the queries, the cache and the upstreams", async () => {
    const site = await house();
    await site.ask("page.example");
    const text = await (await site.api("/metrics")).text();
    expect(text).toMatch(/^fenliu_queries_total\{.*source="upstream".*\} 1$/m);
    expect(text).toMatch(/^fenliu_upstream_up\{.*group="main".*\} 1$/m);
  });

  test("a name that a rule drops is blocked, and the answer to a loop is no failure, in the statistics and the metrics alike", async () => {
    const site = await siteWith({
      yaml: `log: { queries: { store: data/queries.db } }
rules: [{ name: quiet, domains: ads.example, answer: drop }, { name: ads, domains: more.example, answer: nodata }]`,
      admin: true,
      folder: directory(),
      upstreams: { main: { servers: [honest("page.example 100 A 192.0.2.7")], keys: "asksFrom: [10.9.9.9]" } },
    });
    await site.ask("ads.example", "A", { client: "10.0.0.5" });
    await site.ask("more.example");
    expect(await site.ask("page.example", "A", { client: "10.9.9.9" })).toMatchObject({ rcode: "NXDOMAIN" });
    await site.app.queryLog.get(1);
    expect(site.app.queryLog.status().stored).toBe(3);
    await site.clock.advance(60_000);
    const stats = await json(site.api("stats?from=1h&step=1h"));
    expect(stats).toMatchObject({ bySource: { rule: 2, special: 1 }, byAction: { block: 1, drop: 1, loop: 1 } });
    expect(stats).toMatchObject({ topBlocked: [{ key: "ads.example" }, { key: "more.example" }] });
    expect(stats).toMatchObject({
      series: expect.arrayContaining([expect.objectContaining({ total: 3, blocked: 2, failed: 0 })]),
    });
    const metrics = await (await site.api("/metrics")).text();
    expect(metrics).toContain('fenliu_queries_total{transport="doh",source="special",rcode="NXDOMAIN"} 1\n');
    expect(metrics).toContain('fenliu_query_duration_seconds_count{answered="upstream"} 0\n');
  });

  test("a name is set, shown, answered and removed; an invalid record is refused with a reason", async () => {
    const site = await siteWith({ admin: true, folder: directory(), yaml: "hosts: { records: { nas.lan: 10.0.0.5 } }" });
    expect(await json(site.api("hosts/tv.lan", sent("PUT", { address: "10.0.0.9" })))).toMatchObject({ own: true });
    expect(await site.ask("tv.lan")).toMatchObject({ answers: ["10.0.0.9"] });
    expect(await json(site.api("hosts"))).toMatchObject([
      { name: "nas.lan", own: false },
      { name: "tv.lan", own: true },
    ]);
    expect((await site.api("hosts/tv.lan", sent("DELETE"))).status).toBe(204);
    expect((await site.api("hosts/tv.lan", sent("DELETE"))).status).toBe(404);
    expect(await site.ask("tv.lan")).toMatchObject({ rcode: "NXDOMAIN" });
    const refused = await site.api("hosts/tv.lan", sent("PUT", { address: "10.0.0" }));
    expect([refused.status, JSON.stringify(await refused.json())]).toEqual([400, expect.stringContaining("10.0.0")]);
  });

  test("a refresh reads the changed file of a list, and the next query is answered by it", async () => {
    const folder = directory();
    const path = join(folder, "ads.txt");
    writeFileSync(path, "other.example\n");
    const yaml = `lists: { ads: { domains: [${path}] } }\nrules: [{ name: ads, domains: "list:ads", answer: nodata }]`;
    const site = await siteWith({ admin: true, folder, yaml, upstreams: { main: honest("page.example 100 A 192.0.2.7") } });
    expect(await site.ask("page.example")).toMatchObject({ answers: ["192.0.2.7"] });
    writeFileSync(path, "other.example\npage.example\n");
    expect(await json(site.api("lists/ads/refresh", sent("POST")))).toMatchObject({ name: "ads", size: 2 });
    expect(await site.ask("page.example")).toMatchObject({ rcode: "NOERROR", answers: [] });
    expect((await site.api("lists/none/refresh", sent("POST"))).status).toBe(404);
  });

  test("a reload over the API reads the file again; a file with faults is refused with all of them, and nothing changes", async () => {
    const folder = directory();
    const site = await siteWith({ admin: true, folder, yaml: "answers: { https: nodata }" });
    writeFileSync(join(folder, "fenliu.yaml"), "answers: { https: no, ipv6: maybe }\n");
    const refused = await site.api("reload", sent("POST"));
    expect(refused.status).toBe(409);
    expect(await refused.json()).toMatchObject({ problems: [expect.anything(), expect.anything()] });
    writeFileSync(join(folder, "fenliu.yaml"), `${site.app.state.config.text}\nhosts: { records: { nas.lan: 10.0.0.5 } }\n`);
    expect((await site.api("reload", sent("POST"))).status).toBe(200);
    expect(await site.ask("nas.lan")).toMatchObject({ answers: ["10.0.0.5"] });
  });

  test("a refused reload shows in the metrics, and reveals no secrets of the file", async () => {
    const folder = directory();
    const site = await siteWith({ admin: true, folder, yaml: "access: { clients: [private, k3y] }" });
    const reloadOf = async (text: string) => {
      writeFileSync(join(folder, "fenliu.yaml"), text);
      return await (await site.api("reload", sent("POST"))).text();
    };
    const servers = "servers: [192.0.2.1]";
    expect(await reloadOf(`upstreams: { a: { ${servers}, proxy: "socks5://me:word@127.0.0.1" } }`)).toMatch(
      /`\*\*\*@127.0.0.1` has no port/,
    );
    expect(await reloadOf('cluster: { redis: "http://cache.lan?word" }')).toMatch(/`http:\/\/cache.lan\?\*\*\*` is not a URL/);
    expect(await reloadOf('bootstrap: ["https://me:word@192.0.2.1/ab12?word"]')).toContain("write `https://192.0.2.1/***?***`");
    const metrics = await (await site.api("/metrics")).text();
    expect(metrics).toContain('fenliu_config_reloads_total{result="failure"} 3\n');
    expect(metrics).toContain("fenliu_config_last_reload_successful 0\n");
    const expectation = "expect: [{ name: page.example, client: k3y, rule: none }]";
    const rules = "rules: [{ name: none, clients: [k3y], answer: nodata, domains: other.example }]";
    const refused = await reloadOf(`${site.app.state.config.text}\n${rules}\n${expectation}\n`);
    expect(refused).toContain("page.example A for ***: expected rule none");
    expect(refused).not.toContain("k3y");
  });

  test("neither a client without token nor the log learns passwords and keys in the URLs of missing lists", async () => {
    const lists = 'lists: { ads: { domains: ["https://me:word@127.0.0.1:1/ads.txt?key=secret"], refresh: 1d } }';
    const site = await house(`${lists}\nrules: [{ name: ads, domains: "list:ads", answer: nodata }]`);
    const told = await (await site.api("/readyz")).text();
    expect(told).toContain("list ads: https://me:***@127.0.0.1:1/ads.txt?***");
    expect(told).not.toMatch(/word|secret/);
    const refreshed = await site.api("lists/ads/refresh", sent("POST"));
    expect({ status: refreshed.status, text: await refreshed.text() }).toEqual({
      status: 502,
      text: expect.not.stringMatching(/word|secret/),
    });
    const log = site.log.join();
    expect(log).toContain("could not be renewed");
    expect(log).not.toMatch(/word|secret/);
  });

  test("the configuration is shown without secrets", async () => {
    const site = await house('admin: { token: "a-token-of-the-house" }');
    const headers = { authorization: "Bearer a-token-of-the-house" };
    const text = await (await site.api("config", { headers })).text();
    expect(text).toContain('"token":"***"');
    expect(text).not.toContain("a-token-of-the-house");
  });

  test("a draft is checked like a start: its text, its rules, its expectations", async () => {
    const site = await house();
    const check = async (config: string) => await json(site.api("config/check", sent("POST", { config })));
    expect(await check("answers: { https: no }")).toMatchObject({ ok: false, problems: [{ line: 1, column: 19 }] });
    expect(await check("expect: [{ name: page.example, rule: none }]")).toMatchObject({ ok: false });
    expect(await check("expect: [{ name: page.example, upstream: domestic }]")).toEqual({
      ok: true,
      problems: [],
      warnings: [{ message: expect.stringContaining("restart Fenliu"), key: "", fix: null, line: null, column: null }],
    });
  });

  test("a draft that names a file of the machine learns nothing about its content", async () => {
    const folder = directory();
    writeFileSync(join(folder, "key.pem"), '-----BEGIN PRIVATE KEY-----\nMIIE"voIBA\\DAN\nBgkq\n10.0.0.5 hkiG!9w0B\n');
    const site = await siteWith({ admin: true, folder, upstreams: { main: honest("page.example 100 A 192.0.2.7") } });
    const check = async (config: string) => await (await site.api("config/check", sent("POST", { config }))).text();
    const told = await check(
      "hosts: { files: [key.pem] }\nlists: { ads: { domains: [key.pem] }, near: { addresses: [key.pem] } }",
    );
    expect(told).toContain("key.pem:2: hosts: what stands there is no address");
    expect(told).not.toMatch(/BEGIN|MIIE|voIBA|DAN|Bgkq|hkiG/);
  });
});
