import { writeFileSync } from "node:fs";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { afterAll, expect, test } from "vitest";
import { readReply } from "../support/message.ts";
import { type FenliuProcess, QUIET, startFenliu } from "./fenliu.ts";
import { eventually, run } from "./processes.ts";
import { Scene } from "./scene.ts";
import { openStream, type StreamAsker } from "./stream-asker.ts";

const QUERIES_PER_SECOND = 5000;
const LOAD_SECONDS = 8;
const LISTED = 110_000;

const scene = new Scene();
afterAll(() => scene.close());

/** Two configurations, and what they answer to a name of the hosts table and to one of a large list. */
const VERSIONS = [
  { version: "first", address: "10.0.0.1", answer: "zero", listed: "0.0.0.0" },
  { version: "second", address: "10.0.0.2", answer: "nodata", listed: "" },
] as const;

function config({ address, answer }: (typeof VERSIONS)[number]): string {
  return `
listen: { dns: ["127.0.0.1:0"], http: [], admin: null }
access: { rateLimit: { perSecond: 100000, burst: 100000 } }
hosts: { records: { nas.lan: ${address} } }
lists: { ads: { domains: [ads.txt] } }
rules: [{ name: ads, domains: "list:ads", answer: ${answer} }]
${QUIET}`;
}

/** Asks for both names over and over on one connection. */
class Watch {
  readonly #stream: StreamAsker;
  readonly #told: Promise<string>[] = [];
  readonly #ended: Promise<void>;
  #isOver = false;

  constructor(stream: StreamAsker) {
    this.#stream = stream;
    this.#ended = this.#askOn();
  }

  /** Waits for an answer to what is asked from now on. */
  async next(): Promise<void> {
    const { length } = this.#told;
    await eventually(async () => this.#told[length] ?? null);
  }

  /** Which version each answer was of, in the order of asking. */
  async end(): Promise<readonly string[]> {
    this.#isOver = true;
    await this.#ended;
    return Promise.all(this.#told);
  }

  async #askOn(): Promise<void> {
    while (!this.#isOver) {
      this.#told.push(this.#ask("nas.lan", "address"), this.#ask(`n${this.#told.length % LISTED}.ads.example`, "listed"));
      await sleep(1);
    }
  }

  async #ask(name: string, kind: "address" | "listed"): Promise<string> {
    const answer = readReply(await this.#stream.ask(name)).answers.join();
    return VERSIONS.find((each) => each[kind] === answer)?.version ?? answer;
  }
}

test("reloads under 5,000 queries a second lose no query, and all answers change exactly at the swap", async () => {
  writeFileSync(join(scene.folder, "ads.txt"), Array.from({ length: LISTED }, (_, index) => `n${index}.ads.example\n`).join(""));
  const fenliu = await scene.add(startFenliu(scene.folder, config(VERSIONS[0])));
  const names = join(scene.folder, "names");
  const lines = Array.from(
    { length: (QUERIES_PER_SECOND * LOAD_SECONDS) / 2 },
    (_, index) => `nas.lan A\nn${index}.ads.example A\n`,
  );
  writeFileSync(names, lines.join(""));
  // It waits for no reply before it goes on, as a house full of clients does not.
  const load = run("dnsperf", [
    ...["-s", "127.0.0.1", "-p", String(fenliu.ports.dns), "-d", names, "-n", "1", "-t", "5"],
    ...["-Q", String(QUERIES_PER_SECOND), "-q", String(QUERIES_PER_SECOND), "-b", "4096"],
  ]);
  let isOver = false;
  void load.finally(() => {
    isOver = true;
  });
  const stream = await openStream(fenliu.ports.dns);
  scene.defer(async () => stream.close());
  const watch = new Watch(stream);
  const expected: string[] = [VERSIONS[0].version];
  await watch.next();
  while (!isOver) {
    const next = VERSIONS[expected.length % 2] ?? VERSIONS[0];
    await reload(fenliu, config(next));
    expected.push(next.version);
    await watch.next();
  }
  const { stdout } = await load;
  expect(stdout).toMatch(new RegExp(`Queries completed: +${QUERIES_PER_SECOND * LOAD_SECONDS} \\(100\\.00%\\)`));
  expect(Number(/Queries per second: +([\d.]+)/.exec(stdout)?.[1])).toBeGreaterThan(QUERIES_PER_SECOND * 0.9);

  const told = await watch.end();
  expect(told.filter((each, index) => each !== told[index - 1])).toEqual(expected);
  expect(expected.length).toBeGreaterThan(10);
});

async function reload(fenliu: FenliuProcess, yaml: string): Promise<void> {
  writeFileSync(join(scene.folder, "fenliu.yaml"), yaml);
  const before = fenliu.output().length;
  fenliu.signal("SIGHUP");
  await eventually(async () => (fenliu.output().slice(before).includes('"msg":"reloaded"') ? true : null));
}
