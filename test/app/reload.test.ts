import { readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { setImmediate as turn } from "node:timers/promises";
import { describe, expect, test, vi } from "vitest";
import type { ListView } from "../../src/admin/schemas/views.ts";
import { hostRecord, withHost } from "../../src/control/hosts.ts";
import { ListRefresher } from "../../src/lists/refresher.ts";
import { ServerStateError } from "../../src/server/state.ts";
import { zone } from "../dns/zone.ts";
import { directory } from "../support/files.ts";
import type { Reply } from "../support/message.ts";
import { type AskTransport, siteWith } from "../support/site.ts";
import { honest, respond, silent } from "../support/zone-script.ts";
import type { Script } from "../upstreams/scripted-server.ts";

const page = honest("page.example 100 A 192.0.2.7");
const blocking = "rules: [{ name: ads, domains: [page.example], answer: nodata }]";

describe("a good reload", () => {
  test("changes the answers exactly at the swap", async () => {
    const site = await siteWith({ upstreams: { main: page } });
    expect(await site.ask("page.example")).toMatchObject({ answers: ["192.0.2.7"] });
    await site.reload(blocking);
    for (const transport of ["udp", "tcp", "dot", "doh"] as const) {
      expect(await site.ask("page.example", "A", { transport })).toMatchObject({ answers: [], ede: [15] });
    }
    await site.reload("");
    expect(await site.ask("page.example")).toMatchObject({ answers: ["192.0.2.7"] });
  });

  test("applies new hosts, modifiers, access and rates", async () => {
    const site = await siteWith({ upstreams: { main: page } });
    await site.ask("page.example");
    await site.reload("hosts: { records: { nas.lan: 10.0.0.5 } }\nanswers: { ttl: { max: 9s }, https: nodata }");
    expect(await site.ask("nas.lan")).toMatchObject({ answers: ["10.0.0.5"] });
    expect(await site.ask("page.example")).toMatchObject({ ttl: 9 });
    expect(await site.ask("page.example", "HTTPS")).toMatchObject({ rcode: "NOERROR", ede: [17] });
    await site.reload("access: { clients: [10.0.0.0/8] }");
    expect(await site.ask("page.example")).toMatchObject({ rcode: "REFUSED", ede: [18] });
    expect(await site.ask("nas.lan", "A", { client: "10.0.0.1" })).toMatchObject({ rcode: "NXDOMAIN" });
  });

  test("asks the new upstreams, while queries under way on the old ones are still answered", async () => {
    const site = await siteWith({
      upstreams: { main: { servers: [page], transport: "tls" }, other: honest("page.example A 192.0.2.8") },
    });
    await site.ask("page.example");
    const answers: ((reply: Reply) => void)[] = [];
    const late: Script = (asked) =>
      new Promise((resolve) => answers.push(() => resolve(respond(asked, { answers: zone("slow.example A 192.0.2.9") }))));
    site.server("main").follow(late);
    const waiting = site.ask("slow.example");
    await site.until(() => answers.length === 1);
    await site.reloadWith({ upstreams: ["other"] });
    expect(await site.ask("page.example")).toMatchObject({ answers: ["192.0.2.8"] });
    expect(site.server("main").open).toBe(1);
    for (const answer of answers) answer(await site.ask("localhost"));
    expect(await waiting).toMatchObject({ answers: ["192.0.2.9"] });
    await site.clock.advance(4000);
    await site.until(() => site.server("main").open === 0);
  });

  test("loses no query that arrives during the reload", async () => {
    const site = await siteWith({ upstreams: { main: page, other: page } });
    const replies: Promise<Reply>[] = [];
    const transports: readonly AskTransport[] = ["udp", "tcp", "dot", "doh"];
    for (let turn = 0; turn < 20; turn++) {
      const reloading =
        turn % 2 === 0 ? site.reloadWith({ upstreams: ["other"] }) : site.reloadWith({ upstreams: ["main", "other"] });
      for (const transport of transports) {
        for (let index = 0; index < 5; index++) replies.push(site.ask("page.example", "A", { transport }));
      }
      await reloading;
      for (const transport of transports) replies.push(site.ask("page.example", "A", { transport }));
      await Promise.all(replies);
    }
    const answers = (await Promise.all(replies)).map((reply) => reply.answers.join());
    expect(answers).toHaveLength(480);
    expect(new Set(answers)).toEqual(new Set(["192.0.2.7"]));
  });
});

describe("a reload with an unchanged file changes nothing", () => {
  test("the same state object keeps serving, unless a file that the configuration names has changed", async () => {
    const folder = directory();
    const list = join(folder, "list.txt");
    writeFileSync(list, "page.example\n");
    const yaml = "lists: { ads: { domains: [list.txt] } }\nrules: [{ name: ads, domains: 'list:ads', answer: nodata }]";
    const site = await siteWith({ upstreams: { main: page }, folder, yaml });
    const before = site.app.state;
    await site.reload(yaml);
    expect(site.app.state).toBe(before);
    expect(site.app.reloads.read()).toMatchObject({ succeeded: 1, lastSucceeded: true });
    writeFileSync(list, "other.example\n");
    await site.reload(yaml);
    expect(await site.ask("page.example")).toMatchObject({ answers: ["192.0.2.7"] });
    expect(site.app.state.shared).toBe(before.shared);
  });

  test("the cache and the connections stay", async () => {
    const site = await siteWith({ upstreams: { main: { servers: [page], transport: "tls" } } });
    await site.ask("page.example");
    await site.clock.advance(3000);
    for (let times = 0; times < 3; times++) await site.reload("");
    expect(await site.ask("page.example")).toMatchObject({ ttl: 97 });
    expect(site.asked()).toHaveLength(1);
    await site.clock.advance(5000);
    await site.ask("other.example", "MX");
    expect(site.server().accepted).toBe(1);
  });

  test("a reload with other rules, hosts or limits keeps the cache and the connections too", async () => {
    const site = await siteWith({ upstreams: { main: { servers: [page], transport: "tls" } } });
    await site.ask("page.example");
    await site.reload(
      "hosts: { records: { nas.lan: 10.0.0.5 } }\nrules: [{ name: r, domains: [other.example], upstream: main }]",
    );
    expect(await site.ask("page.example")).toMatchObject({ answers: ["192.0.2.7"] });
    expect([site.asked().length, site.server().accepted]).toEqual([1, 1]);
  });

  test("a client over its rate is still over its rate", async () => {
    const yaml = "access: { rateLimit: { perSecond: 1, burst: 2, exempt: [] } }";
    const site = await siteWith({ upstreams: { main: page }, yaml });
    for (let times = 0; times < 2; times++) await site.ask("page.example");
    expect(await site.ask("page.example")).toMatchObject({ flags: "qr tc rd ra" });
    await site.reload(yaml);
    expect(await site.ask("page.example")).toMatchObject({ flags: "qr tc rd ra" });
    await site.clock.advance(4000);
    expect(await site.ask("page.example")).toMatchObject({ answers: ["192.0.2.7"] });
  });
});

describe("a reload that cannot be served leaves everything as it was", () => {
  const refusals = {
    "a broken expectation": {
      yaml: "expect: [{ name: page.example, answer: nodata }]",
      message: /page\.example A: expected answer nodata/,
    },
    "an unsupported key": { yaml: 'cluster: { redis: "redis://127.0.0.1:6379" }', message: /cluster is not there yet/ },
    "other trusted proxies": { yaml: "trustedProxies: []", message: /read at the start only: restart Fenliu/ },
  };
  test.each(Object.entries(refusals))("%s", async (_case, { yaml, message }) => {
    const site = await siteWith({ upstreams: { main: page } });
    await site.ask("page.example");
    await expect(site.reload(yaml)).rejects.toThrow(message);
    expect(await site.ask("page.example")).toMatchObject({ answers: ["192.0.2.7"] });
    expect(site.asked()).toHaveLength(1);
    await site.reload(blocking);
    expect(await site.ask("page.example")).toMatchObject({ answers: [], ede: [15] });
  });

  test("a changed `listen`, with a clear message", async () => {
    const site = await siteWith({ upstreams: { main: page } });
    const config = site.config("");
    const changed = { ...config, listen: { ...config.listen, dohPath: "/other" } };
    await expect(site.app.reload(changed)).rejects.toThrow("listen, tls and trustedProxies are read at the start only");
    expect(await site.ask("page.example", "A", { transport: "doh" })).toMatchObject({ answers: ["192.0.2.7"] });
  });
});

describe("a close", () => {
  test("soon after a reload closes everything of the new state and of the old state", async () => {
    const site = await siteWith({
      upstreams: { main: { servers: [page], transport: "tls" }, other: { servers: [page], transport: "h2" } },
    });
    await site.ask("page.example");
    await site.reloadWith({ upstreams: ["other"] });
    await site.ask("page.example");
    expect([site.server("main").open, site.server("other").open]).toEqual([1, 1]);
    await site.app.close();
    await site.until(() => site.server("main").open + site.server("other").open === 0);
  });

  test("during a reload waits for the end of the reload, may be called twice, and refuses later reloads", async () => {
    const site = await siteWith({ upstreams: { main: page, other: { servers: [page], transport: "tls" } } });
    const reloading = site.reloadWith({ upstreams: ["other"] });
    await turn();
    await Promise.all([site.app.close(), site.app.close()]);
    await reloading;
    await expect(site.reloadWith({ upstreams: ["main"] })).rejects.toThrow("Fenliu is stopping");
    expect(site.server("other").open).toBe(0);
  });

  test("answers the queries under way first", async () => {
    const site = await siteWith({ upstreams: { main: () => silent } });
    const waiting = site.ask("page.example", "A", { transport: "tcp" });
    await site.until(() => site.asked().length === 1);
    const closing = site.app.close();
    await site.clock.advance(4000);
    expect(await waiting).toMatchObject({ rcode: "SERVFAIL" });
    await closing;
  });
});

describe("a failure in the middle of a reload", () => {
  test("if the list refresher cannot be opened, the old state keeps serving", async () => {
    const site = await siteWith({ upstreams: { main: page, other: honest("page.example A 192.0.2.8") } });
    const before = site.app.state;
    const breaking = vi.spyOn(ListRefresher, "open").mockRejectedValueOnce(new Error("a fault"));
    await expect(site.reloadWith({ upstreams: ["other"] })).rejects.toThrow("a fault");
    breaking.mockRestore();
    expect(site.app.state).toBe(before);
    expect(await site.ask("page.example")).toMatchObject({ answers: ["192.0.2.7"] });
    await site.reloadWith({ upstreams: ["other"] });
    expect(await site.ask("page.example")).toMatchObject({ answers: ["192.0.2.8"] });
  });

  test("a replaced state that cannot be closed is reported, with no other effect", async () => {
    const site = await siteWith({ upstreams: { main: page, other: honest("page.example A 192.0.2.8") } });
    vi.spyOn(site.app.state.shared.groups, "close").mockRejectedValueOnce(new Error("it hangs"));
    await site.reloadWith({ upstreams: ["other"] });
    await site.clock.advance(4000);
    expect(site.log.join("")).toContain("it hangs");
    expect(await site.ask("page.example")).toMatchObject({ answers: ["192.0.2.8"] });
  });
});

describe("changes that come together", () => {
  test("run one after the other, and the last change is in force", async () => {
    const site = await siteWith({ upstreams: { main: page }, folder: directory() });
    const put = (name: string) => site.app.changeHosts(withHost(hostRecord(name, { address: "10.0.0.9" })));
    await Promise.all([
      site.reload("hosts: { records: { nas.lan: 10.0.0.5 } }"),
      put("one.lan"),
      site.reload("hosts: { records: { nas.lan: 10.0.0.6 } }"),
      put("two.lan"),
    ]);
    const answers = await Promise.all(["nas.lan", "one.lan", "two.lan"].map((name) => site.ask(name)));
    expect(answers.map((reply) => reply.answers)).toEqual([["10.0.0.6"], ["10.0.0.9"], ["10.0.0.9"]]);
  });

  test("at most 32 changes wait or run, and further changes are refused", async () => {
    const site = await siteWith({ upstreams: { main: page }, folder: directory() });
    const changes = Array.from({ length: 40 }, () => site.reload(blocking));
    const results = await Promise.allSettled(changes);
    expect(results.map(({ status }) => status)).toEqual([...Array(32).fill("fulfilled"), ...Array(8).fill("rejected")]);
    await site.reload("");
    expect(await site.ask("page.example")).toMatchObject({ answers: ["192.0.2.7"] });
  });

  test("a change after the stop is refused and leaves no trace; one before the stop is finished first", async () => {
    const folder = directory();
    const site = await siteWith({ upstreams: { main: page }, folder });
    const put = (name: string) => site.app.changeHosts(withHost(hostRecord(name, { address: "10.0.0.9" })));
    const first = put("one.lan");
    await first;
    const closed = site.close();
    const late = [put("two.lan"), site.app.reload(site.config(blocking))];
    for (const change of late) await expect(change).rejects.toThrow("Fenliu is stopping");
    await closed;
    await expect(put("three.lan")).rejects.toThrow("Fenliu is stopping");
    expect(readFileSync(join(folder, "data", "hosts.yaml"), "utf8")).not.toMatch(/two|three/);
  });

  test("the refresh of a list that a reload interrupts is refused, not reported as a bug", async () => {
    const folder = directory();
    writeFileSync(join(folder, "list.txt"), "page.example\n");
    const yaml = "lists: { some: { domains: [list.txt] } }";
    const site = await siteWith({ upstreams: { main: page }, folder, yaml });
    const refreshing = site.app.refreshList("some", false);
    const reloading = site.reload(`${yaml}\nanswers: { https: nodata }`);
    writeFileSync(join(folder, "list.txt"), "page.example\nother.example\n");
    const [refreshed] = await Promise.allSettled([refreshing, reloading]);
    if (refreshed.status === "rejected") expect(refreshed.reason).toBeInstanceOf(ServerStateError);
    await expect(site.app.refreshList("some", false)).resolves.toBeDefined();
  });

  test("a list whose file was emptied serves on and is shown as held, until a reload takes the empty file", async () => {
    const folder = directory();
    writeFileSync(join(folder, "list.txt"), "page.example\n");
    const yaml = `lists: { some: { domains: [list.txt] } }\nrules: [{ name: ads, domains: "list:some", answer: nodata }]`;
    const site = await siteWith({ upstreams: { main: page }, folder, yaml, admin: true });
    const heldOf = async () => {
      const lists = (await (await site.api("lists")).json()) as readonly ListView[];
      return lists[0]?.sources[0]?.downloadProblem;
    };
    expect(await heldOf()).toBeNull();
    writeFileSync(join(folder, "list.txt"), "# nothing is blocked any more\n");
    await site.app.refreshList("some", false);
    expect(await site.ask("page.example")).toMatchObject({ answers: [], ede: [15] });
    expect(await heldOf()).toMatchObject({ held: true, reason: expect.stringContaining("no usable entry") });
    await site.reload(`${yaml}\nanswers: { https: nodata }`);
    expect(await site.ask("page.example")).toMatchObject({ answers: ["192.0.2.7"] });
    expect(await heldOf()).toBeNull();
  });
});
