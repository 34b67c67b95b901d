import { Document, isMap, isScalar, isSeq } from "yaml";
import type { CompareOptions } from "../../rules/options.ts";
import type { ImportDraft } from "./translate.ts";

/** What is written for one server: its text, or a map where addresses are pinned. */
export type DraftServer = string | { readonly url: string; readonly addresses: readonly string[] };

export interface DraftGroup {
  readonly servers: readonly DraftServer[];
  readonly strategy?: "race" | "spread";
  readonly fallback?: string;
  readonly proxy?: string;
}

export interface DraftModifiers {
  readonly https?: "nodata";
  readonly ipv6?: "nodata" | "prefer-ipv4";
  readonly ipv4?: "nodata" | "prefer-ipv6";
  readonly ttl?: { readonly min?: string; readonly max?: string };
  readonly ecs?: string;
}

export interface DraftConditions {
  readonly domains?: readonly string[];
  readonly clients?: readonly string[];
  readonly types?: readonly string[];
}

/** In the order in which its keys are written. */
export interface DraftRule extends DraftConditions, DraftModifiers {
  readonly name: string;
  readonly upstream?: string;
  readonly compare?: Pick<CompareOptions, "near" | "far" | "keepNearIf">;
  readonly answer?: "nodata" | "zero" | "refused";
}

export interface DraftList {
  readonly domains?: readonly string[];
  readonly addresses?: readonly string[];
  readonly refresh?: string;
}

/** What this version can be asked for; what it cannot is left out and reported. */
export interface Capabilities {
  readonly compare: boolean;
  readonly ecs: boolean;
  readonly preferFamily: boolean;
}

const LINE_WIDTH = 130;

/** The draft as a file that a person goes on with. */
export function writeDraft(draft: ImportDraft, from: string): string {
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
