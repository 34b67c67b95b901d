import { existsSync } from "node:fs";
import { join } from "node:path";
import { describe, expect, test } from "vitest";
import type { QueryRecord } from "../../src/log/record.ts";
import { recordsIn } from "../log/opened.ts";
import { directory } from "../support/files.ts";
import { siteWith, type TestSite } from "../support/site.ts";
import { honest } from "../support/zone-script.ts";

const page = honest("page.example 300 A 192.0.2.7");
const everything = { filter: { fromMs: null, toMs: null, conditions: [] }, limit: 100, cursor: null };

async function recordsOf({ app }: TestSite): Promise<readonly QueryRecord[]> {
  return recordsIn(await app.queryLog.search(everything));
}

function queriesAt(store: string, more = ""): string {
  return `log: { queries: { store: ${JSON.stringify(store)}${more} } }\n`;
}

describe("recorded queries", () => {
  test("begin with the first query, and are found by a search", async () => {
    const store = join(directory(), "queries.db");
    const site = await siteWith({ yaml: queriesAt(store), upstreams: { main: page } });
    await site.ask("page.example");
    await site.ask("nowhere.example", "AAAA");
    expect(await recordsOf(site)).toMatchObject([
      { name: "nowhere.example", type: "AAAA", source: "upstream" },
      { name: "page.example", answers: ["300 A 192.0.2.7"], attempts: [{ rcode: "NOERROR" }] },
    ]);
  });

  test("end with the last query before a stop, and are in the same store after a restart", async () => {
    const store = join(directory(), "queries.db");
    const first = await siteWith({ yaml: queriesAt(store), upstreams: { main: page } });
    await first.ask("page.example");
    await first.close();
    const second = await siteWith({ yaml: queriesAt(store), upstreams: { main: page } });
    expect(await recordsOf(second)).toMatchObject([{ name: "page.example" }]);
  });

  test("stay in the same store if a reload does not change it", async () => {
    const store = join(directory(), "queries.db");
    const site = await siteWith({ yaml: queriesAt(store), upstreams: { main: page } });
    const log = site.app.queryLog;
    await site.ask("page.example");
    await site.reload(queriesAt(store, ", clients: none"));
    expect(site.app.queryLog).toBe(log);
    await site.ask("page.example");
    expect(await recordsOf(site)).toMatchObject([{ client: "" }, { client: expect.any(String) }]);
  });

  test("go to another store after a reload that names one, and none is lost", async () => {
    const folder = directory();
    const site = await siteWith({ yaml: queriesAt(join(folder, "one.db")), upstreams: { main: page } });
    await site.ask("page.example");
    const reloaded = site.reload(queriesAt(join(folder, "two.db")));
    await site.ask("meanwhile.example");
    await reloaded;
    await site.ask("after.example");
    const names = (await recordsOf(site)).map(({ name }) => name);
    expect(names[0]).toBe("after.example");
    await site.reload(queriesAt(join(folder, "one.db")));
    names.push(...(await recordsOf(site)).map(({ name }) => name));
    expect(names.toSorted()).toEqual(["after.example", "meanwhile.example", "page.example"]);
  });

  test("stay in the same file if the limits change", async () => {
    const store = join(directory(), "queries.db");
    const site = await siteWith({ yaml: queriesAt(store), upstreams: { main: page } });
    await site.ask("page.example");
    await site.reload(queriesAt(store, ", keep: 1d"));
    await site.ask("page.example", "AAAA");
    expect((await recordsOf(site)).map(({ type }) => type)).toEqual(["AAAA", "A"]);
  });

  test("are not stored if the log is off, also after a reload", async () => {
    const store = join(directory(), "queries.db");
    const site = await siteWith({ yaml: queriesAt(store, ", enabled: false"), upstreams: { main: page } });
    await site.ask("page.example");
    expect(existsSync(store)).toBe(false);
    expect(site.app.queryLog.status()).toMatchObject({ state: "off" });
    await site.reload(queriesAt(store));
    await site.ask("page.example", "AAAA");
    expect((await recordsOf(site)).map(({ type }) => type)).toEqual(["AAAA"]);
    await site.reload(queriesAt(store, ", enabled: false"));
    await site.ask("page.example", "TXT");
    await site.reload(queriesAt(store));
    expect((await recordsOf(site)).map(({ type }) => type)).toEqual(["AAAA"]);
  });

  test("that cannot be stored are reported to the operator, and clients still get answers", async () => {
    const site = await siteWith({ yaml: queriesAt("/dev/null/queries.db"), upstreams: { main: page } });
    expect(await site.ask("page.example")).toMatchObject({ answers: ["192.0.2.7"] });
    expect(site.app.queryLog.status()).toMatchObject({ state: "failing" });
    expect(site.log.join("")).toContain("queries are answered, but cannot be recorded");
  });
});
