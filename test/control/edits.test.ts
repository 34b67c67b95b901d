import { readFileSync } from "node:fs";
import { describe, expect, onTestFinished, test } from "vitest";
import { loadConfig } from "../../src/config/load.ts";
import { Drafts } from "../../src/control/drafts.ts";
import { ConfigEdits } from "../../src/control/edits.ts";
import { systemClock } from "../../src/lib/clock.ts";
import { file } from "../support/files.ts";

const WHO = "the caller";

/** Edits of a small file, whose what-if takes as long as it is wanted. */
function slowEdits() {
  const path = file("fenliu.yaml", ["answers: { https: nodata }"]);
  const read = loadConfig(path);
  if (read.kind === "invalid") throw new Error("the file is meant to be valid");
  const drafts = new Drafts(systemClock);
  onTestFinished(() => drafts.close());
  /** The texts whose what-if was begun. */
  const begun: string[] = [];
  const edits = new ConfigEdits({
    clock: systemClock,
    config: () => read.config,
    drafts,
    history: { keep: async () => {}, text: async () => "" },
    whatIf(text, signal) {
      begun.push(text);
      const wanted = () => new Promise<null>((resolve) => signal.addEventListener("abort", () => resolve(null)));
      return drafts.use({ text, path }, wanted, signal);
    },
    reload: async () => {},
  });
  const preview = async (comment: string, caller = WHO) => {
    const text = `${readFileSync(path, "utf8")}# ${comment}\n`;
    return await edits.preview({ kind: "text", text }, (await edits.file()).digest, caller);
  };
  return { edits, begun, preview };
}

describe("the what-if of an edit", () => {
  test("gives way to the caller's next edits, however many there are, and is begun anew when it is asked for", async () => {
    const { edits, begun, preview } = slowEdits();
    const { ticket } = await preview("first");
    for (let index = 0; index < 8; index++) expect((await preview(`edit ${index}`)).ticket).not.toBeNull();
    expect(begun).toHaveLength(9);
    expect(edits.ticket(ticket ?? "", WHO).whatIfDone).toBe(false);
    expect(begun).toHaveLength(10);
    expect(begun.at(-1)).toBe(begun[0]);
    // It runs, and is not begun a second time.
    edits.ticket(ticket ?? "", WHO);
    expect(begun).toHaveLength(10);
  });
});
