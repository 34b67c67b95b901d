import { readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { describe, expect, test, vi } from "vitest";
import { fakeClock } from "../support/fake-clock.ts";
import { directory, file } from "../support/files.ts";
import { siteWith, type TestSite } from "../support/site.ts";
import { honest } from "../support/zone-script.ts";

const JSON_TYPE = { "content-type": "application/json" };

interface Called {
  readonly status: number;
  /** Its shape is compared with the document elsewhere. */
  readonly body: ReturnType<typeof JSON.parse>;
}

interface House {
  readonly site: TestSite;
  readonly path: string;
  /** The file of the list. */
  readonly ads: string;
  readonly call: (method: string, path: string, body?: object) => Promise<Called>;
  readonly text: () => string;
}

/** A server with a file, a rule that blocks by a list, and an expectation. */
async function house({
  folder = directory(),
  clock = fakeClock(),
  ads = file("ads.txt", ["# advertisements", "example.cn", "late.example"]),
} = {}): Promise<House> {
  const yaml = `log: { queries: { store: data/queries.db } }
lists: { ads: { domains: ["${ads}"] } }
# The house has few rules.
rules:
  - { name: ads, domains: "list:ads", answer: nodata }   # nobody misses them
expect: [{ name: bad.example.cn, rule: ads }]
admin: { token: a-token-of-the-house }`;
  const site = await siteWith({
    yaml,
    admin: true,
    folder,
    clock,
    upstreams: { main: honest("app.example.cn 100 A 192.0.2.7") },
  });
  const path = join(folder, "fenliu.yaml");
  writeFileSync(path, site.app.state.config.text);
  const call = async (method: string, target: string, body?: object) => {
    const headers = { authorization: "Bearer a-token-of-the-house", ...(method === "GET" ? {} : JSON_TYPE) };
    const response = await site.api(target, { method, headers, ...(body === undefined ? {} : { body: JSON.stringify(body) }) });
    return { status: response.status, body: await response.json() };
  };
  return { site, path, ads, call, text: () => readFileSync(path, "utf8") };
}

const except = (name: string) => ({ kind: "pattern", rule: "ads", pattern: `!${name}` });

describe("an edit of the file", () => {
  test("mends a problem: it is found, tried, applied, and taken back byte by byte", async () => {
    const { site, call, text } = await house();
    const before = text();
    for (let times = 0; times < 12; times++) await site.ask("app.example.cn", "A", { clientId: "tv" });
    const { body: page } = await call("GET", "problems?client=tv");
    expect(page.problems).toMatchObject([
      {
        id: "v1|insisted|rule:ads|example.cn",
        cause: "insisted",
        suffix: "app.example.cn",
        culprit: { kind: "rule", name: "ads", list: "ads", line: 2 },
        clients: [{ key: "tv", count: 12 }],
        queries: 12,
      },
    ]);
    const [{ edit }] = page.problems[0].fixes;
    expect(edit).toEqual(except("app.example.cn"));
    await site.clock.advance(1000);
    const base = (await call("GET", "config/file")).body.digest;
    const { body: preview } = await call("POST", "config/edits", { edit, base });
    expect(preview).toMatchObject({ check: { ok: true }, expect: { held: 1, total: 1, broken: [] }, ticket: expect.any(String) });
    expect(preview.diff.filter(({ kind }: { kind: string }) => kind !== "same")).toMatchObject([
      { kind: "removed", text: '  - { name: ads, domains: "list:ads", answer: nodata }   # nobody misses them' },
      {
        kind: "added",
        text: '  - { name: ads, domains: ["list:ads", "!app.example.cn"], answer: nodata }   # nobody misses them',
      },
    ]);
    const whatIf = { queries: 12, changed: 12 };
    const look = async () =>
      expect((await call("GET", `config/edits/${preview.ticket}`)).body).toMatchObject({ whatIfDone: true, whatIf });
    await vi.waitFor(look, { timeout: 30_000, interval: 200 });
    const { body: applied } = await call("POST", "config/edits", { ticket: preview.ticket, apply: true });
    expect(applied).toMatchObject({ previous: base });
    expect((await site.ask("app.example.cn")).answers).toHaveLength(1);
    expect((await call("PUT", `problems/${encodeURIComponent(page.problems[0].id)}`, { state: "fixed" })).body).toMatchObject({
      state: "fixed",
    });
    const { body: history } = await call("GET", "history");
    expect(history).toMatchObject([
      { version: applied.version, current: true, changedLines: 2 },
      { version: base, current: false },
    ]);
    const { body: diff } = await call("GET", `history/${base}/diff/${applied.version}`);
    expect(diff.lines.filter(({ kind }: { kind: string }) => kind === "added")).toHaveLength(1);
    expect((await call("POST", `history/${base}/restore`, { base: applied.version })).status).toBe(200);
    expect(text()).toBe(before);
    expect((await call("GET", "problems?client=tv")).body.problems).toMatchObject([{ state: "open" }]);
    expect((await site.ask("app.example.cn")).answers).toHaveLength(0);
  });

  test("that breaks an expectation has no ticket, and cannot be put in place otherwise", async () => {
    const { call, text } = await house();
    const before = text();
    const { digest: base, text: shown } = (await call("GET", "config/file")).body;
    const { body: preview } = await call("POST", "config/edits", { edit: except("example.cn"), base });
    expect(preview).toMatchObject({
      ticket: null,
      check: { ok: true },
      expect: { held: 0, total: 1, broken: [{ code: "edit.broken" }] },
    });
    const broken = shown.replace('domains: "list:ads"', 'domains: ["list:ads", "!example.cn"]');
    expect(await call("PUT", "config/file", { text: broken, base })).toMatchObject({
      status: 409,
      body: { detail: expect.stringContaining("expected rule ads") },
    });
    expect(text()).toBe(before);
  });

  test("never overwrites a file that was changed meanwhile", async () => {
    const { call, path, text } = await house();
    const { digest: base } = (await call("GET", "config/file")).body;
    const { body: preview } = await call("POST", "config/edits", { edit: except("app.example.cn"), base });
    writeFileSync(path, `${text()}# by hand\n`);
    const byHand = text();
    for (const body of [
      { ticket: preview.ticket, apply: true },
      { edit: except("app.example.cn"), base },
    ])
      expect(await call("POST", "config/edits", body)).toMatchObject({
        status: 409,
        body: { detail: expect.stringContaining("changed meanwhile") },
      });
    expect(text()).toBe(byHand);
    const now = (await call("GET", "config/file")).body;
    expect(now).toMatchObject({ inForce: false });
    const { body: again } = await call("POST", "config/edits", { edit: except("app.example.cn"), base: now.digest });
    const { body: applied } = await call("POST", "config/edits", { ticket: again.ticket, apply: true });
    // The text that somebody wrote by hand is kept, though it never served.
    expect(text()).toContain("# by hand");
    expect((await call("POST", `history/${now.digest}/restore`, { base: applied.version })).status).toBe(200);
    expect(text()).toBe(byHand);
  });

  test("belongs to who asked for it, for ten minutes", async () => {
    const { site, call } = await house();
    const { digest: base } = (await call("GET", "config/file")).body;
    const { ticket } = (await call("POST", "config/edits", { edit: except("app.example.cn"), base })).body;
    const { control } = site.app.administration;
    expect(() => control.editTicket(ticket, "somebody else")).toThrow("no such ticket");
    await site.clock.advance(600_000);
    expect((await call("POST", "config/edits", { ticket, apply: true })).status).toBe(404);
  });

  test("that the running server cannot take has no ticket, and neither has one that changes nothing", async () => {
    const { call } = await house();
    const { digest: base } = (await call("GET", "config/file")).body;
    const ticketFor = async (edit: object) => (await call("POST", "config/edits", { edit, base })).body;
    expect(await ticketFor({ kind: "set", path: ["listen", "dohPath"], value: "/dns" })).toMatchObject({
      ticket: null,
      check: { warnings: [{ message: expect.stringContaining("restart Fenliu") }] },
    });
    expect(await ticketFor({ kind: "set", path: ["rules", 0, "answer"], value: "nodata" })).toMatchObject({
      ticket: null,
      diff: [],
    });
    expect(await ticketFor({ kind: "set", path: ["cash"], value: 1 })).toMatchObject({
      ticket: null,
      check: { ok: false, problems: [{ key: "cash" }] },
    });
  });
});

describe("what was changed shortly before a problem began", () => {
  const blocked = async ({ site, call }: House, name: string) => {
    for (let times = 0; times < 12; times++) await site.ask(name, "A", { clientId: "tv" });
    const find = async () => {
      const { problems } = (await call("GET", "problems")).body;
      const found = problems.find(({ suffix }: { suffix: string }) => suffix === name);
      // A thread whose clock leaps may have to begin anew.
      if (found === undefined) await site.clock.advance(1000);
      return found;
    };
    return await vi.waitUntil(find, { timeout: 30_000 });
  };

  test("is told with it: the configuration, or other content of its list, also after a restart", async () => {
    const [folder, clock] = [directory(), fakeClock()];
    const before = await house({ folder, clock });
    const { call, ads } = before;
    expect(await blocked(before, "always.example.cn")).toMatchObject({ began: null });
    writeFileSync(ads, "example.cn\nlate.example\nother.example\n");
    expect((await call("POST", "lists/ads/refresh", {})).status).toBe(200);
    await clock.advance(90_000);
    const version = (await call("GET", "config/file")).body.digest;
    const byList = { version, secondsBefore: 90, changedLines: 0, list: "ads" };
    const { id, began } = await blocked(before, "a.other.example");
    expect(began).toEqual(byList);
    await clock.advance(1000);
    const { text } = (await call("GET", "config/file")).body;
    const more = text.replace("expect:", "  - { name: more, domains: [third.example], answer: nodata }\nexpect:");
    const changed = await call("PUT", "config/file", { text: more, base: version });
    expect(changed.status).toBe(200);
    await clock.advance(30_000);
    const byText = { version: changed.body.version, secondsBefore: 30, changedLines: 1, list: null };
    expect(await blocked(before, "b.third.example")).toMatchObject({ began: byText });
    await clock.advance(600_000);
    expect(await blocked(before, "c.late.example")).toMatchObject({ began: null });
    // A person's word is kept at once, and all problems with it.
    expect((await call("PUT", `problems/${encodeURIComponent(id)}`, { state: "open" })).body).toMatchObject({ began: byList });
    await before.site.close();
    const after = await house({ folder, clock, ads });
    const look = async () =>
      expect((await after.call("GET", "problems")).body.problems).toContainEqual(expect.objectContaining({ id, began: byList }));
    await vi.waitFor(look, { timeout: 30_000 });
  });

  test("is not another list than that which blocks", async () => {
    const site = await house();
    const more = file("more.txt", ["third.example"]);
    const { digest: base, text } = (await site.call("GET", "config/file")).body;
    const both = text
      .replace("lists: {", `lists: { more: { domains: ["${more}"] },`)
      .replace('"list:ads"', '["list:ads", "list:more"]');
    expect((await site.call("PUT", "config/file", { text: both, base })).status).toBe(200);
    await site.site.clock.advance(3_600_000);
    writeFileSync(more, "fourth.example\n");
    expect((await site.call("POST", "lists/more/refresh", {})).status).toBe(200);
    await site.site.clock.advance(60_000);
    expect(await blocked(site, "app.example.cn")).toMatchObject({ culprit: { list: "ads" }, began: null });
    expect(await blocked(site, "a.fourth.example")).toMatchObject({ culprit: { list: "more" }, began: { list: "more" } });
  });
});

test("a question is explained under a draft, and under the file with an edit", async () => {
  const { call } = await house();
  const under = async (form: object) => (await call("POST", "explain", { name: "app.example.cn", under: form })).body;
  expect(await under({ edit: except("app.example.cn") })).toMatchObject({
    decision: { kind: "forward", route: "main" },
    trace: [{ rule: "ads", outcome: "excepted" }, { kind: "first-group" }],
    notes: [{ code: "note.draft" }],
  });
  expect(await under({ config: "rules: [{ name: all, domains: [.], answer: nxdomain }]" })).toMatchObject({
    decision: { answer: "nxdomain" },
  });
  expect(await under({ config: "rules: 5" })).toMatchObject({ status: 400, problems: [{ parameter: "config" }] });
  expect(await under({ version: "0123456789ab" })).toMatchObject({ status: 404 });
});

describe("a pause of rules", () => {
  test("holds for one client or for all, ends by itself or by hand, and is told of", async () => {
    const { site, call } = await house();
    const counts = async (client: string) => (await site.ask("app.example.cn", "A", { client })).answers.length;
    expect([await counts("10.0.0.5"), await counts("10.0.0.6")]).toEqual([0, 0]);
    const version = site.app.state.version;
    expect((await call("POST", "pause", { rules: ["ads"], client: "10.0.0.5", minutes: 10 })).body).toMatchObject({
      rules: ["ads"],
    });
    expect([await counts("10.0.0.5"), await counts("10.0.0.6")]).toEqual([1, 0]);
    expect((await call("GET", "health")).body.items).toContainEqual(
      expect.objectContaining({
        kind: "pause",
        state: "care",
        problem: null,
        said: expect.objectContaining({ code: "health.pauseForClient" }),
      }),
    );
    const { id } = (await call("POST", "pause", { minutes: 20 })).body;
    expect([await counts("10.0.0.5"), await counts("10.0.0.6")]).toEqual([1, 1]);
    await site.clock.advance(600_000);
    expect((await call("GET", "pause")).body).toMatchObject([{ id, client: null }]);
    await site.app.endPause(id);
    expect([await counts("10.0.0.5"), await counts("10.0.0.6")]).toEqual([0, 0]);
    expect(site.app.state.version).toBe(version);
    expect((await call("POST", "pause", { rules: ["nobody"], minutes: 1 })).status).toBe(409);
    expect((await call("POST", "pause", { client: "no client!", minutes: 1 })).status).toBe(400);
  });

  test("outlives a change of the configuration", async () => {
    const { site, call } = await house();
    await call("POST", "pause", { minutes: 10 });
    const { digest: base, text } = (await call("GET", "config/file")).body;
    expect((await call("PUT", "config/file", { text: `${text}# more\n`, base })).status).toBe(200);
    expect((await site.ask("app.example.cn")).answers).toHaveLength(1);
  });
});

describe("the secrets of the file", () => {
  test("are hidden, and stay where they are when the text is edited", async () => {
    const { call, text } = await house();
    const before = text();
    const { digest: base, text: shown } = (await call("GET", "config/file")).body;
    expect(shown).not.toContain("a-token-of-the-house");
    expect(shown).toContain("token: •••");
    const { body: preview } = await call("POST", "config/edits", { edit: { kind: "text", text: `${shown}# more\n` }, base });
    expect(JSON.stringify(preview)).not.toContain("a-token-of-the-house");
    await call("POST", "config/edits", { ticket: preview.ticket, apply: true });
    expect(text()).toBe(`${before}# more\n`);
    const forged = { kind: "text", text: "admin: { token: •••9 }\n" };
    expect(
      (await call("POST", "config/edits", { edit: forged, base: (await call("GET", "config/file")).body.digest })).status,
    ).toBe(400);
  });
});
