import { once } from "node:events";
import { readFileSync, writeFileSync } from "node:fs";
import { connect, type Socket } from "node:net";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { rawRequest } from "../admin/support/raw-request.ts";
import { apiOf } from "./api.ts";
import { type FenliuProcess, fenliuCommand, startFenliu } from "./fenliu.ts";
import { run } from "./processes.ts";
import { Scene } from "./scene.ts";
import { SteadyAsker } from "./steady-asker.ts";
import { Stub } from "./stub.ts";

const scene = new Scene();
const TOKEN = "a-token-of-the-house";
let fenliu: FenliuProcess;

beforeAll(async () => {
  fenliu = await scene.add(startFenliu(scene.folder, config("127.0.0.1:0", `admin: { token: ${TOKEN} }`)));
});

afterAll(() => scene.close());

function config(admin: string, more: string): string {
  return `
listen: { dns: ["127.0.0.1:0"], http: [], admin: "${admin}" }
access: { rateLimit: { perSecond: 1000000, burst: 1000000 } }
hosts: { records: { nas.lan: 10.0.0.5 } }
cache: { file: null }
${more}
`;
}

/** Sends a request from an address of its own, which counts as a client of its own. @returns status and body. */
async function refusalOf(localAddress: string, lines: readonly string[], body = "") {
  const response = await rawRequest(fenliu.ports.admin, lines, { localAddress, body });
  expect(response.headers).toMatchObject({
    "content-type": "application/problem+json; charset=utf-8",
    "x-content-type-options": "nosniff",
  });
  return response;
}

/** The head of a GET that is in order. */
function head(target: string, ...more: readonly string[]): readonly string[] {
  return [`GET ${target} HTTP/1.1`, `Host: 127.0.0.1:${fenliu.ports.admin}`, `Authorization: Bearer ${TOKEN}`, ...more];
}

describe("an unacceptable request gets its status", () => {
  const QUERIES = "/api/v1/queries";

  test("a missing, wrong or malformed token: 401; repeated guesses are slowed down", async () => {
    const [line, host] = head(QUERIES);
    for (const authorization of [[], ["Authorization: Bearer guess"], [`Authorization: Basic ${btoa(`x:${TOKEN}`)}`]])
      expect((await refusalOf("127.0.0.2", [line ?? "", host ?? "", ...authorization])).status).toBe(401);
    const guesses = Array.from({ length: 60 }, (_, index) =>
      refusalOf("127.0.0.2", [line ?? "", host ?? "", `Authorization: Bearer guess-${index}`]),
    );
    expect((await Promise.all(guesses)).map(({ status }) => status)).toContain(429);
    expect((await apiOf(fenliu, TOKEN).get(QUERIES)).status).toBe(200);
  });

  test.each(["attacker.example", "attacker.example:80", "127.0.0.1:1", "localhost.attacker.example", "[::1]"])(
    "a page that reaches us by another host name (Host: %s): 421, also with the right token",
    async (host) => {
      const [line, , token] = head(QUERIES);
      const { status, body } = await refusalOf("127.0.0.3", [line ?? "", `Host: ${host}`, token ?? ""]);
      expect({ status, body }).toMatchObject({
        status: 421,
        body: { detail: expect.stringContaining("is not a name of this server") },
      });
    },
  );

  test("a page of another origin: 403", async () => {
    const { status } = await refusalOf("127.0.0.3", head(QUERIES, "Origin: https://attacker.example"));
    expect(status).toBe(403);
  });

  test("a URL, headers or a body that are too large: 414, 431, 413", async () => {
    expect((await refusalOf("127.0.0.4", head(`${QUERIES}?name=${"a".repeat(9000)}`))).status).toBe(414);
    expect((await refusalOf("127.0.0.4", head(QUERIES, `X-Large: ${"a".repeat(20_000)}`))).status).toBe(431);
    const [, ...rest] = head("");
    const post = ["POST /api/v1/whatif HTTP/1.1", ...rest, "Content-Type: application/json"];
    const body = JSON.stringify({ config: "#".repeat(3_000_000) });
    expect((await refusalOf("127.0.0.4", [...post, `Content-Length: ${body.length}`], body)).status).toBe(413);
  });

  test.each([
    ["a regular expression that takes for ever", "name=/.*a.*b.*c.*d/", "name"],
    ["a hundred and one values", Array.from({ length: 101 }, () => "name=a").join("&"), "name"],
    ["a filter that is none", "colour=red", "colour"],
    ["a cursor of somebody's making", "cursor=xyz", "cursor"],
  ])("%s: 400, and the problem of each parameter", async (_what, search, parameter) => {
    const { status, body } = await refusalOf("127.0.0.5", head(`${QUERIES}?${search}`));
    expect(status).toBe(400);
    expect(JSON.stringify(body)).toContain(parameter);
  });
});

const READERS = 10_000;
/** Opened at once: half as many as there may be connections. */
const BATCH = 500;
/** As many clients as there are addresses that they come from. */
const CLIENTS = 10;
/** Readers that there may be at once. */
const SLOTS = 64;
const FLOOD = 20_000;

test("with 10,000 slow readers of the stream some are served, the others get a refusal, and queries are answered meanwhile", async () => {
  const asker = await SteadyAsker.open(fenliu.ports.dns, "nas.lan", "10.0.0.5");
  const beforeKiB = residentKiB();
  const held: Socket[] = [];
  const outcomes = new Map<string, number>();
  for (let first = 0; first < READERS; first += BATCH) {
    const batch = await Promise.all(Array.from({ length: BATCH }, (_, index) => slowReader(first + index)));
    for (const { socket, outcome } of batch) {
      outcomes.set(outcome, (outcomes.get(outcome) ?? 0) + 1);
      if (outcome === "200") held.push(socket);
      else socket.destroy();
    }
  }
  expect(held).toHaveLength(SLOTS);
  // Where it takes long enough nobody asks too often.
  expect([...outcomes.keys()].filter((outcome) => outcome !== "429").sort()).toEqual(["200", "503"]);

  await flood();
  // Nobody has read anything yet, and all of them are still there.
  await asker.goesOn();
  expect(residentKiB() - beforeKiB).toBeLessThan(MAX_GROWTH_KIB);
  const [slow, ...others] = held;
  // Who reads at last is told what was left out, and gets what is new.
  expect(await untilDropped(slow)).toBeGreaterThan(0);
  for (const socket of others) socket.destroy();
  const { asked, wrong } = await asker.end();
  expect(wrong).toBe(0);
  expect(asked).toBeGreaterThan(100);
  expect((await slowReader(0)).outcome).toBe("200");
});

/** Twice what it takes. Were nothing left out, what waits for the readers would take 64 times 20,000 times 600 bytes, which are 730 MiB. */
const MAX_GROWTH_KIB = 250 * 1024;

/** Asks for the stream and reads nothing but the status: a number, or `closed`. */
async function slowReader(index: number): Promise<{ readonly socket: Socket; readonly outcome: string }> {
  const localAddress = `127.0.1.${1 + (index % CLIENTS)}`;
  const socket = connect({ port: fenliu.ports.admin, host: "127.0.0.1", localAddress });
  socket.on("error", () => {});
  socket.write(`${head("/api/v1/queries/stream").join("\r\n")}\r\n\r\n`);
  await Promise.race([once(socket, "readable"), once(socket, "close")]);
  const chunk: Buffer | null = socket.read();
  return { socket, outcome: /^HTTP\/1\.1 (\d+)/.exec(chunk?.toString("latin1") ?? "")?.[1] ?? "closed" };
}

/** Has so many queries recorded, far more than the buffers of a connection take. */
async function flood(): Promise<void> {
  const stub = await Stub.open(fenliu.ports.dns);
  const asking = Array.from({ length: 64 }, async (_, first) => {
    for (let index = first; index < FLOOD; index += 64) await stub.ask("nas.lan", "A");
  });
  await Promise.all(asking);
  await stub.close();
}

/** Reads until it is told that records were left out. @returns how many. */
async function untilDropped(socket: Socket | undefined): Promise<number> {
  let text = "";
  for await (const chunk of socket ?? []) {
    text = text.slice(-200) + String(chunk);
    const [, records] = /event: dropped\ndata: \{"records":(\d+)\}/.exec(text) ?? [];
    if (records !== undefined) return Number(records);
  }
  return 0;
}

/** What the server has in memory. */
function residentKiB(): number {
  const status = readFileSync(`/proc/${fenliu.child.pid}/status`, "latin1");
  return Number(/^VmRSS:\s+(\d+) kB/m.exec(status)?.[1]);
}

test.each(["0.0.0.0:0", "[::]:0"])("an API on %s without a token is refused at the start, with advice", async (admin) => {
  const file = join(scene.folder, "open.yaml");
  writeFileSync(file, config(admin, ""));
  const [node, ...args] = fenliuCommand(file);
  const { status, stderr } = await run(node, args);
  expect(status).toBe(1);
  expect(stderr).toContain("the API listens beyond this host, and no token guards it");
  expect(stderr).toContain('"fix":"set `admin.token`, or listen on `127.0.0.1:0`"');
  expect(stderr).not.toMatch(/^ +at /m);
});
