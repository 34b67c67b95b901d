import { type AddressSet, addressText } from "../dns/address.ts";
import { type Answer, addressesOf, recordsOf } from "../dns/answer.ts";
import { nameText } from "../dns/name.ts";
import type { Question } from "../dns/query.ts";
import { RCODE, rcodeName, TYPE, typeName } from "../dns/types.ts";
import { printable } from "../lib/text.ts";
import type { Resolution } from "../resolve/types.ts";

/** How the answers of an old server and of a new configuration differ, and why: `shadow.ts` asks both. */

/** Worst first. `blank`: there was an answer, and there is none. `side`: domestic addresses became foreign ones, or the other way round. */
const KINDS = ["blank", "side", "opened", "shape"] as const;
type Kind = (typeof KINDS)[number];

export interface Compared {
  readonly question: Question;
  /** null = no reply. */
  readonly old: Answer | null;
  readonly new: Resolution;
}

interface Difference {
  readonly kind: Kind;
  readonly cause: string;
}

interface Example {
  readonly name: string;
  readonly type: string;
  readonly old: string;
  readonly new: string;
}

interface DifferenceGroup extends Difference {
  readonly count: number;
  readonly examples: readonly Example[];
}

export interface ShadowReport {
  readonly asked: number;
  /** Questions that the old server did not answer: nothing can be said of them. */
  readonly unanswered: number;
  /** Whether there is an address list, without which nobody knows on which side an address is. */
  readonly knowsSides: boolean;
  /** Worst first. */
  readonly differences: readonly DifferenceGroup[];
}

/** Examples of a cause: in the report, and in its text. */
const MAX_KEPT = 1000;
const MAX_SHOWN = 5;

/** Collects what differs, by cause. */
export class Differences {
  readonly #near: readonly AddressSet[];
  readonly #groups = new Map<string, { readonly difference: Difference; count: number; readonly examples: Example[] }>();
  #asked = 0;
  #unanswered = 0;

  /** @param near the addresses at home; empty = the configuration knows none. */
  constructor(near: readonly AddressSet[]) {
    this.#near = near;
  }

  /** null = both say the same, as far as it matters. */
  differenceOf({ question, old, new: now }: Compared): Difference | null {
    if (old === null || isFailure(old)) return null;
    const kind = this.#kindOf(question, old, now.answer);
    return kind === null ? null : { kind, cause: causeOf(now) };
  }

  /** @returns whether this is the first difference of its cause. */
  add(compared: Compared): boolean {
    this.#asked += 1;
    if (compared.old === null || isFailure(compared.old)) this.#unanswered += 1;
    const difference = this.differenceOf(compared);
    if (difference === null) return false;
    const key = JSON.stringify(difference);
    const group = this.#groups.get(key) ?? { difference, count: 0, examples: [] };
    this.#groups.set(key, group);
    group.count += 1;
    if (group.examples.length < MAX_KEPT) group.examples.push(exampleOf(compared));
    return group.count === 1;
  }

  report(): ShadowReport {
    const groups = [...this.#groups.values()].map(({ difference, ...rest }) => ({ ...difference, ...rest }));
    const differences = groups.sort((a, b) => KINDS.indexOf(a.kind) - KINDS.indexOf(b.kind) || b.count - a.count);
    return { asked: this.#asked, unanswered: this.#unanswered, knowsSides: this.#near.length > 0, differences };
  }

  #kindOf(question: Question, old: Answer, now: Answer | null): Kind | null {
    const [had, has] = [hasRecords(old, question), now !== null && hasRecords(now, question)];
    if (had && !has) return "blank";
    if (!had && has) return "opened";
    if (!had || now === null) return now === null || old.rcode !== now.rcode ? "shape" : null;
    const [before, after] = [this.#sideOf(old), this.#sideOf(now)];
    return before !== after && before !== null && after !== null ? "side" : null;
  }

  /** null = mixed, or not known. */
  #sideOf(answer: Answer): "near" | "far" | null {
    const addresses = addressesOf(answer);
    if (this.#near.length === 0 || addresses.length === 0) return null;
    const count = addresses.filter((address) => this.#near.some((set) => set.has(address))).length;
    return count === addresses.length ? "near" : count === 0 ? "far" : null;
  }
}

function isFailure({ rcode }: Answer): boolean {
  return rcode !== RCODE.NOERROR && rcode !== RCODE.NXDOMAIN;
}

/** Whether it holds what was asked for: 0.0.0.0 and :: say that there is nothing. */
function hasRecords(answer: Answer, { type }: Question): boolean {
  if (type === TYPE.A || type === TYPE.AAAA) return addressesOf(answer).some((address) => address.some((byte) => byte !== 0));
  return recordsOf(answer).some((record) => record.section === "answer" && record.type === type);
}

function causeOf({ decision, source, route, action }: Resolution): string {
  const { rule } = decision.context;
  const by =
    rule === null
      ? source === "hosts"
        ? "the hosts table"
        : source === "special"
          ? "a zone that is answered here"
          : "no rule"
      : `rule \`${rule}\``;
  const to = route === null ? "" : `, group \`${route}\``;
  return `${by}${to}${action === "none" ? "" : `, ${action}`}`;
}

function exampleOf({ question, old, new: now }: Compared): Example {
  return { name: nameText(question.name), type: typeName(question.type), old: textOf(old), new: textOf(now.answer) };
}

function textOf(answer: Answer | null): string {
  if (answer === null) return "no reply";
  const addresses = addressesOf(answer).map(addressText);
  const count = recordsOf(answer).filter(({ section }) => section === "answer").length;
  if (addresses.length > 0) return addresses.slice(0, 3).join(" ");
  return answer.rcode !== RCODE.NOERROR
    ? rcodeName(answer.rcode)
    : count === 0
      ? "NODATA"
      : count === 1
        ? "1 record"
        : `${count} records`;
}

const HEADINGS: Readonly<Record<Kind, string>> = {
  blank: "BLANK: there was an answer, and there is none",
  side: "OTHER SIDE: domestic addresses became foreign ones, or the other way round",
  opened: "OPENED: there was no answer, and there is one",
  shape: "SHAPE: an empty answer of another kind",
};

/** As a person reads it; ends in a newline. */
export function shadowText({ asked, unanswered, knowsSides, differences }: ShadowReport): string {
  const different = differences.reduce((sum, { count }) => sum + count, 0);
  const head = `${asked} questions, ${different} answered otherwise${unanswered === 0 ? "" : `; ${unanswered} had no answer of the old server`}\n`;
  const sides = knowsSides
    ? ""
    : "The configuration has no list of addresses to compare with: addresses of another side are not told apart.\n";
  const groups = differences.map(({ kind, cause, count, examples }) => {
    const shown = examples.slice(0, MAX_SHOWN);
    const lines = shown.map(({ name, type, old, new: now }) => `    ${printable(name)} ${type}: ${old} -> ${now}\n`);
    const more = count > shown.length ? `    and ${count - shown.length} more: --json shows them\n` : "";
    return `\n${HEADINGS[kind]}\n  ${cause} (${count})\n${lines.join("")}${more}`;
  });
  return `${head}${sides}${groups.join("")}`;
}
