import { readFileSync } from "node:fs";

/** The version in package.json, which stands one folder above the sources as above the compiled files. */
export function version(): string {
  const parsed: unknown = JSON.parse(readFileSync(new URL("../../package.json", import.meta.url), "utf8"));
  if (typeof parsed === "object" && parsed !== null && "version" in parsed && typeof parsed.version === "string")
    return parsed.version;
  throw new Error("package.json has no version");
}
