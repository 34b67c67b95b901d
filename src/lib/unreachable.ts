/** Ends a `switch` over a closed union: a new case without a branch is a compile error here. */
export function unreachable(value: never): never {
  throw new Error(`unreachable: ${JSON.stringify(value)}`);
}
