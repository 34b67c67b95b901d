import { parse } from "yaml";

const HIDDEN = "***";

/** Keys whose values are secrets, whatever stands in them. */
const SECRET_KEYS: ReadonlySet<string> = new Set(["token", "tokens"]);

/** The text of a configuration that is in force, as it was written but for what `withoutSecrets` leaves out. */
export function shownConfig(text: string): Readonly<Record<string, unknown>> {
  // What it expands to is bounded by having been read already.
  const written: Readonly<Record<string, unknown>> = parse(text, { maxAliasCount: -1 }) ?? {};
  return Object.fromEntries(Object.entries(written).map(([key, value]) => [key, withoutSecrets(value, key)]));
}

/** A configuration as it was written, without what must not be shown: tokens, and in URLs passwords and queries, which may hold keys. */
export function withoutSecrets(value: unknown, key = ""): unknown {
  if (SECRET_KEYS.has(key) && value !== null) return Array.isArray(value) ? value.map(() => HIDDEN) : HIDDEN;
  if (typeof value === "string") return shownUrl(value);
  if (Array.isArray(value)) return value.map((each) => withoutSecrets(each, key));
  if (value === null || typeof value !== "object") return value;
  return Object.fromEntries(Object.entries(value).map(([name, each]) => [name, withoutSecrets(each, name)]));
}

/** A URL as anybody may see it; any other text as it is. A user without a password is a token, as those that give out lists take it. */
export function shownUrl(text: string): string {
  if (!text.includes("://")) return text;
  return text
    .replace(/^([a-z][a-z0-9+.-]*:\/\/)[^/@:]*@/i, `$1${HIDDEN}@`)
    .replace(/^([a-z][a-z0-9+.-]*:\/\/[^/@:]*):[^/]*@/i, `$1:${HIDDEN}@`)
    .replace(/^([a-z][a-z0-9+.-]*:\/\/[^?]*)\?.*$/i, `$1?${HIDDEN}`);
}
