import { Document, isMap, isScalar, isSeq } from "yaml";
import type { Draft } from "./translate.ts";

const LINE_WIDTH = 130;

/** The draft as a file that a person goes on with. */
export function writeDraft(draft: Draft, from: string): string {
  const { listening, groups, bootstrap, lists, rules, hosts, cache } = draft;
  const sections = {
    listen: listening.listen,
    ...(listening.tls === null ? {} : { tls: listening.tls }),
    upstreams: Object.fromEntries(groups),
    ...(bootstrap.length === 0 ? {} : { bootstrap }),
    ...(lists.size === 0 ? {} : { lists: Object.fromEntries(lists) }),
    rules: rules.map(({ name, compare, ...rest }) => ({ name, ...rest, ...(compare === undefined ? {} : { compare }) })),
    ...(hosts.size === 0
      ? {}
      : { hosts: { records: Object.fromEntries([...hosts].map(([name, addresses]) => [name, one(addresses)])) } }),
    ...(cache === null ? {} : { cache }),
  };
  const document = new Document(sections, { aliasDuplicateObjects: false });
  document.commentBefore = ` Made by \`fenliu import easymosdns\` from ${from}. Every key: docs/config.md.`;
  for (const [index, pair] of (isMap(document.contents) ? document.contents.items : []).entries()) {
    const { key, value } = pair;
    if (index > 0 && isScalar(key)) key.spaceBefore = true;
    // One line for each group, list, rule and record.
    const table = isScalar(key) && key.value === "hosts" && isMap(value) ? value.get("records") : value;
    const rows = isSeq(table) ? table.items : isMap(table) ? table.items.map((item) => item.value) : [];
    for (const row of rows) if (isMap(row) || isSeq(row)) row.flow = true;
  }
  return document.toString({ lineWidth: LINE_WIDTH, flowCollectionPadding: true });
}

function one(addresses: readonly string[]): readonly string[] | string {
  const [only] = addresses;
  return addresses.length === 1 && only !== undefined ? only : addresses;
}
