import { readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { describe, expect, test } from "vitest";
import { run } from "../../src/cli/run.ts";
import { RCODE } from "../../src/dns/types.ts";
import { directory } from "../support/files.ts";
import { siteWith } from "../support/site.ts";
import { addresses, rcode } from "../upstreams/messages.ts";
import type { Script } from "../upstreams/scripted-server.ts";
import { testTerminal } from "./terminal.ts";

const PAGES = ["faq.md", "zh/faq.md"] as const;

const upstreams: Readonly<Record<string, Script>> = {
  domestic: (asked) => addresses(asked, "198.51.100.7"),
  overseas: (asked) => addresses(asked, "192.0.2.7"),
  office: (asked) => rcode(asked, RCODE.REFUSED),
};

function pageText(page: string): string {
  return readFileSync(new URL(`../../docs/${page}`, import.meta.url), "utf8");
}

/** The commands of a page, and what each is said to print. */
function commandsOf(page: string): readonly (readonly [command: string, prints: string])[] {
  const blocks = [...pageText(page).matchAll(/```sh\n([^`]+)```/g)].flatMap(([, block = ""]) => block.trimEnd().split("\n"));
  return blocks.map((line) => {
    const [, command = "", prints = ""] = /^fenliu (.*?)\s+# (.+)$/.exec(line) ?? [];
    if (command === "") throw new Error(`docs/${page}: not a command with what it prints: ${line}`);
    return [command, prints];
  });
}

/** The house of the page, asked what the page is about, and a terminal in its folder. */
async function houseOf(page: string) {
  const [, yaml = ""] = /```yaml\n([^`]+)```/.exec(pageText(page)) ?? [];
  const rest = yaml.slice(yaml.indexOf("lists:"));
  const folder = directory();
  for (const [, file = "", line = ""] of rest.matchAll(/domains: (\w+\.txt) \}\s+# (.+)$/gm))
    writeFileSync(join(folder, file), line);
  const site = await siteWith({
    upstreams,
    folder,
    admin: true,
    yaml: `${rest}cache: { file: null }\nlog: { queries: { store: queries.db } }\n`,
  });
  for (const name of ["telemetry.tv.example", "www.taobao.com", "www.example.com", "www.office.example", "nas.lan"])
    await site.ask(name);
  await site.clock.advance(2000);
  const { bound, administration } = site.app;
  const ours = `listen: { dns: ["127.0.0.1:${bound.dns[0]?.port}"], http: [], admin: "127.0.0.1:${administration.bound?.port}" }\n`;
  writeFileSync(join(folder, "fenliu.yaml"), `${ours}${yaml}`);
  return testTerminal(folder);
}

describe.each(PAGES)("the commands of docs/%s", (page) => {
  test("print what the page says", async () => {
    const terminal = await houseOf(page);
    for (const [command, prints] of commandsOf(page)) {
      terminal.written.out = "";
      terminal.written.err = "";
      await run(command.split(" "), terminal);
      expect.soft(terminal.written.out + terminal.written.err, command).toContain(prints);
    }
  });
});

test("both pages have the same commands and the same house", () => {
  const [english, chinese] = PAGES.map((page) =>
    [...pageText(page).matchAll(/```(?:sh|yaml)\n([^`]+)```/g)].map(([block]) => block),
  );
  // What a comment says is in the page's language.
  const plain = (blocks: readonly string[] = []) => blocks.map((block) => block.replace(/ {6,}# .*$/gm, ""));
  expect(plain(chinese)).toEqual(plain(english));
});
