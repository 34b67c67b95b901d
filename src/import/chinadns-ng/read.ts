import { existsSync } from "node:fs";
import { typeNumber } from "../../dns/types.ts";
import { readHostLines } from "../hosts.ts";
import { isAddress } from "../lists.ts";
import {
  ANYTHING,
  answered,
  compareOf,
  decide,
  domainList,
  type Findings,
  forNames,
  type Host,
  ImportError,
  type ListFile,
  type Meaning,
  type ModelRule,
  modify,
  NO_NETWORKS,
  namesIn,
  type Outcome,
  type Place,
} from "../model.ts";
import { askServers, hostPort, readServer, readServers } from "../servers.ts";
import { partsOf, pathBeside, readLines, type SourceLine } from "../source.ts";

/**
 * Reads a configuration of chinadns-ng. Groups come first, the last one declared before the others, then the list of foreign names, then that of domestic ones;
 * names of neither are asked of both sides. @throws ImportError
 */
export function readChinadnsNg(file: string, findings: Findings): Meaning {
  return new Reader(file, findings).read();
}

const SHORT: Readonly<Record<string, string>> = {
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

interface Line {
  readonly key: string;
  readonly value: string;
  readonly place: Place;
}

class Reader {
  readonly #lines: readonly Line[];
  readonly #file: string;
  readonly #findings: Findings;

  constructor(file: string, findings: Findings) {
    this.#file = file;
    this.#findings = findings;
    this.#lines = readLines(file, { file, line: 1 }).map(({ text, ...place }) => {
      const [, word = "", value = ""] = /^-{0,2}(\S+)\s*(.*)$/.exec(text) ?? [];
      return { key: SHORT[word] ?? word, value, place };
    });
  }

  read(): Meaning {
    const place = { file: this.#file, line: 1 };
    const near = this.#side("china-dns", "china", "223.5.5.5", place);
    const far = this.#side("trust-dns", "trust", "8.8.8.8", place);
    const gfw = this.#listed("gfw", far);
    const china = this.#listed("chn", near);
    const split = this.#has("chnlist-first") ? [...china, ...gfw] : [...gfw, ...china];
    for (const { key, place: at } of this.#lines)
      if (
        !QUIET.test(key) &&
        !["china-dns", "trust-dns", "gfwlist-file", "chnlist-file", "no-ipv6", "filter-qtype", "noip-as-chnip"].includes(key)
      )
        this.#findings.add("left", at, `\`${key}\`: nothing here corresponds to it`);
    // `65353@udp` listens over UDP alone.
    const port = (this.#value("bind-port")?.value ?? "65353").replace(/@.*$/, "");
    const address = this.#value("bind-addr")?.value ?? "127.0.0.1";
    return {
      origin: "chinadns-ng",
      file: this.#file,
      rules: [...this.#types(), ...this.#ipv6(), ...this.#groups(), ...split, this.#last(near, far, place)],
      hosts: this.#hosts(),
      bootstrap: [],
      poison: NO_NETWORKS,
      bogus: NO_NETWORKS,
      settings: {
        listen: {
          dns: address.split(",").map((each) => hostPort(each, port)),
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

  /** The servers of a side, as all its lines name them. */
  #side(key: string, name: string, standard: string, place: Place): Outcome {
    const lines = this.#lines.filter((line) => line.key === key).flatMap(({ value, place: at }) => partsOf(value, at));
    return this.#askGroup(lines.length === 0 ? [{ text: standard, ...place }] : lines, name, lines[0] ?? place);
  }

  #askGroup(lines: readonly SourceLine[], name: string, place: Place): Outcome {
    const servers = readServers(lines, this.#findings, (text) => {
      // NAME@ADDRESS#PORT, where the name is that of the certificate.
      const [, scheme = "", tlsName = "", host = "", port = ""] =
        /^([a-z]+:\/\/)?(?:([^@/]+)@)?([^#/]+)(?:#(\d+))?/.exec(text.replace(/\?.*$/, "")) ?? [];
      const bracketed = host.includes(":") && scheme + port !== "" ? `[${host}]` : host;
      return readServer(`${scheme}${bracketed}${port === "" ? "" : `:${port}`}`, { tlsName });
    });
    return askServers(servers, name, place);
  }

  #list(path: string, tag: string, place: Place): ListFile {
    return domainList(pathBeside(this.#file, path), "plain", tag, place);
  }

  #listed(tag: "gfw" | "chn", outcome: Outcome): readonly ModelRule[] {
    const lists = this.#lists(tag);
    const [first] = lists;
    return first === undefined ? [] : [decide(forNames(namesIn(lists)), outcome, first.place, tag)];
  }

  #groups(): readonly ModelRule[] {
    const rules: ModelRule[] = [];
    let name = "";
    let lists: ListFile[] = [];
    let texts: SourceLine[] = [];
    const end = (place: Place) => {
      const outcome: Outcome = name === "null" ? answered("nodata", place) : this.#askGroup(texts, name, place);
      if (name !== "" && lists.length > 0) rules.unshift(decide(forNames(namesIn(lists)), outcome, place, name));
      lists = [];
      texts = [];
    };
    for (const { key, value, place } of this.#lines) {
      if (key === "group") {
        end(place);
        name = value;
      } else if (key === "group-dnl") lists.push(...partsOf(value, place).map(({ text }) => this.#list(text, name, place)));
      else if (key === "group-upstream") texts.push(...partsOf(value, place));
      else if (key === "group-ipset") this.#findings.add("left", place, "`group-ipset`: nothing here corresponds to it");
    }
    end(this.#lines.at(-1)?.place ?? { file: this.#file, line: 1 });
    return rules;
  }

  #types(): readonly ModelRule[] {
    return this.#lines.flatMap(({ key, value, place }): ModelRule[] => {
      const types = key === "filter-qtype" ? value.split(",").flatMap((type) => typeNumber(type.trim()) ?? []) : [];
      return types.length === 0 ? [] : [decide({ ...ANYTHING, types }, answered("nodata", place), place)];
    });
  }

  #ipv6(): readonly ModelRule[] {
    return this.#lines.flatMap(({ key, value, place }): ModelRule[] => {
      if (key !== "no-ipv6") return [];
      const tags = value.split(",").filter((tag) => tag !== "");
      if (tags.some((tag) => tag.includes("ip:") || !["gfw", "chn"].includes(tag.replace(/^tag:/, "")))) {
        this.#findings.add(
          "changed",
          place,
          `\`no-ipv6 ${value}\`: by address, or of names that no list knows, AAAA is not emptied`,
        );
        return [];
      }
      const lists = tags.flatMap((tag) => this.#lists(tag.replace(/^tag:/, "")));
      // A name has the tag of the first that holds it.
      const isFirst = (tag: string) => (tag === "chn") === this.#has("chnlist-first");
      const inner = ["gfw", "chn"].filter((tag) => isFirst(tag) && !tags.includes(`tag:${tag}`) && !tags.includes(tag));
      const before = [...this.#groupLists(), ...inner.flatMap((tag) => this.#lists(tag))];
      const condition = tags.length === 0 ? ANYTHING : forNames(namesIn(lists), namesIn(before));
      // So has one of no list, where it is the tag of those.
      const { value: rest = "none" } = this.#value("default-tag") ?? {};
      const unlisted = namesIn([...this.#groupLists(), ...this.#lists("gfw"), ...this.#lists("chn")]);
      const isOfRest = tags.some((tag) => tag.replace(/^tag:/, "") === rest);
      const conditions = [
        ...(tags.length > 0 && lists.length === 0 ? [] : [condition]),
        ...(isOfRest ? [{ ...ANYTHING, except: unlisted }] : []),
      ];
      return conditions.map((each) => modify(each, { ipv6: "nodata" }, place));
    });
  }

  #groupLists(): readonly ListFile[] {
    let group = "";
    return this.#lines.flatMap(({ key, value, place }) => {
      if (key === "group") group = value;
      return key === "group-dnl" ? partsOf(value, place).map(({ text }) => this.#list(text, group, place)) : [];
    });
  }

  #lists(tag: string): readonly ListFile[] {
    const key = tag === "gfw" ? "gfwlist-file" : "chnlist-file";
    return this.#lines
      .filter((line) => line.key === key)
      .flatMap(({ value, place }) => partsOf(value, place).map(({ text }) => this.#list(text, tag, place)));
  }

  /** Names of no list. */
  #last(near: Outcome, far: Outcome, place: Place): ModelRule {
    const tag = this.#value("default-tag");
    const rest = (outcome: Outcome, at: Place): ModelRule => decide(ANYTHING, outcome, at, "others");
    if (tag !== undefined && ["chn", "gfw"].includes(tag.value)) return rest(tag.value === "chn" ? near : far, tag.place);
    if (tag !== undefined && tag.value !== "none")
      throw new ImportError(tag.place, `the tag \`${tag.value}\` of names that no list knows is not followed`);
    if (near.kind !== "ask" || far.kind !== "ask") return rest(near.kind === "ask" ? far : near, place);
    const written = this.#value("ipset-name4");
    const shown = (written?.value ?? "chnroute").replace(/[,\s].*$/, "");
    // The program asks the kernel's set. The scripts that come with the program fill it from a file of the name of the set.
    const paths = ["txt", "ipset", "nftset"].map((ending) => pathBeside(this.#file, `${shown.replace(/^.*@/, "")}.${ending}`));
    const found = paths.find((each) => existsSync(each));
    const path = found ?? pathBeside(this.#file, "chnroute.txt");
    const at = written?.place ?? place;
    this.#findings.add(
      "changed",
      at,
      `the set \`${shown}\` is one of the kernel: its addresses are read from ${path}${found === undefined ? "; put the file there that fills it" : ""}`,
    );
    if (this.#has("noip-as-chnip"))
      this.#findings.add(
        "changed",
        this.#value("noip-as-chnip")?.place ?? at,
        "an empty answer of `china` counted; here `trust` decides",
      );
    const list: ListFile = { path, category: null, kind: "addresses", tag: "chnroute", place: at, reloads: true };
    return rest(compareOf(near, far, list, at), at);
  }

  #hosts(): readonly Host[] {
    return this.#lines.flatMap(({ key, value, place }): readonly Host[] => {
      if (key !== "hosts" || value === "") return [];
      return readHostLines(pathBeside(this.#file, value), place, isAddress);
    });
  }
}
