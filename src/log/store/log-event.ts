/** What the operator is told of the query log. */
export type LogEvent =
  /** Records cannot be stored, or read, for this reason. Told once, and again when the reason changes. */
  | { readonly kind: "failing"; readonly file: string; readonly reason: string }
  /** They can again; so many were lost since the fault began. */
  | { readonly kind: "well"; readonly file: string; readonly dropped: number }
  /** The log was closed before these could be stored. */
  | { readonly kind: "lost"; readonly file: string; readonly records: number }
  /** The file could not be used and was put out of the way; a new one was begun. */
  | { readonly kind: "renewed"; readonly file: string; readonly aside: string }
  /** Records are not as they should be and cannot be stored: a fault of ours. Told once. */
  | { readonly kind: "refused"; readonly reason: string };
