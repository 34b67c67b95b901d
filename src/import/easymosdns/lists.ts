import { accessSync, constants, statSync } from "node:fs";
import { parseDomainPattern } from "../../config/values.ts";
import { parsePattern } from "../../lists/patterns.ts";
import { type Bundle, childOf, itemsOf, pathIn, type Tree, textOf } from "./bundle.ts";
import type { DraftList } from "./draft.ts";
import type { FindingPlace, Findings } from "./findings.ts";
import { ownName } from "./groups.ts";

type Kind = "domains" | "addresses";

/** How often a file is looked at again that the bundle wants reloaded on change. */
const REFRESH = "1h";

interface MadeList {
  readonly name: string;
  readonly kind: Kind;
  readonly source: string;
  readonly refresh: boolean;
  readonly place: FindingPlace;
}

/** Turns what matchers name into lists, where a file is read in place, and patterns. */
export class ImportLists {
  readonly #bundle: Bundle;
  readonly #findings: Findings;
  readonly #relative: (path: string) => string;
  readonly #made = new Map<string, MadeList>();

  /** @param relative a path as the new file names it. */
  constructor(bundle: Bundle, findings: Findings, relative: (path: string) => string) {
    this.#bundle = bundle;
    this.#findings = findings;
    this.#relative = relative;
  }

  get all(): ReadonlyMap<string, DraftList> {
    return new Map(
      [...this.#made.values()].map(({ name, kind, source, refresh }) => [
        name,
        { [kind]: [source], ...(refresh ? { refresh: REFRESH } : {}) },
      ]),
    );
  }

  /** @param used the names of the lists that rules go by. */
  report(used: ReadonlySet<string>, findings: Findings): void {
    for (const { name, source, place } of this.#made.values())
      if (used.has(name)) findings.carried(place, `${source} is the list \`${name}\`, read where it lies`);
      else findings.left(place, `the list \`${name}\` (${source}): no rule goes by it`);
  }

  /** The patterns that stand for `items` of a matcher: `provider:TAG[:categories]`, `ext:FILE:categories`, `$set`, a path after `&`, or a pattern. */
  domains(items: readonly Tree[]): readonly string[] {
    return items.flatMap((item) => this.#entry(item, "domains"));
  }

  /** As `domains`, of addresses; gives `list:NAME` only. */
  addresses(items: readonly Tree[]): readonly string[] {
    return items.flatMap((item) => this.#entry(item, "addresses")).filter((entry) => entry.startsWith("list:"));
  }

  #entry(item: Tree, kind: Kind, depth = 0): readonly string[] {
    const written = textOf(item).trim();
    const { place } = item;
    if (written.startsWith("$")) return this.#set(written.slice(1), kind, { place, depth });
    const [, tag, categories] = /^provider:([^:]+)(?::(.*))?$/.exec(written) ?? [];
    if (tag !== undefined) {
      const provider = this.#bundle.providers.get(tag);
      if (provider !== undefined)
        return this.#file({ path: provider.path, tag, kind, reloads: provider.reloads, place: provider.place }, categories);
      this.#findings.left(place, `\`${written}\`: there is no such data provider`);
      return [];
    }
    const [, file, extCategories] = /^(?:ext:|&)(.+?)(?::([^:/\\]*))?$/.exec(written) ?? [];
    if (file !== undefined) return this.#path(file, kind, { place, categories: extCategories });
    return kind === "domains" ? this.#pattern(written, place) : this.#unlisted(written, place);
  }

  #set(tag: string, kind: Kind, { place, depth }: { readonly place: FindingPlace; readonly depth: number }): readonly string[] {
    const plugin = this.#bundle.plugins.get(tag);
    const isSet = plugin?.type === "domain_set" || plugin?.type === "ip_set";
    if (plugin === undefined || !isSet || depth > 8) {
      this.#findings.left(place, `\`$${tag}\`: there is no such set`);
      return [];
    }
    const { args } = plugin;
    const inline = [...itemsOf(childOf(args, "exps")), ...itemsOf(childOf(args, "ips"))];
    return [
      ...itemsOf(childOf(args, "files")).flatMap((file) =>
        this.#path(textOf(file), kind, { place: file.place, categories: undefined, tag }),
      ),
      ...inline.flatMap((item) => this.#entry(item, kind, depth + 1)),
      ...itemsOf(childOf(args, "sets")).flatMap((set) => this.#set(textOf(set), kind, { place: set.place, depth: depth + 1 })),
    ];
  }

  #path(
    written: string,
    kind: Kind,
    { place, categories, tag }: { readonly place: FindingPlace; readonly categories: string | undefined; readonly tag?: string },
  ): readonly string[] {
    const path = pathIn(this.#bundle.directory, written);
    const stem = written.replace(/^.*[/\\]|\.[^.]*$/g, "").replace(/_list$/, "");
    return this.#file({ path, tag: tag ?? stem, kind, reloads: false, place }, categories);
  }

  #file(
    { path, tag, kind, reloads, place }: { path: string; tag: string; kind: Kind; reloads: boolean; place: FindingPlace },
    categories: string | undefined,
  ): readonly string[] {
    if (!isReadableFile(path)) {
      this.#findings.left(place, `the list \`${tag}\`: ${path} cannot be read; what hangs on it is left out`);
      return [];
    }
    if (categories === undefined && /\.dat$/i.test(path)) {
      this.#findings.left(place, `the list \`${tag}\`: which category of ${path} is meant is not said`);
      return [];
    }
    if (path.includes("#")) {
      this.#findings.left(place, `the list \`${tag}\`: a path cannot hold \`#\``);
      return [];
    }
    const codes = categories === undefined ? [null] : categories.split(",").filter((code) => /^[^#\s]+$/.test(code));
    return codes.map((code) => {
      const source = code === null ? this.#relative(path) : `${this.#relative(path)}#${code}`;
      return `list:${this.#listOf(source, { wanted: code === null ? tag : `${tag}-${code}`, kind, reloads, place })}`;
    });
  }

  #listOf(
    source: string,
    { wanted, kind, reloads, place }: { wanted: string; kind: Kind; reloads: boolean; place: FindingPlace },
  ): string {
    const identity = JSON.stringify([kind, source]);
    const made = this.#made.get(identity);
    if (made !== undefined) return made.name;
    const taken = new Set([...this.#made.values()].map(({ name }) => name));
    const plain = ownName(wanted);
    let name = plain;
    for (let count = 2; taken.has(name); count++) name = `${plain.slice(0, 58)}-${count}`;
    this.#made.set(identity, { name, kind, source, refresh: reloads, place });
    return name;
  }

  #pattern(written: string, place: FindingPlace): readonly string[] {
    const pattern = written.replace(/^domain:/, "");
    const parsed = parseDomainPattern(pattern);
    const read = parsePattern(pattern);
    if ("value" in parsed && read.kind !== "bad" && !/^[!]|^list:/.test(pattern)) return [pattern];
    this.#findings.left(
      place,
      `the pattern \`${written}\`: ${"value" in parsed ? (read.kind === "bad" ? read.reason : "it is none here") : parsed.wrong}`,
    );
    return [];
  }

  #unlisted(written: string, place: FindingPlace): readonly string[] {
    this.#findings.left(place, `the address \`${written}\` of a matcher: only lists of addresses are compared`);
    return [];
  }
}

export function isReadableFile(path: string): boolean {
  try {
    if (!statSync(path).isFile()) return false;
    accessSync(path, constants.R_OK);
    return true;
  } catch {
    return false;
  }
}
