import { existsSync, globSync, readFileSync, statSync } from "node:fs";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";
import { describe, expect, test } from "vitest";

const ROOT = fileURLToPath(new URL("../..", import.meta.url));
const PAGES = globSync(["*.md", "docs/**/*.md", "deploy/**/*.md"], { cwd: ROOT });

const textOf = (page: string): string => readFileSync(join(ROOT, page), "utf8");

/** The anchors of a page's headings, as GitHub makes them. */
function anchorsOf(page: string): readonly string[] {
  const seen = new Map<string, number>();
  return [...withoutCode(textOf(page)).matchAll(/^#+ (.+)$/gm)].map(([, heading = ""]) => {
    const slug = heading
      .toLowerCase()
      .replace(/[^\p{L}\p{N}\p{M} _-]/gu, "")
      .replaceAll(" ", "-");
    const times = seen.get(slug) ?? 0;
    seen.set(slug, times + 1);
    return times === 0 ? slug : `${slug}-${times}`;
  });
}

function withoutCode(text: string): string {
  return text.replace(/^( *)```[\s\S]*?^\1```$/gm, "");
}

function brokenLinks(page: string): readonly string[] {
  const links = [...withoutCode(textOf(page)).matchAll(/\]\(([^)\s]+)\)/g)].map(([, link = ""]) => link);
  return links.filter((link) => {
    if (/^[a-z]+:/.test(link)) return false;
    const [path = "", anchor] = link.split("#");
    const target = path === "" ? page : join(dirname(page), path);
    if (!existsSync(join(ROOT, target))) return true;
    return (
      anchor !== undefined && statSync(join(ROOT, target)).isFile() && !anchorsOf(target).includes(decodeURIComponent(anchor))
    );
  });
}

test.each(PAGES)("every link of %s leads to a page and a heading that are there", (page) => {
  expect(brokenLinks(page)).toEqual([]);
});

describe("a page in two languages", () => {
  const TWINS = PAGES.filter((page) => page.startsWith("docs/zh/")).map(
    (page) => [page.replace("docs/zh/", "docs/"), page] as const,
  );
  /** Blocks of code without their comments, which are in the page's language. */
  const codeOf = (page: string) =>
    [...textOf(page).matchAll(/^ *```\w*[^\n]*\n([\s\S]*?)^ *```$/gm)].map(([, block = ""]) =>
      block.replace(/(^|\s+)# .*$/gm, "").replace(/^ +/gm, ""),
    );

  test.each([["README.md", "README.zh.md"] as const, ...TWINS])("%s and %s have the same code", (english, chinese) => {
    expect(codeOf(chinese)).toEqual(codeOf(english));
  });
});
