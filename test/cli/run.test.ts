import { writeFileSync } from "node:fs";
import { join } from "node:path";
import { describe, expect, test } from "vitest";
import { run } from "../../src/cli/run.ts";
import { directory } from "../support/files.ts";
import { testTerminal } from "./terminal.ts";

/** Runs a command in a folder with this `fenliu.yaml`. */
async function ran(argv: readonly string[], yaml: string | null = null) {
  const where = directory();
  if (yaml !== null) writeFileSync(join(where, "fenliu.yaml"), yaml);
  const terminal = testTerminal(where);
  return { code: await run(argv, terminal), where, ...terminal.written };
}

describe("the command line", () => {
  test.each([
    { argv: ["frobnicate"], says: "there is no command `frobnicate`" },
    { argv: ["chekc"], says: "there is no command `chekc`; did you mean `check`?" },
    { argv: ["hosts", "drop"], says: "hosts knows set, unset and hide, not `drop`" },
    { argv: ["hosts", "set", "nas.lan"], says: "hosts set takes a NAME and an ADDRESS" },
    { argv: ["toString"], says: "there is no command `toString`" },
    { argv: ["frobnicate", "--help"], says: "there is no command `frobnicate`" },
    { argv: ["routeros"], says: "routeros takes `check`, or one URL" },
    { argv: ["check", "--jsn"], says: "Unknown option '--jsn'\n" },
    { argv: ["log", "from=nonsense"], says: "21:03, 11-21 21:03, 2026-11-21T21:03 where this machine is" },
    { argv: ["flush", "a..example"], says: "`a..example` is no domain name" },
    { argv: ["explain", "a.example", "--client", "300.1.1.1"], says: "`300.1.1.1` is no client id, and no address" },
    { argv: ["query", "a.example", "192.0.2.1"], says: "to ask a server there, write @192.0.2.1" },
    { argv: ["--colour"], says: "--colour" },
    { argv: ["check", "-c"], says: "config" },
    { argv: ["query"], says: "query takes NAME [TYPE] [@SERVER]" },
    { argv: ["query", "a.example", "A", "MX"], says: "query takes" },
    { argv: ["query", "a.example", "@192.0.2.1", "@192.0.2.2"], says: "query takes" },
    { argv: ["query", "a..example", "@192.0.2.1"], says: "`a..example` is no domain name" },
    { argv: ["query", "a.example", "NOTYPE", "@192.0.2.1"], says: "`NOTYPE` is no record type" },
    { argv: ["query", "a.example", "@gopher://192.0.2.1"], says: "gopher" },
    { argv: ["query", "a.example", "@127.0.0.1", "--ca", "missing.pem"], says: "--ca" },
  ])("$argv: a usage error, exit code 2", async ({ argv, says }) => {
    const { code, out, err } = await ran(argv);
    expect(code).toBe(2);
    expect(out).toBe("");
    expect(err).toContain(says);
    expect(err).toContain("\n  fenliu ");
  });

  test("an error shows the usage of its command; without a command it shows all", async () => {
    expect((await ran(["log", "colour=red"])).err).toMatch(
      /^fenliu: `colour` is no field.*\n\n {2}fenliu log \[FIELD=VALUE…\].*\n.*\n {2}fenliu log ID .*\n\n {2}fenliu log --help .*\n$/,
    );
    expect((await ran(["import"])).err).toMatch(/\n\n {2}fenliu import \[KIND\] PATH .*\n.*\n\n {2}fenliu import --help .*\n$/);
    expect((await ran(["frobnicate"])).err).toContain("fenliu serve");
  });

  test("--help and --version print to stdout and exit with 0", async () => {
    expect(await ran(["--help"])).toMatchObject({ code: 0, out: expect.stringContaining("fenliu demo"), err: "" });
    expect(await ran(["-h", "check"])).toMatchObject({ code: 0 });
    expect(await ran(["--version"])).toMatchObject({ code: 0, out: expect.stringMatching(/^\d+\.\d+\.\d+\n$/), err: "" });
  });
});

describe("options", () => {
  const options = {
    "--ca": ["x.pem"],
    "--output": ["x.yaml"],
    "--force": [],
    "--accept": ["ads"],
    "--follow": [],
    "--full": [],
    "--limit": ["5"],
    "--subtree": [],
    "--client": ["10.0.0.1"],
    "--resolve": [],
    "--under": ["0123"],
  };

  test.each(["serve", "check", "query", "explain", "lists", "log", "flush", "hosts", "demo", "import"])(
    "%s takes the options of its help, and refuses any other",
    async (command) => {
      const help = await ran([command, "--help"]);
      expect(help).toMatchObject({ code: 0, err: "", out: expect.stringContaining(`  fenliu ${command} `) });
      for (const [option, values] of Object.entries(options)) {
        // With an invalid configuration the command does nothing further.
        const { code, err } = await ran([command, option, ...values], broken);
        const isTold = new RegExp(`${option}\\b`).test(help.out);
        expect({ option, refused: err.includes(`${command} does not take ${option}`) }).toEqual({ option, refused: !isTold });
        if (!isTold) expect(code).toBe(2);
      }
    },
  );

  test.each(["serve", "check", "demo"])("%s takes no words", async (command) => {
    expect(await ran([command, "more"], broken)).toMatchObject({ code: 2, err: expect.stringContaining("`more`") });
  });
});

test.each(["query", "explain", "log", "flush", "lists", "serve"])(
  "%s with a broken file reports the problems of the file",
  async (command) => {
    const words = command === "query" || command === "explain" || command === "flush" ? ["page.example"] : [];
    const { code, out, err } = await ran([command, ...words], broken);
    expect({ code, out }).toEqual({ code: 1, out: "" });
    expect(err).toContain("did you mean `rules`");
  },
);

const broken = `listen: { dns: "nowhere" }
upstreams: { main: { servers: [127.0.0.1], strategy: quickest } }
rulez: []
rules: [{ name: r, upstream: man }]
`;

describe("check", () => {
  test("a file without faults: one line, exit code 0", async () => {
    const { code, out, err, where } = await ran(["check"], "upstreams: { main: { servers: [127.0.0.1] } }\n");
    expect({ code, out, err }).toEqual({ code: 0, out: `${join(where, "fenliu.yaml")}: nothing wrong\n`, err: "" });
  });

  test("without any file the defaults are checked", async () => {
    expect(await ran(["check"])).toMatchObject({ code: 0, out: "the defaults: nothing wrong\n" });
  });

  test("a broken file: every problem at once with its place, exit code 1", async () => {
    const { code, out, err, where } = await ran(["check"], broken);
    const path = join(where, "fenliu.yaml");
    expect({ code, out }).toEqual({ code: 1, out: "" });
    for (const [line, column] of [
      [1, 16],
      [2, 54],
      [3, 1],
      [4, 30],
    ])
      expect(err).toContain(`${path}:${line}:${column}`);
    expect(err).toContain("did you mean `rules`");
  });

  test("warnings are shown, and are no failure", async () => {
    const { code, out, err } = await ran(["check"], "upstreams: { a: { servers: [127.0.0.1] }, b: { servers: [127.0.0.2] } }\n");
    expect(code).toBe(0);
    expect(err).toMatch(/fenliu\.yaml:\d+:\d+: warning: queries that no rule matches go to the first group, `a`/);
    expect(out).toMatch(/fenliu\.yaml: usable, with one warning\n$/);
  });

  test("unusable lines of a list are warnings with their numbers", async () => {
    const where = directory();
    const path = join(where, "ads.txt");
    writeFileSync(path, ["ads.example", ...Array(4).fill("no name"), "more.example"].join("\n"));
    writeFileSync(join(where, "hosts.txt"), "10.0.0.5 a..b\n");
    writeFileSync(join(where, "fenliu.yaml"), "lists: { ads: { domains: ads.txt } }\nhosts: { files: [hosts.txt] }\n");
    const terminal = testTerminal(where);
    expect(await run(["check"], terminal)).toBe(0);
    expect(terminal.written.out).toMatch(/: usable, with 2 warnings\n$/);
    expect(terminal.written.err).toContain(`warning: ${join(where, "hosts.txt")}:1: hosts: `);
    expect(terminal.written.err).toContain(
      `warning: list ads: ${path}: 4 lines were passed over\n    line 2: not a domain name\n    line 3: not a domain name\n` +
        "    line 4: not a domain name\n    and 1 more\n",
    );
    const forScripts = testTerminal(where);
    expect(await run(["check", "--json"], forScripts)).toBe(0);
    expect(forScripts.written.err).toBe("");
    expect(JSON.parse(forScripts.written.out).shortcomings).toContainEqual({
      list: "ads",
      source: path,
      lines: 4,
      text: "lines were passed over",
    });
  });

  test("a broken expectation: exit code 1, with the reason", async () => {
    const yaml = "hosts: { records: { nas.lan: 10.0.0.5 } }\nexpect: [{ name: nas.lan, answer: 10.0.0.6 }]\n";
    const { code, err } = await ran(["check"], yaml);
    expect(code).toBe(1);
    expect(err).toContain("nas.lan A: expected answer 10.0.0.6, got 10.0.0.5; answered from hosts");
  });

  test("unsupported keys are refused by name", async () => {
    const { code, err } = await ran(["check"], 'cluster: { redis: "redis://127.0.0.1:6379" }\n');
    expect(code).toBe(1);
    expect(err).toContain("cluster is not there yet");
  });

  test("-c is relative to the folder of the caller, and a missing file is a problem", async () => {
    const where = directory();
    writeFileSync(join(where, "other.yaml"), "hosts: { records: { nas.lan: 10.0.0.5 } }\n");
    const terminal = testTerminal(where);
    expect(await run(["check", "-c", "other.yaml"], terminal)).toBe(0);
    expect(terminal.written.out).toBe(`${join(where, "other.yaml")}: nothing wrong\n`);
    expect(await ran(["check", "-c", "missing.yaml"])).toMatchObject({ code: 1, err: expect.stringContaining("no such file") });
  });

  test("--json gives the same for scripts", async () => {
    const good = await ran(["check", "--json"], "");
    expect({ code: good.code, ...JSON.parse(good.out) }).toMatchObject({ code: 0, ok: true, problems: [], refusals: [] });
    const bad = await ran(["check", "--json"], broken);
    const { ok, problems } = JSON.parse(bad.out);
    expect({ code: bad.code, ok, err: bad.err }).toEqual({ code: 1, ok: false, err: "" });
    expect(problems).toHaveLength(4);
    expect(problems[2]).toMatchObject({ line: 3, column: 1, key: "rulez" });
  });
});
