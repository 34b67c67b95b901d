import { closest } from "./closest.ts";
import { kindOf, type ListKind, type RawLists } from "./lists.ts";
import { type ConfigReader, keyBelow, type Located } from "./reading.ts";

/** What the file declares and other places name. */
interface Declared {
  readonly groups: readonly string[];
  readonly lists: RawLists;
  readonly rules: readonly string[];
}

/** Finds references to what is not there. */
export class References {
  readonly #declared: Declared;
  readonly #reading: ConfigReader;

  constructor(declared: Declared, reading: ConfigReader) {
    this.#declared = declared;
    this.#reading = reading;
  }

  group(reference: Located<string> | null): void {
    this.#check(reference, { what: "group", section: "upstreams", names: this.#declared.groups });
  }

  rule(reference: Located<string> | null): void {
    this.#check(reference, { what: "rule", section: "rules", names: this.#declared.rules });
  }

  /** @param kind what the place can use. */
  list(reference: Located<string> | null, kind: ListKind): void {
    const lists = this.#declared.lists;
    const list = lists.find(({ name }) => name === reference?.value);
    if (list === undefined) this.#check(reference, { what: "list", section: "lists", names: lists.map(({ name }) => name) });
    if (
      reference === null ||
      list?.value === undefined ||
      kindOf(list.value) === kind ||
      !this.#reading.isClean(list.keyPlace.key)
    )
      return;
    this.#reading.fail(
      reference.place,
      `\`${reference.value}\` is a list of ${kindOf(list.value)}; here ${kind} are needed`,
      `name a list with \`${kind}:\``,
    );
  }

  /** Of patterns and networks, only those that are references matter: `list:NAME`, perhaps after `!`. */
  listsAmong(entries: readonly Located<string>[], kind: ListKind): void {
    for (const { value, place } of entries) {
      const name = /^!?list:(.*)$/s.exec(value)?.[1];
      if (name !== undefined) this.list({ value: name, place }, kind);
    }
  }

  // Where the section or the entry itself is wrong, that has been said, and the reference may be right.
  #check(
    reference: Located<string> | null,
    target: { readonly what: string; readonly section: string; readonly names: readonly string[] },
  ): void {
    const { what, section, names } = target;
    if (reference === null || reference.value === "" || names.includes(reference.value)) return;
    if (this.#reading.isWrong(section) || this.#reading.isWrong(keyBelow(section, reference.value))) return;
    const near = closest(reference.value, names);
    const known = names.length === 0 ? `there are none: add one to section \`${section}\`` : `write one of ${names.join(", ")}`;
    const message = `there is no ${what} \`${reference.value}\``;
    if (near === null) this.#reading.fail(reference.place, message, known);
    else this.#reading.fail(reference.place, `${message}; did you mean \`${near}\`?`, `write \`${near}\``);
  }
}
