import { Type } from "typebox";
import { named } from "../admin/schemas/named.ts";
import { nameFromText } from "../dns/name.ts";
import { withApi } from "./api-client.ts";
import { EXIT, type Terminal, UsageError } from "./invocation.ts";
import type { Invocation } from "./run.ts";

/** `fenliu flush NAME [--subtree]`: drops what the running server holds of the name; `.` with --subtree is everything. */
export async function flushCommand({ config, words, subtree, json }: Invocation, terminal: Terminal): Promise<number> {
  const [name, ...others] = words;
  if (name === undefined || others.length > 0) throw new UsageError("flush takes one NAME");
  if (nameFromText(name) === null) throw new UsageError(`\`${name}\` is no domain name`);
  return withApi({ config }, terminal, async (api) => {
    const query = [["name", name] as const, ...(subtree ? [["subtree", "true"] as const] : [])];
    const result = await api.read(flushed, "cache", { method: "DELETE", query });
    const answers = result.flushed === 1 ? "one answer" : `${result.flushed} answers`;
    terminal.out(json ? `${JSON.stringify(result)}\n` : `${name}${subtree ? " and below" : ""}: ${answers} dropped\n`);
    return EXIT.ok;
  });
}

const flushed = named("Flushed", Type.Object({ flushed: Type.Integer() }));
