import { existsSync } from "node:fs";
import { typeNumber } from "../../dns/types.ts";
import { hostWith, joinHosts, NO_HOSTS_FILE, readHostLines } from "../hosts.ts";
import { hostName, ImportLists, isAddress } from "../lists.ts";
import {
  ANYTHING,
  answered,
  compareOf,
  decide,
  domainList,
  type Finding,
  type Findings,
  forNames,
  type Host,
  ImportError,
  type ListFile,
  listKey,
  longest,
  type Meaning,
  type ModelRule,
  modify,
  NO_NETWORKS,
  namesIn,
  namesOf,
  type Outcome,
  type Place,
  type RuleCondition,
} from "../model.ts";
import { askServers, hostPort, readServer, readServers } from "../servers.ts";
import { partsOf, pathBeside, readLines, type SourceLine } from "../source.ts";

/**
 * Reads a configuration of chinadns-ng. The longest name in any of its lists decides; of a name in several lists groups come first, the last one declared before
 * the others, then the list of foreign names, then that of domestic ones. Names of no list are asked of both sides. @throws ImportError
 */
export function readChinadnsNg(file: string, findings: Findings): Meaning {
  return new Reader(file, findings).read();
}

const SHORT: Readonly<Record<string, string>> = {
  C: "config",
  c: "china-dns",
  t: "trust-dns",
  g: "gfwlist-file",
  m: "chnlist-file",
  M: "chnlist-first",
  d: "default-tag",
  b: "bind-addr",
  l: "bind-port",
  n: "noip-as-chnip",
  N: "no-ipv6",
  "4": "ipset-name4",
  "6": "ipset-name6",
};
const QUIET =
  /^(verbose|reuse-port|timeout-sec|repeat-times|cache.*|verdict-cache.*|dns-rr.*|cert-verify|ca-certs|no-ipset-blacklist|bind-addr|bind-port|chnlist-first|default-tag|ipset-name[46]|hosts|group-.*|group)$/;

/** The group whose names are answered with NODATA. */
const NULL = "null";

const MAX_DEPTH = 10;

/** Names that are written one by one. */
const MAX_INNER = 200;

/** The names of a tag, and what becomes of them. */
interface Tagged {
  readonly tag: string;
  readonly lists: readonly ListFile[];
  readonly outcome: Outcome;
  readonly place: Place;
}

interface Line {
  readonly key: string;
  readonly value: string;
  readonly place: Place;
}

class Reader {
  readonly #lines: readonly Line[];
  readonly #file: string;
  readonly #findings: Findings;
  readonly #read = new ImportLists();

  constructor(file: string, findings: Findings) {
    this.#file = file;
    this.#findings = findings;
    this.#lines = this.#linesOf(file, { file, line: 1 }, 0);
  }

  /** The lines of a file, and of those that it includes. */
  #linesOf(path: string, from: Place, depth: number): readonly Line[] {
    if (depth > MAX_DEPTH) throw new ImportError(from, "the files include each other in a circle, or too deep");
    return readLines(path, from).flatMap(({ text, ...place }) => {
      const [, word = "", value = ""] = /^-{0,2}(\S+)\s*(.*)$/.exec(text) ?? [];
      const key = SHORT[word] ?? word;
      return key === "config" ? this.#linesOf(pathBeside(this.#file, value), place, depth + 1) : [{ key, value, place }];
    });
  }

  read(): Meaning {
    const place = { file: this.#file, line: 1 };
    const near = this.#side("china-dns", "china", "114.114.114.114", place);
    const far = this.#side("trust-dns", "trust", "8.8.8.8", place);
    const tagged = this.#tagged(near, far, place);
    for (const { key, place: at } of this.#lines)
      if (
        !QUIET.test(key) &&
        !["china-dns", "trust-dns", "gfwlist-file", "chnlist-file", "no-ipv6", "filter-qtype", "noip-as-chnip"].includes(key)
      )
        this.#findings.add("left", at, `\`${key}\`: nothing here corresponds to it`);
    // `65353@udp` listens over UDP alone.
    const ports = this.#all("bind-port", "65353").map((port) => port.replace(/@.*$/, ""));
    const addresses = this.#all("bind-addr", "127.0.0.1");
    return {
      origin: "chinadns-ng",
      file: this.#file,
      rules: [
        ...this.#types(),
        ...this.#ipv6(tagged),
        ...this.#emptied(tagged),
        ...longest(
          tagged.flatMap(({ tag, lists, ...each }) => (tag === NULL ? [] : { ...each, names: namesIn(lists) })),
          "split",
        ),
        this.#last(near, far, place),
      ],
      hosts: this.#hosts(),
      bootstrap: [],
      poison: NO_NETWORKS,
      bogus: NO_NETWORKS,
      settings: {
        listen: {
          dns: addresses.flatMap((address) => ports.map((port) => hostPort(address, port))),
          http: [],
        },
      },
    };
  }

  #has(key: string): boolean {
    return this.#lines.some((line) => line.key === key);
  }

  #value(key: string): Line | undefined {
    return this.#lines.findLast((line) => line.key === key);
  }

  #all(key: string, standard: string): readonly string[] {
    const written = this.#lines.filter((line) => line.key === key).map(({ value }) => value);
    return written.length === 0 ? [standard] : [...new Set(written)];
  }

  /** The servers of a side, as all its lines name them. */
  #side(key: string, name: string, standard: string, place: Place): Outcome {
    const lines = this.#lines.filter((line) => line.key === key).flatMap(({ value, place: at }) => partsOf(value, at));
    return this.#askGroup(lines.length === 0 ? [{ text: standard, ...place }] : lines, name, lines[0] ?? place);
  }

  #askGroup(lines: readonly SourceLine[], name: string, place: Place): Outcome {
    const reasons: string[] = [];
    const read = (text: string) => {
      // NAME@ADDRESS#PORT, where the name is that of the certificate.
      const [, scheme = "", tlsName = "", host = "", port = ""] =
        /^([a-z]+:\/\/)?(?:([^@/]+)@)?([^#/]+)(?:#(\d+))?/.exec(text.replace(/\?.*$/, "")) ?? [];
      const bracketed = host.includes(":") && scheme + port !== "" ? `[${host}]` : host;
      return readServer(`${scheme}${bracketed}${port === "" ? "" : `:${port}`}`, { tlsName });
    };
    return askServers(readServers(lines, this.#findings, read, reasons), name, place, {}, reasons);
  }

  #list({ text, ...place }: SourceLine, tag: string): ListFile {
    return { ...domainList(pathBeside(this.#file, text), "plain", tag, place), starsMatchNothing: true, bareNames: true };
  }

  /** All tags, the first that has a name before the others. */
  #tagged(near: Outcome, far: Outcome, place: Place): readonly Tagged[] {
    const sideOf = (tag: "gfw" | "chn", outcome: Outcome): Tagged => {
      const lists = this.#lines
        .filter(({ key }) => key === `${tag}list-file`)
        .flatMap(({ value, place: at }) => partsOf(value, at).map((part) => this.#list(part, tag)));
      return { tag, lists, outcome, place: lists[0]?.place ?? place };
    };
    const sides = [sideOf("gfw", far), sideOf("chn", near)];
    const all = [...this.#groups(), ...(this.#has("chnlist-first") ? sides.toReversed() : sides)];
    // Of a file with several tags the first has it.
    const taken = new Set<string>();
    return all
      .map((each) => ({ ...each, lists: each.lists.filter((list) => !taken.has(listKey(list)) && taken.add(listKey(list))) }))
      .filter(({ lists }) => lists.length > 0);
  }

  /** What the lines of each group name. */
  #groupParts(): ReadonlyMap<string, { readonly lists: readonly ListFile[]; readonly servers: readonly SourceLine[] }> {
    const groups = new Map<string, { readonly lists: ListFile[]; readonly servers: SourceLine[] }>();
    let name = "";
    for (const { key, value, place } of this.#lines) {
      if (key === "group") name = value;
      else if (name === "" && key.startsWith("group-"))
        throw new ImportError(place, `\`${key}\` stands before any \`group\`: whose it is is not known`);
      const group = groups.get(name) ?? { lists: [], servers: [] };
      groups.set(name, group);
      if (key === "group-dnl") group.lists.push(...partsOf(value, place).map((part) => this.#list(part, name)));
      else if (key === "group-upstream") group.servers.push(...partsOf(value, place));
      else if (key === "group-ipset") this.#findings.add("left", place, "`group-ipset`: nothing here corresponds to it");
    }
    return groups;
  }

  #groups(): readonly Tagged[] {
    return [...this.#groupParts()]
      .flatMap(([tag, { lists, servers }]): readonly Tagged[] => {
        const [first] = lists;
        if (first === undefined) return [];
        const { place } = first;
        return [{ tag, lists, outcome: tag === NULL ? answered("nodata", place) : this.#askGroup(servers, tag, place), place }];
      })
      .reverse();
  }

  #types(): readonly ModelRule[] {
    return this.#lines.flatMap(({ key, value, place }): ModelRule[] => {
      const written = key === "filter-qtype" ? value.split(",").map((type) => type.trim()) : [];
      const types = written.flatMap((type) => typeNumber(type) ?? []);
      const strange = written.find((type) => typeNumber(type) === null);
      if (strange !== undefined) this.#findings.add("left", place, `\`${strange}\` of \`filter-qtype\` is no type`);
      return types.length === 0 ? [] : [decide({ ...ANYTHING, types }, answered("nodata", place), place)];
    });
  }

  #ipv6(tagged: readonly Tagged[]): readonly ModelRule[] {
    return this.#lines.flatMap(({ key, value, place }): ModelRule[] => {
      if (key !== "no-ipv6") return [];
      const written = value.split(",").flatMap((tag) => (tag.trim() === "" ? [] : tag.trim()));
      if (written.length === 0) return [modify(ANYTHING, { ipv6: "nodata" }, place)];
      // `tag:gfw@ip:china` and the like.
      const byAddress = written.filter((tag) => tag.includes("ip:") && !tag.endsWith("@ip:*"));
      if (byAddress.length > 0)
        this.#findings.add("changed", place, `\`${byAddress.join(",")}\` of \`no-ipv6\`: by address AAAA is not emptied`);
      const tags = written.flatMap((tag) => (byAddress.includes(tag) ? [] : tag.replace(/^tag:|@ip:\*$/g, "")));
      if (tags.length === 0) return [];
      const names = this.#namesOf(tags, tagged, { place, kind: "changed", what: "AAAA is emptied" });
      const conditions = names === null ? [] : [names];
      // Names of no list have a tag too.
      const { value: rest = "none" } = this.#value("default-tag") ?? {};
      const isOfRest = tags.includes(rest);
      const unlisted = { ...ANYTHING, except: namesIn(tagged.flatMap((each) => each.lists)) };
      return [...conditions, ...(isOfRest ? [unlisted] : [])].map((each) => modify(each, { ipv6: "nodata" }, place));
    });
  }

  #emptied(tagged: readonly Tagged[]): readonly ModelRule[] {
    const place = tagged.find(({ tag }) => tag === NULL)?.place;
    if (place === undefined) return [];
    const names = this.#namesOf([NULL], tagged, { place, kind: "blank", what: "every type is emptied" });
    return names === null ? [] : [decide(names, answered("nodata", place), place, NULL)];
  }

  /**
   * The names of these tags. A condition on lists has no word for the longest: names of other tags that lie in theirs are written out as the lists hold them
   * now. @returns null where there are none.
   */
  #namesOf(
    tags: readonly string[],
    tagged: readonly Tagged[],
    { place, kind, what }: { readonly place: Place; readonly kind: Finding["kind"]; readonly what: string },
  ): RuleCondition | null {
    const outer = tagged.flatMap((each, index) => (tags.includes(each.tag) ? [{ ...each, index }] : []));
    if (outer.length === 0) return null;
    const inner = tagged.flatMap(({ tag, lists }, index) =>
      tags.includes(tag) ? [] : outer.flatMap((each) => this.#read.longerNames(lists, each.lists, index < each.index)),
    );
    const names = namesIn(outer.flatMap(({ lists }) => lists));
    const [example] = inner;
    if (example === undefined) return forNames(names);
    const isWritten = inner.length <= MAX_INNER;
    this.#findings.add(
      isWritten ? "changed" : kind,
      place,
      `${inner.length === 1 ? `${example} of another list lies` : `${inner.length} names of other lists, such as ${example}, lie`} in shorter names of ${tags.map((tag) => `\`${tag}\``).join(" and ")}, and the longer counts there: ${
        isWritten ? "they are written out as the lists are now" : `here ${what} for them too`
      }`,
    );
    return forNames(names, isWritten ? namesOf([...new Set(inner)]) : undefined);
  }

  /** Names of no list. */
  #last(near: Outcome, far: Outcome, place: Place): ModelRule {
    const tag = this.#value("default-tag");
    const rest = (outcome: Outcome, at: Place): ModelRule => decide(ANYTHING, outcome, at, "others");
    if (tag !== undefined && ["chn", "gfw"].includes(tag.value)) return rest(tag.value === "chn" ? near : far, tag.place);
    if (tag !== undefined && tag.value === NULL) return rest(answered("nodata", tag.place), tag.place);
    const group = tag === undefined ? undefined : this.#groupParts().get(tag.value);
    if (tag !== undefined && group !== undefined) return rest(this.#askGroup(group.servers, tag.value, tag.place), tag.place);
    if (tag !== undefined && tag.value !== "none")
      throw new ImportError(tag.place, `there is no group \`${tag.value}\`, which names that no list knows are to have`);
    if (near.kind !== "ask" || far.kind !== "ask") return rest(near.kind === "ask" ? far : near, place);
    const at = this.#value("ipset-name4")?.place ?? place;
    if (this.#has("noip-as-chnip"))
      this.#findings.add(
        "changed",
        this.#value("noip-as-chnip")?.place ?? at,
        "an empty answer of `china` counted; here `trust` decides",
      );
    const differs =
      "There the first address of an answer of `china` was enough, and was waited for until it came, which ends here with `compare.within`; of other types than A and AAAA the first answer of either side counted";
    return rest(compareOf(near, far, { lists: this.#home(at), place: at, differs }), at);
  }

  /**
   * The addresses of the country. The program asks sets of the kernel; the scripts that come with the program fill them from files of the names of the sets.
   * A file of IPv4 is demanded.
   */
  #home(place: Place): readonly ListFile[] {
    return (["4", "6"] as const).flatMap((family): readonly ListFile[] => {
      const written = this.#value(`ipset-name${family}`);
      const standard = family === "4" ? "chnroute" : "chnroute6";
      const shown = (written?.value ?? standard).replace(/[,\s].*$/, "");
      const paths = ["txt", "ipset", "nftset"].map((ending) => pathBeside(this.#file, `${shown.replace(/^.*@/, "")}.${ending}`));
      const found = paths.find((each) => existsSync(each));
      if (found === undefined && family === "6" && written === undefined) return [];
      const path = found ?? pathBeside(this.#file, `${standard}.txt`);
      const at = written?.place ?? place;
      this.#findings.add(
        "changed",
        at,
        `the set \`${shown}\` is one of the kernel: its addresses are read from ${path}${found === undefined ? "; put the file there that fills it" : ""}`,
      );
      if (found === undefined && family === "6") return [];
      return [{ path, category: null, kind: "addresses", tag: standard, place: at, reloads: true }];
    });
  }

  /** Names that are answered here: with an address of one family alone, AAAA or A is empty. */
  #hosts(): readonly Host[] {
    const hosts = this.#lines.flatMap(({ key, value, place }): readonly Host[] => {
      if (key === "dns-rr-ip") {
        const [names = "", addresses = ""] = value.split("=");
        const given = addresses.split(",").filter(isAddress);
        return names
          .split(",")
          .flatMap((name) => hostName(name) ?? [])
          .map((name) => hostWith(name, given, place));
      }
      if (key !== "hosts") return [];
      if (value !== "") return readHostLines(pathBeside(this.#file, value), place, isAddress);
      this.#findings.add("changed", place, NO_HOSTS_FILE);
      return [];
    });
    return joinHosts(hosts).map((host) => ({ ...host, closesFamily: true }));
  }
}
