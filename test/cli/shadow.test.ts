import { createSocket } from "node:dgram";
import { once } from "node:events";
import { writeFileSync } from "node:fs";
import { join } from "node:path";
import { describe, expect, test } from "vitest";
import { run } from "../../src/cli/run.ts";
import type { ShadowReport } from "../../src/cli/shadow-differences.ts";
import { TYPE } from "../../src/dns/types.ts";
import { zone } from "../dns/zone.ts";
import { queryWire, readReply } from "../support/message.ts";
import { deny, respond, silent } from "../support/zone-script.ts";
import { type Asked, type Script, type ScriptedServer, scriptedServer } from "../upstreams/scripted-server.ts";
import { start, testTerminal } from "./terminal.ts";

const NEAR = "61.135.0.9";
const FAR = "203.0.114.9";

/** Answers every name with this address. */
const answering =
  (address: string): Script =>
  (asked) =>
    respond(asked, { answers: asked.type === TYPE.A ? zone(`${asked.name} A ${address}`) : [] });

/** A folder with a configuration that compares, and names that the old server treats as `odd` says. */
async function house(odd: Readonly<Record<string, (asked: Asked) => ReturnType<Script>>> = {}, rules = "", listen = "") {
  const near = await scriptedServer("dns", (asked) => (asked.name.startsWith("foreign") ? deny(asked) : answering(NEAR)(asked)));
  const far = await scriptedServer("dns", answering(FAR));
  const old: ScriptedServer = await scriptedServer("dns", (asked) => {
    const own = odd[asked.name];
    if (own !== undefined) return own(asked);
    return answering(asked.name.startsWith("foreign") ? FAR : NEAR)(asked);
  });
  const terminal = testTerminal();
  writeFileSync(
    join(terminal.directory, "fenliu.yaml"),
    `listen: { dns: ["127.0.0.1:0"], admin: null${listen} }
upstreams: { near: { servers: ["udp://127.0.0.1:${near.port}"] }, far: { servers: ["udp://127.0.0.1:${far.port}"] } }
lists: { cn: { addresses: [inline.txt] } }
rules:
${rules}  - { name: others, compare: { near: near, far: far, keepNearIf: list:cn, within: 3s } }
cache: { file: null }
log: { queries: { enabled: false } }
`,
  );
  writeFileSync(join(terminal.directory, "inline.txt"), "61.135.0.0/16\n");
  const shadow = async (names: string, ...options: readonly string[]) => {
    writeFileSync(join(terminal.directory, "names.txt"), names);
    terminal.written.out = "";
    const code = await run(["shadow", `127.0.0.1:${old.port}`, "--names", "names.txt", "--json", ...options], terminal);
    if (terminal.written.out === "") throw new Error(terminal.written.err);
    const report: ShadowReport = JSON.parse(terminal.written.out);
    return { code, report };
  };
  return { terminal, old, near, shadow };
}

const names = (prefix: string, count: number) => Array.from({ length: count }, (_, index) => `${prefix}${index}.example`);

describe("fenliu shadow", () => {
  test("finds every planted difference, by its cause, and invents none", async () => {
    const planted = {
      "near3.example": answering(FAR),
      "near4.example": answering(FAR),
      "foreign5.example": answering(NEAR),
      "near6.example": deny,
      "empty.example": (asked: Asked) => respond(asked, {}),
    };
    const { shadow } = await house(
      planted,
      "  - { name: ads, domains: [ads.example], answer: nodata }\n  - { name: no, domains: [empty.example], answer: nxdomain }\n",
    );
    const asked = [...names("near", 100), ...names("foreign", 100), "ads.example", "www.ads.example", "empty.example"];
    const { code, report } = await shadow(`${asked.map((name) => `${name} A`).join("\n")}\n`);
    expect(code).toBe(1);
    const { differences, ...counts } = report;
    expect(counts).toEqual({ asked: 203, unanswered: 0, knowsSides: true });
    const found = differences.map(({ kind, cause, count, examples }) => ({
      kind,
      cause,
      count,
      names: examples.map(({ name }) => name).toSorted(),
    }));
    expect(found).toEqual([
      { kind: "blank", cause: "rule `ads`, block", count: 2, names: ["ads.example", "www.ads.example"] },
      { kind: "side", cause: "rule `others`, group `near`", count: 2, names: ["near3.example", "near4.example"] },
      { kind: "side", cause: "rule `others`, group `far`", count: 1, names: ["foreign5.example"] },
      { kind: "opened", cause: "rule `others`, group `near`", count: 1, names: ["near6.example"] },
      { kind: "shape", cause: "rule `no`, block", count: 1, names: ["empty.example"] },
    ]);
  });

  test("what the old server answers by chance, or not at all, is no difference", async () => {
    let count = 0;
    const { shadow } = await house({
      "near1.example": (asked) => (count++ === 0 ? deny(asked) : answering(NEAR)(asked)),
      "near2.example": (asked) => respond(asked, { rcode: 2 }),
    });
    const { code, report } = await shadow("near1.example A\nnear2.example A\n");
    expect({ code, report }).toEqual({ code: 0, report: { asked: 2, unanswered: 1, knowsSides: true, differences: [] } });
  });

  test("what failed once in the new configuration is no difference, and its cache does not keep it", async () => {
    const { shadow, near, old } = await house();
    near.follow((asked) => (old.asked.length <= 1 ? respond(asked, { rcode: 2 }) : answering(NEAR)(asked)));
    expect((await shadow("near1.example A\n")).report).toMatchObject({ asked: 1, differences: [] });
  });

  test("reads plain lines and the logs of AdGuard Home and dnsmasq", async () => {
    const { shadow } = await house();
    const log = `# names\nnear1.example\n{"T":"2026","QH":"near2.example","QT":"AAAA","CP":""}\nNov 29 dnsmasq[1]: query[A] near3.example from 10.0.0.3\nNov 29 dnsmasq[1]: forwarded near3.example to 223.5.5.5\n`;
    expect((await shadow(log)).report).toMatchObject({ asked: 5, differences: [] });
    const { terminal } = await house();
    writeFileSync(join(terminal.directory, "names.txt"), "near1.example NOTYPE\n");
    expect(await run(["shadow", "127.0.0.1:1", "--names", "names.txt"], terminal)).toBe(2);
    expect(terminal.written.err).toContain("names.txt:1: `near1.example NOTYPE` is no NAME [TYPE]");
  });

  test("as text it says what differs in one screen", async () => {
    const { terminal, old } = await house({ "near3.example": answering(FAR) });
    writeFileSync(join(terminal.directory, "names.txt"), "near3.example A\nnear4.example A\n");
    expect(await run(["shadow", `127.0.0.1:${old.port}`, "--names", "names.txt"], terminal)).toBe(1);
    expect(terminal.written.out).toBe(
      "2 questions, 1 answered otherwise\n\nOTHER SIDE: domestic addresses became foreign ones, or the other way round\n  rule `others`, group `near` (1)\n    near3.example A: 203.0.114.9 -> 61.135.0.9\n",
    );
  });

  test("the text shows five names of a cause and says how many more there are; --json has them all", async () => {
    const odd = names("near", 8);
    const { terminal, old, shadow } = await house(Object.fromEntries(odd.map((name) => [name, answering(FAR)])));
    const { report } = await shadow(`${odd.map((name) => `${name} A`).join("\n")}\n`);
    expect(report.differences.flatMap(({ examples }) => examples.map(({ name }) => name)).toSorted()).toEqual(odd);
    terminal.written.out = "";
    await run(["shadow", `127.0.0.1:${old.port}`, "--names", "names.txt"], terminal);
    expect(terminal.written.out.match(/^ {4}near/gm)).toHaveLength(5);
    expect(terminal.written.out).toMatch(/^ {4}and 3 more: --json shows them$/m);
  });

  test("live, the house gets the old server's answers alone", async () => {
    const { terminal, old } = await house({ "near3.example": answering(FAR), "dead.example": () => silent });
    const running = await start(["shadow", `127.0.0.1:${old.port}`, "--live", "--json"], "Ctrl-C ends it", terminal);
    const port = Number(/127\.0\.0\.1:(\d+) gets/.exec(terminal.written.err)?.[1]);
    const socket = createSocket("udp4");
    socket.connect(port, "127.0.0.1");
    await once(socket, "connect");
    const heard = once(socket, "message");
    socket.send(queryWire("near3.example", "A"));
    const [wire] = await heard;
    expect(readReply(wire).answers).toEqual([FAR]);
    socket.close();
    await expect.poll(() => old.asked.length).toBeGreaterThan(1);
    expect(await running.stop()).toBe(1);
    expect(JSON.parse(terminal.written.out)).toMatchObject({ asked: 1, differences: [{ kind: "side", count: 1 }] });
  });

  test.each([
    [[]],
    [["192.0.2.1"]],
    [["192.0.2.1", "--log", "--live"]],
    [["a b", "--log"]],
    [["192.0.2.1", "--names", "nowhere"]],
  ])("%j is a usage error", async (argv) => {
    expect(await run(["shadow", ...argv], testTerminal())).toBe(2);
  });
});
