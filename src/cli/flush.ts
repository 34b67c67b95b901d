import { Type } from "typebox";
import { named } from "../admin/schemas/named.ts";
import { nameFromText } from "../dns/name.ts";
import { withApi } from "./api-client.ts";
import { type Command, EXIT, type Invocation, type Terminal, UsageError } from "./invocation.ts";

export const flushCommand: Command = {
  usage: `  fenliu flush NAME [--subtree]    drop what is held of a name, and of those below it
`,
  help: `      --subtree       the names below it too; \`fenliu flush . --subtree\` drops everything
`,
  options: ["config", "json", "subtree"],
  run: flush,
};

/** Drops the answers for a name from the cache of the running server. */
async function flush(invocation: Invocation, terminal: Terminal): Promise<number> {
  const { words, subtree = false, json = false } = invocation;
  const [name, ...others] = words;
  if (name === undefined || others.length > 0) throw new UsageError("flush takes one NAME");
  if (nameFromText(name) === null) throw new UsageError(`\`${name}\` is no domain name`);
  return withApi(invocation, terminal, async (api) => {
    const query = [["name", name] as const, ...(subtree ? [["subtree", "true"] as const] : [])];
    const result = await api.read(flushed, "cache", { method: "DELETE", query });
    const answers = result.flushed === 1 ? "one answer" : `${result.flushed} answers`;
    terminal.out(json ? `${JSON.stringify(result)}\n` : `${name}${subtree ? " and below" : ""}: ${answers} dropped\n`);
    return EXIT.ok;
  });
}

const flushed = named("Flushed", Type.Object({ flushed: Type.Integer() }));
