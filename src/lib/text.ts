/** The text of a caught value: the message of an `Error`, else the value as a string. */
export function errorText(error: unknown): string {
  return error instanceof Error ? error.message : String(error);
}

/**
 * Replaces each control or format character, line ends included: servers and clients chose the text, and it must not steer the terminal.
 */
export function printable(text: string, replacement: string | ((character: string) => string) = "\ufffd"): string {
  const replace = typeof replacement === "string" ? () => replacement : replacement;
  return text.replace(/[\p{Cc}\p{Cf}\u2028\u2029]/gu, replace);
}

const HIDDEN = "***";

/**
 * A URL that anybody may see: without its password and its query, which may hold a key. Any other text is returned unchanged. A user name without a
 * password is hidden as well: sites that publish lists take it as a token.
 */
export function shownUrl(text: string): string {
  if (!text.includes("://")) return text;
  return text
    .replace(/^([a-z][a-z0-9+.-]*:\/\/)[^/@:]*@/i, `$1${HIDDEN}@`)
    .replace(/^([a-z][a-z0-9+.-]*:\/\/[^/@:]*):[^/]*@/i, `$1:${HIDDEN}@`)
    .replace(/^([a-z][a-z0-9+.-]*:\/\/[^?]*)\?.*$/i, `$1?${HIDDEN}`);
}
