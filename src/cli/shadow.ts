import { readFileSync } from "node:fs";
import { resolve as resolvePath } from "node:path";
import { rejectionReply, render, replyLimit } from "../answers/render.ts";
import type { Config } from "../config/types.ts";
import { systemReason } from "../config/values.ts";
import { type AddressSet, endpointText } from "../dns/address.ts";
import type { Answer } from "../dns/answer.ts";
import { nameFromText } from "../dns/name.ts";
import { askMessage, isRejection, parseQuery, type Question } from "../dns/query.ts";
import { CLASS, TYPE, typeNumber } from "../dns/types.ts";
import type { Client } from "../lib/client.ts";
import { systemClock } from "../lib/clock.ts";
import { ListenError, openListeners } from "../listen/listeners.ts";
import type { Handler, HandlerReply } from "../listen/types.ts";
import { operationsLog } from "../log/operations.ts";
import { resolve } from "../resolve/resolve.ts";
import type { Resolver } from "../resolve/types.ts";
import { closeState, openState, ServerStateError } from "../server/state.ts";
import { type Upstream, UpstreamError } from "../upstreams/upstream.ts";
import { withApi } from "./api-client.ts";
import { CA_HELP, type Command, configPath, EXIT, type Invocation, readConfig, type Terminal, UsageError } from "./invocation.ts";
import { fetchPast } from "./log.ts";
import { openWritten } from "./query.ts";
import { type Compared, Differences, shadowText } from "./shadow-differences.ts";

export const shadowCommand: Command = {
  usage: `  fenliu shadow OLD [-c NEW] (--names FILE | --log | --live) [--ca FILE]
                                   ask an old server and a new configuration the same, and show what differs and why
`,
  help: `OLD is a server as 192.0.2.1, tls://… or https://…; NEW a configuration, which is not served: nothing is stored, and nobody is answered by it.

      --names FILE   questions, a line each: NAME [TYPE]; A, AAAA and HTTPS where no type is said. The query log of AdGuard Home
                     (querylog.json) and the log of dnsmasq are understood too
      --log          what the Fenliu of NEW was asked, from its query log
      --live         what comes to the listeners of NEW: each question gets the answer of OLD, and is then asked of NEW too, until Ctrl-C
${CA_HELP}
Exit code 1: something differs besides the kind of an empty answer.
`,
  options: ["config", "json", "ca", "names", "log", "live"],
  run: shadow,
};

/** Questions under way at once. */
const AT_ONCE = 32;
const OLD_WITHIN_MS = 6000;
const MAX_LOGGED = 20_000;
const MAX_QUESTIONS = 200_000;

async function shadow(invocation: Invocation, terminal: Terminal): Promise<number> {
  const [old, ...others] = invocation.words;
  const sources = [invocation.names !== undefined, invocation.log === true, invocation.live === true].filter(Boolean);
  if (old === undefined || others.length > 0 || sources.length !== 1)
    throw new UsageError("shadow takes the old server, and one of --names FILE, --log and --live");
  const questions = invocation.names === undefined ? [] : readQuestions(resolvePath(terminal.directory, invocation.names));
  const upstream = openWritten(old, invocation, terminal);
  try {
    const config = readConfig(configPath(invocation, terminal), terminal);
    return config === null ? EXIT.failed : await compareWith(upstream, { config, questions, invocation, terminal });
  } finally {
    await upstream.close();
  }
}

interface Job {
  readonly config: Config;
  /** Of the file. */
  readonly questions: readonly Question[];
  readonly invocation: Invocation;
  readonly terminal: Terminal;
}

async function compareWith(upstream: Upstream, { config, questions, invocation, terminal }: Job): Promise<number> {
  const log = operationsLog("warn", (line) => terminal.err(line), true);
  const dependencies = { clock: systemClock, log, ca: null, resolvConf: "/etc/resolv.conf" };
  // What the shadow learns is not what the server knows.
  const unsaved: Config = { ...config, cache: { ...config.cache, file: null } };
  const state = await openState(unsaved, dependencies, null).catch((error: unknown) => {
    if (!(error instanceof ServerStateError)) throw error;
    terminal.err(`fenliu: ${error.message}\n`);
    return null;
  });
  if (state === null) return EXIT.failed;
  const differences = new Differences(nearSets(config, state.resolver));
  const shadowing = new Shadow(upstream, state.resolver, differences);
  let differing: readonly Question[] = [];
  try {
    if (invocation.live === true) {
      if (!(await relay(shadowing, config, terminal))) return EXIT.failed;
    } else if (invocation.log === true) {
      const logged: Question[] = [];
      const read = await withApi(invocation, terminal, async (api) => {
        const { records } = await fetchPast(api, { query: [], limit: MAX_LOGGED });
        logged.push(...records.flatMap(({ name, type }) => questionsOf(name, type)));
        return EXIT.ok;
      });
      if (read !== EXIT.ok) return read;
      differing = await shadowing.askAll(logged);
    } else differing = await shadowing.askAll(questions);
  } finally {
    await closeState(state, null);
  }
  if (differing.length > 0) {
    // A server that was slow while many questions were under way, or one of several by chance, is no difference: nothing is remembered of it.
    const fresh = await openState(unsaved, dependencies, null);
    try {
      await new Shadow(upstream, fresh.resolver, differences).askAgain(differing);
    } finally {
      await closeState(fresh, null);
    }
  }
  const report = differences.report();
  terminal.out(invocation.json === true ? `${JSON.stringify(report, null, 2)}\n` : shadowText(report));
  return report.differences.some(({ kind }) => kind !== "shape") ? EXIT.failed : EXIT.ok;
}

/** The addresses at home, as the comparisons of the configuration have them. */
function nearSets({ rules }: Config, { classifier }: Resolver): readonly AddressSet[] {
  const lists = new Set(
    rules.flatMap(({ action }) => (action !== null && "compare" in action ? [action.compare.keepNearIf] : [])),
  );
  return [...lists].map((list) => classifier.near(list).near);
}

/** Asks both, one answer after the other. */
class Shadow {
  readonly differences: Differences;
  readonly #old: Upstream;
  readonly #resolver: Resolver;

  constructor(old: Upstream, resolver: Resolver, differences: Differences) {
    this.#old = old;
    this.#resolver = resolver;
    this.differences = differences;
  }

  /** @returns what seems to differ, which is not counted yet. */
  async askAll(questions: readonly Question[]): Promise<readonly Question[]> {
    const distinct = new Map(
      questions.slice(0, MAX_QUESTIONS).map((question) => [`${question.type} ${question.name}`, question]),
    );
    const differing: Question[] = [];
    await eachOf(distinct.values(), AT_ONCE, async (question) => {
      const compared = await this.#compared(question, SELF, await this.askOld(question));
      if (this.differences.differenceOf(compared) === null) this.differences.add(compared);
      else differing.push(question);
    });
    return differing;
  }

  async askAgain(questions: readonly Question[]): Promise<void> {
    await eachOf(questions.values(), 1, async (question) => {
      await this.compare(question, SELF, await this.askOld(question));
    });
  }

  /** null = no answer came. */
  async askOld(question: Question): Promise<Answer | null> {
    try {
      return await this.#old.exchange(question, { signal: AbortSignal.timeout(OLD_WITHIN_MS), attempts: [], requester: null });
    } catch (error) {
      if (error instanceof UpstreamError) return null;
      throw error;
    }
  }

  /** @returns whether this is the first difference of its cause. */
  async compare(question: Question, client: Client, old: Answer | null): Promise<boolean> {
    const first = await this.#compared(question, client, old);
    if (this.differences.differenceOf(first) === null) return this.differences.add(first);
    return this.differences.add(await this.#compared(question, client, await this.askOld(question)));
  }

  async #compared(question: Question, client: Client, old: Answer | null): Promise<Compared> {
    const query = parseQuery(askMessage(question, { id: 0, edns: true, padded: false }));
    if (query === null || isRejection(query)) throw new Error("a question that we wrote ourselves cannot be read");
    const untilMs = this.#resolver.clock.now() + this.#resolver.deadlineMs;
    return { question, old, new: await resolve(this.#resolver, query, { client, mayWait: true, untilMs }) };
  }
}

/** So many at a time. */
async function eachOf<T>(items: Iterator<T>, atOnce: number, run: (item: T) => Promise<void>): Promise<void> {
  const work = async () => {
    for (let next = items.next(); next.done !== true; next = items.next()) await run(next.value);
  };
  await Promise.all(Array.from({ length: atOnce }, work));
}

/** Answers the listeners of the configuration with what the old server says. @returns false where they cannot be opened. */
async function relay(shadowing: Shadow, config: Config, terminal: Terminal): Promise<boolean> {
  let pending = 0;
  const answer = async (message: Uint8Array, client: Client): Promise<HandlerReply | null> => {
    const query = parseQuery(message);
    if (query === null) return null;
    if (isRejection(query)) return { wire: rejectionReply(query), maxAgeSeconds: null };
    const old = await shadowing.askOld(query);
    if (pending < MAX_PENDING) {
      pending += 1;
      void shadowing
        .compare(query, client, old)
        .then((isNew) => isNew && terminal.interactive && terminal.err(shadowText(shadowing.differences.report())))
        .finally(() => (pending -= 1));
    }
    if (old === null) return null;
    const transport = { limitBytes: replyLimit(query, client.transport === "udp"), encrypted: false };
    return render({ query, answer: old, ttl: { kind: "keep" }, authenticated: false, extendedErrors: [], ...transport });
  };
  const handler: Handler = {
    answer,
    shed: () => null,
    mayConnect: () => true,
    answerJson: async () => ({ kind: "bad", text: "a shadow speaks DNS alone" }),
  };
  try {
    const listeners = await openListeners(config, handler, { clock: systemClock });
    const bound = listeners.bound.dns.map(({ address, port }) => endpointText(address, port)).join(", ");
    terminal.err(`every question to ${bound} gets the answer of the old server; Ctrl-C ends it\n`);
    await terminal.untilStopped();
    await listeners.close();
    return true;
  } catch (error) {
    if (!(error instanceof ListenError)) throw error;
    terminal.err(`fenliu: ${error.message}\n`);
    return false;
  }
}

/** Comparisons that may wait; further questions of the house are answered and not compared. */
const MAX_PENDING = 500;

/** As which client the new configuration is asked, where nobody is. */
const SELF: Client = { address: "127.0.0.1", port: 0, transport: "tcp", http: null, method: null, clientId: null };

/** The questions of a file. @throws UsageError where it cannot be read, or a line is no question. */
function readQuestions(path: string): readonly Question[] {
  let text: string;
  try {
    text = readFileSync(path, "utf8");
  } catch (error) {
    throw new UsageError(`cannot read ${path}: ${systemReason(error)}`);
  }
  return text.split(/\r?\n/).flatMap((line, index) => {
    const found = QUESTION_LINES.map((form) => form.exec(line)?.groups).find((groups) => groups !== undefined);
    const questions = found === undefined ? [] : questionsOf(found["name"] ?? "", found["type"] ?? null);
    // A log has lines of other kinds.
    if (questions.length === 0 && !/^\s*(#|$)|dnsmasq|^\{/.test(line))
      throw new UsageError(`${path}:${index + 1}: \`${line.trim()}\` is no NAME [TYPE]`);
    return questions;
  });
}

/** The query log of AdGuard Home, the log of dnsmasq, and plain lines. */
const QUESTION_LINES = [
  /"QH":"(?<name>[^"]+)","QT":"(?<type>[^"]+)"/,
  /\bquery\[(?<type>[\w-]+)\] (?<name>\S+) from /,
  /^\s*(?<name>[^\s#]+)(?:\s+(?<type>[\w-]+))?\s*(?:#.*)?$/,
];

/** @param type null = those that a browser asks for. */
function questionsOf(text: string, type: string | null): readonly Question[] {
  const name = nameFromText(text);
  const types =
    type === null ? [TYPE.A, TYPE.AAAA, TYPE.HTTPS] : [typeNumber(type.toUpperCase())].filter((each) => each !== null);
  if (name === null) return [];
  return types.map((each) => ({
    name,
    type: each,
    class: CLASS.IN,
    dnssecOk: false,
    checkingDisabled: false,
    clientSubnet: null,
  }));
}
