import { readdirSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { expect, onTestFinished, test } from "vitest";
import { type Page, web } from "../lists/web.ts";
import { dig, soleData } from "./clients.ts";
import { type FenliuProcess, fenliuCommand, QUIET, startFenliu } from "./fenliu.ts";
import { eventually, run } from "./processes.ts";
import { Scene } from "./scene.ts";

const LISTED = 10_000;
const MEGABYTE = 1_000_000;
const HUGE_BYTES = 200 * MEGABYTE;
/** More than a heap grows by itself; with what a download may have at most in memory, twice 64 MiB, it would be far beyond. */
const MOST_BYTES = 80 * MEGABYTE;

/** A faulty list, and the report of its fault. */
const FAULTS: Readonly<Record<string, { readonly page: Page; readonly told: RegExp }>> = {
  missing: { page: (_, response) => void response.writeHead(404).end("not here"), told: /^status 404$/ },
  portal: {
    page: (_, response) =>
      void response
        .writeHead(200, { "content-type": "text/html" })
        .end("<!doctype html><title>Log in</title><p>n1.portal.example"),
    told: /^a web page$/,
  },
  empty: { page: (_, response) => void response.end(), told: /^no usable entry$/ },
  half: {
    page: (_, response) => {
      const whole = list("half");
      response.writeHead(200, { "content-length": whole.length });
      response.write(whole.slice(0, whole.length / 2), () => response.destroy());
    },
    told: /./,
  },
  shrunk: {
    page: (_, response) => void response.end(list("shrunk").slice(0, list("shrunk").length / 2)),
    told: /^it shrank from 10000 entries to \d+$/,
  },
  picture: {
    page: (_, response) => void response.end(Buffer.concat([Buffer.from("\x89PNG\r\n\x1a\n", "latin1"), Buffer.alloc(5000, 7)])),
    told: /binary|no usable entry/,
  },
  addresses: {
    page: (_, response) => void response.end(Array.from({ length: LISTED }, (_, n) => `10.${n >> 8}.${n & 255}.0/24\n`).join("")),
    told: /^no usable entry$/,
  },
  huge: { page: (_, response) => send(HUGE_BYTES, response), told: /^larger than 64 MiB$/ },
  announced: {
    page: (_, response) => send(HUGE_BYTES, response.writeHead(200, { "content-length": HUGE_BYTES })),
    told: /^larger than 64 MiB$/,
  },
};

const names = Object.keys(FAULTS);

function list(name: string): string {
  return Array.from({ length: LISTED }, (_, index) => `n${index}.${name}.example\n`).join("");
}

/** Sends lines of a list as fast as the client reads. */
function send(bytes: number, response: Parameters<Page>[1]): void {
  const chunk = Buffer.from("n0.huge.example\n".repeat(4000));
  let left = bytes;
  const more = (): void => {
    while (left > 0 && !response.destroyed) {
      left -= chunk.length;
      if (!response.write(chunk.subarray(0, Math.min(chunk.length, left + chunk.length))))
        return void response.once("drain", more);
    }
    response.end();
  };
  more();
}

test("for any fault of a list's source the last good list stays in use, the fault is reported, and memory stays flat", async () => {
  const scene = new Scene();
  onTestFinished(() => scene.close());
  const server = await web(Object.fromEntries(names.map((name) => [`/${name}`, list(name)])));
  const yaml = `
listen: { dns: ["127.0.0.1:0"], http: [], admin: null }
lists:
${names.map((name) => `  ${name}: { domains: "${server.url.replace("localhost", "127.0.0.1")}/${name}", refresh: 1m }\n`).join("")}
rules: [{ name: listed, domains: [${names.map((name) => `"list:${name}"`).join(", ")}], answer: zero }]
${QUIET}`;
  const file = join(scene.folder, "fenliu.yaml");
  writeFileSync(file, yaml);
  expect((await lists(file, "update")).status).toBe(0);

  for (const [name, { page }] of Object.entries(FAULTS)) server.serve(`/${name}`, page);
  const copies = join(scene.folder, "data", "lists");
  makeDue(copies);
  const held = readdirSync(copies).toSorted();
  const fenliu = await scene.add(startFenliu(scene.folder, yaml));
  const before = memory(fenliu);
  const reported = await eventually(async () => {
    const found = reports(fenliu);
    return names.every((name) => found.has(name)) ? found : null;
  }, 30_000);
  for (const [name, { told }] of Object.entries(FAULTS)) {
    expect(reported.get(name), name).toMatch(told);
    expect(soleData(await dig(fenliu.ports.dns, `n${LISTED - 1}.${name}.example`)), name).toBe("0.0.0.0");
  }
  expect(memory(fenliu).highestBytes - before.residentBytes).toBeLessThan(MOST_BYTES);
  expect(readdirSync(copies).toSorted()).toEqual(held);

  const shown: readonly Shown[] = JSON.parse((await lists(file, "--json")).stdout);
  for (const { name, size, sources } of shown) {
    expect([name, size, sources[0]?.servedFrom]).toEqual([name, LISTED, "copy"]);
    expect(sources[0]?.downloadProblem?.reason, name).toMatch(FAULTS[name]?.told ?? "");
  }
});

interface Shown {
  readonly name: string;
  readonly size: number;
  readonly sources: readonly { readonly servedFrom: string; readonly downloadProblem: { readonly reason: string } | null }[];
}

/** `fenliu lists`, as a user would ask. */
function lists(file: string, ...words: readonly string[]) {
  const [node, main = ""] = fenliuCommand(file);
  return run(node, [main, "lists", ...words, "-c", file]);
}

/** Sets the age of the downloads in this folder to an hour. */
function makeDue(folder: string): void {
  for (const name of readdirSync(folder).filter((each) => each.endsWith(".json"))) {
    const record = JSON.parse(readFileSync(join(folder, name), "utf8"));
    writeFileSync(join(folder, name), JSON.stringify({ ...record, checkedWallMs: record.checkedWallMs - 3_600_000 }));
  }
}

/** The reason why each list could not be refreshed. */
function reports(fenliu: FenliuProcess): ReadonlyMap<string, string> {
  const lines = fenliu
    .output()
    .split("\n")
    .filter((line) => /could not be renewed|was not taken/.test(line));
  return new Map(lines.map((line) => JSON.parse(line)).map(({ list, reason }) => [list, reason]));
}

/** The memory of a process now, and its peak. */
function memory({ child }: FenliuProcess): { readonly residentBytes: number; readonly highestBytes: number } {
  const status = readFileSync(`/proc/${child.pid}/status`, "latin1");
  const kibibytes = (key: string) => Number(new RegExp(`^${key}:\\s+(\\d+) kB`, "m").exec(status)?.[1]) * 1024;
  return { residentBytes: kibibytes("VmRSS"), highestBytes: kibibytes("VmHWM") };
}
