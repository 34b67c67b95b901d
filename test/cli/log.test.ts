import { writeFileSync } from "node:fs";
import { join } from "node:path";
import { expect, test } from "vitest";
import { run } from "../../src/cli/run.ts";
import type { QueryRecord } from "../../src/log/record.ts";
import { directory } from "../files.ts";
import { siteWith, type TestSite } from "../site.ts";
import { type TestTerminal, testTerminal, until } from "./terminal.ts";

const HOSTS = "hosts: { records: { nas.lan: 10.0.0.5 } }\n";

/** A server, and a terminal in the folder of a configuration that leads to it. */
async function house(log: string) {
  const site = await siteWith({ admin: true, yaml: `${HOSTS}${log}` });
  const where = directory();
  writeFileSync(join(where, "fenliu.yaml"), `listen: { admin: "127.0.0.1:${site.app.administration.bound?.port}" }\n`);
  return { site, terminal: testTerminal(where) };
}

/** Once the command has written `sign`, asks until it shows that. `ended` is its exit code. */
async function following(site: TestSite, terminal: TestTerminal, sign: string): Promise<{ readonly ended: Promise<number> }> {
  const ended = run(["log", "--follow", "--json"], terminal);
  await until(() => (terminal.written.out + terminal.written.err).includes(sign));
  while (!terminal.written.out.includes("nas.lan")) {
    await site.ask("nas.lan");
    site.app.journal.catchUp();
  }
  return { ended };
}

async function followed(site: TestSite, terminal: TestTerminal, sign: string): Promise<number> {
  const { ended } = await following(site, terminal, sign);
  terminal.stop();
  return ended;
}

test("what comes is followed where nothing is kept, and that is told", async () => {
  const { site, terminal } = await house("log: { queries: { enabled: false } }");
  expect(await run(["log"], terminal)).toBe(1);
  const told = "fenliu: queries are not recorded: log.queries.enabled is false";
  expect(terminal.written.err).toBe(`${told}\n`);
  expect(await followed(site, terminal, "only what comes")).toBe(0);
  expect(terminal.written.err).toBe(`${told}\n${told}; only what comes is shown\n`);
});

test("who follows is shown what was before, and then each record once", async () => {
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

test("who ends it at once is not told of trouble", async () => {
  const { terminal } = await house("");
  terminal.stop();
  expect(await run(["log", "--follow"], terminal)).toBe(0);
  expect(terminal.written.err).not.toContain("no Fenliu answers");
});

test("who follows is told that the server has ended", async () => {
  const { site, terminal } = await house("log: { queries: { enabled: false } }");
  const { ended } = await following(site, terminal, "only what comes");
  await site.close();
  expect(await ended).toBe(1);
  expect(terminal.written.err).toMatch(/fenliu: the Fenliu at http:\/\/127\.0\.0\.1:\d+\/api\/v1\/ has ended the stream\n$/);
});
