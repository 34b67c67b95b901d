import type { Invocation } from "./run.ts";
import { EXIT, type Terminal, UsageError } from "./terminal.ts";
import { withApi } from "./with-api.ts";

/** `fenliu flush NAME [--subtree]`: drops what the running server holds of the name; `.` with --subtree is everything. */
export async function flush(invocation: Invocation, terminal: Terminal): Promise<number> {
  const [name, ...others] = invocation.words;
  if (name === undefined || others.length > 0) throw new UsageError("flush takes one NAME");
  return withApi(invocation, terminal, async (api) => {
    const query = [["name", name] as const, ...(invocation.subtree ? [["subtree", "true"] as const] : [])];
    const result = await api.json("cache", { method: "DELETE", query });
    const flushed = result !== null && typeof result === "object" && "flushed" in result ? Number(result.flushed) : 0;
    if (invocation.json) terminal.out(`${JSON.stringify(result)}\n`);
    else
      terminal.out(
        `${name}${invocation.subtree ? " and below" : ""}: ${flushed === 1 ? "one answer" : `${flushed} answers`} dropped\n`,
      );
    return EXIT.ok;
  });
}
