import { typeName } from "../dns/types.ts";
import type { Meaning, RuleCondition } from "./model.ts";

/** Parts of the new file that stand for themselves: listeners, what the server writes, and names of groups, lists and rules. */

/** `[::]` of other servers takes questions over IPv4 as well; here it is IPv6 alone. */
export function bothFamilies(listen: unknown): unknown {
  const widened = (value: unknown) => {
    if (!Array.isArray(value)) return value;
    return [
      ...new Set(
        value.flatMap((each) => [each, ...(String(each).startsWith("[::]:") ? [`0.0.0.0:${String(each).slice(5)}`] : [])]),
      ),
    ];
  };
  return Object.fromEntries(Object.entries(listen ?? {}).map(([key, value]) => [key, widened(value)]));
}

/** After its lists, else its patterns, types or clients. */
export function labelOf({ types, clients }: RuleCondition, domains: readonly string[]): string {
  const lists = domains.filter((domain) => domain.startsWith("list:")).map((domain) => domain.slice("list:".length));
  const parts = [
    lists,
    domains.map((domain) => domain.replace(/^!list:|^!/, "not-")),
    clients ?? [],
    types?.map((type) => typeName(type).toLowerCase()) ?? [],
  ];
  const first = parts.find((part) => part.length > 0);
  return first === undefined ? "others" : first.slice(0, 3).join("-");
}

/** A name that groups, lists and rules may have. */
export function ownName(written: string): string {
  const plain = written.replace(/[^\p{L}\p{N}._-]+/gu, "-").replace(/^[^\p{L}\p{N}]+|-+$/gu, "");
  return plain.slice(0, 58).toWellFormed().replaceAll("\ufffd", "") || "unnamed";
}

export function freeName(wanted: string, taken: ReadonlySet<unknown>): string {
  const plain = ownName(wanted);
  let name = plain;
  for (let count = 2; taken.has(name); count++) name = `${plain}-${count}`;
  return name;
}

export function some(key: string, values: readonly unknown[]): Readonly<Record<string, unknown>> {
  return values.length === 0 ? {} : { [key]: values };
}

export function one(addresses: readonly string[]): readonly string[] | string {
  const [only] = addresses;
  return addresses.length === 1 && only !== undefined ? only : addresses;
}

/** The sections that name what the server writes. */
export function writesBelow(folder: string, { cache }: Meaning["settings"]): Readonly<Record<string, unknown>> {
  return {
    cache: Object.assign({}, cache, { file: `${folder}/cache.db` }),
    log: { queries: { store: `${folder}/queries.db` } },
  };
}
