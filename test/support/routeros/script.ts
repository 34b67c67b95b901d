/**
 * Runs RouterOS scripts as far as Fenliu writes them, against a router in memory. What the parser does not know is a `SyntaxError`, so a script
 * with a slip fails its test, and so does one that names a menu or a parameter that the version of the router does not have.
 */

import { hasSince, MENUS } from "./menus.ts";
import { type Router, RouterError, type Row } from "./router.ts";

/**
 * Imports a script: RouterOS parses it whole, then runs one line after the other, and undoes nothing.
 * @param lines how many lines are run, for an import that breaks off.
 * @throws SyntaxError before any line has run; RouterError at the first line that fails.
 */
export async function importScript(router: Router, script: string, lines = Number.POSITIVE_INFINITY): Promise<void> {
  const parsed = script.split("\n").map((line) => new Parser(router, line).whole());
  for (const run of parsed.slice(0, lines)) await run(new Map());
}

/** Runs a text of the script language, as `:execute` and the scheduler do. @returns what the last command printed. */
export async function runScript(router: Router, text: string): Promise<string> {
  return printed(await new Parser(router, text).whole()(new Map()));
}

/** What `/tool fetch` asks for. */
export interface Fetched {
  readonly url: string;
  readonly user: string;
  readonly password: string;
}

/** Runs a script that a user keeps on the router: unlike ours it may have variables within quotes, and fetch. */
export async function runUserScript(router: Router, text: string, fetch: (wanted: Fetched) => Promise<void>): Promise<void> {
  await new Parser(router, text.trim().replaceAll("\n", ";"), fetch).whole()(new Map());
}

/** Three minutes later: what the scheduler holds and what `:execute` has started is run. */
export async function runLater(router: Router): Promise<void> {
  const scheduled = router.rows("system/scheduler").map((row) => row["on-event"] ?? "");
  for (const text of [...router.jobs.splice(0), ...scheduled]) await runScript(router, text);
}

/** A list is an array of ids or of values; code is what `:parse` gives. */
type Value = string | boolean | readonly string[] | Code;
type Code = (variables: Variables) => Promise<Value>;
type Variables = Map<string, Value>;

const VERBS = ["add", "set", "remove", "find", "get", "flush", "import", "run", "print", "sign", "fetch"];

/** Fields whose value is a list in scripts. */
const LISTS = ["servers", "dynamic-servers", "dns-server", "dns", "builtin-trust-store", "dhcp-option"];

class Parser {
  readonly #router: Router;
  readonly #text: string;
  /** null = the script is one of ours. */
  readonly #fetch: ((wanted: Fetched) => Promise<void>) | null;
  #at = 0;
  /** The menu of the command around a bracket, for `[find …]` without a path. */
  #menu = "";

  constructor(router: Router, text: string, fetch: ((wanted: Fetched) => Promise<void>) | null = null) {
    this.#router = router;
    this.#text = text;
    this.#fetch = fetch;
  }

  whole(): Code {
    const code = this.#statements();
    if (this.#at < this.#text.length) this.#fail("the end");
    return code;
  }

  /** Statements up to a closing bracket or the end; the value is that of the last. */
  #statements(): Code {
    const codes: Code[] = [];
    for (;;) {
      while (this.#skipBlanks() && this.#take(";"));
      const char = this.#text[this.#at] ?? "}";
      if (char === "#") this.#at = this.#text.length;
      if (char === "}" || char === "]" || char === "#") break;
      codes.push(this.#statement());
      this.#skipBlanks();
      if (!/^[;}\]]|^$/.test(this.#text.slice(this.#at, this.#at + 1))) this.#fail("`;` or the end");
    }
    return async (variables) => {
      let last: Value = "";
      for (const code of codes) last = await code(variables);
      return last;
    };
  }

  #statement(): Code {
    if (this.#text[this.#at] === "{") return this.#block();
    if (this.#take(":if ")) return this.#if();
    if (this.#take(":do ")) return this.#do();
    if (this.#take(":foreach ")) return this.#forEach();
    if (this.#take(":local ") || this.#take(":set ")) {
      const name = this.#word();
      const value = this.#value();
      return async (variables) => {
        variables.set(name, await value(variables));
        return "";
      };
    }
    if (this.#take(":")) return this.#global(this.#word());
    if (this.#text[this.#at] === "$") {
      const code = this.#value();
      return async (variables) => {
        const run = await code(variables);
        return typeof run === "function" ? run(new Map(variables)) : run;
      };
    }
    return this.#command();
  }

  #global(name: string): Code {
    if (name === "log") this.#word();
    if (name === "pick" || name === "find") return this.#textCommand(name);
    const argument = this.#value();
    const run = GLOBALS[name] ?? this.#fail(`a command, not :${name}`);
    return async (variables) => run(this.#router, await argument(variables));
  }

  /** `:pick text start end` and `:find text wanted`. */
  #textCommand(name: "pick" | "find"): Code {
    const operands = [this.#value(), this.#value(), ...(name === "pick" ? [this.#value()] : [])];
    return async (variables) => {
      const [text = "", one = "", other = ""] = await Promise.all(operands.map(async (code) => printed(await code(variables))));
      return name === "pick" ? text.slice(Number(one), Number(other)) : String(text.indexOf(one));
    };
  }

  #if(): Code {
    const condition = this.#value();
    this.#need("do=");
    const then = this.#block();
    this.#skipBlanks();
    const otherwise = this.#take("else=") ? this.#block() : null;
    return async (variables) => {
      const holds = await condition(variables);
      if (typeof holds !== "boolean") throw new RouterError("conditional not boolean");
      return holds ? then(variables) : (otherwise?.(variables) ?? "");
    };
  }

  #do(): Code {
    const body = this.#block();
    this.#need("on-error=");
    const handler = this.#block();
    return async (variables) => {
      try {
        return await body(variables);
      } catch {
        return await handler(variables);
      }
    };
  }

  #forEach(): Code {
    const name = this.#word();
    this.#need("in=");
    const list = this.#value();
    this.#need("do=");
    const body = this.#block();
    return async (variables) => {
      const items = await list(variables);
      for (const item of Array.isArray(items) ? items : [textOf(items)]) await body(new Scope(variables, name, item));
      return "";
    };
  }

  #block(): Code {
    this.#need("{");
    const code = this.#statements();
    this.#need("}");
    return async (variables) => code(new Scope(variables));
  }

  /** A text, a variable, an expression in parentheses, a command in brackets, a list in braces. */
  #value(): Code {
    this.#skipBlanks();
    if (this.#take("[")) {
      const code = this.#statements();
      this.#need("]");
      return code;
    }
    if (this.#take("(")) {
      const code = this.#expression(0);
      this.#need(")");
      return code;
    }
    if (this.#take("{")) {
      const items: Code[] = [];
      do items.push(this.#value());
      while (this.#skipBlanks() && this.#take(";"));
      this.#need("}");
      return async (variables) => Promise.all(items.map(async (item) => textOf(await item(variables))));
    }
    if (this.#take('"')) {
      const parts = this.#quoted();
      return async (variables) =>
        parts.map((part) => (typeof part === "string" ? part : printed(this.#held(variables, part.name)))).join("");
    }
    if (this.#take("$")) {
      const name = this.#word();
      return async (variables) => this.#held(variables, name);
    }
    const [word] = /^[^\s;[\](){}"$=~]+/.exec(this.#text.slice(this.#at)) ?? this.#fail("a value");
    this.#at += word.length;
    return async () => (word === "true" || word === "yes" ? true : word === "false" || word === "no" ? false : word);
  }

  #held(variables: Variables, name: string): Value {
    return variables.get(name) ?? this.#fail(`a variable, not ${name}`);
  }

  #expression(level: number): Code {
    const operators = LEVELS[level];
    if (operators === undefined) {
      this.#skipBlanks();
      if (!this.#take("!")) return this.#value();
      const operand = this.#value();
      return async (variables) => (await operand(variables)) !== true;
    }
    let left = this.#expression(level + 1);
    for (;;) {
      this.#skipBlanks();
      const operator = Object.keys(operators).find((sign) => this.#take(sign));
      if (operator === undefined) return left;
      const apply = operators[operator] as Operator;
      const [one, other] = [left, this.#expression(level + 1)];
      left = async (variables) => apply(await one(variables), await other(variables));
    }
  }

  #command(): Code {
    const outer = this.#menu;
    const path: string[] = [];
    let verb = "";
    if (this.#take("/"))
      while (verb === "") {
        this.#skipBlanks();
        const word = this.#word();
        if (VERBS.includes(word)) verb = word;
        else path.push(word);
        this.#take("/");
      }
    else verb = this.#word();
    const menu = path.length === 0 ? outer : path.join("/");
    if (!VERBS.includes(verb)) this.#fail("a command");
    if (menu === "" && verb === "import") return this.#importFile();
    if (menu === "ip/dns/cache" && verb === "flush") return async () => flush(this.#router);
    if (menu === "tool" && verb === "fetch") return this.#fetched();
    this.#checkMenu(menu);
    this.#menu = menu;
    const code = this.#verb(menu, verb);
    this.#menu = outer;
    return code;
  }

  /** `/import` of a script. */
  #importFile(): Code {
    this.#need("file-name=");
    const name = this.#value();
    return async (variables) => {
      const wanted = textOf(await name(variables));
      const file = this.#router.rows("file").find((row) => row["name"] === wanted);
      if (file === undefined) throw new RouterError("failure: file not found");
      await importScript(this.#router, file["contents"] ?? "");
      return "";
    };
  }

  #fetched(): Code {
    const fetch = this.#fetch ?? this.#fail("a command of ours, not fetch");
    const parameters = new Map<string, Code>();
    while (this.#skipBlanks() && !/[;\]}]/.test(this.#text[this.#at] ?? "")) {
      const name = this.#word();
      if (!["url", "user", "password", "output"].includes(name)) this.#fail(`a parameter of fetch, not ${name}`);
      this.#need("=");
      parameters.set(name, this.#value());
    }
    return async (variables) => {
      const given = async (name: string) => textOf((await parameters.get(name)?.(variables)) ?? "");
      await fetch({ url: await given("url"), user: await given("user"), password: await given("password") });
      return "";
    };
  }

  #verb(menu: string, verb: string): Code {
    const router = this.#router;
    if (verb === "print") {
      this.#skipBlanks();
      while (["detail", "stats"].some((word) => this.#take(word))) this.#skipBlanks();
      const condition = this.#where(menu);
      return async (variables) => {
        const shown: string[] = [];
        for (const row of router.rows(menu)) if (await condition(row, variables)) shown.push(detailOf(row));
        return shown.join("\n");
      };
    }
    if (verb === "find") {
      const condition = this.#where(menu);
      return async (variables) => {
        const found: string[] = [];
        for (const row of router.rows(menu)) if (await condition(row, variables)) found.push(row[".id"] ?? "");
        return found;
      };
    }
    const isSingle = MENUS[menu]?.single === true;
    if (verb === "get") {
      const item = isSingle ? null : this.#value();
      const field = this.#word();
      this.#checkField(menu, field);
      return async (variables) => {
        const row = item === null ? router.record(menu) : rowOf(router, menu, await item(variables));
        return scriptValue(field, row[field] ?? "");
      };
    }
    const takesItems = !isSingle && verb !== "add" && verb !== "import";
    const items = takesItems ? this.#value() : null;
    const parameters = this.#parameters(menu, verb);
    return async (variables) => {
      const ids = items === null ? [] : idsOf(router, menu, await items(variables));
      const values: Record<string, string> = {};
      for (const [field, value] of parameters) values[field] = textOf(await value(variables));
      if (verb === "add") return router.add(menu, values);
      if (verb === "set") router.set(menu, ids, values);
      else if (verb === "remove") router.remove(menu, ids);
      else if (verb === "import") importCertificate(router, values);
      else if (verb === "sign") router.sign(ids);
      else for (const id of ids) await runScript(router, rowOf(router, menu, id)["source"] ?? "");
      return "";
    };
  }

  #parameters(menu: string, verb: string): readonly (readonly [string, Code])[] {
    const parameters: [string, Code][] = [];
    while (this.#skipBlanks() && !/[;\]}]/.test(this.#text[this.#at] ?? "")) {
      const field = this.#word();
      if (verb === "import") {
        if (!["file-name", "passphrase", "name"].includes(field)) this.#fail(`a parameter of import, not ${field}`);
      } else if (verb !== "add" || field !== "place-before") this.#checkField(menu, field);
      this.#need("=");
      parameters.push([field, this.#value()]);
    }
    return parameters;
  }

  /** Conditions joined by `and`. */
  #where(menu: string): (row: Row, variables: Variables) => Promise<boolean> {
    this.#skipBlanks();
    this.#take("where ");
    const conditions: ((row: Row, variables: Variables) => Promise<boolean>)[] = [];
    while (this.#skipBlanks() && !/[;\]}]/.test(this.#text[this.#at] ?? "")) {
      if (conditions.length > 0) this.#need("and ");
      const field = this.#word();
      this.#checkField(menu, field);
      const sign = ["!=", "=", "~"].find((each) => this.#take(each)) ?? this.#fail("an operator");
      const value = this.#value();
      conditions.push(async (row, variables) => {
        const [has, wanted] = [scriptValue(field, row[field] ?? ""), await value(variables)];
        return sign === "~" ? matches(has, wanted) : equal(has, wanted) === (sign === "=");
      });
    }
    return async (row, variables) => {
      for (const condition of conditions) if (!(await condition(row, variables))) return false;
      return true;
    };
  }

  #checkMenu(menu: string): void {
    const known = MENUS[menu];
    if (known === undefined || !hasSince(known, this.#router.version)) this.#fail(`a menu, not /${menu}`);
  }

  #checkField(menu: string, field: string): void {
    const known = MENUS[menu];
    const isField = known !== undefined && (field in known.fields || field in (known.readOnly ?? {}));
    if (!isField || !hasSince(known, this.#router.version, field)) this.#fail(`a parameter of /${menu}, not ${field}`);
  }

  /** Texts, and variables between them. */
  #quoted(): readonly (string | { readonly name: string })[] {
    const parts: (string | { readonly name: string })[] = [];
    const bytes: number[] = [];
    const endText = () => parts.push(Buffer.from(bytes.splice(0)).toString("utf8"));
    for (;;) {
      const char = this.#text[this.#at++] ?? this.#fail("the end of the quotes");
      if (char === '"') {
        endText();
        return parts;
      }
      if (char === "$") {
        if (this.#fetch === null) this.#fail("no variable within quotes");
        endText();
        const [name = ""] = /^[A-Za-z]\w*/.exec(this.#text.slice(this.#at)) ?? this.#fail("a variable");
        this.#at += name.length;
        parts.push({ name });
        continue;
      }
      if (char !== "\\") {
        bytes.push(char.charCodeAt(0));
        continue;
      }
      const [sequence = ""] = /^(?:["\\$]|[0-9A-F]{2})/.exec(this.#text.slice(this.#at, this.#at + 2)) ?? [];
      if (sequence === "") this.#fail("an escape that RouterOS knows");
      this.#at += sequence.length;
      bytes.push(sequence.length === 2 ? Number.parseInt(sequence, 16) : sequence.charCodeAt(0));
    }
  }

  #word(): string {
    this.#skipBlanks();
    const [word] = /^[\w.-]+/.exec(this.#text.slice(this.#at)) ?? this.#fail("a word");
    this.#at += word.length;
    return word;
  }

  #take(text: string): boolean {
    const isNext = this.#text.startsWith(text, this.#at);
    if (isNext) this.#at += text.length;
    return isNext;
  }

  #need(text: string): void {
    this.#skipBlanks();
    if (!this.#take(text)) this.#fail(`\`${text}\``);
  }

  #skipBlanks(): boolean {
    while (this.#text[this.#at] === " ") this.#at++;
    return this.#at < this.#text.length;
  }

  #fail(wanted: string): never {
    throw new SyntaxError(`wanted ${wanted} at: ${this.#text.slice(this.#at, this.#at + 60)}`);
  }
}

/** The variables of a block: new ones end with it, those around it may be changed. */
class Scope extends Map<string, Value> {
  readonly #outer: Variables;

  constructor(outer: Variables, name?: string, value?: Value) {
    super();
    this.#outer = outer;
    if (name !== undefined && value !== undefined) super.set(name, value);
  }

  override get(name: string): Value | undefined {
    return super.get(name) ?? this.#outer.get(name);
  }

  override set(name: string, value: Value): this {
    if (!super.has(name) && this.#outer.get(name) !== undefined) this.#outer.set(name, value);
    else super.set(name, value);
    return this;
  }
}

type Operator = (one: Value, other: Value) => Value;

/** From what binds least. */
const LEVELS: readonly Readonly<Record<string, Operator>>[] = [
  { "and ": (one, other) => one === true && other === true, "or ": (one, other) => one === true || other === true },
  {
    "!=": (one, other) => !equal(one, other),
    "=": equal,
    "~": matches,
    ">": (one, other) => Number(textOf(one)) > Number(textOf(other)),
  },
  {
    ",": (one, other) => [one, other].flatMap((value) => (typeof value === "object" ? value : [textOf(value)])),
    ".": (one, other) => printed(one) + printed(other),
    "+": (one, other) => String(Number(textOf(one)) + Number(textOf(other))),
  },
];

const GLOBALS: Readonly<Record<string, (router: Router, value: Value) => Value | Promise<Value>>> = {
  len: (_, value) => String(typeof value === "object" ? value.length : textOf(value).length),
  tostr: (_, value) => printed(value),
  parse: (router, value) => new Parser(router, textOf(value)).whole(),
  resolve: (router, value) => router.resolve(textOf(value)),
  error(_, value) {
    throw new RouterError(textOf(value));
  },
  put: () => "",
  delay: () => "",
  log(router, value) {
    router.note("script,info", textOf(value));
    return "";
  },
  execute(router, value) {
    router.jobs.push(textOf(value));
    return "";
  },
};

function equal(one: Value, other: Value): boolean {
  return textOf(one) === textOf(other);
}

function matches(one: Value, pattern: Value): boolean {
  return new RegExp(textOf(pattern)).test(printed(one));
}

/** As a parameter is given. */
function textOf(value: Value): string {
  if (typeof value === "function") throw new RouterError("code is no value");
  if (typeof value === "boolean") return value ? "yes" : "no";
  return typeof value === "string" ? value : value.join(",");
}

/** As it is printed, where the items of a list are parted by `;`. */
function printed(value: Value): string {
  return typeof value === "object" ? value.join(";") : typeof value === "boolean" ? String(value) : textOf(value);
}

function scriptValue(field: string, text: string): Value {
  if (LISTS.includes(field)) return text === "" ? [] : text.split(",");
  return text === "true" ? true : text === "false" ? false : text;
}

function rowOf(router: Router, menu: string, item: Value): Row {
  const [id] = idsOf(router, menu, item);
  const row = router.rows(menu).find((each) => each[".id"] === id);
  if (row === undefined) throw new RouterError("no such item");
  return row;
}

/** Items are given by ids, or by a name. */
function idsOf(router: Router, menu: string, items: Value): readonly string[] {
  const texts = typeof items === "object" ? items : textOf(items).split(",");
  const rows = router.rows(menu);
  return texts.map((text) => {
    const row = rows.find((each) => each[".id"] === text || each["name"] === text);
    if (row === undefined) throw new RouterError("no such item");
    return row[".id"] ?? "";
  });
}

function flush(router: Router): string {
  router.flushCache();
  return "";
}

/** A record as `print detail` shows it. */
function detailOf(row: Row): string {
  return Object.entries(row)
    .map(([field, value]) => `${field}="${value}"`)
    .join(" ");
}

function importCertificate(router: Router, values: Readonly<Record<string, string>>): void {
  const file = router.rows("file").find(({ name }) => name === values["file-name"]);
  if (file === undefined) throw new RouterError("failure: file not found");
  router.trust(file["contents"] ?? "", values["name"] ?? "");
}
