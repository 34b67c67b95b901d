import { type RunOptions, run } from "./processes.ts";

/** One reply as dig or kdig shows it. */
export interface Heard {
  readonly status: string;
  /** Such as "qr rd ra". */
  readonly flags: string;
  readonly id: number;
  /** As it came, letters included: "PaGe.example. IN A". */
  readonly question: string;
  /** Records, their fields parted by single spaces: "page.example. 300 IN A 192.0.2.7". */
  readonly answers: readonly string[];
  readonly authority: readonly string[];
  /** The lines about EDNS without the semicolons before them; empty where the reply has no OPT. */
  readonly edns: readonly string[];
  /** All that was printed about this reply. */
  readonly text: string;
}

/** The data of a reply's only record, such as "192.0.2.7"; null where there is none, or more than one. */
export function soleData({ answers }: Heard): string | null {
  return answers.length === 1 ? (answers[0]?.split(" ").slice(4).join(" ") ?? null) : null;
}

/** Asks with dig; `words` as on the command line. @throws Error with what it printed where it heard nothing. */
export async function dig(port: number, words: string, options: RunOptions = {}): Promise<Heard> {
  const [first] = await digAll(port, words, options);
  if (first === undefined) throw new Error("there is always a first reply");
  return first;
}

/** The same, for several questions: at least one reply. */
export function digAll(port: number, words: string, options: RunOptions = {}): Promise<readonly Heard[]> {
  const server = words.includes("@") ? [] : ["@127.0.0.1"];
  return heard("dig", [...server, "-p", String(port), "+tries=1", ...words.split(" ")], options);
}

/** Asks with kdig; `words` as on the command line, at least one reply. @throws Error with what it printed where it heard nothing. */
export function kdig(port: number, words: string): Promise<readonly Heard[]> {
  return heard("kdig", ["@127.0.0.1", "-p", String(port), "+retry=0", ...words.split(" ")], {});
}

async function heard(command: string, args: readonly string[], options: RunOptions): Promise<readonly Heard[]> {
  const { stdout, stderr } = await run(command, args, options);
  const replies = readReplies(stdout);
  if (replies.length === 0) throw new Error(`${command} ${args.join(" ")}: ${stdout}${stderr}`);
  return replies;
}

function readReplies(printed: string): Heard[] {
  return printed
    .split(/(?=^;; ->>HEADER<<-)/m)
    .filter((part) => part.startsWith(";; ->>HEADER"))
    .map(readReplyText);
}

function readReplyText(text: string): Heard {
  return {
    status: /status: (\w+)/.exec(text)?.[1] ?? "",
    flags: /^;; flags: ([a-z ]*);/im.exec(text)?.[1]?.trim() ?? "",
    id: Number(/ id: (\d+)/.exec(text)?.[1]),
    question: /^;; QUESTION SECTION:\n;+\s*(.*)$/m.exec(text)?.[1]?.replace(/\s+/g, " ") ?? "",
    answers: section(text, "ANSWER"),
    authority: section(text, "AUTHORITY"),
    edns: (/^;; (?:OPT|EDNS) PSEUDOSECTION:\n((?:;.*\n)*?)(?:;; QUESTION|\n|$)/m.exec(text)?.[1] ?? "")
      .split("\n")
      .filter((line) => line !== "")
      .map((line) => line.replace(/^;+ */, "")),
    text,
  };
}

function section(text: string, name: string): readonly string[] {
  const lines = new RegExp(`^;; ${name} SECTION:\\n((?:[^;\\n].*\\n)*)`, "m").exec(text)?.[1] ?? "";
  return lines
    .split("\n")
    .filter((line) => line !== "")
    .map((line) => line.replace(/\s+/g, " "));
}
