import { spawn } from "node:child_process";
import { once } from "node:events";
import { existsSync } from "node:fs";
import { mkdtemp, readFile, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { setImmediate as turn } from "node:timers/promises";
import { fileURLToPath } from "node:url";
import { afterEach, beforeEach, describe, expect, test } from "vitest";
import { type LoadOptions, loadCache } from "../../src/cache/cache-file.ts";
import { AddressSet } from "../../src/dns/address.ts";
import { TYPE } from "../../src/dns/types.ts";
import { groupMarks } from "../../src/upstreams/group.ts";
import { fakeClock } from "../support/fake-clock.ts";
import { isThorough } from "../support/properties.ts";
import { siteWith } from "../support/site.ts";
import { deny, honest, withRcode } from "../support/zone-script.ts";
import { groupOptions } from "../upstreams/groups/scripted.ts";
import { type Script, type ScriptedServer, scriptedServer } from "../upstreams/scripted-server.ts";
import { usualLimits } from "./answers.ts";
import { emptyCache, SAVED_ANSWERS, savedAnswer, savedName } from "./endless-saver.ts";

const startMs = Date.UTC(2026, 0, 1);

let folder = "";
let file = "";
/** The upstream of all sites of a test. */
let server: ScriptedServer;
beforeEach(async () => {
  server = await scriptedServer("dns", withRcodeAlways(5));
  folder = await mkdtemp(join(tmpdir(), "fenliu-persistence-"));
  file = join(folder, "cache.db");
});
afterEach(async () => {
  await server.close();
  await rm(folder, { recursive: true });
});

describe("a process that is killed while it saves", () => {
  /** Lets a process save `saves` times and for some turns more, and kills it without a chance to clean up. */
  async function killDuring(saves: number, turns: number, mark = "mark"): Promise<void> {
    const program = fileURLToPath(new URL("endless-saver.ts", import.meta.url));
    const child = spawn(process.execPath, [program, file, mark], { stdio: ["ignore", "pipe", "inherit"] });
    const ended = once(child, "exit");
    let written = 0;
    child.stdout.on("data", (chunk: Buffer) => (written += chunk.length));
    while (written <= saves && child.exitCode === null) await turn();
    for (let count = 0; count < turns; count++) await turn();
    child.kill("SIGKILL");
    expect((await ended)[1]).toBe("SIGKILL");
  }

  const expected = new Map(
    Array.from({ length: SAVED_ANSWERS }, (_, index) => savedAnswer(index)).map(({ name, wire }) => [name, Buffer.from(wire)]),
  );

  test("leaves either the new file or the old file, always whole", async () => {
    let unfinished = 0;
    for (let times = 0; times < (isThorough ? 20 : 5); times++) {
      const hadOne = existsSync(file);
      await killDuring(times % 3, (times * 61) % 1000);
      if (existsSync(`${file}.new`)) unfinished++;
      const cache = emptyCache();
      const load = await loadCache(cache, file, loadingAt(startMs, "mark"));
      expect(load).toEqual({ restored: hadOne || load.restored > 0 ? SAVED_ANSWERS : 0, dropped: 0, problem: null });
      const wrong = [...cache.entries()].filter(({ held }) => !expected.get(held.answer.name)?.equals(held.answer.wire));
      expect(wrong).toEqual([]);
    }
    // Otherwise no process was killed in the middle of a save, and the test shows nothing.
    expect(unfinished).toBeGreaterThan(0);
  });

  test("leaves a temporary file that disturbs neither the next start nor the next save", async () => {
    await killDuring(1, 20, mainMark());
    await writeFile(`${file}.new`, "fenliu answers 2\nhalf");
    const site = await restarted(withRcodeAlways(5), startMs);
    expect(await site.ask(savedName(7), "TXT")).toMatchObject({ rcode: "NOERROR" });
    expect(site.asked()).toEqual([]);
    await site.close();
    expect(site.log.join()).not.toContain("cache:");
    expect(existsSync(`${file}.new`)).toBe(false);
  });
});

describe("a file that is damaged", () => {
  const names = ["a.example", "b.example", "c.example"];
  const zone = names.map((name, index) => `${name} 300 A 192.0.2.${index + 1}`);

  async function fileOfThree(): Promise<Buffer> {
    const site = await restarted(honest(...zone), startMs);
    for (const name of names) await site.ask(name);
    await site.close();
    return readFile(file);
  }

  test("with any one bit changed, or cut after any byte, restores only answers that were in it", async () => {
    const whole = await fileOfThree();
    const original = emptyCache();
    await loadCache(original, file, loadingAt(startMs, mainMark()));
    const held = new Map([...original.entries()].map(({ key, held: { answer } }) => [key, answer]));
    expect(held.size).toBe(3);
    const mark = mainMark();
    // Seven has no factor in common with eight: every place in a byte has its turn.
    const step = isThorough ? 1 : 7;
    const flipped = Array.from({ length: Math.floor((whole.length * 8) / step) }, (_, index) => {
      const bit = index * step;
      const damaged = Buffer.from(whole);
      damaged[bit >> 3] = (damaged[bit >> 3] ?? 0) ^ (1 << (bit & 7));
      return damaged;
    });
    const cut = Array.from(whole, (_, end) => whole.subarray(0, end));
    for (const [index, damaged] of [...flipped, ...cut].entries()) {
      await writeFile(file, damaged);
      const cache = emptyCache();
      const load = await loadCache(cache, file, loadingAt(startMs, mark));
      expect(load.restored).toBeLessThanOrEqual(3);
      // A file that is cut between two answers is shorter, not damaged.
      if (index < flipped.length) expect(load.problem).not.toBeNull();
      for (const { key, held: found } of cache.entries()) expect(found.answer).toEqual(held.get(key));
    }
  });

  test.each([0, 5, 17, 40, 90, 150])(
    "cut after %i bytes: the server starts, reports the damage and answers correctly",
    async (bytes) => {
      const whole = await fileOfThree();
      await writeFile(file, whole.subarray(0, bytes));
      const site = await restarted(honest(...zone), startMs);
      expect(site.log.filter((line) => line.includes("cache:"))).toHaveLength(bytes === 17 ? 0 : 1);
      for (const [index, name] of names.entries()) {
        expect(await site.ask(name)).toMatchObject({ rcode: "NOERROR", answers: [`192.0.2.${index + 1}`] });
      }
    },
  );
});

describe("after a restart", () => {
  const script: Script = (asked) => {
    if (asked.name === "fails.example") return withRcode(asked, 2);
    if (asked.name === "denied.example")
      return asked.type === TYPE.AAAA ? deny(asked) : honest("denied.example A 192.0.2.8")(asked);
    return honest(
      "page.example 100 A 192.0.2.7",
      "page.example 50 HTTPS 1 . alpn=h2,h3 key667=x",
      "www.example 80 CNAME page.example",
      "fake.example 1000 A 198.18.0.9",
      "mine.example 1000 A 203.0.113.9",
    )(asked);
  };
  const questions: readonly (readonly [string, string])[] = [
    ["page.example", "A"],
    ["page.example", "HTTPS"],
    ["www.example", "A"],
    ["page.example", "MX"],
    ["nowhere.example", "A"],
    ["fails.example", "A"],
    ["denied.example", "AAAA"],
    ["fake.example", "A"],
    ["mine.example", "A"],
  ];

  async function stopped(atMs: number, router = script): Promise<void> {
    const site = await restarted(router, startMs);
    for (const [name, type] of questions) await site.ask(name, type);
    await site.clock.advance(atMs);
    await site.close();
  }

  test("the TTLs of hits are lower by the time that the server was off", async () => {
    await stopped(10_000);
    const site = await restarted(withRcodeAlways(5), startMs + 30_000);
    expect((await site.ask("page.example")).records).toEqual(["page.example. 70 IN A 192.0.2.7"]);
    expect((await site.ask("page.example", "HTTPS")).records).toEqual(["page.example. 20 IN HTTPS 1 . alpn=h2,h3 key667=x"]);
    expect((await site.ask("www.example")).records).toEqual([
      "www.example. 50 IN CNAME page.example.",
      "page.example. 70 IN A 192.0.2.7",
    ]);
    expect(site.asked()).toEqual([]);
    await site.clock.advance(20_000);
    expect(await site.ask("page.example")).toMatchObject({ ttl: 50 });
    // By the wall clock, the 50 s of the HTTPS record have passed over both runs.
    expect(await site.ask("page.example", "HTTPS")).toMatchObject({ ede: [3], ttl: 30 });
  });

  test("answers that expired while the server was off are stale: upstream is asked first", async () => {
    await stopped(10_000);
    const dead = await restarted(withRcodeAlways(5), startMs + 200_000);
    expect(await dead.ask("page.example")).toMatchObject({ answers: ["192.0.2.7"], ttl: 30, ede: [3] });
    expect(dead.asked()).toEqual(["page.example A"]);
    await dead.close();
    const well = await restarted(honest("page.example 100 A 192.0.2.99"), startMs + 200_000);
    expect(await well.ask("page.example")).toMatchObject({ answers: ["192.0.2.99"], ttl: 100, ede: [] });
  });

  test("negatives, failures, synthesized and volatile answers are gone", async () => {
    await stopped(1000);
    const site = await restarted(withRcodeAlways(5), startMs + 1000);
    for (const [name, type] of questions.slice(3)) expect(await site.ask(name, type)).toMatchObject({ rcode: "SERVFAIL" });
    // The NXDOMAIN guard asked for A of denied.example, so A is a positive answer like any other.
    expect(await site.ask("denied.example")).toMatchObject({ answers: ["192.0.2.8"] });
  });

  test("no answer of a volatile group is restored", async () => {
    const first = await restarted(script, startMs, { keys: "volatile: true" });
    await first.ask("page.example");
    await first.close();
    const second = await restarted(withRcodeAlways(5), startMs, { keys: "volatile: true" });
    expect(await second.ask("page.example")).toMatchObject({ rcode: "SERVFAIL" });
  });

  test.each([
    { change: "other servers", restart: { moved: true } },
    { change: "a proxy", restart: { keys: 'proxy: "socks5://127.0.0.1:1"' } },
    { change: "answers for one subnet", restart: { keys: "ecs: 192.0.2.0/24" } },
    { change: "`volatile`", restart: { keys: "volatile: true" } },
    { change: "an answer's network in `cache.volatile`", restart: { volatile: "192.0.2.0/24" } },
  ])("a group with $change starts with no answers", async ({ restart }) => {
    await stopped(1000);
    const site = await restarted(withRcodeAlways(5), startMs + 1000, restart);
    expect(await site.ask("page.example")).toMatchObject({ rcode: "SERVFAIL" });
  });

  test("a group that asks the same servers in another way keeps its answers", async () => {
    await stopped(1000);
    const site = await restarted(withRcodeAlways(5), startMs + 1000, {
      keys: "strategy: race, attempt: 100ms, never: { types: [PTR] }",
    });
    expect(await site.ask("page.example")).toMatchObject({ answers: ["192.0.2.7"] });
  });

  test("a wall clock that was set back makes no answer younger", async () => {
    await stopped(10_000);
    const site = await restarted(honest("page.example 100 A 192.0.2.99"), startMs - 3_600_000);
    expect(await site.ask("page.example")).toMatchObject({ answers: ["192.0.2.99"], ttl: 100 });
  });
});

function withRcodeAlways(rcode: number): Script {
  return (asked) => withRcode(asked, rcode);
}

/** The mark of the group `main` of `restarted`. */
function mainMark(): string {
  return groupMarks([groupOptions("main", { servers: [server.options()] })]).get("main") ?? "";
}

function loadingAt(wallMs: number, mark: string): LoadOptions {
  const routes = new Map([["main", mark]]);
  return { limits: usualLimits, clock: fakeClock(wallMs), routes, volatileAddresses: AddressSet.of() };
}

interface Restart {
  /** Other keys of the group. */
  readonly keys?: string;
  readonly volatile?: string;
  /** Whether the group has another server than before. */
  readonly moved?: boolean;
}

/** A server that starts at this wall-clock time, with the file as it is. */
function restarted(script: Script, wallMs: number, { keys = "", volatile = "203.0.113.0/24", moved = false }: Restart = {}) {
  server.follow(script);
  const askedBefore = server.asked.length;
  const servers = [
    moved
      ? script
      : {
          ...server,
          get asked() {
            return server.asked.slice(askedBefore);
          },
        },
  ];
  const yaml = `cache: { file: ${file}, volatile: [${volatile}] }`;
  return siteWith({ upstreams: { main: { servers, keys } }, yaml, clock: fakeClock(wallMs) });
}
