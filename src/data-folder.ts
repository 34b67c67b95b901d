import { dirname, join } from "node:path";
import type { Config } from "./config/config.ts";

/** Where Fenliu keeps what it learns: the folder of `cache.file`, or `data` beside the configuration. */
export function dataFolder({ cache, path }: Pick<Config, "cache" | "path">): string {
  return cache.file === null ? join(path === null ? "." : dirname(path), "data") : dirname(cache.file);
}
