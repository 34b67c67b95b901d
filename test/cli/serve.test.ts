import { once } from "node:events";
import { writeFileSync } from "node:fs";
import { type AddressInfo, createServer } from "node:net";
import { join } from "node:path";
import { stripVTControlCharacters } from "node:util";
import { describe, expect, onTestFinished, test, vi } from "vitest";
import { App } from "../../src/app/app.ts";
import { run } from "../../src/cli/run.ts";
import { explainWriteError, writeFault } from "../../src/lib/files.ts";
import { tlsFixture } from "../listen/support/site.ts";
import { directory } from "../support/files.ts";
import { honest } from "../support/zone-script.ts";
import { type Script, type ScriptedServer, type ScriptedTransport, scriptedServer } from "../upstreams/scripted-server.ts";
import { type Running, start, testTerminal, until } from "./terminal.ts";

/** An upstream that is closed at the end of the test. */
async function upstreamWith(script: Script, transport: ScriptedTransport = "dns"): Promise<ScriptedServer> {
  const upstream = await scriptedServer(transport, script);
  onTestFinished(() => upstream.close());
  return upstream;
}

const page = honest("page.example 100 A 192.0.2.7");

/** A file for a site on free ports. `rest` follows the sections that every site has. */
function yamlWith(upstreamPort: number, rest = ""): string {
  return `listen: { dns: ["127.0.0.1:0"], http: ["127.0.0.1:0"], tls: ["127.0.0.1:0"], https: ["127.0.0.1:0"], admin: null }
tls: { cert: ${tlsFixture("cert.pem")}, key: ${tlsFixture("key.pem")} }
upstreams: { main: { servers: ["127.0.0.1:${upstreamPort}"] } }
cache: { file: null }
log: { level: info, queries: { enabled: false } }
${rest}
`;
}

interface Served extends Running {
  readonly path: string;
  readonly ports: Readonly<Record<"dns" | "http" | "tls" | "https", number>>;
}

/** A Fenliu started by `fenliu serve`, and stopped by the test. */
async function served(yaml: string): Promise<Served> {
  const where = directory();
  const path = join(where, "fenliu.yaml");
  writeFileSync(path, yaml);
  const running = await start(["serve"], "Fenliu is answering", testTerminal(where));
  const line = running.terminal.written.err.split("\n").find((text) => text.includes("Fenliu is answering")) ?? "";
  const bound = JSON.parse(line);
  const portOf = (kind: string): number => Number(/:(\d+)$/.exec(bound[kind])?.[1]);
  return { ...running, path, ports: { dns: portOf("dns"), http: portOf("http"), tls: portOf("tls"), https: portOf("https") } };
}

/** `fenliu query` and what it printed. */
async function queried(...argv: readonly string[]) {
  const terminal = testTerminal();
  const code = await run(["query", "--ca", tlsFixture("cert.pem"), ...argv], terminal);
  return { code, ...terminal.written };
}

describe("serve and query", () => {
  test("a server answers over every transport, and ends by SIGTERM with exit code 0", async () => {
    const upstream = await upstreamWith(page);
    const site = await served(yamlWith(upstream.port));
    const { dns, tls, https } = site.ports;
    for (const [server, transport] of [
      [`udp://127.0.0.1:${dns}`, "udp"],
      [`tcp://127.0.0.1:${dns}`, "tcp"],
      [`127.0.0.1:${dns}`, "udp"],
      [`tls://127.0.0.1:${tls}`, "tls"],
      [`https://127.0.0.1:${https}/dns-query`, "https"],
    ]) {
      const { code, out, err } = await queried("page.example", `@${server}`);
      expect({ code, err }).toEqual({ code: 0, err: "" });
      expect(out).toMatch(/page\.example\. (100|\d\d) IN A 192\.0\.2\.7/);
      expect(out).toContain(`over ${transport}: NOERROR in `);
    }
    expect(await queried("nowhere.example", "AAAA", `@127.0.0.1:${dns}`)).toMatchObject({
      code: 0,
      out: expect.stringContaining("status: NXDOMAIN"),
    });
    expect(await site.stop()).toBe(0);
    expect(await queried("page.example", `@127.0.0.1:${dns}`)).toMatchObject({
      code: 1,
      err: expect.stringContaining("refused"),
    });
  });

  test("query --json shows the answer and the attempts", async () => {
    const upstream = await upstreamWith(page);
    const { code, out } = await queried("page.example", `@127.0.0.1:${upstream.port}`, "--json");
    expect(code).toBe(0);
    expect(JSON.parse(out)).toMatchObject({
      answer: { Status: 0, Answer: [{ name: "page.example.", type: 1, data: "192.0.2.7" }] },
      attempts: [{ transport: "udp", rcode: 0, failure: null }],
    });
    await upstream.close();
    const failed = await queried("page.example", `@127.0.0.1:${upstream.port}`, "--json");
    expect(failed.code).toBe(1);
    expect(JSON.parse(failed.out)).toMatchObject({ failure: "refused", attempts: [{ failure: "refused" }] });
  });

  test("query says in one line that a server speaks no TLS", async () => {
    const stranger = createServer((socket) => void socket.on("error", () => {}).end("HTTP/1.1 400 Bad Request\r\n\r\n"));
    stranger.listen(0, "127.0.0.1");
    await once(stranger, "listening");
    onTestFinished(() => void stranger.close());
    const address = stranger.address();
    const port = typeof address === "object" && address !== null ? address.port : 0;
    const url = `https://127.0.0.1:${port}/dns-query`;
    expect(await queried("page.example", `@${url}`)).toMatchObject({
      code: 1,
      err: `fenliu: ${url}: wrong version number (tls)\n`,
    });
  });

  test("query checks certificates", async () => {
    const upstream = await upstreamWith(page, "tls");
    const terminal = testTerminal();
    expect(await run(["query", "page.example", `@tls://127.0.0.1:${upstream.port}`], terminal)).toBe(1);
    expect(terminal.written.err).toContain("(tls)");
  });

  test("query without a server asks the Fenliu of the configuration", async () => {
    const upstream = await upstreamWith(page);
    const where = directory();
    writeFileSync(join(where, "fenliu.yaml"), `listen: { dns: ["127.0.0.1:${upstream.port}"] }\n`);
    const terminal = testTerminal(where);
    expect(await run(["query", "page.example"], terminal)).toBe(0);
    expect(terminal.written.out).toContain("192.0.2.7");
  });

  test("a broken configuration prints every problem and ends with 1", async () => {
    const where = directory();
    writeFileSync(join(where, "fenliu.yaml"), "upstreamz: {}\nlisten: { dns: nowhere }\n");
    const terminal = { ...testTerminal(where), interactive: true };
    expect(await run(["serve"], terminal)).toBe(1);
    expect(terminal.written.err).toContain("fenliu.yaml:1:1");
    expect(terminal.written.err).toContain("fenliu.yaml:2:16");
    expect(terminal.written.err).toContain("2 problems in the configuration");
  });

  test("a port in use is named, and the exit code is 1", async () => {
    const occupant = createServer().listen(0, "127.0.0.1");
    await once(occupant, "listening");
    const address = occupant.address();
    const port = typeof address === "object" && address !== null ? address.port : 0;
    const where = directory();
    writeFileSync(
      join(where, "fenliu.yaml"),
      `listen: { dns: ["127.0.0.1:${port}"], http: [], admin: null }\ncache: { file: null }\n`,
    );
    const terminal = testTerminal(where);
    expect(await run(["serve"], terminal)).toBe(1);
    expect(terminal.written.err).toContain(`127.0.0.1:${port}`);
    await new Promise((resolve) => occupant.close(resolve));
  });

  test("failed expectations and unsupported keys prevent the start", async () => {
    for (const [yaml, says] of [
      ["expect: [{ name: page.example, answer: nodata }]", "expected answer nodata"],
      ['cluster: { redis: "redis://127.0.0.1:6379" }', "cluster is not there yet"],
    ] as const) {
      const where = directory();
      writeFileSync(join(where, "fenliu.yaml"), `${yamlWith(9, yaml)}`);
      const terminal = testTerminal(where);
      expect(await run(["serve"], terminal)).toBe(1);
      expect(terminal.written.err).toContain(says);
    }
  });
});

/** Files that must not replace the file in force, by their fault. */
const brokenFiles: Readonly<Record<string, string | Buffer>> = {
  "no YAML": "listen: [",
  "tabs for spaces": "listen:\n\tdns: []\n",
  "a list instead of a map": "- a\n- b\n",
  "no UTF-8": Buffer.from([0x72, 0xff, 0xfe, 0x3a]),
  "a file beyond a megabyte": `# ${"x".repeat(2 ** 20)}\n`,
  "an unknown section": yamlWith(9, "rulez: []"),
  "an unknown key": yamlWith(9, "answers: { htps: nodata }"),
  "a key twice": yamlWith(9, "answers: {}\nanswers: {}"),
  "a wrong type": yamlWith(9, "answers: { ttl: 5 }"),
  "a wrong word": yamlWith(9, "answers: { https: maybe }"),
  "a duration without unit": yamlWith(9, "answers: { deadline: 4000 }"),
  "a group that is not there": yamlWith(9, "rules: [{ name: r, upstream: other }]"),
  "a list that is not there": yamlWith(9, 'rules: [{ name: r, domains: "list:ads", answer: nodata }]'),
  "a list whose file is missing": yamlWith(9, "lists: { ads: { domains: [missing.txt] } }"),
  "a rule without a name": yamlWith(9, "rules: [{ answer: nodata }]"),
  "two rules of one name": yamlWith(9, "rules: [{ name: r, domains: [a], answer: nodata }, { name: r, answer: nodata }]"),
  "a rule with two actions": yamlWith(9, "rules: [{ name: r, answer: nodata, upstream: main }]"),
  "NXDOMAIN for a type": yamlWith(9, "rules: [{ name: r, types: [AAAA], answer: nxdomain }]"),
  "a bad pattern": yamlWith(9, 'rules: [{ name: r, domains: ["regexp:("], answer: nodata }]'),
  "an address that is none": yamlWith(9, "hosts: { records: { nas.lan: 10.0.0.256 } }"),
  "a network that is none": yamlWith(9, "access: { clients: [10.0.0.0/33] }"),
  "an expectation that fails": yamlWith(9, "expect: [{ name: page.example, answer: nodata }]"),
  "what is not there yet": yamlWith(9, 'cluster: { redis: "redis://127.0.0.1:6379" }'),
  "another listener": yamlWith(9).replace('dns: ["127.0.0.1:0"]', 'dns: ["127.0.0.2:0"]'),
  "a certificate that is missing": yamlWith(9).replace("cert.pem", "missing.pem"),
};

describe("a reload by signal", () => {
  test.each(Object.entries(brokenFiles))("of a file with %s leaves the running server untouched", async (_case, text) => {
    const upstream = await upstreamWith(page);
    const site = await served(
      yamlWith(
        upstream.port,
        "hosts: { records: { nas.lan: 10.0.0.5 } }\nrules: [{ name: ads, domains: [ads.example], answer: nodata }]",
      ),
    );
    const answers = async () => {
      const replies = ["page.example", "nas.lan", "ads.example", "nowhere.example"].map((name) =>
        queried(name, `@127.0.0.1:${site.ports.dns}`),
      );
      return (await Promise.all(replies)).map(({ out }) => out.replace(/ \d+ IN /g, " IN ").replace(/(id: | in )[\d.]+/g, "$1"));
    };
    const before = await answers();
    writeFileSync(site.path, text);
    site.terminal.reload();
    await until(() => site.terminal.written.err.includes("not reloaded"));
    expect((await answers()).map(withoutLifetimes)).toEqual(before.map(withoutLifetimes));
    expect(upstream.asked).toHaveLength(2);
    expect(await site.stop()).toBe(0);
  });

  test("that comes many times is done once more, with the file of that time", async () => {
    const upstream = await upstreamWith(page);
    const site = await served(yamlWith(upstream.port));
    const reload = vi.spyOn(App.prototype, "reload");
    onTestFinished(() => reload.mockRestore());
    for (let times = 0; times < 50; times++) site.terminal.reload();
    writeFileSync(site.path, yamlWith(upstream.port, "rules: [{ name: ads, domains: [page.example], answer: nodata }]"));
    await until(() => site.terminal.written.err.split('"reloaded"').length === 3);
    expect((await queried("page.example", `@127.0.0.1:${site.ports.dns}`)).out).toContain("rule ads");
    expect(reload).toHaveBeenCalledTimes(2);
  });

  test("that comes during the start is done after the start, and so is a stop", async () => {
    const where = directory();
    writeFileSync(join(where, "fenliu.yaml"), yamlWith(9));
    const terminal = testTerminal(where);
    const running = run(["serve"], terminal);
    // The command is loaded first.
    await until(() => terminal.takesReloads());
    expect(terminal.written.err).not.toContain("Fenliu is answering");
    terminal.reload();
    await until(() => terminal.written.err.includes('"reloaded"'));
    terminal.stop();
    expect(await running).toBe(0);
    const again = testTerminal(where);
    const brief = run(["serve"], again);
    again.stop();
    expect(await brief).toBe(0);
    expect(again.written.err).toContain('"stopping"');
  });

  test("that meets a bug is reported, and the server goes on", async () => {
    const upstream = await upstreamWith(page);
    const site = await served(yamlWith(upstream.port));
    // No file and no network can cause this fault.
    const reload = vi.spyOn(App.prototype, "reload").mockRejectedValue(new Error("something is broken"));
    onTestFinished(() => reload.mockRestore());
    site.terminal.reload();
    await until(() => site.terminal.written.err.includes("not reloaded"));
    expect(site.terminal.written.err).toContain("something is broken");
    expect((await queried("page.example", `@127.0.0.1:${site.ports.dns}`)).out).toContain("192.0.2.7");
  });

  test("of a good file changes the answers, and of a missing file does not", async () => {
    const upstream = await upstreamWith(page);
    const site = await served(yamlWith(upstream.port));
    const answer = async () => (await queried("page.example", `@127.0.0.1:${site.ports.dns}`)).out;
    expect(await answer()).toContain("192.0.2.7");
    writeFileSync(site.path, yamlWith(upstream.port, "rules: [{ name: ads, domains: [page.example], answer: nodata }]"));
    site.terminal.reload();
    await until(() => site.terminal.written.err.includes('"reloaded"'));
    expect(await answer()).toContain("rule ads");
    expect(await site.stop()).toBe(0);
  });
});

// The numbers of an SOA count down with the seconds.
function withoutLifetimes(text: string): string {
  return text.replace(/(SOA .*) \d+$/gm, "$1");
}

test("a start on a terminal says where to ask, what to try, which files are used and how groups and lists fare", async () => {
  const upstream = await upstreamWith(honest(". 100 NS a.root.example"));
  const where = directory();
  writeFileSync(join(where, "ads.txt"), "ads.example\n");
  const config = `lists: { ads: { domains: [ads.txt] } }
expect: [{ name: www.page.example, upstream: main }]
`;
  const yaml = yamlWith(upstream.port, config)
    .replace("main: {", `dead: { servers: ["tcp://127.0.0.1:1"] }, main: {`)
    .replace("expect: [{ name: www.page.example, upstream: main }]", "expect: [{ name: www.page.example, upstream: dead }]")
    .replace("admin: null", 'admin: "127.0.0.1:0"');
  writeFileSync(join(where, "fenliu.yaml"), yaml);
  const site = await start(["serve"], "Groups", { ...testTerminal(where), interactive: true, colors: true });
  const out = stripVTControlCharacters(site.terminal.written.out);
  const [, port = ""] = /dig @127\.0\.0\.1 -p (\d+) www\.page\.example/.exec(out) ?? [];
  expect(await queried("localhost", `@127.0.0.1:${port}`)).toMatchObject({ code: 0 });
  const [, url = ""] = /curl '(http:[^']+)'/.exec(out) ?? [];
  expect(url).toMatch(/^http:\/\/127\.0\.0\.1:\d+\/dns-query\?name=www\.page\.example&type=A$/);
  expect(out).toMatch(/API +http:\/\/127\.0\.0\.1:\d+\/docs/);
  expect(out).toContain(join(where, "fenliu.yaml"));
  expect(out).toContain(join(where, "data"));
  expect(out).toMatch(/ads +1 entries, 0 min old/);
  expect(out).toMatch(/main +127\.0\.0\.1:\d+ answers after \d/);
  expect(out).toMatch(
    /dead +does not answer \(tcp:\/\/127\.0\.0\.1:1: refused.*\n +nothing listens at that port: is the address right\?\n/,
  );
  expect(site.terminal.written.err).not.toContain("Fenliu is answering");
});

test("check refuses the certificates that a start refuses, and warns of a chain without its intermediate", async () => {
  const check = async (cert: string, key: string) => {
    const terminal = testTerminal();
    writeFileSync(
      join(terminal.directory, "fenliu.yaml"),
      `listen: { tls: ["127.0.0.1:0"] }\ntls: { cert: ${tlsFixture(cert)}, key: ${tlsFixture(key)} }\n`,
    );
    return { code: await run(["check"], terminal), ...terminal.written };
  };
  expect(await check("cert.pem", "renewed-key.pem")).toMatchObject({
    code: 1,
    err: expect.stringContaining("key is that of another"),
  });
  expect(await check("expired-cert.pem", "issued-key.pem")).toMatchObject({
    code: 1,
    err: expect.stringContaining("has expired on"),
  });
  expect(await check("issued-cert.pem", "issued-key.pem")).toMatchObject({
    code: 0,
    err: expect.stringContaining("no intermediate certificate"),
    out: expect.stringContaining("usable, with one warning"),
  });
});

test("a group with `ca` trusts the authority of that file; a file without a certificate is refused", async () => {
  const upstream = await upstreamWith(page, "tls");
  const yaml = (ca: string) =>
    yamlWith(upstream.port).replace(/main: \{[^}]*\}/, `main: { servers: ["tls://127.0.0.1:${upstream.port}"]${ca} }`);
  const plain = await served(yaml(""));
  expect(await queried("page.example", `@127.0.0.1:${plain.ports.dns}`)).toMatchObject({
    out: expect.stringContaining("SERVFAIL"),
  });
  const trusting = await served(yaml(`, ca: ${tlsFixture("cert.pem")}`));
  expect(await queried("page.example", `@127.0.0.1:${trusting.ports.dns}`)).toMatchObject({
    out: expect.stringContaining("192.0.2.7"),
  });
  const terminal = testTerminal();
  writeFileSync(join(terminal.directory, "fenliu.yaml"), yaml(`, ca: ${tlsFixture("key.pem")}`));
  expect(await run(["check"], terminal)).toBe(1);
  expect(terminal.written.err).toContain("key.pem holds no certificate in PEM");
});

test("`log.level` follows a reload", async () => {
  const upstream = await upstreamWith(page);
  const site = await served(yamlWith(upstream.port));
  const quiet = yamlWith(upstream.port, "hosts: { records: { nas.lan: 10.0.0.5 } }").replace("level: info", "level: error");
  writeFileSync(site.path, quiet);
  site.terminal.reload();
  const isReloaded = async () => (await queried("nas.lan", `@127.0.0.1:${site.ports.dns}`)).out.includes("10.0.0.5");
  await expect.poll(isReloaded).toBe(true);
  writeFileSync(site.path, quiet.replace("upstreams:", "upstream:"));
  site.terminal.reload();
  await until(() => site.terminal.written.err.includes("not reloaded"));
  expect(site.terminal.written.err).not.toContain('"reloaded"');
});

describe("a start that fails says what is wrong and what to do, on a terminal and as JSON", () => {
  const TLS = (cert: string, key: string) =>
    `listen: { dns: ["127.0.0.1:0"], http: [], admin: null, tls: ["127.0.0.1:0"] }\ntls: { cert: ${cert}, key: ${key} }`;
  const LIST = (source: string) =>
    `listen: { dns: ["127.0.0.1:0"], http: [], admin: null }
lists: { cn: { domains: ["${source}"] } }
rules: [{ name: split, domains: "list:cn", upstream: domestic }]`;
  test.each([
    ["a port that is taken", "listen: { dns: [TAKEN], http: [], admin: null }", /dns TAKEN \(tcp\): the port is taken by/],
    [
      "the port of the API taken",
      "listen: { dns: ['127.0.0.1:0'], http: [], admin: TAKEN }",
      /listen\.admin TAKEN: the port is taken/,
    ],
    [
      "an address of another host",
      'listen: { dns: ["203.0.113.1:0"], admin: null }',
      /does not have the address; it has .*127\.0\.0\.1.*stands for all/,
    ],
    ["no certificate", TLS("nope.pem", "nope.pem"), /cannot read \S+nope\.pem: no such file.*create the file, or mend the path/s],
    [
      "the key of another",
      TLS(tlsFixture("cert.pem"), tlsFixture("renewed-key.pem")),
      /another certificate; name the two files of one renewal/,
    ],
    ["an expired one", TLS(tlsFixture("expired-cert.pem"), tlsFixture("issued-key.pem")), /has expired on .*renew/],
    ["a list that is not there", LIST("cn.txt"), /cannot read \S+cn\.txt: no such file.*create the file, or mend the path/s],
    ["a wrong category", LIST("CATEGORIES#chinna"), /has no category chinna; did you mean `china`/],
    [
      "a misspelt key",
      "upstream: { a: { servers: [192.0.2.1] } }",
      /unknown key `upstream`; did you mean `upstreams`.*write `upstreams`/s,
    ],
    ["a bracket that is open", "rules: [\n", /not closed.*close it/s],
  ])("%s", async (_, yaml, says) => {
    const holder = createServer().listen(0, "127.0.0.1");
    await once(holder, "listening");
    onTestFinished(() => void holder.close());
    const { port } = holder.address() as AddressInfo;
    const where = directory();
    // A geosite file of one category: message Entry { code = "china", domain = { type: suffix, value: "cn.test" } }.
    writeFileSync(join(where, "categories.dat"), "\n\x14\n\x05china\x12\x0b\x08\x02\x12\x07cn.test");
    const text = yaml.replaceAll("TAKEN", `"127.0.0.1:${port}"`).replaceAll("CATEGORIES", "categories.dat");
    writeFileSync(join(where, "fenliu.yaml"), `${text}\ncache: { file: null }\n`);
    const wanted = new RegExp(says.source.replaceAll("TAKEN", `127\\.0\\.0\\.1:${port}`), says.flags);
    const person = { ...testTerminal(where), interactive: true };
    expect(await run(["serve"], person)).toBe(1);
    expect(person.written.err).toMatch(wanted);
    const collector = testTerminal(where);
    expect(await run(["serve"], collector)).toBe(1);
    const lines = collector.written.err
      .trimEnd()
      .split("\n")
      .map((line) => JSON.parse(line));
    expect(lines.every(({ level }) => level >= 40)).toBe(true);
    expect(lines.map(({ msg, fix = "" }) => `${msg} ${fix}`).join("\n")).toMatch(wanted);
  });

  test("a data folder that cannot be written to is told with the fix, and queries are answered all the same", () => {
    const denied = Object.assign(new Error("EACCES: permission denied, mkdir '/srv/data'"), { syscall: "mkdir" });
    expect(writeFault(denied)).toEqual({
      reason: expect.stringMatching(/mkdir '\/srv\/data'; fix: give user \d+ the right to write there/),
    });
    expect(explainWriteError("ENOSPC: no space left on device")).toMatch(/fix: make room/);
  });
});
