import { readFileSync } from "node:fs";
import { join } from "node:path";
import { projectRoot, run } from "./processes.ts";

const page = readFileSync(join(projectRoot, "docs/recipes.md"), "utf8");

/** The blocks of code of docs/recipes.md after a sentence that begins so, as they stand there. */
export function blocksAfter(beginning: string): readonly string[] {
  const place = page.indexOf(beginning);
  if (place < 0) throw new Error(`docs/recipes.md has no ${beginning}`);
  return [...page.slice(place).matchAll(/^```\w*\n([\s\S]*?)^```$/gm)].map(([, block = ""]) => block);
}

export function blockAfter(beginning: string): string {
  return blocksAfter(beginning)[0] ?? "";
}

/** The code within the sentence that begins so. */
export function spanAfter(beginning: string): string {
  const place = page.indexOf(beginning);
  const [, span = ""] = place < 0 ? [] : (/`([^`]+)`/.exec(page.slice(place)) ?? []);
  if (span === "") throw new Error(`docs/recipes.md has no ${beginning} with code`);
  return span;
}

/** A block with each text replaced. Every text must be there: else a test would try something else than what the page has. */
export function adapted(block: string, replacements: Readonly<Record<string, string>>): string {
  let text = block;
  for (const [from, to] of Object.entries(replacements)) {
    if (!text.includes(from)) throw new Error(`the recipe has no ${from}`);
    text = text.replaceAll(from, to);
  }
  return text;
}

/** What was set on OpenWrt: verb, section, option, value. */
export type UciLine = readonly [verb: string, section: string, option: string, value: string];

/**
 * Runs commands of OpenWrt in a shell whose `uci` writes down what it is told. `uci commit` must come last.
 * @returns what was set, and what else was run. @throws Error where the shell fails.
 */
export async function typeOnOpenWrt(
  commands: string,
): Promise<{ readonly lines: readonly UciLine[]; readonly said: readonly string[] }> {
  const stubs = `uci() { printf 'uci\\t%s\\t%s\\n' "$1" "$2\${3:+ $3}"; }; service() { printf 'service %s %s\\n' "$1" "$2"; }; set -e\n`;
  const { status, stdout, stderr } = await run("sh", ["-c", stubs + commands]);
  if (status !== 0) throw new Error(stderr);
  const printed = stdout.trimEnd().split("\n");
  const uci = printed.filter((line) => line.startsWith("uci\t")).map((line) => line.split("\t").slice(1));
  const [last] = uci.slice(-1);
  if (last?.[0] !== "commit") throw new Error("nothing is committed");
  const lines = uci.slice(0, -1).map(([verb = "", words = ""]): UciLine => {
    const [, section = "", option = "", value = ""] = /^([^=]+?)(?:\.(\w+)=(.*))?$/.exec(words) ?? [];
    if (!["set", "add_list", "add"].includes(verb)) throw new Error(`uci ${verb} ${words}`);
    if (!section.startsWith(last[1] ?? "")) throw new Error(`uci commit ${last[1]} keeps nothing of ${section}`);
    return [verb, section, option, value];
  });
  return { lines, said: printed.filter((line) => !line.startsWith("uci\t")) };
}
