export type Flags = ReadonlyMap<string, readonly string[]>;

/** Flags that are followed by a value. */
const VALUED = new Set(
  `
  group g proxy host-ip host-name tls-host-verify http-host spki-pin subnet set-mark interface so-mark file f name n
  type t alpn nameserver address a c speed-check-mode p ipset nftset r response-mode d client-ip domain inherit b-name
  ttl rr-ttl rr-ttl-min rr-ttl-max cname https-record q`.split(/\s+/),
);

/** Words of a line, and flags with their values. */
export function flagsOf(written: string): { readonly words: readonly string[]; readonly flags: Flags } {
  const words: string[] = [];
  const flags = new Map<string, string[]>();
  const parts = (written.match(/"[^"]*"|'[^']*'|\S+/g) ?? []).map((part) => part.replace(/^(["'])(.*)\1$/, "$2"));
  for (let index = 0; index < parts.length; index++) {
    const part = parts[index] ?? "";
    const name = /^--?([a-z][\w-]*)$/i.exec(part)?.[1];
    if (name === undefined) words.push(part);
    else flags.set(name, [...(flags.get(name) ?? []), ...(VALUED.has(name) ? [parts[++index] ?? ""] : [])]);
  }
  return { words, flags };
}

/** The values of a flag that has a short name too. */
export function valuesOf(flags: Flags, name: string, short: string): readonly string[] {
  return flags.get(name) ?? flags.get(short) ?? [];
}

interface Spans {
  readonly isBack: boolean;
  readonly spans: readonly { readonly first: number; readonly last: number }[];
}

/** Numbers and spans of them, separated by commas; `-,` before them takes them back. */
export function spansOf(written: string): Spans {
  const spans = written.split(/[\s,]+/).flatMap((each) => {
    const [, first, last = first] = /^(\d+)(?:-(\d+))?/.exec(each) ?? [];
    return first === undefined ? [] : [{ first: Number(first), last: Number(last) }];
  });
  return { isBack: written.startsWith("-,"), spans };
}
