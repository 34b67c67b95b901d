import { readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { expect, test } from "vitest";
import { run } from "../../src/cli/run.ts";
import type { QueryRecord } from "../../src/log/record.ts";
import { directory } from "../support/files.ts";
import { siteWith, type TestSite } from "../support/site.ts";
import { standIn, terminalFor } from "./stand-in.ts";
import { type TestTerminal, testTerminal, until } from "./terminal.ts";

const HOSTS = "hosts: { records: { nas.lan: 10.0.0.5 } }\n";

/** A server, and a terminal in a folder whose configuration leads to the server. */
async function house(log: string) {
  const site = await siteWith({ admin: true, yaml: `${HOSTS}${log}` });
  return { site, terminal: terminalFor(site.app.administration.bound?.port) };
}

/** Waits for `sign` in the output, then queries until the command shows the query. `ended` is the exit code. */
async function following(site: TestSite, terminal: TestTerminal, sign: string): Promise<{ readonly ended: Promise<number> }> {
  const ended = run(["log", "--follow", "--json"], terminal);
  await until(() => (terminal.written.out + terminal.written.err).includes(sign));
  const asked = async (): Promise<string> => {
    await site.ask("nas.lan");
    await site.clock.advance(100);
    return terminal.written.out;
  };
  await expect.poll(asked, { timeout: 20_000 }).toContain("nas.lan");
  return { ended };
}

async function followed(site: TestSite, terminal: TestTerminal, sign: string): Promise<number> {
  const { ended } = await following(site, terminal, sign);
  terminal.stop();
  return ended;
}

test("--follow works without a store, and says that nothing is kept", async () => {
  const { site, terminal } = await house("log: { queries: { enabled: false } }");
  expect(await run(["log"], terminal)).toBe(1);
  const told = "fenliu: queries are not recorded: log.queries.enabled is false";
  expect(terminal.written.err).toBe(`${told}\n`);
  expect(await followed(site, terminal, "only what comes")).toBe(0);
  expect(terminal.written.err).toBe(`${told}\n${told}; only what comes is shown\n`);
});

test("--follow shows earlier records first, then each new record once", async () => {
  const { site, terminal } = await house(`log: { queries: { store: "${join(directory(), "queries.db")}" } }`);
  await site.ask("before.test");
  expect(await followed(site, terminal, "before.test")).toBe(0);
  const records = terminal.written.out
    .split("\n")
    .slice(0, -1)
    .map((line): QueryRecord => JSON.parse(line));
  expect(records.map(({ name }) => name)).toEqual(["before.test", ...Array(records.length - 1).fill("nas.lan")]);
  expect(new Set(records.map(({ id }) => id)).size).toBe(records.length);
});

test("an immediate end of --follow reports no trouble", async () => {
  const { terminal } = await house("");
  terminal.stop();
  expect(await run(["log", "--follow"], terminal)).toBe(0);
  expect(terminal.written.err).not.toContain("no Fenliu answers");
});

test("a failed request names the configuration that was read", async () => {
  const token = "3f1c9a52b7e04d68";
  const site = await siteWith({ admin: true, yaml: `admin: { token: ${token} }\n` });
  const listen = `listen: { admin: "127.0.0.1:${site.app.administration.bound?.port}" }\n`;
  for (const [yaml, fault] of [
    [listen, "the API wants a token, and there is none in"],
    [`${listen}admin: { token: 4f1c9a52b7e04d68 }\n`, "the API does not take the token of"],
    ['listen: { admin: "127.0.0.1:1" }\n', "no Fenliu answers at http://127.0.0.1:1/api/v1/: "],
  ] as const) {
    const where = directory();
    writeFileSync(join(where, "fenliu.yaml"), yaml);
    for (const words of [["log"], ["flush", "page.example"]]) {
      const terminal = testTerminal(where);
      expect(await run(words, terminal)).toBe(1);
      expect(terminal.written.err).toContain(`fenliu: ${fault}`);
      expect(terminal.written.err).toContain(join(where, "fenliu.yaml"));
      expect(terminal.written.err).toContain("-c FILE names another configuration\n");
    }
  }
});

test("--follow accepts a start in the past and refuses an end", async () => {
  const { site, terminal } = await house(`log: { queries: { store: "${join(directory(), "queries.db")}" } }`);
  for (let count = 0; count < 11; count++) await site.ask("before.test");
  const ended = run(["log", "--follow", "--json", "from=1h"], terminal);
  await until(() => terminal.written.out.split("before.test").length > 11 || terminal.written.err !== "");
  terminal.stop();
  expect({ code: await ended, err: terminal.written.err }).toEqual({ code: 0, err: "" });
  expect(await run(["log", "--follow", "to=21:03"], terminal)).toBe(2);
});

test("a line has the id of its record; --full shows the whole record", async () => {
  const { site, terminal } = await house(`log: { queries: { store: "${join(directory(), "queries.db")}" } }`);
  await site.ask("nas.lan");
  expect(await run(["log", "nas.lan"], terminal)).toBe(0);
  const id = terminal.written.out.trim().split(/ +/).at(-1) ?? "";
  const byId = { ...testTerminal(terminal.directory) };
  expect(await run(["log", id], byId)).toBe(0);
  const full = { ...testTerminal(terminal.directory) };
  expect(await run(["log", "nas.lan", "--full"], full)).toBe(0);
  expect(byId.written.out).toContain("the hosts table has nas.lan");
  expect(full.written.out).toBe(`${byId.written.out}\n`);
});

test("a listing that reached its limit says that there may be more", async () => {
  const { site, terminal } = await house(`log: { queries: { store: "${join(directory(), "queries.db")}" } }`);
  for (let count = 0; count < 101; count++) await site.ask("nas.lan");
  expect(await run(["log"], terminal)).toBe(0);
  expect(terminal.written.out.split("\n")).toHaveLength(101);
  expect(terminal.written.err).toMatch(/^fenliu: these are the newest 100, and there may be more/);
  const asked = testTerminal(terminal.directory);
  expect(await run(["log", "--limit", "100"], asked)).toBe(0);
  expect(asked.written.err).toBe("");
});

test("a terminal is told that no record matches", async () => {
  const { terminal } = await house(`log: { queries: { store: "${join(directory(), "queries.db")}" } }`);
  expect(await run(["log", "none.example"], { ...terminal, interactive: true })).toBe(0);
  expect(terminal.written.err).toContain("fenliu: no query of the log fits; ");
  expect(terminal.written.err).toContain("name=*word*");
});

test("--follow reports the end of the server once, and waits for its return", async () => {
  const { site, terminal } = await house("log: { queries: { enabled: false } }");
  const { ended } = await following(site, terminal, "only what comes");
  await site.close();
  await until(() => terminal.written.err.includes("waiting"));
  terminal.stop();
  expect(await ended).toBe(0);
  expect(terminal.written.err).toMatch(
    /\nfenliu: the Fenliu at http:\/\/127\.0\.0\.1:\d+\/api\/v1\/ has ended the stream; waiting until it answers again\n$/,
  );
});

/** The response of another service or version at the address of the API. */
async function stranger(body: string, type = "application/json", status = 200): Promise<TestTerminal> {
  const { port } = await standIn((_, response) => void response.writeHead(status, { "content-type": type }).end(body));
  return terminalFor(port);
}

test.each([
  ["<html>hello</html>", "text/html"],
  ["{}", "application/json"],
  ["null", "application/json"],
  ['{"records":[{"id":1,"colour":"red"}],"cursor":null}', "application/json"],
])("an answer that is not from this version of Fenliu is refused: %s", async (body, type) => {
  for (const argv of [["log"], ["log", "1838382071277568"], ["flush", "page.example"]]) {
    const terminal = await stranger(body, type);
    expect(await run(argv, terminal)).toBe(1);
    expect(terminal.written).toMatchObject({ out: "", err: expect.stringMatching(/is no Fenliu of version/) });
  }
  const terminal = await stranger(body, type);
  expect(await run(["explain", "page.example"], terminal)).toBe(0);
  expect(terminal.written.out).toMatch(/is no Fenliu of version/);
});

test("a refusal that is not from Fenliu is not trusted", async () => {
  for (const body of ["<html>not found</html>", "{}", "null"]) {
    const terminal = await stranger(body, "text/html", 404);
    expect(await run(["log"], terminal)).toBe(1);
    expect(terminal.written.err).toMatch(/^fenliu: what answers at \S+ is no Fenliu of version \S+, and says status 404\n$/);
  }
});

test("a stream without records is refused", async () => {
  const terminal = await stranger('data: {"id":1}\n\n', "text/event-stream");
  expect(await run(["log", "--follow"], terminal)).toBe(1);
});

test("each fault of a refusal is shown on its own, after its parameter", async () => {
  const problems = [
    { parameter: null, reason: "something is wrong" },
    { parameter: "name", reason: "and so is the name" },
  ];
  const terminal = await stranger(JSON.stringify({ detail: "2 problems", problems }), "application/problem+json", 400);
  expect(await run(["log"], terminal)).toBe(1);
  expect(terminal.written.err).toBe("fenliu: something is wrong\nname: and so is the name\n");
});

test("of a server that does not run, what it had stored is shown", async () => {
  const store = join(directory(), "queries.db");
  const { site, terminal } = await house(`log: { queries: { store: ${JSON.stringify(store)} } }`);
  await site.ask("nas.lan");
  await site.ask("other.lan", "AAAA");
  await site.app.close();
  const [folder = ""] = terminal.configDirectories;
  const file = join(folder, "fenliu.yaml");
  writeFileSync(file, `${readFileSync(file, "utf8")}\nlog: { queries: { store: ${JSON.stringify(store)} } }\n`);
  expect(await run(["log", "nas.lan", "--json"], terminal)).toBe(0);
  const record: QueryRecord = JSON.parse(terminal.written.out);
  expect(record).toMatchObject({ name: "nas.lan", source: "hosts", answers: ["60 A 10.0.0.5"] });
  expect(terminal.written.err).toBe("fenliu: no server answers: this is what it had stored before\n");
  terminal.written.out = "";
  expect(await run(["log", String(record.id)], terminal)).toBe(0);
  expect(terminal.written.out).toContain("nas.lan");
  expect(await run(["log", "1000000000000"], terminal)).toBe(1);
  expect(terminal.written.err).toContain("its log has no query 1000000000000");
});
