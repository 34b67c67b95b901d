import { existsSync } from "node:fs";
import { readFile, writeFile } from "node:fs/promises";
import { join } from "node:path";
import fc from "fast-check";
import { describe, expect, onTestFinished, test } from "vitest";
import { nameOf, zone } from "../dns/zone.ts";
import { directory } from "../support/files.ts";
import type { Reply } from "../support/message.ts";
import { runs } from "../support/properties.ts";
import { siteWith } from "../support/site.ts";
import { honest, respond } from "../support/zone-script.ts";
import { type Script, type ScriptedServer, scriptedServer } from "../upstreams/scripted-server.ts";

/** Two servers for each group: the last byte of an answer identifies its server. */
const LAST_BYTES = { one: [1, 2], two: [3, 4], three: [5, 6] } as const;
type GroupName = keyof typeof LAST_BYTES;
const NAMES: readonly GroupName[] = ["one", "two", "three"];

/** A client that the rules send to the group. */
const CLIENTS = { one: "10.0.0.1", two: "10.0.0.2", three: "10.0.0.3" } as const;
const RULES = `rules: [${NAMES.map((name) => `{ name: ${name}, clients: [${CLIENTS[name]}], upstream: ${name} }`).join(", ")}]`;

const numbered = (last: number): Script => honest(`page.example 3600 A 192.0.2.${last}`, `gone.example 3600 A 192.0.2.${last}`);

/** A server of three groups over DNS over TLS, whose groups can be given the second of their servers at a reload. */
async function opened(yaml = "") {
  const servers = new Map<GroupName, readonly ScriptedServer[]>();
  for (const name of NAMES)
    servers.set(name, await Promise.all(LAST_BYTES[name].map((last) => scriptedServer("tls", numbered(last)))));
  onTestFinished(async () => {
    for (const server of [...servers.values()].flat()) await server.close();
  });
  const server = (group: GroupName, version = 0) => servers.get(group)?.[version] ?? expect.fail("there is no such server");
  const first = (name: GroupName) => ({ servers: [server(name)], transport: "tls" }) as const;
  const upstreams = { one: first("one"), two: first("two"), three: first("three") };
  const site = await siteWith({ upstreams, yaml: `${RULES}\n${yaml}` });
  return {
    site,
    server,
    ask: (group: GroupName, type = "A", name = "page.example"): Promise<Reply> =>
      site.ask(name, type, { client: CLIENTS[group] }),
    /** Reloads with the first (0) or second (1) server of each group, and other keys for all groups. */
    reload: async (versions: Partial<Record<GroupName, number>>, other: { keys?: object; yaml?: string } = {}) => {
      const config = site.config(`${RULES}\n${other.yaml ?? yaml}`);
      const groups = config.upstreams.groups.map((group, index) => {
        const name = NAMES[index] ?? expect.fail("a group more");
        return { ...group, ...other.keys, servers: [server(name, versions[name]).options()] };
      });
      await site.app.reload({ ...config, upstreams: { ...config.upstreams, groups } });
    },
  };
}

describe("a reload that gives one group other servers", () => {
  test("keeps the answers, connections and health of the other groups, and forgets the answers of the old servers", async () => {
    const { site, ...changing } = await opened();
    for (const name of NAMES) await changing.ask(name);
    const before = site.app.upstreams();
    await changing.reload({ two: 1 });
    expect(site.app.upstreams().filter(({ name }) => name !== "two")).toEqual(before.filter(({ name }) => name !== "two"));
    expect(await changing.ask("one")).toMatchObject({ answers: ["192.0.2.1"] });
    expect(await changing.ask("three")).toMatchObject({ answers: ["192.0.2.5"] });
    expect(await changing.ask("two")).toMatchObject({ answers: ["192.0.2.4"] });
    await changing.ask("one", "MX");
    const { server } = changing;
    expect([server("one"), server("three")].map(({ accepted }) => accepted)).toEqual([1, 1]);
    expect([server("one"), server("two"), server("three")].map(({ asked }) => asked.length)).toEqual([2, 1, 1]);
  });

  test("an answer that an old server sends after the swap reaches the client, and is not cached", async () => {
    const { site, ...changing } = await opened();
    const late = Promise.withResolvers<void>();
    changing.server("two").follow(async (asked) => {
      await late.promise;
      return respond(asked, { answers: zone("page.example A 192.0.2.3") });
    });
    const waiting = changing.ask("two");
    await site.until(() => changing.server("two").asked.length === 1);
    await changing.reload({ two: 1 });
    late.resolve();
    expect(await waiting).toMatchObject({ answers: ["192.0.2.3"] });
    expect(await changing.ask("two")).toMatchObject({ answers: ["192.0.2.4"] });
  });

  test("after any series of reloads, the answers and connections of a group are gone exactly if its servers have changed", async () => {
    const { ask, reload, server } = await opened();
    for (const name of NAMES) await ask(name);
    let serving = { one: 0, two: 0, three: 0 };
    await fc.assert(
      fc.asyncProperty(fc.record({ one: fc.nat(1), two: fc.nat(1), three: fc.nat(1) }), async (next) => {
        const counts = () => NAMES.map((name) => server(name, next[name])).map(({ asked, accepted }) => [asked.length, accepted]);
        const before = counts();
        await reload(next);
        for (const name of NAMES) expect(await ask(name)).toMatchObject({ answers: [`192.0.2.${LAST_BYTES[name][next[name]]}`] });
        const grown = NAMES.map((name) => (next[name] === serving[name] ? 0 : 1));
        expect(counts()).toEqual(before.map((pair, index) => pair.map((count) => count + (grown[index] ?? 0))));
        serving = next;
      }),
      { numRuns: runs(100) },
    );
  });
});

describe("a reload that changes how groups are asked, or the cache", () => {
  test("keeps the answers if the same servers are asked by another strategy", async () => {
    const changing = await opened();
    for (const name of NAMES) await changing.ask(name);
    await changing.reload({}, { keys: { strategy: "race", attemptMs: 100 } });
    for (const name of NAMES) await changing.ask(name);
    expect(NAMES.map((name) => changing.server(name).asked.length)).toEqual([1, 1, 1]);
  });

  test("keeps answers and connections if the size of the cache changes", async () => {
    const changing = await opened();
    await changing.ask("one");
    await changing.reload({}, { yaml: "cache: { size: 2MiB }" });
    const { positive, negative } = changing.site.app.state.shared.cache.stats();
    expect(positive.budgetBytes + negative.budgetBytes).toBe(2 * 1024 * 1024);
    await changing.ask("one");
    await changing.ask("one", "MX");
    expect([changing.server("one").asked.length, changing.server("one").accepted]).toEqual([2, 1]);
  });

  test("forgets only the answers that have become volatile", async () => {
    const changing = await opened();
    for (const name of NAMES) await changing.ask(name);
    await changing.reload({}, { yaml: "cache: { volatile: [192.0.2.3] }" });
    for (const name of NAMES) await changing.ask(name);
    expect(NAMES.map((name) => changing.server(name).asked.length)).toEqual([1, 2, 1]);
  });

  test("opens all connections again if the bootstrap servers change, and keeps the answers", async () => {
    const changing = await opened();
    await changing.ask("one");
    await changing.reload({}, { yaml: "bootstrap: [192.0.2.53]" });
    await changing.ask("one");
    await changing.ask("one", "MX");
    expect([changing.server("one").asked.length, changing.server("one").accepted]).toEqual([2, 2]);
  });
});

describe("the file of the cache across reloads", () => {
  const yamlFor = (file: string) => `cache: { file: ${file} }`;

  test("is not read again: flushed answers do not come back", async () => {
    const file = join(directory(), "cache.db");
    const { site, ...changing } = await opened(yamlFor(file));
    await changing.ask("one", "A", "gone.example");
    await site.clock.advance(15 * 60_000);
    await site.until(() => existsSync(file));
    site.app.state.shared.cache.flush(nameOf("gone.example"), false);
    await changing.reload({ two: 1 });
    await changing.ask("one", "A", "gone.example");
    expect(changing.server("one").asked).toHaveLength(2);
  });

  test("is no longer written by the replaced state, and is written at the stop", async () => {
    const file = join(directory(), "cache.db");
    const { site, ...changing } = await opened(yamlFor(file));
    await changing.ask("two");
    await changing.reload({ two: 1 });
    await changing.ask("two");
    await writeFile(file, "as it was");
    await site.clock.advance(4000);
    await site.until(() => changing.server("two").open === 0);
    expect(await readFile(file, "utf8")).toBe("as it was");
    await site.app.close();
    expect(await readFile(file, "latin1")).toMatch(/^fenliu answers .*page/s);
  });
});
