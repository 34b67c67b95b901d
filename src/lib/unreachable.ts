/** Ends a `switch` over a closed union: a new case that nobody handles is then a compile error here. */
export function unreachable(value: never): never {
  throw new Error(`unreachable: ${JSON.stringify(value)}`);
}
