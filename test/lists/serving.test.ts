import { readdirSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { describe, expect, test } from "vitest";
import { ListCache } from "../../src/lists/cache.ts";
import { updateList } from "../../src/lists/update.ts";
import { directory } from "../support/files.ts";
import { siteWith, type TestSite } from "../support/site.ts";
import { honest } from "../support/zone-script.ts";
import { scriptedProxy } from "../upstreams/scripted-proxy.ts";
import { downloaded, type Page, tagged, testFetcher, until, type Web, web } from "./web.ts";

const upstreams = { main: honest("n0.example A 192.0.2.7", "n99.example A 192.0.2.8", "lists.example A 127.0.0.1") };

interface Setup {
  /** The keys of the list `ads`. */
  readonly list: string;
  readonly rest?: string;
  readonly folder?: string;
}

function yamlFor({ list, rest = "", folder = directory() }: Setup): string {
  return `lists: { ads: { ${list} } }
rules: [{ name: ads, domains: "list:ads", answer: zero }]
cache: { file: ${join(folder, "cache.db")} }
${rest}`;
}

function ads(setup: Setup): Promise<TestSite> {
  return siteWith({ yaml: yamlFor(setup), upstreams });
}

interface Waiting {
  readonly message: string;
  readonly withinMs?: number;
  /** Once it is asked the clock stands still, lest it time out what real sockets are bringing. */
  readonly server?: Web;
}

/** Advances the clock second by second until something is reported. @returns the line. */
async function reported(site: TestSite, { message, withinMs = 10_000, server }: Waiting): Promise<string> {
  const known = site.log.length;
  const asked = server?.asked.length;
  const found = (): string | undefined => site.log.slice(known).find((line) => line.includes(message));
  for (let ms = 0; ms < withinMs && found() === undefined && server?.asked.length === asked; ms += 1000) {
    await site.clock.advance(1000);
    for (let turn = 0; turn < 10; turn++) await new Promise((resolve) => setImmediate(resolve));
  }
  await until(async () => {
    // What came due while files were being read.
    await site.clock.advance(0);
    return found() !== undefined;
  });
  return found() ?? "";
}

const list10 = Array.from({ length: 10 }, (_, index) => `n${index}.example\n`).join("");
/** The list without n0 and with n99. */
const other10 = list10.replace("n0.example", "n99.example");

const RENEWED = "a list was renewed";
const FAILED = "a list could not be renewed";
const HELD = "a list was not taken";
const blocked = { answers: ["0.0.0.0"] };

describe("at the start", () => {
  test("a list that was never downloaded is empty and reported, and serves some seconds after the start", async () => {
    const server = await web({ "/a": tagged(list10) });
    const site = await ads({ list: `domains: "${server.url}/a"` });
    expect(site.log.join()).toContain("not downloaded, and it has no seed");
    expect(await site.ask("n1.example")).toMatchObject({ rcode: "NXDOMAIN" });
    await site.clock.advance(1999);
    expect(server.asked).toEqual([]);
    await reported(site, { message: RENEWED, server });
    expect(await site.ask("n1.example")).toMatchObject(blocked);
  });

  test("a seed serves at once, also while the source is down", async () => {
    const server = await web({});
    await server.close();
    const seed = join(directory(), "seed.txt");
    writeFileSync(seed, "n0.example\n");
    const site = await ads({ list: `domains: "${server.url}/a", seed: ${seed}` });
    expect(await site.ask("n0.example")).toMatchObject(blocked);
    await reported(site, { message: FAILED, server });
    expect(await site.ask("n0.example")).toMatchObject(blocked);
  });

  test("the last good copy serves at once, before the seed, and is renewed only when it is due", async () => {
    const folder = directory();
    const seed = join(folder, "seed.txt");
    writeFileSync(seed, "seed.example\n");
    const server = await web({ "/a": tagged(list10) });
    const list = `domains: "${server.url}/a", refresh: 24h, seed: ${seed}`;
    const first = await ads({ list, folder });
    await reported(first, { message: RENEWED, server });
    await first.close();
    const again = await ads({ list, folder });
    expect(await again.ask("n0.example")).toMatchObject(blocked);
    await again.clock.advance(3_600_000);
    expect(server.asked).toEqual(["/a"]);
  });

  test("expectations about a list that was never downloaded are reported and do not stop the start", async () => {
    const server = await web({ "/a": tagged(list10) });
    const site = await ads({ list: `domains: "${server.url}/a"`, rest: "expect: [{ name: n0.example, rule: ads }]" });
    expect(site.log.join()).toMatch(/n0\.example A: expected rule ads.*a list has not been downloaded yet/);
    await reported(site, { message: RENEWED, server });
    expect(await site.ask("n0.example")).toMatchObject(blocked);
  });
});

describe("while it serves", () => {
  test("a list is renewed when it is due, and the answers change", async () => {
    const server = await web({ "/a": tagged(list10) });
    const site = await ads({ list: `domains: "${server.url}/a", refresh: 1h` });
    await reported(site, { message: RENEWED, server });
    server.serve("/a", (_, response) => void response.end(other10));
    for (let minutes = 0; minutes < 53; minutes++) await site.clock.advance(60_000);
    expect(server.asked).toHaveLength(1);
    await reported(site, { message: RENEWED, withinMs: 4_000_000, server });
    expect([await site.ask("n0.example"), await site.ask("n99.example")]).toMatchObject([{ answers: ["192.0.2.7"] }, blocked]);
  });

  test("under load no query is lost, and the answers change between one query and the next", async () => {
    const server = await web({ "/a": tagged(list10) });
    const site = await ads({ list: `domains: "${server.url}/a"` });
    expect(await site.ask("n0.example")).toMatchObject({ answers: ["192.0.2.7"] });
    const asked: Promise<string>[] = [];
    const load = (): void => {
      for (let count = 0; count < 5; count++) asked.push(site.ask("n0.example").then(({ answers }) => answers.join()));
    };
    await site.clock.advance(10_000);
    await until(() => {
      if (asked.length < 20_000) load();
      return site.log.some((line) => line.includes(RENEWED));
    });
    load();
    const replies = await Promise.all(asked);
    const swap = replies.indexOf("0.0.0.0");
    expect(swap).toBeGreaterThan(0);
    expect(replies.map((reply) => reply === "0.0.0.0")).toEqual(replies.map((_, index) => index >= swap));
    expect(new Set(replies)).toEqual(new Set(["192.0.2.7", "0.0.0.0"]));
  });

  test("a list that breaks an expectation is quarantined, and is not used after a restart either", async () => {
    const folder = directory();
    const server = await web({ "/a": tagged(list10) });
    const setup = { list: `domains: "${server.url}/a", refresh: 1h`, rest: "expect: [{ name: n0.example, rule: ads }]", folder };
    const site = await ads(setup);
    await reported(site, { message: RENEWED, server });
    server.serve("/a", (_, response) => void response.end(other10));
    expect(await reported(site, { message: HELD, withinMs: 4_000_000, server })).toContain("n0.example A: expected rule ads");
    expect(await site.ask("n0.example")).toMatchObject(blocked);
    await site.close();
    const again = await ads(setup);
    expect(await again.ask("n0.example")).toMatchObject(blocked);
  });

  test("a quarantined list without `refresh` is tried again", async () => {
    const server = await web({ "/a": tagged(list10) });
    const site = await ads({ list: `domains: "${server.url}/a"`, rest: "expect: [{ name: n0.example, upstream: main }]" });
    expect(await reported(site, { message: HELD, server })).toContain("n0.example A: expected upstream main");
    server.serve("/a", tagged(other10));
    await reported(site, { message: RENEWED, withinMs: 67_000, server });
    expect(await site.ask("n99.example")).toMatchObject(blocked);
  });

  test("a list that shrank is quarantined and reported", async () => {
    const server = await web({ "/a": tagged(list10) });
    const site = await ads({ list: `domains: "${server.url}/a", refresh: 1h` });
    await reported(site, { message: RENEWED, server });
    server.serve("/a", "n0.example\n");
    expect(await reported(site, { message: HELD, withinMs: 4_000_000, server })).toContain("it shrank from 10 entries to 1");
    expect(await site.ask("n1.example")).toMatchObject(blocked);
  });

  test("a list that is held for its size is taken when a person says so; one that breaks an expectation is not", async () => {
    const server = await web({ "/a": tagged(list10) });
    const rest = "expect: [{ name: n0.example, rule: ads }]";
    const site = await siteWith({
      yaml: yamlFor({ list: `domains: "${server.url}/a", refresh: 1h`, rest }),
      upstreams,
      admin: true,
    });
    await reported(site, { message: RENEWED, server });
    const refresh = async (query: string) => {
      const headers = { "content-type": "application/json" };
      const response = await site.api(`lists/ads/refresh${query}`, { method: "POST", headers });
      return { status: response.status, text: await response.text() };
    };
    server.serve("/a", "n0.example\n");
    expect(await refresh("")).toMatchObject({ status: 502, text: expect.stringContaining("it shrank from 10 entries to 1") });
    expect(await (await site.api("health")).text()).toContain("health.listHeld");
    expect(await refresh("?accept=true")).toMatchObject({ status: 200 });
    expect(await site.ask("n0.example")).toMatchObject(blocked);
    expect(await (await site.api("health")).text()).toContain("health.wellAgainSoon");
    server.serve("/a", "n99.example\n");
    expect(await refresh("?accept=true")).toMatchObject({ status: 502, text: expect.stringContaining("expected rule ads") });
    expect(await site.ask("n0.example")).toMatchObject(blocked);
  });

  test("a source that is down is tried again after longer and longer waits, and changes nothing", async () => {
    const down: Page = (_, response) => void response.writeHead(503).end();
    const server = await web({ "/a": tagged(list10) });
    const site = await ads({ list: `domains: "${server.url}/a", refresh: 1h` });
    await reported(site, { message: RENEWED, server });
    server.serve("/a", down);
    await reported(site, { message: FAILED, withinMs: 4_000_000, server });
    for (const afterMs of [67_000, 133_000, 265_000]) {
      expect(await reported(site, { message: FAILED, withinMs: afterMs, server })).toContain("status 503");
    }
    expect(await site.ask("n0.example")).toMatchObject(blocked);
    server.serve("/a", tagged(list10));
    for (let seconds = 0; seconds < 528 && server.asked.length === 5; seconds++) await site.clock.advance(1000);
    await until(async () => {
      await site.clock.advance(0);
      return server.asked.length === 6;
    });
  });

  test("a download of another process is used within a minute", async () => {
    const folder = directory();
    const server = await web({ "/a": tagged(list10) });
    const url = `${server.url}/a`;
    const site = await ads({ list: `domains: "${url}"`, folder });
    await reported(site, { message: RENEWED, server });
    server.serve("/a", (_, response) => void response.end(other10));
    const activate = async (_: unknown, __: unknown, commit: () => Promise<void>) => {
      await commit();
      return [];
    };
    await updateList(
      downloaded("ads", [url]),
      { cache: new ListCache(join(folder, "lists")), fetch: testFetcher(site.clock), activate, clock: site.clock },
      { acceptsAnySize: false, signal: new AbortController().signal, progress: () => {} },
    );
    await reported(site, { message: RENEWED, withinMs: 60_000 });
    expect(await site.ask("n99.example")).toMatchObject(blocked);
  });

  test("a file with `refresh` is read again when it has changed, and not while it is missing", async () => {
    const path = join(directory(), "own.txt");
    writeFileSync(path, list10);
    const site = await ads({ list: `domains: ${path}, refresh: 1h` });
    writeFileSync(path, `${other10}# longer\n`);
    await reported(site, { message: RENEWED, withinMs: 4_000_000 });
    expect(await site.ask("n99.example")).toMatchObject(blocked);
    writeFileSync(path, "");
    expect(await reported(site, { message: HELD, withinMs: 4_000_000 })).toContain("no usable entry");
    expect(await site.ask("n99.example")).toMatchObject(blocked);
  });

  test("a reload ends a download that hangs, and the list of the new configuration is downloaded", async () => {
    const folder = directory();
    const server = await web({ "/a": (_, response) => void response.writeHead(200).write("n0.example\n") });
    const site = await ads({ list: `domains: "${server.url}/a"`, folder });
    await site.clock.advance(10_000);
    await until(() => server.asked.length > 0);
    server.serve("/b", tagged(list10));
    await site.reload(yamlFor({ list: `domains: "${server.url}/b"`, folder }));
    await reported(site, { message: RENEWED, server });
    expect(await site.ask("n1.example")).toMatchObject(blocked);
    await until(() => readdirSync(join(folder, "lists")).every((name) => !name.endsWith(".new")));
  });
});

describe("the route of a download", () => {
  test("the group named by `via` looks up the host", async () => {
    const server = await web({ "/a": tagged(list10) });
    const { port } = new URL(server.url);
    const site = await ads({ list: `domains: "http://lists.example:${port}/a", via: main` });
    await reported(site, { message: RENEWED, server });
    expect(site.asked("main")).toContain("lists.example A");
  });

  test.each(["socks5", "http"] as const)("a %s proxy gets the name, and the name is not resolved here", async (protocol) => {
    const server = await web({ "/a": tagged(list10) });
    const proxy = await scriptedProxy(protocol);
    const { port } = new URL(server.url);
    const { host, port: proxyPort } = proxy.options();
    const site = await ads({
      list: `domains: "http://lists.example:${port}/a", via: main, proxy: "${protocol}://${host}:${proxyPort}"`,
    });
    await reported(site, { message: RENEWED, server });
    expect(proxy.targets).toEqual([`lists.example:${port}`]);
    expect(site.asked("main")).toEqual([]);
    await proxy.close();
  });
});
