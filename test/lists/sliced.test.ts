import { setImmediate } from "node:timers/promises";
import { describe, expect, test } from "vitest";
import { nameFromText, nameText } from "../../src/dns/name.ts";
import { runCooperatively, runSync, SLICE_BYTES, SLICE_ENTRIES, type Sliced } from "../../src/lib/cooperative.ts";
import { categoryFault } from "../../src/lists/dat.ts";
import { DomainSetBuilder } from "../../src/lists/domain-set-builder.ts";
import { loadLists } from "../../src/lists/load.ts";
import { readAddresses, readDomains } from "../../src/lists/readers.ts";
import { decodeBase64 } from "../../src/lists/text-formats.ts";
import { WarningLog } from "../../src/lists/types.ts";
import { protobufField } from "../support/dat.ts";
import { file } from "../support/files.ts";
import { siteWith } from "../support/site.ts";
import { honest } from "../support/zone-script.ts";
import { listOptions } from "./list-options.ts";

const COUNT = 200_000;
const lines = Array.from({ length: COUNT }, (_, index) => `n${index}.example`);
const text = Buffer.from(`${lines.join("\n")}\n`);

/** The number of turns of the event loop until the work was done. */
async function turnsDuring(work: Promise<unknown>): Promise<number> {
  let isDone = false;
  const end = () => {
    isDone = true;
  };
  void work.then(end, end);
  for (let turns = 0; ; turns++) {
    if (isDone) return turns;
    await setImmediate();
  }
}

function slicesOf(work: Sliced<unknown>): number {
  let slices = 1;
  while (work.next().done !== true) slices++;
  return slices;
}

function readingOf(
  bytes: Buffer,
  category: string | null = null,
): { readonly work: Sliced<string | null>; readonly builder: DomainSetBuilder } {
  const builder = new DomainSetBuilder("list");
  return { work: readDomains(bytes, category, { sink: builder.source("file"), warnings: new WarningLog() }), builder };
}

const downloadedList = listOptions("list", "domains", {
  sources: [{ kind: "url", url: "https://lists.example/large.txt", category: null }],
});

describe("work in slices", () => {
  test("lets the event loop turn between long slices, and returns the same as without pauses", async () => {
    function* work(): Sliced<string> {
      for (let slice = 0; slice < 9; slice++) {
        // Longer than a turn may last.
        const untilMs = performance.now() + 4;
        while (performance.now() < untilMs);
        yield;
      }
      return "done";
    }
    expect(runSync(work())).toBe("done");
    const running = runCooperatively(work());
    expect(await turnsDuring(running)).toBeGreaterThanOrEqual(9);
    expect(await running).toBe("done");
  });

  test("rejects with its error", async () => {
    function* work(): Sliced<void> {
      yield;
      throw new Error("no more");
    }
    await expect(runCooperatively(work())).rejects.toThrow("no more");
  });

  test("is shorter for names of many labels, each of which has a name above it to compare", () => {
    const deep = Buffer.from(Array.from({ length: 5000 }, (_, index) => `${"a.".repeat(60)}n${index}.example\n`).join(""));
    const { work, builder } = readingOf(deep);
    runSync(work);
    // Both tables, the one of the names and that of the names above them, are filled in two passes.
    expect(slicesOf(builder.buildSliced())).toBeGreaterThanOrEqual((2 * deep.length) / 32_768);
  });

  test("is how long texts are read, even of comments alone, and how tables of many names are built", () => {
    const { work, builder } = readingOf(text);
    expect(slicesOf(work)).toBeGreaterThanOrEqual(Math.floor(text.length / (SLICE_BYTES + 100)));
    expect(slicesOf(builder.buildSliced())).toBeGreaterThanOrEqual((2 * COUNT) / SLICE_ENTRIES - 2);
    const blank = Buffer.alloc(SLICE_BYTES * 5, "\n# nothing\n");
    expect(slicesOf(readingOf(blank).work)).toBeGreaterThanOrEqual(4);
    const addresses = Buffer.from(
      Array.from({ length: 20_000 }, (_, index) => `10.${index >> 8}.${index & 255}.0/24\n`).join(""),
    );
    expect(slicesOf(readAddresses(addresses, null, { take: () => {}, warnings: new WarningLog() }))).toBeGreaterThanOrEqual(4);
  });

  test.each([
    ["a letter", "a"],
    ["a blank", " "],
  ])("is how a line of 8 MiB of %s is searched for its end; it is no entry", (_what, letter) => {
    const { work, builder } = readingOf(
      Buffer.concat([Buffer.alloc(8 << 20, letter), Buffer.from("\nafter.example\n")]),
      "adguard",
    );
    expect(slicesOf(work)).toBeGreaterThanOrEqual(16);
    expect(builder.count).toBe(1);
  });

  test("is how a list in base64 is decoded, whatever stands between its characters", () => {
    const list = Buffer.from(`[AutoProxy 0.2.9]\n${lines.map((line) => `||${line}`).join("\n")}\n`);
    const written = Buffer.from(list.toString("base64").replace(/.{63}/g, "$&\r\n"));
    const decoding = decodeBase64(written);
    let slices = 1;
    let step = decoding.next();
    for (; step.done !== true; step = decoding.next()) slices++;
    expect(step.value.equals(list)).toBe(true);
    expect(slices).toBeGreaterThanOrEqual(written.length / 32_768);
    const { work, builder } = readingOf(written);
    expect(slicesOf(work)).toBeGreaterThanOrEqual(slices + list.length / (SLICE_BYTES + 100));
    expect(builder.count).toBe(COUNT);
  });

  test("is how a .dat file of many categories is searched for one, and for one with a similar name", () => {
    const categories = lines.slice(0, 3200).map((line) => protobufField(1, protobufField(1, Buffer.from(line))));
    // The code of a category may come after its entries.
    const late = protobufField(1, Buffer.concat([...lines.slice(0, 3200).map(domain), protobufField(1, Buffer.from("LATE"))]));
    const file = Buffer.concat([...categories, late]);
    const { work, builder } = readingOf(file, "late");
    expect(slicesOf(work)).toBeGreaterThanOrEqual(200);
    expect(builder.count).toBe(3200);
    expect(slicesOf(readingOf(file, "lade").work)).toBeGreaterThanOrEqual(200);
    expect(slicesOf(categoryFault(file, "lade"))).toBeGreaterThanOrEqual(200);
    expect(runSync(categoryFault(file, "lade"))).toContain("did you mean `late`?");
  });

  test("is how long categories of a .dat file are read", () => {
    const site = Buffer.concat([protobufField(1, Buffer.from("CN")), ...lines.slice(0, 3 * SLICE_ENTRIES).map(domain)]);
    const { work, builder } = readingOf(protobufField(1, site), "cn");
    expect(slicesOf(work)).toBe(4);
    expect(builder.count).toBe(3 * SLICE_ENTRIES);
  });
});

/** An entry of a category: a name and everything below it. */
function domain(name: string): Buffer {
  return protobufField(2, Buffer.concat([Buffer.from([8, 2]), protobufField(2, Buffer.from(name))]));
}

describe("while a large list is read", () => {
  test("other work gets its turns", async () => {
    // From memory: while a file is read the loop turns as it likes.
    const copies = { read: () => Promise.resolve({ bytes: text, sha256: "", fetchedWallMs: 0 }) };
    const loading = loadLists([downloadedList], copies);
    // Some milliseconds each, of a time that is much longer on every machine.
    expect(await turnsDuring(loading)).toBeGreaterThan(20);
    const set = (await loading).domains("list");
    expect(set?.size).toBe(COUNT);
    const { work, builder } = readingOf(text);
    runSync(work);
    const asked = nameFromText("www.n199999.example");
    if (asked === null) throw new Error("no name");
    expect(set?.match(asked)).toEqual(builder.build().match(asked));
    expect([...(set?.names() ?? [])].map(nameText)).toEqual(lines);
  });

  test("queries at a reload are answered by the old list until the new one is in use", async () => {
    const yaml = (path: string) => `lists: { ads: { domains: [${path}] } }
rules: [{ name: ads, domains: "list:ads", answer: zero }]
`;
    const site = await siteWith({
      yaml: yaml(file("small.txt", ["other.example"])),
      upstreams: { main: honest("n0.example A 192.0.2.7") },
    });
    expect(await site.ask("n0.example")).toMatchObject({ answers: ["192.0.2.7"] });
    let isReloaded = false;
    const reload = site.reload(yaml(file("large.txt", lines))).then(() => {
      isReloaded = true;
    });
    const before: unknown[] = [];
    while (!isReloaded) before.push((await site.ask("n0.example")).answers);
    await reload;
    expect(await site.ask("n0.example")).toMatchObject({ answers: ["0.0.0.0"] });
    expect(before.length).toBeGreaterThan(20);
    // The last may have been asked at the moment of the change.
    expect(before.slice(0, -1)).toEqual(before.slice(1).map(() => ["192.0.2.7"]));
  });
});
