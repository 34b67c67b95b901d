/**
 * Checks what was read from a file of ours, which a crash, another version or a person may have changed. Much smaller than a library for schemas, which
 * would stay in memory for a few files.
 */

/** Whether a value is what it should be. */
type Check<T> = (value: unknown) => value is T;

/** What a check lets pass. */
export type Checked<C> = C extends Check<infer T> ? T : never;

export const isText = (value: unknown): value is string => typeof value === "string";

export const isNumber = (value: unknown): value is number => typeof value === "number" && Number.isFinite(value);

export const isBoolean = (value: unknown): value is boolean => typeof value === "boolean";

export function isTextLike(pattern: RegExp): Check<string> {
  return (value): value is string => typeof value === "string" && pattern.test(value);
}

export function isNullOr<T>(check: Check<T>): Check<T | null> {
  return (value): value is T | null => value === null || check(value);
}

export function isArrayOf<T>(check: Check<T>): Check<T[]> {
  return (value): value is T[] => Array.isArray(value) && value.every(check);
}

/** An object with all these keys. Keys that are not named here may have any value. */
export function isObjectOf<F extends Readonly<Record<string, Check<unknown>>>>(
  fields: F,
): Check<{ [K in keyof F]: Checked<F[K]> }> {
  return (value): value is { [K in keyof F]: Checked<F[K]> } =>
    typeof value === "object" &&
    value !== null &&
    !Array.isArray(value) &&
    // A key that is missing is checked as undefined, which nothing accepts.
    Object.entries(fields).every(([name, check]) => check(Object.hasOwn(value, name) ? Reflect.get(value, name) : undefined));
}
