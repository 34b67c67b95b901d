/** What was done with queries, in kinds: actions of the log name types and parameters, and their combinations have no end. */
export const ACTION_KINDS = [
  "block",
  "drop",
  /** A type that is switched off. */
  "filter",
  /** Parameters or records left out. */
  "strip",
  "guard",
  "rebinding",
  "unproven",
  "loop",
  "never",
  "minimal",
  "malformed",
  "unsupported",
  "access",
  "rate",
  "fault",
  "other",
] as const;

export type ActionKind = (typeof ACTION_KINDS)[number];

const EXACT = new Map<string, ActionKind>([
  ["nxdomain:guarded", "guard"],
  ["rebinding:nodata", "rebinding"],
  ["compare:unproven", "unproven"],
  ["any:minimal", "minimal"],
  ["type64:nodata", "filter"],
  ["type65:nodata", "filter"],
  ["ipv4:nodata", "filter"],
  ["ipv6:nodata", "filter"],
  ["ipv4:prefer-ipv6", "filter"],
  ["ipv6:prefer-ipv4", "filter"],
  ...ACTION_KINDS.map((kind) => [kind, kind] as const),
]);

const indices = new Map<string, number>([...EXACT].map(([action, kind]) => [action, ACTION_KINDS.indexOf(kind)]));
const STRIP = ACTION_KINDS.indexOf("strip");
const OTHER_ACTION = ACTION_KINDS.indexOf("other");

/** The place among `ACTION_KINDS` of an action as records have it. */
export function actionIndex(action: string): number {
  return indices.get(action) ?? (/^type6[45]:strip-/.test(action) ? STRIP : OTHER_ACTION);
}
