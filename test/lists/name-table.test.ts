import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { labelsOf, type Name, nameOfLabels, nameText, parentOf, ROOT } from "../../src/dns/name.ts";
import { runSync } from "../../src/lib/cooperative.ts";
import type { NameKind, NameTable } from "../../src/lists/name-table.ts";
import { buildNameTable, NameCollector } from "../../src/lists/name-table-build.ts";
import { runs } from "../support/properties.ts";

interface Entry {
  readonly kind: NameKind;
  readonly name: Name;
}

function nameOf(...labels: readonly string[]): Name {
  const name = nameOfLabels(labels);
  if (name === null) throw new Error(`${labels.join(".")} is no name`);
  return name;
}

/** The line of an entry is its place. */
function tableOf(entries: readonly Entry[]): NameTable {
  const collector = new NameCollector();
  for (const [line, { kind, name }] of entries.entries()) collector.addName(name, kind, line);
  return runSync(buildNameTable(collector));
}

function found(table: NameTable, asked: Name): (Entry & { readonly line: number }) | null {
  const entry = table.find(asked);
  return entry < 0 ? null : { kind: table.kindOf(entry), name: table.nameOf(entry), line: table.lineOf(entry) };
}

function isBelow(asked: Name, name: Name): boolean {
  const [labels, suffix] = [labelsOf(asked), labelsOf(name)];
  return labels.length > suffix.length && labels.slice(labels.length - suffix.length).every((label, at) => label === suffix[at]);
}

/** The expected result, found by looking at every entry. */
function scan(entries: readonly Entry[], asked: Name): (Entry & { readonly line: number }) | null {
  let best: (Entry & { readonly line: number }) | null = null;
  for (const [line, entry] of entries.entries()) {
    const isSame = entry.name === asked;
    const fits = (entry.kind !== "below" && isSame) || (entry.kind !== "full" && isBelow(asked, entry.name));
    if (!fits) continue;
    const isBetter =
      best === null ||
      entry.name.length > best.name.length ||
      (entry.name === best.name && entry.kind === "full" && best.kind !== "full");
    if (isBetter) best = { ...entry, line };
  }
  return best;
}

// Few labels, some with bytes that no text has, so that names and entries meet often or differ in one label alone.
const label = fc.constantFrom("a", "b", "ab", "ba", "com", "x-1", "*", ".", "\0", "\xff", "a".repeat(63));
const name = fc.array(label, { maxLength: 6 }).map((labels) => nameOfLabels(labels) ?? ROOT);
const kind = fc.constantFrom<NameKind>("suffix", "full", "below");

describe("a table of names", () => {
  test("finds as a scan of every entry does, for 10,000 names", () => {
    const entries = fc.array(fc.record({ kind, name }), { maxLength: 60 });
    fc.assert(
      fc.property(entries, fc.array(name, { minLength: 20, maxLength: 20 }), (all, asked) => {
        const table = tableOf(all);
        for (const one of [...asked, ...all.map((entry) => entry.name)]) expect(found(table, one)).toEqual(scan(all, one));
      }),
      { numRuns: runs(500) },
    );
  });

  test("finds as a map of the entries does with full buckets, for names that differ in one label", () => {
    const count = 30_000;
    const labels = (index: number) => [`n${index}`, `z${index % 397}`, "test"];
    const table = tableOf(Array.from({ length: count }, (_, index) => ({ kind: "suffix", name: nameOf(...labels(index)) })));
    expect(table.size).toBe(count);
    for (let index = 0; index < count; index++) {
      const [first = "", second = "", top = ""] = labels(index);
      expect(found(table, nameOf("www", first, second, top))?.line).toBe(index);
      for (const other of [
        [first, `z${(index + 1) % 397}`, top],
        [`m${index}`, second, top],
        [first, second, "tesu"],
        [`${first}.${second}`, top],
        [second, top],
      ]) {
        if (table.find(nameOf(...other)) >= 0) throw new Error(`${other.join(" ")} is not listed`);
      }
    }
  });

  test("holds names with as many labels as possible, one below another", () => {
    const deep = (count: number) => nameOf(...Array<string>(count).fill("a"));
    const table = tableOf([1, 64, 126].map((count) => ({ kind: "suffix", name: deep(count) })));
    expect([127, 126, 125, 64, 63, 1].map((count) => found(table, deep(count))?.line)).toEqual([2, 2, 1, 1, 0, 0]);
    const [longest, other] = ["c", "d"].map((last) => nameOf(..."wxyz".split("").map((byte) => byte.repeat(61)), "bb", last));
    expect(longest).toHaveLength(254);
    if (longest === undefined || other === undefined) throw new Error("no names");
    expect([longest, other].map((asked) => tableOf([{ kind: "full", name: longest }]).find(asked) >= 0)).toEqual([true, false]);
  });

  test("an entry for the root matches every name, the root alone, or every name but the root, by its kind", () => {
    const asked = [ROOT, nameOf("com"), nameOf("www", "example", "com")];
    const held = (kinds: readonly NameKind[]) => {
      const table = tableOf(kinds.map((one) => ({ kind: one, name: ROOT })));
      return asked.map((one) => found(table, one)?.kind ?? null);
    };
    expect(held(["suffix"])).toEqual(["suffix", "suffix", "suffix"]);
    expect(held(["full"])).toEqual(["full", null, null]);
    expect(held(["below"])).toEqual([null, "below", "below"]);
    expect(held(["suffix", "below", "full"])).toEqual(["full", "suffix", "suffix"]);
    expect(held([])).toEqual([null, null, null]);
  });

  test("stores the first of equal entries", () => {
    const twice = Array.from(
      { length: 10_000 },
      (_, index) => ({ kind: "suffix", name: nameOf(`n${index % 10}`, "test") }) as const,
    );
    const table = tableOf([...twice, { kind: "full", name: nameOf("n3", "test") }]);
    expect(table.size).toBe(11);
    expect(found(table, nameOf("a", "n3", "test"))).toEqual({ kind: "suffix", name: nameOf("n3", "test"), line: 3 });
    expect(found(table, nameOf("n3", "test"))).toEqual({ kind: "full", name: nameOf("n3", "test"), line: 10_000 });
  });

  test("tells for every name whether there are entries below it", () => {
    fc.assert(
      fc.property(fc.array(fc.record({ kind, name }), { maxLength: 40 }), fc.array(name), (all, asked) => {
        const table = tableOf(all);
        for (const one of [ROOT, ...asked, ...all.flatMap((entry) => [entry.name, parentOf(entry.name)])]) {
          const isReached = all.some((entry) => isBelow(entry.name, one) || (entry.kind === "below" && entry.name === one));
          expect(table.reachesBelow(one)).toBe(isReached);
        }
      }),
      { numRuns: runs(500) },
    );
  });

  test("tells so for a name above many entries that share few labels", () => {
    const parents = 20_000;
    const parent = (index: number) => nameOf(`p${index % parents}`, "test");
    const below = (label: string, index: number) => ({ kind: "full", name: `\x01${label}${parent(index)}` as Name }) as const;
    const table = tableOf(Array.from({ length: 2 * parents }, (_, index) => below(index < parents ? "a" : "b", index)));
    const missed = Array.from({ length: parents }, (_, index) => index).filter(
      (index) => !table.reachesBelow(parent(index)) || table.reachesBelow(below("a", index).name),
    );
    expect(missed).toEqual([]);
  });

  test("may wrongly tell that there are entries below if the names above would take more memory than the entries", () => {
    const listed = Array.from({ length: 200 }, (_, index) =>
      nameOf(...Array.from({ length: 50 }, (_, at) => (index * 50 + at).toString(36)), "test"),
    );
    const table = tableOf(listed.map((one) => ({ kind: "suffix", name: one })));
    const unreached = listed.filter((one) => {
      for (let above = parentOf(one); above !== ROOT; above = parentOf(above)) if (!table.reachesBelow(above)) return true;
      return !table.reachesBelow(ROOT);
    });
    expect(unreached).toEqual([]);
  });

  test("lists its entries in the order of reading", () => {
    fc.assert(
      fc.property(fc.array(fc.record({ kind, name }), { maxLength: 100 }), (all) => {
        const table = tableOf(all);
        const text = (one: Entry) => `${one.kind} ${nameText(one.name)}`;
        const listed = [...table.entries()];
        const named = listed.map((entry) => text({ kind: table.kindOf(entry), name: table.nameOf(entry) }));
        expect(named).toEqual([...new Set(all.map(text))]);
        expect(listed.map((entry) => all[table.numberOf(entry)]).map((one) => one && text(one))).toEqual(named);
        expect(listed).toHaveLength(table.size);
      }),
    );
  });
});
