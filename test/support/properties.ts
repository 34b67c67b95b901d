/** Whether everything is tried: in CI and with `FENLIU_PROPERTIES=all`. */
export const isThorough = process.env["CI"] === "true" || process.env["FENLIU_PROPERTIES"] === "all";

/**
 * How often a property is tried: `all` in CI and with `FENLIU_PROPERTIES=all`, an eighth elsewhere, so that `npm test` is quick enough to be
 * run often. A property that fails prints the seed and the path that find the counterexample again.
 */
export function runs(all: number): number {
  return isThorough ? all : Math.max(20, Math.ceil(all / 8));
}
