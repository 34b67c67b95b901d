import { join } from "node:path";
import { describe, expect, onTestFinished, test } from "vitest";
import type { ConfigCheck } from "../../src/admin/schemas/views.ts";
import { BoundedQueue, Drafts } from "../../src/control/drafts.ts";
import { fakeClock } from "../support/fake-clock.ts";
import { directory, file } from "../support/files.ts";
import { siteWith } from "../support/site.ts";
import { honest } from "../support/zone-script.ts";

/** YAML that takes minutes to read. */
const ENDLESS = `x: [${",".repeat(250_000)}]`;

function drafts(clock = fakeClock()): Drafts {
  const opened = new Drafts(clock);
  onTestFinished(() => opened.close());
  return opened;
}

function check(text: string, path = join(directory(), "fenliu.yaml")): Promise<ConfigCheck> {
  return drafts().check({ text, path }, null);
}

describe("a draft of the configuration", () => {
  test("has the problems that the file would have, with their places", async () => {
    expect(await check("rules: 5\n")).toMatchObject({ ok: false, problems: [{ key: "rules", line: 1, column: 8 }] });
    expect(await check("answers: { https: nodata }\n")).toEqual({ ok: true, problems: [], warnings: [] });
    expect(await check('cluster: { redis: "redis://127.0.0.1:6379" }\n')).toMatchObject({
      ok: false,
      problems: [{ message: "cluster is not there yet", line: null }],
    });
    expect(await check("expect: [{ name: page.example, answer: nodata }]\n")).toMatchObject({ ok: false, warnings: [] });
  });

  test("warns of lines that its files would lose", async () => {
    const list = file("list.txt", ["page.example", "not a name at all", "http://"]);
    expect(await check(`lists: { some: { domains: ["${list}"] } }`)).toEqual({
      ok: true,
      problems: [],
      warnings: [{ message: `list some: ${list}: 2 lines were passed over`, key: "", fix: null, line: null, column: null }],
    });
  });

  test("gets a warning if only a reload would refuse it", async () => {
    const site = await siteWith({});
    const { control } = site.app.administration;
    const warning = { message: expect.stringContaining("restart Fenliu"), key: "", fix: null, line: null, column: null };
    const text = "listen: { dns: ['127.0.0.1:5399'] }\n";
    expect(await control.checkConfig(text)).toEqual({ ok: true, problems: [], warnings: [warning] });
    expect((await control.checkConfig(site.app.state.config.text)).warnings).not.toContainEqual(warning);
  });

  test("with a problem in every line gets a hundred of them, and the number of the others", async () => {
    const { problems } = await check("nonsense: 1\n".repeat(5000));
    expect(problems).toHaveLength(101);
    expect(problems.at(-1)?.message).toMatch(/^\d{4} further problems/);
  });

  test("is refused before it is read if it is too large", async () => {
    await expect(check(`# ${"é".repeat(130_000)}`)).resolves.toMatchObject({ ok: true });
    await expect(check(`# ${"é".repeat(132_000)}`)).rejects.toMatchObject({
      kind: "invalid",
      problems: [expect.stringContaining("256 KiB")],
    });
  });

  test("is refused if it names one list hundreds of times, each of which would be built anew", async () => {
    const sources = Array.from({ length: 201 }, () => "https://lists.example/ads.txt").join(", ");
    await expect(check(`lists: { ads: { domains: [${sources}] } }\n`)).rejects.toMatchObject({
      kind: "invalid",
      problems: [expect.stringContaining("200 sources")],
    });
  });

  test("is given up if it takes too long to read, and queries are answered meanwhile", async () => {
    const site = await siteWith({ upstreams: { main: honest("page.example 100 A 192.0.2.7") } });
    const { control } = site.app.administration;
    const checked = control.checkConfig(ENDLESS);
    const refused = expect(checked).rejects.toMatchObject({
      kind: "invalid",
      problems: ["the draft cannot be read within 10 s"],
    });
    for (let times = 0; times < 20; times++) expect(await site.ask("page.example")).toMatchObject({ answers: ["192.0.2.7"] });
    await site.clock.advance(10_000);
    await refused;
    expect(await control.checkConfig("answers: {}\n")).toMatchObject({ ok: true });
  });

  test("is checked in a thread of its own: lists of a million names do not hold the thread that answers", async () => {
    const list = file(
      "million.txt",
      Array.from({ length: 200_000 }, (_, index) => `n${index}.example`),
    );
    const sources = Array.from({ length: 5 }, () => JSON.stringify(list)).join(", ");
    const spent = process.threadCpuUsage();
    expect(await check(`lists: { large: { domains: [${sources}] } }\n`)).toMatchObject({ ok: true });
    const { user } = process.threadCpuUsage(spent);
    // Building them takes seconds of some thread's time.
    expect(user / 1000).toBeLessThan(300);
  });

  test("is refused when the server stops, and the stop does not wait for it", async () => {
    const site = await siteWith({ admin: true });
    const headers = { "content-type": "application/json" };
    const draft = { method: "POST", headers, body: JSON.stringify({ config: ENDLESS }) };
    const statuses = Array.from({ length: 5 }, async () => (await site.api("config/check", draft)).status);
    // The queue is full as soon as one draft is refused.
    expect(await Promise.race(statuses)).toBe(503);
    await site.close();
    expect(await Promise.all(statuses)).toEqual(Array(5).fill(503));
  });

  test("waits for the drafts before it; a fifth is refused, and the end refuses all", async () => {
    const all = drafts();
    const judged = [1, 2, 3, 4, 5].map(() => all.check({ text: ENDLESS, path: null }, null));
    const refused = expect(judged.pop()).rejects.toMatchObject({
      kind: "unavailable",
      message: expect.stringContaining("later"),
    });
    const given = Promise.allSettled(judged);
    await refused;
    await all.close();
    expect((await given).map((each) => (each.status === "rejected" ? each.reason.kind : each.status))).toEqual(
      Array(4).fill("unavailable"),
    );
  });
});

describe("a bounded queue", () => {
  test("goes on after a task that fails, and after one that takes too long", async () => {
    const clock = fakeClock();
    const queue = new BoundedQueue({ clock, maxWaiting: 3, limitMs: 1000 });
    const order: string[] = [];
    const failing = queue.run(() => Promise.reject(new Error("a fault")));
    const endless = queue.run(() => new Promise<never>(() => {}));
    const last = queue.run(async () => void order.push("last"));
    await expect(failing).rejects.toThrow("a fault");
    const slow = expect(endless).rejects.toMatchObject({ kind: "slow", message: "it took more than 1 s" });
    expect(order).toEqual([]);
    await clock.advance(1000);
    await slow;
    await last;
    expect(order).toEqual(["last"]);
  });
});
