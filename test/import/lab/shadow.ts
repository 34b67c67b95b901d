/**
 * Asks mosdns and the Fenliu imported from its configuration the same 5,000 names by `fenliu shadow`, after some differences were planted in what is
 * imported: every one of them must be found, by its name and under its cause, and no other.
 *
 *   node test/import/lab/shadow.ts [MOSDNS] [NAMES]
 */
import { spawn } from "node:child_process";
import { once } from "node:events";
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { run } from "../../../src/cli/run.ts";
import type { ShadowReport } from "../../../src/cli/shadow-differences.ts";
import { TYPE } from "../../../src/dns/types.ts";
import { testTerminal } from "../../cli/terminal.ts";
import { eventually, freePort } from "../../clients/processes.ts";
import { zone } from "../../dns/zone.ts";
import { REAL_DATA } from "../../support/real-data.ts";
import { deny, respond } from "../../support/zone-script.ts";
import { type Asked, scriptedServer } from "../../upstreams/scripted-server.ts";

const [, , mosdns = "mosdns", count = "5000"] = process.argv;
const NEAR = "61.135.0.9";
const FAR = "142.250.0.9";

const names = realNames(Number(count));
// Ten names are blocked; of the others one third is in each list, and one third in neither.
const [blocked, rest] = [names.slice(0, 10), names.slice(10)];
const part = (index: number) => rest.filter((_, at) => at % 3 === index);
const [domestic, foreign, unlisted] = [part(0), part(1), part(2)];
const abroad = new Set(unlisted.filter((_, at) => at % 2 === 0));

const addressed = (asked: Asked, address: string) =>
  respond(asked, { answers: asked.type === TYPE.A ? zone(`${asked.name} 120 A ${address}`) : [] });
const near = await scriptedServer("dns", (asked) => addressed(asked, abroad.has(asked.name) ? FAR : NEAR));
const far = await scriptedServer("dns", (asked) => (asked.name === "gone.example" ? deny(asked) : addressed(asked, FAR)));

const terminal = testTerminal(mkdtempSync(join(tmpdir(), "fenliu-shadow-")));
const inFolder = (name: string) => join(terminal.directory, name);
const write = (name: string, lines: readonly string[]) => writeFileSync(inFolder(name), `${lines.join("\n")}\n`);
write("cn.txt", domestic.map(exactly));
write("gfw.txt", foreign.map(exactly));
write("ads.txt", blocked.map(exactly));
write("cn-ip.txt", ["61.135.0.0/16", "223.5.5.0/24", "119.29.29.0/24", "114.114.114.0/24", "180.76.76.0/24", "202.96.0.0/16"]);
write(
  "names.txt",
  names.map((name) => `${name} A`),
);
const port = await freePort();
writeFileSync(
  inFolder("config.yaml"),
  `log: { level: error }
plugins:
  - { tag: cn, type: domain_set, args: { files: [cn.txt] } }
  - { tag: gfw, type: domain_set, args: { files: [gfw.txt] } }
  - { tag: ads, type: domain_set, args: { files: [ads.txt] } }
  - { tag: home, type: ip_set, args: { files: [cn-ip.txt] } }
  - { tag: near, type: forward, args: { upstreams: [{ addr: "127.0.0.1:${near.port}" }] } }
  - { tag: far, type: forward, args: { upstreams: [{ addr: "127.0.0.1:${far.port}" }] } }
  - tag: judged
    type: sequence
    args: [{ exec: $near }, { matches: "!resp_ip $home", exec: drop_resp }]
  - tag: abroad
    type: sequence
    args: [{ exec: $far }]
  - { tag: both, type: fallback, args: { primary: judged, secondary: abroad, threshold: 2000, always_standby: true } }
  - tag: main
    type: sequence
    args:
      - { matches: qname $ads, exec: reject 3 }
      - { matches: qname $cn, exec: $near }
      - { matches: has_resp, exec: accept }
      - { matches: qname $gfw, exec: $far }
      - { matches: has_resp, exec: accept }
      - exec: $both
  - { type: udp_server, args: { entry: main, listen: "127.0.0.1:${port}" } }
`,
);
const child = spawn(mosdns, ["start", "-c", inFolder("config.yaml"), "-d", terminal.directory], { stdio: "ignore" });
try {
  await eventually(async () => ((await command("query", names[20] ?? "", `@127.0.0.1:${port}`)) === 0 ? true : null));
  if ((await command("import", "mosdns", "config.yaml", "-o", "fenliu.yaml", "--allow-leaks")) !== 0)
    throw new Error(terminal.written.err + terminal.written.out);
  // An exact name that is denied is empty here, because NXDOMAIN would deny the names below it too: the import says so.
  const empty = (some: readonly string[]) => some.map((name) => `shape, rule \`ads\`, block: ${name}`);
  const isRightBefore = check("as imported", await shadow(), empty(blocked));
  // Names that change lists, blocks that are gone, and new ones. The first name of each list stays: the new file expects it there.
  const [away, home] = [domestic.slice(10, 17), foreign.slice(10, 15)];
  const opened = blocked.slice(4, 8);
  const closed = unlisted.slice(10, 16);
  const without = (all: readonly string[], some: readonly string[]) => all.filter((name) => !some.includes(name));
  write("cn.txt", [...without(domestic, away), ...home].map(exactly));
  write("gfw.txt", [...without(foreign, home), ...away].map(exactly));
  write("ads.txt", [...without(blocked, opened), ...closed].map(exactly));
  const isRight = check("planted", await shadow(), [
    ...closed.map((name) => `blank, rule \`ads\`, block: ${name}`),
    ...away.map((name) => `side, rule \`gfw\`, group \`far\`: ${name}`),
    ...home.map((name) => `side, rule \`cn\`, group \`near\`: ${name}`),
    ...opened.map((name) => `opened, rule \`others\`, group \`near\`: ${name}`),
    ...empty(without(blocked, opened)),
  ]);
  process.exitCode = isRightBefore && isRight ? 0 : 1;
} finally {
  child.kill("SIGKILL");
  await once(child, "exit");
  await Promise.all([near.close(), far.close()]);
  rmSync(terminal.directory, { recursive: true });
}

/** Each difference as `KIND, CAUSE: NAME`. */
async function shadow(): Promise<readonly string[]> {
  await command("shadow", `127.0.0.1:${port}`, "-c", "fenliu.yaml", "--names", "names.txt", "--json");
  if (terminal.written.out === "") throw new Error(terminal.written.err);
  const { asked, unanswered, differences }: ShadowReport = JSON.parse(terminal.written.out);
  if (asked !== names.length || unanswered > 0) throw new Error(`${asked} names were asked, and ${unanswered} not answered`);
  return differences.flatMap(({ kind, cause, examples }) => examples.map(({ name }) => `${kind}, ${cause}: ${name}`));
}

/** Prints what was found; @returns whether it is what was expected. */
function check(what: string, found: readonly string[], expected: readonly string[]): boolean {
  const missed = expected.filter((each) => !found.includes(each));
  const invented = found.filter((each) => !expected.includes(each));
  const doubled = found.length - new Set(found).size;
  console.log(
    [
      `${what}: ${names.length} names, ${expected.length} differences expected, ${found.length} found`,
      ...missed.map((each) => `  missed: ${each}`),
      ...invented.map((each) => `  invented: ${each}`),
    ].join("\n"),
  );
  return missed.length + invented.length + doubled === 0;
}

function command(...words: readonly string[]): Promise<number> {
  terminal.written.out = "";
  terminal.written.err = "";
  return run(words, terminal);
}

/** Spread over the whole list, so that neighbours of one family do not come together. */
function realNames(wanted: number): readonly string[] {
  const text = readFileSync(join(REAL_DATA, "accelerated-domains.china.conf"), "utf8");
  const all = [...text.matchAll(/^server=\/([a-z0-9.-]+\.(?:com|net|org))\//gm)].map(([, name = ""]) => name);
  const step = all.length / wanted;
  return Array.from({ length: wanted }, (_, index) => all[Math.floor(index * step)] ?? "");
}

function exactly(name: string): string {
  return `full:${name}`;
}
