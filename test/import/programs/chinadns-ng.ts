import fc from "fast-check";
import { answerOf, domainsOf, type Format, type Group, HOME, type Question, questionOf, type Ran, Rows } from "./program.ts";

/**
 * chinadns-ng: the longest name in any list decides; of one in several lists groups come first, the last one declared before the others, then one list and the
 * other. Names of no list are asked of both sides.
 */

const FILES = ["a.txt", "b.txt", "c.txt", "d.txt"] as const;
type File = (typeof FILES)[number];
/** Names of these are in several files, and below names of others. */
const LISTS: Readonly<Record<File, readonly string[]>> = {
  "a.txt": ["example.com", "one.net"],
  "b.txt": ["a.example.com", "two.net"],
  "c.txt": ["example.com", "three.net"],
  "d.txt": ["one.net", "b.a.example.com"],
};
const FOUR = "10.1.2.3";
const NAMES = ["example.com", "x.a.example.com", "b.a.example.com", "one.net", "y.two.net", "three.net", "w.org"];

interface Program {
  readonly gfw: readonly File[];
  readonly chn: readonly File[];
  readonly isChnFirst: boolean;
  readonly groups: readonly { readonly files: readonly File[]; readonly target: Group | "null" }[];
  readonly defaultTag: "chn" | "gfw" | "none" | null;
  readonly noIpv6: "" | "tag:gfw" | "tag:chn" | "tag:none" | "tag:g0" | null;
  readonly isTextEmpty: boolean;
  /** A name with an address of its own. */
  readonly host: string | null;
}

const files = fc.subarray([...FILES], { maxLength: 2 });

const program: fc.Arbitrary<Program> = fc.record({
  gfw: files,
  chn: files,
  isChnFirst: fc.boolean(),
  groups: fc.array(
    fc.record({
      files: fc.subarray([...FILES], { minLength: 1, maxLength: 1 }),
      target: fc.constantFrom<Group | "null">("third", "far", "null"),
    }),
    { maxLength: 2 },
  ),
  defaultTag: fc.constantFrom("chn", "gfw", "none", null, null),
  noIpv6: fc.constantFrom("", "tag:gfw", "tag:chn", "tag:none", "tag:g0", null, null),
  isTextEmpty: fc.boolean(),
  host: fc.option(fc.constantFrom(...NAMES)),
});

function isIn(of: readonly File[], domain: string): boolean {
  return of.some((file) => LISTS[file].includes(domain));
}

type Tag = number | "gfw" | "chn" | "none";

export const CHINADNS_NG: Format<Program> = {
  kind: "chinadns-ng",
  program,
  question: questionOf(NAMES, ["A", "AAAA", "TXT"], ["home", "foreign", "empty"]),
  make: (written, { servers, listen }) => {
    const { gfw, chn, isChnFirst, groups, defaultTag, noIpv6, isTextEmpty, host } = written;
    const rows = new Rows();
    const shown = (group: Group) => `${servers[group].address}#${servers[group].port}`;
    rows.add(`bind-addr ${listen.address}\nbind-port ${listen.port}`);
    rows.add(`china-dns ${shown("near")}\ntrust-dns ${shown("far")}`);
    const lines = new Map<string, number>();
    const add = (key: string, text: string) => lines.set(key, rows.add(text));
    if (gfw.length > 0) add("gfw", `gfwlist-file ${gfw.join(",")}`);
    if (chn.length > 0) add("chn", `chnlist-file ${chn.join(",")}`);
    if (isChnFirst) rows.add("chnlist-first");
    if (defaultTag !== null) rows.add(`default-tag ${defaultTag}`);
    // A group has to be there before.
    const isOfGroup = noIpv6 === "tag:g0";
    if (noIpv6 !== null && !isOfGroup) add("no-ipv6", `no-ipv6 ${noIpv6}`);
    if (isTextEmpty) add("filter-qtype", "filter-qtype 16");
    if (host !== null) add("host", `dns-rr-ip ${host},other.example=${FOUR}`);
    const sets = add("ipset", "ipset-name4 chnroute").get("ipset") ?? 0;
    for (const [index, { files: of, target }] of groups.entries()) {
      rows.add(`group ${target === "null" ? "null" : `g${index}`}`);
      add(`${index}`, `group-dnl ${of.join(",")}`);
      if (target !== "null") rows.add(`group-upstream ${shown(target)}`);
    }
    if (isOfGroup && groups[0] !== undefined && groups[0].target !== "null") add("no-ipv6", `no-ipv6 ${noIpv6}`);
    const order = isChnFirst ? (["chn", "gfw"] as const) : (["gfw", "chn"] as const);
    const holders: readonly (readonly [Tag, readonly File[]])[] = [
      ...groups.map(({ files: of }, index): [Tag, readonly File[]] => [index, of]).reverse(),
      ...order.map((tag): [Tag, readonly File[]] => [tag, tag === "gfw" ? gfw : chn]),
    ];
    const tagOf = (name: string): Tag => {
      for (const domain of domainsOf(name)) for (const [tag, of] of holders) if (isIn(of, domain)) return tag;
      return defaultTag ?? "none";
    };
    const run = (question: Question): Ran => {
      const { name, type, answers } = question;
      const tag = tagOf(name);
      const holding = holders.flatMap(([each, of]) => (domainsOf(name).some((domain) => isIn(of, domain)) ? `${each}` : []));
      const passed = new Set([sets, ...[...holding, "no-ipv6", "filter-qtype", "host"].flatMap((key) => lines.get(key) ?? [])]);
      const empty: Ran = { answers: ["!nodata"], asked: new Set(), lines: passed };
      const of = (group: Group): Ran => ({ answers: [answerOf(group, question)], asked: new Set([group]), lines: passed });
      if (type === "TXT" && isTextEmpty) return empty;
      const isNoIpv6 = noIpv6 === "" || noIpv6 === `tag:${typeof tag === "number" ? `g${tag}` : tag}`;
      if (type === "AAAA" && isNoIpv6) return empty;
      if (name === host && type !== "TXT") return type === "A" ? { ...empty, answers: [`=${FOUR}`] } : empty;
      if (typeof tag === "number") {
        const target = groups[tag]?.target ?? "null";
        return target === "null" ? empty : of(target);
      }
      if (tag !== "none") return of(tag === "chn" ? "near" : "far");
      // Of other types the first reply counts.
      const either: Group[] = type === "TXT" ? ["near", "far"] : answers.near === "home" ? ["near"] : ["far"];
      return { answers: either, asked: new Set<Group>(["near", "far"]), lines: passed };
    };
    const texts = Object.entries(LISTS).map(([file, names]) => [file, `${names.join("\n")}\n`]);
    return {
      files: { "chinadns-ng.conf": rows.text, ...Object.fromEntries(texts), "chnroute.txt": `${HOME.join("\n")}\n` },
      run,
    };
  },
};
