// Writes the table of limits in SECURITY.md from the constants of the code: `node tools/write-limits.ts`.
import { readFileSync, writeFileSync } from "node:fs";
import { ADMIN_LIMITS } from "../src/admin/types.ts";
import { LISTEN_LIMITS } from "../src/listen/limits.ts";
import { MAX_DATAGRAMS, MAX_READ_AHEAD } from "../src/listen/turns.ts";
import { MAX_WAITING } from "../src/server/pipeline.ts";
import { FETCH_LIMITS } from "../src/server/state.ts";
import { MAX_GROUP_IN_FLIGHT } from "../src/upstreams/group.ts";
import { MAX_MEMBER_IN_FLIGHT } from "../src/upstreams/member.ts";

const START = "<!-- limits: node tools/write-limits.ts -->";
const END = "<!-- end of limits -->";

const TABLES: Readonly<Record<string, Readonly<Record<string, number>>>> = {
  "Waiting queries": {
    "waiting in all; one client alone: half": MAX_WAITING,
    "different questions under way": FETCH_LIMITS.running,
    "queries that wait for the same question": FETCH_LIMITS.callers,
    "questions on one group; one client alone: half": MAX_GROUP_IN_FLIGHT,
    "questions on one member of a group": MAX_MEMBER_IN_FLIGHT,
  },
  Turns: {
    "datagrams that wait for their turn; of one client alone: half": MAX_DATAGRAMS,
    "bytes that a connection reads while it waits for its turn": MAX_READ_AHEAD,
  },
  Listeners: LISTEN_LIMITS,
  API: { ...ADMIN_LIMITS },
};

/** The text of SECURITY.md with the table of today. */
export function withLimits(text: string): string {
  const rows = Object.entries(TABLES).flatMap(([where, limits]) =>
    Object.entries(limits).map(([name, value]) => `| ${where} | ${name} | ${value.toLocaleString("en")} |`),
  );
  const table = ["| where | limit | value |", "|---|---|---:|", ...rows].join("\n");
  const [before = "", rest = ""] = text.split(START);
  const after = rest.slice(rest.indexOf(END));
  return `${before}${START}\n${table}\n${after}`;
}

if (import.meta.main) {
  const path = new URL("../SECURITY.md", import.meta.url);
  writeFileSync(path, withLimits(readFileSync(path, "utf8")));
}
