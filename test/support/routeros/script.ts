/**
 * Runs RouterOS scripts as far as Fenliu writes them, against the DNS menus of a router in memory.
 * What the parser does not know is an error, so a script with a slip fails its test.
 */

export interface StaticEntry {
  name: string;
  type: string;
  address: string;
  comment: string;
  disabled: string;
}

/** The DNS menus of a router. `answers` says whether the DoH server at an address answers. */
export class ScriptedRouter {
  readonly settings: Record<string, string> = {
    "use-doh-server": "",
    "verify-doh-cert": "no",
    "doh-timeout": "5s",
    "doh-max-concurrent-queries": "50",
    "allow-remote-requests": "no",
    servers: "192.0.2.53",
  };
  statics: StaticEntry[] = [];
  readonly #answers: (host: string) => boolean;

  constructor(answers: (host: string) => boolean) {
    this.#answers = answers;
  }

  /** Asks the DoH server alone where one is set, as RouterOS does: there is no fallback to `servers`. */
  resolves(): boolean {
    const url = this.settings["use-doh-server"];
    if (url === undefined || url === "") return this.settings["servers"] !== "";
    const host = new URL(url).hostname.replace(/^\[|\]$/g, "");
    const pins = this.statics.filter(({ name, disabled }) => name === host && disabled === "no");
    const addresses = /^[\d.]+$|:/.test(host) ? [host] : pins.map(({ address }) => address);
    return addresses.some(this.#answers);
  }

  snapshot(): string {
    return JSON.stringify([this.settings, this.statics]);
  }

  /** Runs each line by itself, as an import does. @throws Error at the first line that fails; the lines before have been run. */
  import(script: string): void {
    for (const line of script.split("\n")) new Run(this, line).all();
  }
}

type Value = string | boolean | readonly string[] | readonly StaticEntry[];
type Variables = Map<string, Value>;

class Run {
  readonly #router: ScriptedRouter;
  readonly #text: string;
  #at = 0;
  readonly #variables: Variables;

  constructor(router: ScriptedRouter, text: string, variables: Variables = new Map()) {
    this.#router = router;
    this.#text = text;
    this.#variables = variables;
  }

  all(): void {
    while (this.#skipBlanks()) {
      if (this.#text.startsWith("#", this.#at)) return;
      this.#statement();
      this.#skipBlanks();
      if (this.#at < this.#text.length && !this.#take(";")) this.#fail("`;` or the end");
    }
  }

  #statement(): void {
    if (this.#text.startsWith("{", this.#at)) this.#run(this.#braced());
    else if (this.#take(":local ") || this.#take(":set ")) {
      const name = this.#word();
      this.#variables.set(name, this.#value());
    } else if (this.#take(":if ")) this.#if();
    else if (this.#take(":do ")) this.#do();
    else if (this.#take(":foreach ")) this.#forEach();
    else if (this.#take(":error ")) throw new Error(this.#scalar());
    else if (this.#take(":resolve ")) {
      this.#value();
      if (!this.#router.resolves()) throw new Error("failure: dns server failure");
    } else this.#command();
  }

  #if(): void {
    const holds = this.#condition();
    this.#need("do=");
    const body = this.#braced();
    if (holds) this.#run(body);
  }

  #do(): void {
    const body = this.#braced();
    this.#need("on-error=");
    const handler = this.#braced();
    try {
      this.#run(body);
    } catch {
      this.#run(handler);
    }
  }

  #forEach(): void {
    const name = this.#word();
    this.#need("in=");
    const items = this.#braced().split(";");
    this.#need("do=");
    const body = this.#braced();
    for (const item of items) {
      this.#variables.set(name, new Run(this.#router, item.trim()).#value());
      this.#run(body);
    }
  }

  #condition(): boolean {
    this.#need("(");
    const negated = this.#take("!");
    const left = this.#scalar();
    this.#skipBlanks();
    const holds = this.#take("=") ? left === this.#scalar() : left === "true";
    this.#need(")");
    return holds !== negated;
  }

  /** A value in brackets is what the command within gives. */
  #value(): Value {
    this.#skipBlanks();
    if (this.#take("[")) {
      const value = this.#take(":len ") ? String((this.#value() as readonly unknown[]).length) : this.#command();
      this.#need("]");
      return value;
    }
    if (this.#take('"')) return this.#quoted();
    if (this.#take("$")) {
      const name = this.#word();
      return this.#variables.get(name) ?? this.#fail(`a variable, not ${name}`);
    }
    const word = this.#word();
    return word === "true" ? true : word === "false" ? false : word;
  }

  #scalar(): string {
    const value = this.#value();
    return typeof value === "object" ? this.#fail("one value") : String(value);
  }

  #quoted(): string {
    const bytes: number[] = [];
    for (;;) {
      const char = this.#text[this.#at++] ?? this.#fail("the end of the quotes");
      if (char === '"') return Buffer.from(bytes).toString("utf8");
      if (char === "$") this.#fail("no variable within quotes");
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

  #command(): Value {
    const router = this.#router;
    if (this.#take("/ip dns cache flush")) return "";
    if (this.#take("/ip dns get ")) {
      const key = this.#word();
      return router.settings[key] ?? this.#fail(`a setting of /ip dns, not ${key}`);
    }
    if (this.#take("/ip dns set ")) {
      for (const [key, value] of this.#pairs()) {
        if (!(key in router.settings)) this.#fail(`a setting of /ip dns, not ${key}`);
        router.settings[key] = value;
      }
      return "";
    }
    if (this.#take("/ip dns static find where ") || this.#take("find where ")) return this.#find();
    if (this.#take("/ip dns static remove ")) {
      const gone = this.#value();
      router.statics = router.statics.filter((entry) => !(gone as readonly StaticEntry[]).includes(entry));
      return "";
    }
    if (this.#take("/ip dns static set ")) {
      const found = this.#value() as StaticEntry[];
      const changes = Object.fromEntries(this.#pairs());
      for (const entry of found) Object.assign(entry, changes);
      return "";
    }
    if (this.#take("/ip dns static add ")) {
      const entry = { name: "", type: "A", address: "", comment: "", disabled: "no", ...Object.fromEntries(this.#pairs()) };
      const isSame = (other: StaticEntry): boolean =>
        other.name === entry.name && other.type === entry.type && other.address === entry.address;
      if (router.statics.some(isSame)) throw new Error("failure: entry already exists");
      router.statics.push(entry);
      return "";
    }
    return this.#fail("a command");
  }

  #pairs(): readonly (readonly [string, string])[] {
    const pairs: [string, string][] = [];
    while (this.#skipBlanks() && !/[;\]}]/.test(this.#text[this.#at] ?? "")) {
      const key = this.#word();
      this.#need("=");
      pairs.push([key, this.#scalar()]);
    }
    return pairs;
  }

  #find(): readonly StaticEntry[] {
    let found: readonly StaticEntry[] = this.#router.statics;
    do {
      const key = this.#word() as keyof StaticEntry;
      const operator = ["!=", "=", "~"].find((sign) => this.#take(sign)) ?? this.#fail("an operator");
      const value = this.#scalar();
      found = found.filter((entry) => {
        if (operator === "~") return new RegExp(value).test(entry[key]);
        return (entry[key] === value) === (operator === "=");
      });
      this.#skipBlanks();
    } while (this.#take("and "));
    return found;
  }

  #run(body: string): void {
    new Run(this.#router, body, this.#variables).all();
  }

  /** The text between braces; a brace within quotes does not count. */
  #braced(): string {
    this.#need("{");
    const start = this.#at;
    for (let depth = 1; depth > 0; this.#at++) {
      const char = this.#text[this.#at] ?? this.#fail("a closing brace");
      if (char === '"') {
        this.#at++;
        this.#quoted();
        this.#at--;
      } else if (char === "{") depth++;
      else if (char === "}") depth--;
    }
    return this.#text.slice(start, this.#at - 1);
  }

  #word(): string {
    this.#skipBlanks();
    const [word] = /^[\w.:-]+/.exec(this.#text.slice(this.#at)) ?? this.#fail("a word");
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
