import type { ListOptions, ListSource } from "../lists/options.ts";
import type { ConfigReader } from "./reading.ts";
import { proxy, url } from "./server.ts";
import {
  key,
  mapOf,
  type Named,
  object,
  oneOrMany,
  oneOrMore,
  optional,
  type Parsed,
  type RawOf,
  refine,
  type Shape,
  text,
  withPlace,
} from "./shape.ts";
import { duration } from "./units.ts";
import { certificateFile, isReadable, parseOwnName, readableFile, reference } from "./values.ts";

const sourceText = text({
  expected: "a path or a URL",
  parse: parseSource,
  examples: ["rules/cn-domains.txt", "https://lists.example/ads.txt", "rules/geosite.dat#cn"],
});

/** A file, which must be readable now, or a URL, which is fetched later. */
const source = refine<ListSource, ListSource>(sourceText, (parsed, place, reader) => {
  if (parsed.kind === "url") return parsed;
  const path = reader.absolutePath(parsed.path);
  return isReadable(path, place, reader) ? { ...parsed, path } : undefined;
});

function parseSource(written: string): Parsed<ListSource> {
  const [, before = "", after] = /^(.*?)(?:#([^#]*))?$/s.exec(written) ?? [];
  const category = after ?? null;
  if (before === "") return { wrong: "an empty path", fix: "write the path of a file, or a URL" };
  if (category === "" || (category === null && /\.dat$/i.test(before)))
    return {
      wrong: `\`${written}\` holds many lists: which one is meant?`,
      fix: `write \`${before}#cn\`, or another category of the file`,
    };
  if (/\.mmdb$/i.test(before))
    return {
      wrong: `\`${written}\` is a MaxMind database, which is not read`,
      fix: "use a geoip .dat with the country after `#`, as in `geoip.dat#cn`, or a text with a network a line",
    };
  if (!/^[a-z][a-z0-9+.-]*:\/\//i.test(before)) return { value: { kind: "file", path: before, category } };
  const protocol = URL.parse(before)?.protocol;
  if (protocol === "https:" || protocol === "http:") return { value: { kind: "url", url: before, category } };
  return { wrong: `\`${written}\` is no URL that a list can be fetched from`, fix: "write a URL that begins with `https://`" };
}

const sha256 = text({
  expected: "64 hexadecimal digits",
  pattern: "^[0-9a-fA-F]{64}$",
  parse: (written): Parsed<string> =>
    /^[0-9a-f]{64}$/i.test(written)
      ? { value: written.toLowerCase() }
      : { wrong: "a SHA-256 has 64 hexadecimal digits", fix: "copy it from the output of `sha256sum`" },
});

const NO_SOURCE = "a list needs a file or URL";

const listShape = object("a map with `domains` or `addresses`", {
  domains: optional(
    withPlace(oneOrMore(withPlace(source), NO_SOURCE)),
    "A list of domains: files, URLs, or a .dat with #category.",
  ),
  addresses: optional(
    withPlace(oneOrMore(withPlace(source), NO_SOURCE)),
    "A list of addresses and networks, from the same kinds of source.",
  ),
  refresh: optional(duration("1m", "24d"), "How often the sources are read again; by default never."),
  via: optional(withPlace(reference), "Upstream group that looks up the hosts of the URLs."),
  proxy: optional(proxy, "SOCKS5 or HTTP proxy for downloads."),
  mirrors: key(
    withPlace(oneOrMany(withPlace(url("https", "http")))),
    "URLs that are tried in this order when the one URL of the list brings nothing usable.",
    [],
  ),
  sha256: optional(withPlace(sha256), "Checksum of the one source; a file with another is not used."),
  ca: optional(
    certificateFile,
    "PEM file of the authority that the certificates of the URLs' hosts come from, in place of the public ones.",
  ),
  seed: optional(readableFile, "File that serves until the first download has worked."),
});

type RawList = RawOf<typeof listShape>;
type RawLists = readonly Named<string, RawList>[];

export const listsShape: Shape<RawLists> = mapOf("a map of lists", parseOwnName, listShape);

export function toListOptions(lists: RawLists): readonly ListOptions[] {
  return lists.flatMap(({ name, value: raw }) => {
    if (raw === undefined) return [];
    const { domains, addresses, refresh: refreshMs, via, sha256, mirrors, ...rest } = raw;
    const changed = {
      sources: (domains ?? addresses)?.value.map(({ value }) => value) ?? [],
      via: via?.value ?? null,
      mirrors: mirrors.value.map(({ value }) => value),
      sha256: sha256?.value ?? null,
    };
    return [{ name, kind: kindOf(raw), refreshMs, ...rest, ...changed }];
  });
}

export function kindOf(raw: RawList): ListOptions["kind"] {
  return raw.domains === null ? "addresses" : "domains";
}

export function checkLists(lists: RawLists, reader: ConfigReader): void {
  for (const { value: raw, keyPlace, name } of lists) {
    if (raw === undefined) continue;
    const { domains, addresses } = raw;
    if (domains !== null && addresses !== null)
      reader.fail(addresses.place, "a list is of domains or of addresses, not of both", "make it two lists");
    if (domains === null && addresses === null && reader.isClean(keyPlace.key))
      reader.fail(keyPlace, `the list \`${name}\` has no source`, "add `domains:` or `addresses:` with files or URLs");
    const sources = (domains ?? addresses)?.value ?? [];
    if (raw.sha256 !== null && sources.length > 1)
      reader.fail(raw.sha256.place, "one checksum cannot hold for several sources", "make them several lists");
    const urls = new Set(sources.flatMap(({ value }) => (value.kind === "url" ? [value.url] : [])));
    if (raw.mirrors.value.length > 0 && urls.size !== 1)
      reader.fail(raw.mirrors.place, "mirrors stand for the one URL of a list", "make it a list for each URL");
    if (raw.sha256 !== null) continue;
    const remote = sources.map(({ value, place }) => ({ value: value.kind === "url" ? value.url : "", place }));
    for (const { value, place } of [...remote, ...raw.mirrors.value])
      if (/^http:/i.test(value))
        reader.warn(place, "what comes over http:// may have been altered on its way", "use https://, or give its `sha256`");
  }
}
