import { writeFileSync } from "node:fs";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { dig, soleData } from "./clients.ts";
import { startDnsdist } from "./dnsdist.ts";
import { type FenliuProcess, makeCertificate, QUIET, startFenliu } from "./fenliu.ts";
import { type Nsd, startNsd } from "./nsd.ts";
import { eventually, run } from "./processes.ts";
import { Scene } from "./scene.ts";
import { startUnbound, type Unbound } from "./unbound.ts";

const scene = new Scene();
const FIRST = "192.0.2.1";
const SECOND = "192.0.2.2";
const DEADLINE_SECONDS = 2;

let first: Nsd;
let second: Nsd;
let unbound: Unbound;
let certificate: Awaited<ReturnType<typeof makeCertificate>>;
let fenliu: FenliuProcess;

beforeAll(async () => {
  certificate = await makeCertificate(scene.folder);
  first = await scene.add(startNsd(nsdOptions("first", FIRST)));
  second = await scene.add(startNsd(nsdOptions("second", SECOND)));
  unbound = await scene.add(startUnbound(unboundOptions()));
  const limits = ["setMaxTCPQueriesPerConnection(7)", "setTCPRecvTimeout(1)", "setMaxTCPClientThreads(4)"];
  // It takes a while to find its own server again, so that has no part in what is stopped here.
  const third = await scene.add(startNsd(nsdOptions("third", SECOND)));
  const dnsdist = await scene.add(
    startDnsdist({ folder: join(scene.folder, "dnsdist"), certificate, serverPort: third.port, rules: limits }),
  );
  const yaml = `
listen: { dns: ["127.0.0.1:0"], http: [], admin: null }
answers: { deadline: ${DEADLINE_SECONDS}s }
upstreams:
  nobody: { servers: ["udp://127.0.0.1:1"] }
  plain: { servers: ["udp://127.0.0.1:${first.port}", "udp://127.0.0.1:${second.port}"], strategy: failover, attempt: 300ms }
  stream: { servers: ["tcp://127.0.0.1:${first.port}", "tcp://127.0.0.1:${second.port}"], strategy: failover, attempt: 300ms }
  secure: { servers: ["tls://localhost:${unbound.tlsPort}", "udp://127.0.0.1:${second.port}"], strategy: failover, attempt: 300ms }
  doh: { servers: ["https://localhost:${unbound.httpsPort}", "udp://127.0.0.1:${second.port}"], strategy: failover, attempt: 300ms }
  reserve: { servers: ["udp://127.0.0.1:${first.port}"], fallback: last }
  last: { servers: ["udp://127.0.0.1:${second.port}"] }
  limited-tcp: { servers: ["tcp://127.0.0.1:${dnsdist.port}"] }
  limited-tls: { servers: ["tls://localhost:${dnsdist.tlsPort}"] }
rules:
${["plain", "stream", "secure", "doh", "reserve", "limited-tcp", "limited-tls"]
  .map((name) => `  - { name: ${name}, domains: ${name}.example, upstream: ${name} }`)
  .join("\n")}
  - { name: short, domains: short.example, upstream: plain }
${QUIET}`;
  fenliu = await scene.add(startFenliu(scene.folder, yaml, { NODE_EXTRA_CA_CERTS: certificate.cert }));
});

afterAll(() => scene.close());

const nsdOptions = (name: string, address: string) => ({
  folder: join(scene.folder, name),
  zones: { example: `* IN A ${address}\n*.short 1 IN A ${address}` },
});
const unboundOptions = () => ({
  folder: join(scene.folder, "unbound"),
  certificate,
  server: ['local-zone: "example" redirect', `local-data: "example. 300 IN A ${FIRST}"`],
});

let serial = 0;

/** Asks for a name that nobody has asked for before, and waits little longer than an answer may take. */
async function askFresh(group: string) {
  serial += 1;
  return dig(fenliu.ports.dns, `+time=${DEADLINE_SECONDS + 1} q${serial}.${group}.example`);
}

const groups = ["plain", "stream", "secure", "doh", "reserve"];

async function askEach(expected: string): Promise<void> {
  for (const group of groups) expect(soleData(await askFresh(group)), group).toBe(expected);
}

function untilEachAnswers(expected: string): Promise<unknown> {
  const answered = (group: string) =>
    eventually(async () => (soleData(await askFresh(group)) === expected ? true : null), 40_000);
  return Promise.all(groups.map(answered));
}

describe("a group's first member", () => {
  test("is the only one asked while it is healthy", async () => {
    await askEach(FIRST);
    for (let turn = 0; turn < 5; turn++) await askEach(FIRST);
  });

  test("that is silent is joined by the next member at once, and is healthy when it answers again", async () => {
    for (const server of [first, unbound]) server.signal("SIGSTOP");
    try {
      for (let turn = 0; turn < 4; turn++) await askEach(SECOND);
    } finally {
      for (const server of [first, unbound]) server.signal("SIGCONT");
    }
    await untilEachAnswers(FIRST);
  });

  test("that is dead is replaced by the next member, and is healthy when it is back", async () => {
    await Promise.all([first.stop("SIGKILL"), unbound.stop("SIGKILL")]);
    for (let turn = 0; turn < 2; turn++) await askEach(SECOND);
    first = await scene.add(startNsd({ ...nsdOptions("first", FIRST), port: first.port }));
    unbound = await scene.add(startUnbound({ ...unboundOptions(), ports: unbound }));
    await untilEachAnswers(FIRST);
  });
});

describe("a group without a working member", () => {
  test("silent servers: SERVFAIL with its reason by the deadline, and the first query after their return is answered", async () => {
    const servers = [first, second, unbound];
    for (const server of servers) server.signal("SIGSTOP");
    try {
      for (let turn = 0; turn < 2; turn++) {
        const heard = await Promise.all(groups.map(askFresh));
        for (const { status, edns, text } of heard) {
          expect(status, text).toBe("SERVFAIL");
          expect(edns).toContainEqual(expect.stringMatching(/^EDE: 22 /));
        }
      }
    } finally {
      for (const server of servers) server.signal("SIGCONT");
    }
    for (const group of groups) expect((await askFresh(group)).status, group).toBe("NOERROR");
    await untilEachAnswers(FIRST);
  });

  test("dead servers: SERVFAIL by the deadline, a cached name is still answered, and all names are answered after the return", async () => {
    const [held, ...others] = groups.map((group) => `held.${group}.example`);
    for (const name of [held, ...others]) expect((await dig(fenliu.ports.dns, `${name}`)).status).toBe("NOERROR");
    await Promise.all([first.stop("SIGKILL"), second.stop("SIGKILL"), unbound.stop("SIGKILL")]);
    for (const { status, text } of await Promise.all(groups.map(askFresh))) expect(status, text).toBe("SERVFAIL");
    for (const name of [held, ...others]) expect((await dig(fenliu.ports.dns, `+time=1 ${name}`)).status).toBe("NOERROR");
    first = await scene.add(startNsd({ ...nsdOptions("first", FIRST), port: first.port }));
    second = await scene.add(startNsd({ ...nsdOptions("second", SECOND), port: second.port }));
    unbound = await scene.add(startUnbound({ ...unboundOptions(), ports: unbound }));
    for (const group of groups) expect((await askFresh(group)).status, group).toBe("NOERROR");
    await untilEachAnswers(FIRST);
  });
});

test("while every server is dead a stale answer is sent with TTL 30 and EDE 3, and a fresh one after the return of a server", async () => {
  const ask = () => dig(fenliu.ports.dns, `+time=${DEADLINE_SECONDS + 1} held.short.example`);
  expect(soleData(await ask())).toBe(FIRST);
  await Promise.all([first.stop("SIGKILL"), second.stop("SIGKILL")]);
  const stale = await eventually(async () => {
    const heard = await ask();
    expect(soleData(heard)).toBe(FIRST);
    return heard.edns.length > 1 ? heard : null;
  });
  expect(stale.answers).toEqual([`held.short.example. 30 IN A ${FIRST}`]);
  expect(stale.edns).toContainEqual(expect.stringMatching(/^EDE: 3 \(Stale Answer\)/));
  first = await scene.add(startNsd({ ...nsdOptions("first", FIRST), port: first.port }));
  second = await scene.add(startNsd({ ...nsdOptions("second", SECOND), port: second.port }));
  await eventually(async () => ((await ask()).edns.length === 1 ? true : null));
});

test("hosts names are answered at once while hundreds of queries wait", async () => {
  const file = join(scene.folder, "names");
  writeFileSync(file, Array.from({ length: 300 }, (_, index) => `hang${index}.plain.example A\n`).join(""));
  for (const server of [first, second]) server.signal("SIGSTOP");
  try {
    const load = run("dnsperf", ["-s", "127.0.0.1", "-p", String(fenliu.ports.dns), "-n", "1", "-q", "300", "-d", file]);
    for (let turn = 0; turn < 5; turn++) expect((await dig(fenliu.ports.dns, "+time=1 localhost")).status).toBe("NOERROR");
    const { stdout } = await load;
    expect(stdout).toMatch(/Queries completed: +300 \(100\.00%\)/);
    expect(stdout).toMatch(/SERVFAIL 300/);
  } finally {
    for (const server of [first, second]) server.signal("SIGCONT");
  }
});

test("a server with cookies is asked over UDP alone, also after a restart with another secret", async () => {
  const options = { folder: join(scene.folder, "cookies"), cookies: true, zones: { example: `* 1 IN A ${FIRST}` } };
  let nsd = await scene.add(startNsd(options));
  const yaml = `listen: { dns: ["127.0.0.1:0"], http: [], admin: null }\nupstreams: { one: { servers: [{ url: "127.0.0.1:${nsd.port}", cookies: true }] } }\n`;
  const { ports } = await scene.add(startFenliu(scene.subfolder("fenliu-cookies"), `${yaml}${QUIET}`));
  for (const life of ["first", "second"]) {
    for (let turn = 0; turn < 20; turn++) expect(soleData(await dig(ports.dns, `${life}${turn}.example`))).toBe(FIRST);
    const counters = await nsd.statistics();
    expect(counters.get("num.tcp")).toBe(0);
    expect(counters.get("num.udp")).toBeGreaterThanOrEqual(20);
    if (life === "second") break;
    const { port } = nsd;
    await nsd.stop();
    nsd = await scene.add(startNsd({ ...options, port }));
  }
});

describe("a server that closes connections after a few queries or a second of idle time", () => {
  test.each(["limited-tcp", "limited-tls"])("%s: every one of many queries in sequence is answered", async (group) => {
    for (let turn = 0; turn < 30; turn++) {
      const heard = await askFresh(group);
      expect(soleData(heard), `question ${turn}: ${heard.text}`).toBe(SECOND);
    }
  });

  test.each(["limited-tcp", "limited-tls"])("%s: every one of many concurrent queries is answered", async (group) => {
    const file = join(scene.folder, `${group}.names`);
    writeFileSync(file, Array.from({ length: 500 }, (_, index) => `many${index}.${group}.example A\n`).join(""));
    const { stdout } = await run("dnsperf", [
      "-s",
      "127.0.0.1",
      "-p",
      String(fenliu.ports.dns),
      "-n",
      "1",
      "-q",
      "5",
      "-d",
      file,
    ]);
    expect(stdout).toMatch(/Response codes: +NOERROR 500 \(100\.00%\)/);
  });
});
