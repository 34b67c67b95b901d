import { writeFileSync } from "node:fs";
import { join } from "node:path";
import { stripVTControlCharacters } from "node:util";
import { afterAll, beforeAll, describe, expect, onTestFinished, test } from "vitest";
import { TYPE } from "../../src/dns/types.ts";
import type { QueryRecord } from "../../src/log/record.ts";
import type { ApiClient } from "../admin/support/api-client.ts";
import { zone } from "../dns/zone.ts";
import { respond } from "../support/zone-script.ts";
import { type Asked, scriptedServer } from "../upstreams/scripted-server.ts";
import { apiOf, recordsOf } from "./api.ts";
import { dig, soleData } from "./clients.ts";
import { type FenliuProcess, fenliuCommand, startFenliu } from "./fenliu.ts";
import { FORWARDERS } from "./forwarders.ts";
import { eventually, type Finished, freePort, run, start } from "./processes.ts";
import { Scene } from "./scene.ts";

const scene = new Scene();
const TOKEN = "a-token-of-the-house";
let upstreamPort: number;
let adminPort: number;
let fenliu: FenliuProcess;
let api: ApiClient;

beforeAll(async () => {
  const upstream = await scriptedServer("dns", easymosdns);
  scene.defer(() => upstream.close());
  upstreamPort = upstream.port;
  // The command line finds the server by its configuration.
  adminPort = await freePort();
  writeLists(["one.example", "moves.example"], ["two.example"]);
  fenliu = await scene.add(startFenliu(scene.folder, config()));
  api = apiOf(fenliu, TOKEN);
});

afterAll(() => scene.close());

/** Has an address for every name, and answers TYPE65 by NXDOMAIN with a made-up SOA, which holds for ten minutes. */
function easymosdns(asked: Asked) {
  const { name, type } = asked;
  if (type === TYPE.A) return respond(asked, { answers: zone(`${name} 300 A 192.0.2.7`) });
  return respond(asked, { rcode: 3, authority: zone(`${name} 600 SOA fake.invalid. nobody.invalid. 1 1800 900 604800 600`) });
}

function config(port = adminPort): string {
  return `
listen: { dns: ["127.0.0.1:0"], http: ["127.0.0.1:0"], admin: "127.0.0.1:${port}" }
admin: { token: ${TOKEN} }
upstreams: { easy: { servers: ["127.0.0.1:${upstreamPort}"] }, other: { servers: ["127.0.0.1:${upstreamPort}"] } }
lists: { first: { domains: [first.txt] }, second: { domains: [second.txt] } }
rules:
  - { name: secret, domains: [secret.example], log: false }
  - { name: plain, domains: [filtered.example], https: nodata }
  - { name: split, longest: { "list:first": easy, "list:second": other } }
  - { name: others, domains: [example], upstream: easy }
cache: { file: null }
log: { queries: { store: data/queries.db } }
`;
}

function writeLists(first: readonly string[], second: readonly string[]): void {
  writeFileSync(join(scene.folder, "first.txt"), first.map((name) => `${name}\n`).join(""));
  writeFileSync(join(scene.folder, "second.txt"), second.map((name) => `${name}\n`).join(""));
}

/** Runs `fenliu` as somebody in the folder of its configuration would. */
function cli(...words: readonly string[]): Promise<Finished> {
  return run(...commandLine(words), { cwd: scene.folder });
}

function commandLine(words: readonly string[]): [string, string[]] {
  const [node, start] = fenliuCommand("");
  return [node, [start ?? "", ...words]];
}

/** The record by its id, with the trace that a list of records leaves out. */
async function whole(record: QueryRecord | undefined): Promise<QueryRecord> {
  return (await api.get(`/api/v1/queries/${record?.id}`)).body as QueryRecord;
}

async function asked(name: string, type: string): Promise<void> {
  await dig(fenliu.ports.dns, `${name} ${type}`);
}

describe("the incident: a router's cache behind a server whose upstream answers TYPE65 with NXDOMAIN", () => {
  let router: number;

  beforeAll(async () => {
    const [dnsmasq] = FORWARDERS;
    if (dnsmasq === undefined) throw new Error("there is always dnsmasq");
    router = (await scene.add(dnsmasq.start(scene.folder, { ".": fenliu.ports.dns }))).port;
    for (const name of ["page.example", "filtered.example", "secret.example"]) {
      expect(await dig(router, `${name} HTTPS`)).toMatchObject({ status: "NOERROR", answers: [] });
      expect(soleData(await dig(router, `${name} A`))).toBe("192.0.2.7");
    }
  });

  test("one call of the API shows the answer, the rule and the lifetime", async () => {
    expect(await recordsOf(api, "name=page.example&type=HTTPS")).toMatchObject([
      {
        rcode: "NOERROR",
        action: "nxdomain:guarded",
        rule: "others",
        route: "easy",
        negativeTtl: 60,
        attempts: [{ server: `127.0.0.1:${upstreamPort}`, rcode: "NXDOMAIN" }, { rcode: "NOERROR" }],
        ede: ["0 (Other Error): NXDOMAIN not believed: A says that the name exists"],
        edits: ["made NXDOMAIN NODATA", "lowered the negative TTL from 600 s to 60 s"],
      },
    ]);
  });

  test("explain shows the reason, as JSON and as text", async () => {
    const why = /The cache holds the answer \(NOERROR without records: NXDOMAIN not believed: A says that the name exists\)/;
    expect((await api.get("/api/v1/explain?name=page.example&type=HTTPS")).body).toMatchObject({
      decision: { rule: "others", route: "easy", action: "nxdomain:guarded" },
      summary: expect.arrayContaining([expect.objectContaining({ text: expect.stringMatching(why) })]),
    });
    const { status, stdout } = await cli("explain", "page.example", "HTTPS");
    expect(status).toBe(0);
    expect(stdout).toMatch(why);
    expect(stdout).toMatch(/> rule others decides because of example/);
  });

  test("the record of a locally filtered TYPE65 has no attempt and names the rule that filters", async () => {
    const [record] = await recordsOf(api, "name=filtered.example&type=HTTPS");
    expect(record).toMatchObject({ action: "type65:nodata", negativeTtl: 60, attempts: [], upstream: null });
    expect((await whole(record)).trace).toContainEqual(expect.objectContaining({ rule: "plain", outcome: "modifies" }));
    expect((await cli("explain", "filtered.example", "HTTPS")).stdout).toContain(
      "HTTPS is answered here with NODATA (type65:nodata), as rule plain wants it",
    );
  });

  test("a rule with `log: false` leaves no record", async () => {
    expect(await recordsOf(api, "name=secret.example")).toEqual([]);
    expect(await recordsOf(api, "name=*secret*")).toEqual([]);
  });
});

describe("fenliu log", () => {
  beforeAll(async () => {
    for (const type of ["A", "AAAA", "HTTPS"]) await asked("www.shown.example", type);
    await asked("foo.test", "A");
  });

  test("shows the records that match all filters, oldest first", async () => {
    const { status, stdout } = await cli("log", "shown.example", "type=!AAAA", "action=nxdomain:*");
    expect(status).toBe(0);
    expect(stdout.split("\n")).toEqual([
      expect.stringMatching(
        /^\d\d-\d\d \d\d:\d\d:\d\d\.\d{3} +127\.0\.0\.1 +HTTPS +www\.shown\.example +NOERROR +upstream\/nxdomain:guarded +others +easy 127/,
      ),
      "",
    ]);
    const all = await cli("log", "shown.example", "-n", "2");
    expect(all.stdout.match(/ (A|AAAA|HTTPS) /g)?.map((type) => type.trim())).toEqual(["AAAA", "HTTPS"]);
  });

  test("--json prints one JSON object a line, equal to the records of the API", async () => {
    const { stdout } = await cli("log", "shown.example", "--json");
    const lines = stdout.split("\n").slice(0, -1);
    expect(lines.map((line) => JSON.parse(line)).toReversed()).toEqual(await recordsOf(api, "name=shown.example"));
  });

  test("shows all details of one query", async () => {
    const [record] = await recordsOf(api, "name=www.shown.example&type=HTTPS");
    const { status, stdout } = await cli("log", String(record?.id));
    expect(status).toBe(0);
    expect(stdout).toMatch(/asked by +127\.0\.0\.1, over UDP/);
    expect(stdout).toMatch(/asked +127\.0\.0\.1:\d+ of easy over UDP: NXDOMAIN after/);
    expect(stdout).toMatch(/edited +made NXDOMAIN NODATA/);
    const shown = JSON.parse((await cli("log", String(record?.id), "--json")).stdout);
    expect(shown).toEqual(await whole(record));
  });

  test("--follow shows each new query until it is stopped", async () => {
    const [command, args] = commandLine(["log", "followed.example", "--follow"]);
    const following = await start(command, args, async () => true, { cwd: scene.folder });
    onTestFinished(() => void following.stop("SIGKILL"));
    await eventually(async () => {
      await asked("followed.example", "A");
      await asked("others.example", "A");
      return following.output().includes("followed.example") ? true : null;
    });
    expect(await following.stop()).toBe(0);
    expect(following.output()).not.toContain("others.example");
  });

  test("--follow continues after a restart of the server, and shows each query once", async () => {
    const [command, args] = commandLine(["log", "restarted.example", "--follow", "--json", "-n", "1"]);
    const following = await start(command, args, async () => true, { cwd: scene.folder });
    onTestFinished(() => void following.stop("SIGKILL"));
    const shown = () => [...following.output().matchAll(/^\{.*"name":"([^"]+)"/gm)].map(([, name]) => name);
    const names: string[] = [];
    const ask = async () => {
      const name = `n${names.length}.restarted.example`;
      await asked(name, "A");
      names.push(name);
    };
    const askUntilShown = (count: number) =>
      eventually(async () => {
        await ask();
        return shown().length >= count ? true : null;
      });
    // One may be of the past; the others were followed.
    await askUntilShown(3);
    await fenliu.stop();
    fenliu = await scene.add(startFenliu(scene.folder, config()));
    api = apiOf(fenliu, TOKEN);
    await askUntilShown(names.length + 2);
    await eventually(async () => (shown().at(-1) === names.at(-1) ? true : null));
    expect(await following.stop()).toBe(0);
    expect(shown()).toEqual(names.slice(-shown().length));
    expect(following.output().match(/^fenliu: .*$/gm)).toEqual([
      expect.stringMatching(/^fenliu: the Fenliu at .* (?:has ended the stream|is gone: .*); waiting until it answers again$/),
      "fenliu: it answers again",
    ]);
  });

  test("fits its lines to the width of a terminal, and names the omitted columns", async () => {
    const [command, args] = commandLine(["log", "shown.example"]);
    const line = [command, ...args].map((word) => `'${word}'`).join(" ");
    const terminal = await run("script", ["-qec", `stty cols 80; ${line}`, "/dev/null"], { cwd: scene.folder });
    const lines = stripVTControlCharacters(terminal.stdout).trimEnd().split("\r\n");
    expect(lines[0]).toBe("fenliu: no room for rule, upstream, ms, id: a wider terminal or --full shows all");
    expect(lines[1]).toMatch(/^time +client +type +name +rcode +source\/action *$/);
    expect(lines[2]).toMatch(/^\d{4}-\d\d-\d\d$/);
    expect(lines.at(-1)).toMatch(/^\d\d:\d\d:\d\d +127\.0\.0\.1 +HTTPS +www\.shown\.example +NOERROR +upstre…uarded *$/);
    for (const each of lines) expect(each.length).toBeLessThanOrEqual(80);
  });

  test("has colours and a heading on a terminal only", async () => {
    const [command, args] = commandLine(["log", "shown.example"]);
    const line = [command, ...args].map((word) => `'${word}'`).join(" ");
    const terminal = await run("script", ["-qec", line, "/dev/null"], { cwd: scene.folder });
    expect(terminal.stdout).toMatch(/time +.*client +.*type +.*name/);
    expect(terminal.stdout).toContain("\u001b[");
    const { stdout } = await cli("log", "shown.example");
    expect(stdout).not.toContain("\u001b");
    expect(stdout).not.toMatch(/^time/);
  });
});

describe("other commands", () => {
  test("flush removes one name, a name with all names below it, or all names from the cache", async () => {
    const names = ["kept.example", "a.kept.example", "gone.example"];
    const fill = () => Promise.all(names.map((name) => asked(name, "A")));
    const sources = async () => {
      await fill();
      const found = await Promise.all(names.map((name) => recordsOf(api, `name=full:${name}`)));
      return found.map(([newest]) => newest?.source);
    };
    await fill();
    expect(await sources()).toEqual(["cache", "cache", "cache"]);
    expect(await cli("flush", "gone.example")).toMatchObject({ status: 0, stdout: "gone.example: one answer dropped\n" });
    expect(await sources()).toEqual(["cache", "cache", "upstream"]);
    expect(await cli("flush", "kept.example", "--subtree")).toMatchObject({
      stdout: "kept.example and below: 2 answers dropped\n",
    });
    expect(await sources()).toEqual(["upstream", "upstream", "cache"]);
    const { stdout } = await cli("flush", ".", "--subtree", "--json");
    expect(JSON.parse(stdout).flushed).toBeGreaterThanOrEqual(3);
    expect(await sources()).toEqual(["upstream", "upstream", "upstream"]);
  });

  test("explain --resolve sends a query, and shows the result", async () => {
    const { status, stdout } = await cli("explain", "resolved.example", "HTTPS", "--resolve");
    expect(status).toBe(0);
    expect(stdout).toMatch(/asked +NOERROR \(upstream, nxdomain:guarded\) after/);
    expect(stdout).toMatch(/127\.0\.0\.1:\d+ of easy over UDP: NXDOMAIN after/);
  });

  test("explain without a server uses the configuration alone and says so; an option that needs the server fails", async () => {
    const file = join(scene.folder, "elsewhere.yaml");
    writeFileSync(file, config(await freePort()));
    const { status, stdout } = await cli("explain", "www.moves.example", "-c", file);
    expect(status).toBe(0);
    expect(stdout).toMatch(/Rule split sends it to easy\. It matches moves\.example, line 2 of list first/);
    expect(stdout).toContain("cache and verdicts are not known: no Fenliu answers at");
    for (const words of [
      ["explain", "one.example", "--resolve"],
      ["flush", "one.example"],
    ])
      expect(await cli(...words, "-c", file)).toMatchObject({
        status: 1,
        stderr: expect.stringContaining("no Fenliu answers at"),
      });
  });

  test("lists shows the number of entries of each list", async () => {
    const { status, stdout } = await cli("lists");
    expect(status).toBe(0);
    expect(stdout).toMatch(/first +domains +2 .*first\.txt/);
  });

  test.each([
    ["a field that is none", ["log", "colour=red"], 2, "`colour` is no field of the log"],
    ["a value that is none", ["log", "rcode=2"], 2, "rcode: `2` is no response code"],
    ["a query that is not there", ["log", "1838363815951360"], 1, "there is no query 1838363815951360"],
    ["no name", ["explain"], 2, "explain takes NAME [TYPE]"],
    ["a type that is none", ["explain", "one.example", "NONE"], 2, "`NONE` is no record type"],
    ["two names", ["flush", "one.example", "two.example"], 2, "flush takes one NAME"],
    ["a version that is not kept", ["explain", "one.example", "--under", "0123"], 1, "version 0123 is not kept"],
  ])("%s: the exit code shows whose fault it is, and the message names the fault", async (_what, words, status, says) => {
    expect(await cli(...words)).toMatchObject({ status, stdout: "", stderr: expect.stringContaining(says) });
  });

  test("the token of the configuration is sent, and a wrong token is refused", async () => {
    const file = join(scene.folder, "other-token.yaml");
    writeFileSync(file, config().replace(TOKEN, "another-token"));
    expect(await cli("log", "-c", file)).toMatchObject({
      status: 1,
      stderr: `fenliu: the API does not take the token of ${file}. -c FILE names another configuration\n`,
    });
    expect((await apiOf(fenliu).get("/api/v1/queries")).status).toBe(401);
  });
});

test("a query from before a change of a list is explained by the list in force then, also after a restart", async () => {
  await asked("www.moves.example", "A");
  const [before] = await recordsOf(api, "name=www.moves.example");
  expect(before).toMatchObject({ rule: "split", list: "first", line: 2, route: "easy" });
  const told = fenliu.output().length;
  writeLists(["one.example"], ["two.example", "three.example", "moves.example"]);
  fenliu.signal("SIGHUP");
  await eventually(async () => (fenliu.output().slice(told).includes('"msg":"reloaded"') ? true : null));
  await asked("www.moves.example", "A");
  const [after] = await recordsOf(api, "name=www.moves.example");
  expect(after).toMatchObject({ rule: "split", list: "second", line: 3, route: "other" });

  const expectBoth = async () => {
    const explained = async (version: string) =>
      (await api.get(`/api/v1/explain?name=www.moves.example&version=${version}`)).body;
    expect(await explained(before?.version ?? "")).toMatchObject({
      version: before?.version,
      decision: { rule: "split", route: "easy" },
      trace: (await whole(before)).trace,
    });
    expect(await explained(after?.version ?? "")).toMatchObject({
      decision: { route: "other" },
      trace: (await whole(after)).trace,
    });
    const { stdout } = await cli("explain", "www.moves.example", "--under", before?.version ?? "");
    expect(stdout).toMatch(/It matches moves\.example, line 2 of list first/);
    expect(stdout).toContain("This is a version of the past");
  };
  await expectBoth();
  await fenliu.stop();
  writeLists([], ["moves.example"]);
  fenliu = await scene.add(startFenliu(scene.folder, config()));
  api = apiOf(fenliu, TOKEN);
  await expectBoth();
  expect(await recordsOf(api, "name=www.moves.example")).toMatchObject([{ id: after?.id }, { id: before?.id }]);
});
