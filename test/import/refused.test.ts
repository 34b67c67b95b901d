import { readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { describe, expect, test } from "vitest";
import { run } from "../../src/cli/run.ts";
import { testTerminal } from "../cli/terminal.ts";
import { folder } from "./sources.ts";

const SOURCE = {
  "config.yaml": `plugins:
  - { tag: gfw, type: domain_set, args: { exps: [search.example] } }
  - { tag: up, type: forward, args: { upstreams: [{ addr: 192.0.2.1 }] } }
  - { tag: main, type: sequence, args: [{ exec: $up }] }
  - { type: udp_server, args: { entry: main, listen: "127.0.0.1:5353" } }
`,
};

async function ran(argv: readonly string[], files: Readonly<Record<string, string>> = {}) {
  const where = folder(files);
  const terminal = testTerminal(where);
  return { code: await run(["import", ...argv], terminal), where, ...terminal.written };
}

describe("an import that is refused", () => {
  test.each([[[]], [["pihole", "."]], [["easymosdns", ".", "more"]]])("%j is a usage error", async (argv) => {
    expect(await ran(argv)).toMatchObject({ code: 2, out: "", err: expect.stringContaining("import takes a path") });
  });

  test("a malformed proxy is a usage error", async () => {
    expect(await ran([".", "--proxy", "127.0.0.1:1080"], SOURCE)).toMatchObject({
      code: 2,
      err: expect.stringContaining("is no proxy"),
    });
  });

  test("a path that is missing, a folder without a configuration, and a file of another kind", async () => {
    expect(await ran(["nowhere"])).toMatchObject({
      code: 1,
      err: expect.stringMatching(/nowhere:1: cannot read .*: no such file/),
    });
    expect(await ran(["easymosdns", "."])).toMatchObject({
      code: 1,
      err: expect.stringMatching(/none of config\.yaml, .* is in this folder/),
    });
    expect(await ran(["a.yaml"], { "a.yaml": "a: 1\n" })).toMatchObject({
      code: 1,
      err: expect.stringContaining("this is none of the configurations that are known"),
    });
  });

  test("settings of OpenWrt: the file that is made of them is named", async () => {
    expect(await ran(["smartdns"], { smartdns: "config smartdns\n\toption enabled '1'\n" })).toMatchObject({
      code: 1,
      err: expect.stringContaining("import the file that its service makes of them, such as /var/etc/smartdns/smartdns.conf"),
    });
  });

  test("broken YAML: file and line", async () => {
    const { code, out, err, where } = await ran(["easymosdns", "."], { "config.yaml": "plugins:\n  - tag: [a\nservers: {\n" });
    expect({ code, out }).toEqual({ code: 1, out: "" });
    expect(err).toMatch(/config\.yaml:[234]: this is no YAML/);
    expect(err).toContain(join(where, "config.yaml"));
  });

  const MIHOMO = "dns:\n  enable: true\n  nameserver: [223.5.5.5]\n";
  const CHINADNS = "china-dns 223.5.5.5\ntrust-dns 8.8.8.8\nchnlist-file chn.txt\n";
  test.each<[string, string, string | Buffer, RegExp]>([
    ["an empty file", "config.yaml", "\n", /:1: this file is empty/],
    ["UTF-16", "config.yaml", Buffer.from(`\ufeff${SOURCE["config.yaml"]}`, "utf16le"), /:1: .* is no text in UTF-8: save it/],
    ["an alias of nothing", "config.yaml", `${SOURCE["config.yaml"]}x: *none\n`, /:6: nothing is called `&none`/],
    ["several documents", "config.yaml", `${SOURCE["config.yaml"]}---\na: 1\n`, /:6: this file holds several YAML documents/],
    [
      "a variable that is no YAML",
      "config.yaml",
      `plugins:\n  - { tag: a, args: { addr: \${UP} } }\n`,
      /:2: `\$\{UP\}` is filled in/,
    ],
    ["a key twice", "config.yaml", `${MIHOMO}dns:\n  enable: true\n`, /:4: `dns` stands here and in line 1: leave one/],
    [
      "a part of an address as a server of mosdns",
      "config.yaml",
      SOURCE["config.yaml"].replace("192.0.2.1", "192.0.2"),
      /:4: none of the servers of `up` can be asked: the server `192\.0\.2`: `192\.0\.2` is no address \(line 3\)/,
    ],
    [
      "a server of mosdns under a key that is not known",
      "config.yaml",
      SOURCE["config.yaml"].replace("addr:", "adr:"),
      /:4: .* it has no address \(line 3\)/,
    ],
    [
      "a key of a set of mosdns that is not known",
      "config.yaml",
      SOURCE["config.yaml"].replace("exps:", "exp:").replace("[{ exec: $up }]", "[{ matches: qname $gfw, exec: $up }]"),
      /:4: the condition `qname \$gfw`: `\$gfw`: `exp` in line 2 is not known/,
    ],
    [
      "a server of mihomo",
      "config.yaml",
      MIHOMO.replace("223.5.5.5", "quic://1.1.1.1"),
      /:3: .*`quic:.*` is no protocol .*\(line 3\)/,
    ],
    ["a mode of mihomo", "config.yaml", `${MIHOMO}  enhanced-mode: fakeip\n`, /:4: `fakeip` is no mode: fake-ip, redir-host/],
    ["a group of chinadns-ng", "chinadns-ng.conf", `${CHINADNS}group-dnl a.txt\n`, /:4: `group-dnl` stands before any `group`/],
    [
      "a server of chinadns-ng",
      "chinadns-ng.conf",
      CHINADNS.replace("223.5.5.5", "223.5.5"),
      /:1: none of the servers of `china` can be asked: the server `223\.5\.5`: .* no address \(line 1\)/,
    ],
    [
      "sequences of two versions of mosdns",
      "config.yaml",
      `${SOURCE["config.yaml"]}  - { tag: old, type: sequence, args: { exec: [up] } }\n`,
      /:4: `main` is of mosdns 5, and `old` \(line 6\) of mosdns 4/,
    ],
    ["a tag of chinadns-ng", "chinadns-ng.conf", `${CHINADNS}default-tag some\n`, /:4: there is no group `some`/],
    [
      "a circle of files of chinadns-ng",
      "chinadns-ng.conf",
      `${CHINADNS}config chinadns-ng.conf\n`,
      /:4: the files include each/,
    ],
    [
      "a file of chinadns-ng that is missing",
      "chinadns-ng.conf",
      `${CHINADNS}config b.conf\n`,
      /:4: cannot read .*b\.conf: no such/,
    ],
  ])("%s: the cause and its line", async (_, name, text, message) => {
    const where = folder({});
    writeFileSync(join(where, name), text);
    const terminal = testTerminal(where);
    expect(await run(["import", name], terminal)).toBe(1);
    expect(terminal.written.err).toMatch(message);
  });

  test("an existing file is overwritten only with --force", async () => {
    const where = folder({ ...SOURCE, "fenliu.yaml": "mine" });
    const argv = ["import", "config.yaml", "-o", "fenliu.yaml"];
    const terminal = testTerminal(where);
    expect(await run(argv, terminal)).toBe(1);
    expect(terminal.written.err).toMatch(/^fenliu: [^:]+:1: a file is there already; --force overwrites it\n$/);
    expect(readFileSync(join(where, "fenliu.yaml"), "utf8")).toBe("mine");
    expect(await run([...argv, "--force"], terminal)).toBe(0);
    expect(readFileSync(join(where, "fenliu.yaml"), "utf8")).toContain("upstreams:");
  });

  test("a folder that is not there is made for the file", async () => {
    const { code, where } = await ran(["config.yaml", "-o", "new/fenliu.yaml"], SOURCE);
    expect(code).toBe(0);
    expect(readFileSync(join(where, "new", "fenliu.yaml"), "utf8")).toContain("upstreams:");
  });

  test("without -o the file goes to stdout and the report to stderr", async () => {
    const { code, out, err } = await ran(["."], SOURCE);
    expect(code).toBe(0);
    expect(out).toContain("name: others");
    expect(err).toMatch(/^Leaks and blanks: none\n\nChanged or left out \(2\):\n {2}config.yaml:4: names of lan/);
    expect(err).toContain("Carried over (2):\n");
    expect(err).toMatch(
      /\nThe file went to stdout\. Next: `fenliu check -c fenliu\.yaml`, then `fenliu shadow [^`]*` before the switch\.\n$/,
    );
  });

  test("the last line says what to look at, since the top of a long report has left the screen", async () => {
    // The list is not there.
    const source = {
      "config.yaml": `plugins:
  - { tag: gfw, type: domain_set, args: { files: [gfw.txt] } }
  - { tag: main, type: sequence, args: [{ matches: qname $gfw, exec: forward 8.8.8.8 }, { matches: has_resp, exec: accept }, { exec: forward 223.5.5.5 }] }
  - { type: udp_server, args: { entry: main, listen: ":53" } }
`,
    };
    const refused = await ran(["config.yaml", "-o", "new.yaml"], source);
    expect(refused.code).toBe(1);
    expect(refused.err).toMatch(
      /\nNothing is written: .* Look at the top of the report: 1 LEAK\. Mend these lines, or add --allow-leaks\.\n$/,
    );
    const written = await ran(["config.yaml", "-o", "new.yaml", "--allow-leaks"], source);
    expect(written.err).toMatch(
      /\nnew\.yaml is written\. Look at the top of the report: 1 LEAK\. Next: `fenliu check -c new\.yaml`/,
    );
  });

  test("a configuration without servers", async () => {
    const text = "plugins: [{ tag: main, type: sequence, args: { exec: [_return] } }]\n";
    expect(await ran(["."], { "config.yaml": text })).toMatchObject({
      code: 1,
      err: expect.stringContaining("it asks no server"),
    });
  });
});
