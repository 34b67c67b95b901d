import { parseServer } from "../config/server.ts";
import { addressFromText } from "../dns/address.ts";
import type { Answer } from "../dns/answer.ts";
import { decodeMessage } from "../dns/message.ts";
import { nameFromText } from "../dns/name.ts";
import type { Question } from "../dns/query.ts";
import { jsonMessage, messageText } from "../dns/text.ts";
import { CLASS, rcodeName, TYPE, typeNumber } from "../dns/types.ts";
import { systemClock } from "../lib/clock.ts";
import { Bootstrap } from "../upstreams/bootstrap.ts";
import type { ServerOptions } from "../upstreams/options.ts";
import { openServer } from "../upstreams/server.ts";
import { type Attempt, type ServerContext, type Upstream, UpstreamError } from "../upstreams/upstream.ts";
import {
  CA_HELP,
  type Command,
  caText,
  configPath,
  EXIT,
  endpointToAsk,
  type Invocation,
  readConfig,
  type Terminal,
  UsageError,
} from "./invocation.ts";

/** Longer than the deadline of a Fenliu that is asked. */
const TIMEOUT_MS = 6000;

export const queryCommand: Command = {
  usage: `  fenliu query NAME [TYPE] [@SERVER] [--ca FILE]
                                   ask a server, as @192.0.2.1:53, @tls://… or @https://…; without one, the Fenliu of -c FILE
`,
  help: CA_HELP,
  options: ["config", "json", "ca"],
  run: query,
};

/** Asks one server over its transport, and shows the answer and the attempts that led to it. */
async function query(invocation: Invocation, terminal: Terminal): Promise<number> {
  const parsed = parseWords(invocation, terminal);
  if (parsed === null) return EXIT.failed;
  const { server, question } = parsed;
  const upstream = openWritten(server, invocation, terminal);
  const attempts: Attempt[] = [];
  try {
    const signal = AbortSignal.timeout(TIMEOUT_MS);
    const answer = await upstream.exchange(question, { signal, attempts, requester: null });
    terminal.out(
      invocation.json === true
        ? `${JSON.stringify({ answer: jsonOf(answer), attempts }, null, 2)}\n`
        : answerText(answer, attempts),
    );
    return EXIT.ok;
  } catch (error) {
    if (!(error instanceof UpstreamError)) throw error;
    if (invocation.json === true)
      terminal.out(`${JSON.stringify({ failure: error.failure, message: error.message, attempts }, null, 2)}\n`);
    else terminal.err(`fenliu: ${error.message} (${error.failure})\n`);
    return EXIT.failed;
  } finally {
    await upstream.close();
  }
}

/** null where the configuration that names the server cannot be used; the terminal shows why. */
function parseWords(invocation: Invocation, terminal: Terminal): { server: string; question: Question } | null {
  const { words } = invocation;
  const servers = words.filter((word) => word.startsWith("@"));
  const [nameText, typeText = "A", ...others] = words.filter((word) => !word.startsWith("@"));
  if (nameText === undefined || others.length > 0 || servers.length > 1)
    throw new UsageError("query takes NAME [TYPE] [@SERVER]");
  const name = nameFromText(nameText);
  if (name === null) throw new UsageError(`\`${nameText}\` is no domain name`);
  const type = typeNumber(typeText);
  if (type === null) {
    const hint = addressFromText(typeText) === null ? "" : `: to ask a server there, write @${typeText}`;
    throw new UsageError(`\`${typeText}\` is no record type${hint}`);
  }
  const written = servers[0]?.slice(1) ?? ownAddress(invocation, terminal);
  if (written === null) return null;
  return {
    server: written,
    question: { name, type, class: CLASS.IN, dnssecOk: type === TYPE.RRSIG, checkingDisabled: false, clientSubnet: null },
  };
}

/** Where the Fenliu of this configuration listens for DNS; null where the configuration cannot be read; the terminal shows why. */
function ownAddress(invocation: Invocation, terminal: Terminal): string | null {
  const config = readConfig(configPath(invocation, terminal), terminal, { warns: false });
  if (config === null) return null;
  const [endpoint] = config.listen.dns;
  if (endpoint === undefined) throw new UsageError("the configuration has no `listen.dns`: name a server with @");
  return endpointToAsk(endpoint);
}

/** The server at an address that a person wrote, such as `192.0.2.1:53` or `tls://…`. @throws UsageError where it is none. */
export function openWritten(written: string, invocation: Invocation, terminal: Terminal): Upstream {
  const parsed = parseServer(written);
  if (!("value" in parsed)) throw new UsageError(`${parsed.wrong}; ${parsed.fix}`);
  return openServer({ ...parsed.value, ...UNPINNED }, contextOf(invocation, terminal));
}

function contextOf(invocation: Invocation, terminal: Terminal): ServerContext {
  const system = { resolvConf: "/etc/resolv.conf", isOurs: () => false };
  const nowhere = new Bootstrap([], systemClock);
  const bare: ServerContext = { clock: systemClock, bootstrap: nowhere, proxy: null, ca: caText(invocation, terminal), system };
  // The host's resolvers look up the name of the server, as for any other program.
  const resolvers = openServer(SYSTEM, bare);
  return { ...bare, bootstrap: new Bootstrap([resolvers], systemClock) };
}

const UNPINNED = { addresses: [], tlsName: null, method: "POST", maxQps: null, weight: 1 } as const;

const SYSTEM: ServerOptions = { label: "system", protocol: "system", host: "", port: 0, path: "", ...UNPINNED };

function answerText(answer: Answer, attempts: readonly Attempt[]): string {
  const message = decodeMessage(answer.wire);
  const errors = answer.extendedErrors.map(({ code, text }) => `;; EDE ${code}${text === "" ? "" : `: ${text}`}\n`);
  const ways = attempts.map(({ server, transport, elapsedMs, rcode, failure }) => {
    const outcome = rcode === null ? failure : rcodeName(rcode);
    return `;; ${server} over ${transport}: ${outcome} in ${elapsedMs.toFixed(1)} ms\n`;
  });
  return `${message === null ? "" : messageText(message)}${errors.join("")}${ways.join("")}`;
}

function jsonOf(answer: Answer): unknown {
  const message = decodeMessage(answer.wire);
  return message === null ? null : jsonMessage(message);
}
