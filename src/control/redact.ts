import { parse } from "yaml";
import { clientIdsOf } from "../access/access.ts";
import type { AccessOptions } from "../access/options.ts";
import { parseServer } from "../config/server.ts";
import type { Config } from "../config/types.ts";
import { shownUrl } from "../lib/text.ts";

const HIDDEN = "***";

/** Keys whose values are secrets, whatever stands in them. */
const SECRET_KEYS: ReadonlySet<string> = new Set(["token", "tokens"]);

/** Keys of clients: what is the id of one that `access.clients` admits, it admits from anywhere. */
const CLIENT_KEYS: ReadonlySet<string> = new Set(["client", "clients", "exempt"]);

/** Sections of servers, whose URLs are shown as their labels are. */
const SERVER_SECTIONS: ReadonlySet<string> = new Set(["upstreams", "bootstrap"]);

/**
 * The configuration in force as it was written, without what must not be shown: tokens, ids that admit from anywhere, in URLs passwords and
 * queries, which may hold keys, and in those of servers paths that may be one.
 */
export function shownConfig({ text, access }: Pick<Config, "text" | "access">): Readonly<Record<string, unknown>> {
  // What it expands to is bounded by having been read already.
  const written: Readonly<Record<string, unknown>> = parse(text, { maxAliasCount: -1 }) ?? {};
  const admitted = clientIdsOf(access.clients);
  return Object.fromEntries(
    Object.entries(written).map(([section, value]) => {
      const url = SERVER_SECTIONS.has(section) ? shownServer : shownUrl;
      return [section, withoutSecrets(value, section, { admitted, url })];
    }),
  );
}

/** What is said of a configuration in words, which may name its clients. */
export function shownText(text: string, access: Pick<AccessOptions, "clients">): string {
  const admitted = clientIdsOf(access.clients);
  return text.replace(/[a-z0-9.-]+/g, (word) => (admitted.has(word) ? HIDDEN : word));
}

/** What is said of a file with faults, which quotes it: what is no URL as it stands may be meant for one. */
export function withoutQuotedSecrets(text: string): string {
  return text.replace(/`([^`]*)`/g, (_, quoted: string) => {
    const shown = shownServer(quoted).replace(/^.*@/s, `${HIDDEN}@`).replace(/\?.*$/s, `?${HIDDEN}`);
    return `\`${shown}\``;
  });
}

interface Showing {
  /** Client ids. */
  readonly admitted: ReadonlySet<string>;
  readonly url: (text: string) => string;
}

function withoutSecrets(value: unknown, key: string, showing: Showing): unknown {
  if (SECRET_KEYS.has(key) && value !== null) return Array.isArray(value) ? value.map(() => HIDDEN) : HIDDEN;
  if (typeof value === "string") return CLIENT_KEYS.has(key) && showing.admitted.has(value) ? HIDDEN : showing.url(value);
  if (Array.isArray(value)) return value.map((each) => withoutSecrets(each, key, showing));
  if (value === null || typeof value !== "object") return value;
  return Object.fromEntries(Object.entries(value).map(([name, each]) => [name, withoutSecrets(each, name, showing)]));
}

function shownServer(text: string): string {
  const parsed = text.includes("://") ? parseServer(text) : null;
  return parsed !== null && "value" in parsed ? parsed.value.label : shownUrl(text);
}
