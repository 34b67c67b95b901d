/** What a caught value says of itself: of an `Error` its message, of anything else its text. */
export function errorText(error: unknown): string {
  return error instanceof Error ? error.message : String(error);
}

/**
 * A text in which no character steers the terminal or hides: servers and clients chose it. One replacement stands for each control or format
 * character, line ends included.
 */
export function printable(text: string, replacement: string | ((character: string) => string) = "\ufffd"): string {
  const replace = typeof replacement === "string" ? () => replacement : replacement;
  return text.replace(/[\p{Cc}\p{Cf}\u2028\u2029]/gu, replace);
}

const HIDDEN = "***";

/**
 * A URL as anybody may see it, without its password and its query, which may hold a key; any other text as it is. A user without a password is a
 * token, as those that give out lists take it.
 */
export function shownUrl(text: string): string {
  if (!text.includes("://")) return text;
  return text
    .replace(/^([a-z][a-z0-9+.-]*:\/\/)[^/@:]*@/i, `$1${HIDDEN}@`)
    .replace(/^([a-z][a-z0-9+.-]*:\/\/[^/@:]*):[^/]*@/i, `$1:${HIDDEN}@`)
    .replace(/^([a-z][a-z0-9+.-]*:\/\/[^?]*)\?.*$/i, `$1?${HIDDEN}`);
}
