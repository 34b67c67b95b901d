const HIDDEN = "***";

/** Keys whose values are secrets, whatever stands in them. */
const SECRET_KEYS: ReadonlySet<string> = new Set(["token", "tokens"]);

/** A configuration as it was written, without what must not be shown: tokens, and in URLs passwords and queries, which may hold keys. */
export function withoutSecrets(value: unknown, key = ""): unknown {
  if (SECRET_KEYS.has(key) && value !== null) return Array.isArray(value) ? value.map(() => HIDDEN) : HIDDEN;
  if (typeof value === "string") return withoutPassword(value);
  if (Array.isArray(value)) return value.map((each) => withoutSecrets(each, key));
  if (value === null || typeof value !== "object") return value;
  return Object.fromEntries(Object.entries(value).map(([name, each]) => [name, withoutSecrets(each, name)]));
}

function withoutPassword(text: string): string {
  return text
    .replace(/^([a-z][a-z0-9+.-]*:\/\/[^/@:]*):[^/]*@/i, `$1:${HIDDEN}@`)
    .replace(/^([a-z][a-z0-9+.-]*:\/\/[^?]*)\?.*$/i, `$1?${HIDDEN}`);
}
