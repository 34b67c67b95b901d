import fc from "fast-check";
import { type Format, type Group, questionOf, Rows } from "./program.ts";
import {
  addHead,
  askedOf,
  decideBy,
  isAlone,
  type Line,
  line,
  lineText,
  NAMES,
  SET_TEXT,
  type Server,
  servers,
} from "./smartdns.ts";

/**
 * smartdns with a group of rules for some clients, which begins with the rules that stand before it (`group-begin`, as in version 46; Debian's version 40 has no
 * groups, so that this interpreter is held against the program's source alone).
 */

interface Program {
  readonly servers: readonly Server[];
  readonly before: readonly Line[];
  readonly group: {
    /** That of servers, or one that has none. */
    readonly name: Group | "kids";
    readonly clients: readonly string[];
    readonly inheritsNone: boolean;
    readonly lines: readonly Line[];
  };
  readonly after: readonly Line[];
}

const CLIENTS = { "10.0.0.0/24": "10.0.0.9", "10.0.7.5": "10.0.7.5" } as const;
const NETWORKS = Object.keys(CLIENTS) as readonly (keyof typeof CLIENTS)[];
/** Of no group. */
const OTHER_CLIENT = "10.0.9.1";

const some = fc.array(line, { maxLength: 4 });

const program: fc.Arbitrary<Program> = fc
  .record({
    servers,
    before: some,
    group: fc.record({
      name: fc.constantFrom("far" as const, "third" as const, "kids" as const),
      clients: fc.subarray([...NETWORKS], { minLength: 1 }),
      inheritsNone: fc.boolean(),
      lines: some,
    }),
    after: some,
  })
  .map(({ before, group, after, ...rest }) => {
    const all = [...before, ...group.lines, ...after];
    const kept = new Set(all.filter(isAlone));
    const keep = (lines: readonly Line[]) => lines.filter((each) => kept.has(each));
    return { ...rest, before: keep(before), group: { ...group, lines: keep(group.lines) }, after: keep(after) };
  });

const question = fc
  .tuple(
    questionOf(NAMES, ["A", "AAAA", "TXT"], ["home", "foreign", "banned"]),
    fc.constantFrom(...Object.values(CLIENTS), OTHER_CLIENT),
  )
  .map(([asked, client]) => ({ ...asked, client }));

export const SMARTDNS_GROUPS: Format<Program> = {
  kind: "smartdns",
  program,
  question,
  make: ({ servers: all, before, group, after }, setting) => {
    const rows = new Rows();
    const ofServers = addHead(rows, all, setting);
    const add = (lines: readonly Line[]) => lines.map((each) => ({ ...each, number: rows.add(lineText(each)) }));
    const first = add(before);
    const begun = rows.add(`group-begin ${group.name}${group.inheritsNone ? " -inherit none" : ""}`);
    const matches = group.clients.map((each) => rows.add(`group-match -client-ip ${each}`));
    const own = add(group.lines);
    rows.add("group-end");
    const last = add(after);
    const clients = group.clients.map((each) => CLIENTS[each as keyof typeof CLIENTS]);
    return {
      files: { "smartdns.conf": rows.text, "some.txt": SET_TEXT },
      run: (asked) => {
        const isOfGroup = (clients as readonly string[]).includes(asked.client ?? "");
        const outer = group.inheritsNone ? [] : first;
        const decided = decideBy(isOfGroup ? [...outer, ...own] : [...first, ...last], asked);
        // Addresses that come after the group are told to hold for its clients too.
        const passed = isOfGroup ? [...decided.passed, begun, ...matches, ...last.map(({ number }) => number)] : decided.passed;
        if (decided.answers !== null) return { answers: decided.answers, asked: new Set(), lines: new Set(passed) };
        const hasServers = all.some(({ named }) => (named as readonly string[]).includes(group.name));
        const rest = isOfGroup && hasServers && group.name !== "kids" ? group.name : "-";
        return askedOf(all, { group: decided.group === "-" ? rest : decided.group, passed, ofServers }, asked);
      },
    };
  },
};
