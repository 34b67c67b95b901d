import type { EcsMode, GroupOptions, ServerOptions } from "../upstreams/options.ts";
import { rebindingMode, warnBeyondDeadline } from "./answers.ts";
import type { ConfigReader, Located, SourceLocation } from "./reading.ts";
import { proxy, type ServerAddress, serverAddress } from "./server.ts";
import {
  anyOf,
  boolean,
  integer,
  key,
  keyword,
  mapOf,
  mapOr,
  type Named,
  nameless,
  object,
  oneOrMany,
  oneOrMore,
  optional,
  type RawOf,
  refine,
  required,
  type Shape,
  scalarOf,
  withPlace,
} from "./shape.ts";
import { duration } from "./units.ts";
import {
  address,
  certificateFile,
  client,
  domainName,
  domainPattern,
  network,
  networkOrList,
  parseOwnName,
  recordType,
  reference,
} from "./values.ts";

const serverMap = object("a map with `url`", {
  url: required(withPlace(serverAddress), "The server, as where it is written without a map."),
  addresses: key(oneOrMany(address), "Addresses of the host in `url`; with them nothing is looked up.", []),
  tlsName: optional(withPlace(domainName), "Name sent as SNI and checked in the certificate; by default the host in `url`."),
  method: optional(withPlace(keyword("GET", "POST")), "HTTP method of DoH; by default POST."),
  maxQps: optional(integer(1, 1_000_000), "Questions per second; beyond, the next member of the group is asked."),
  weight: key(integer(1, 1000), "Share of the questions under strategy spread.", 1),
  mixedCase: optional(
    withPlace(boolean()),
    "Sends names over UDP with letters in random case, and takes only answers that repeat them. Some servers do not; by default false.",
  ),
  cookies: optional(
    withPlace(boolean()),
    "Sends a cookie over UDP (RFC 7873), and takes only answers that repeat it, once the server has repeated one; by default false.",
  ),
});

const serverOptions = refine<RawOf<typeof serverMap>, ServerOptions>(
  serverMap,
  ({ url, tlsName, method, mixedCase, cookies, ...rest }, _, reader) => {
    const { protocol } = url.value;
    if (tlsName !== null && protocol !== "tls" && protocol !== "https")
      reader.fail(tlsName.place, "`tlsName` means nothing to a server without TLS", "remove it, or use tls:// or https://");
    if (method !== null && protocol !== "https")
      reader.fail(method.place, "`method` means something to https:// alone", "remove it");
    for (const [key, value] of Object.entries({ mixedCase, cookies }))
      if (value !== null && protocol !== "udp" && protocol !== "system")
        reader.fail(value.place, `\`${key}\` means something over UDP alone`, "remove it");
    const guards = {
      ...(mixedCase?.value === true ? { mixedCase: true } : {}),
      ...(cookies?.value === true ? { cookies: true } : {}),
    };
    return { ...url.value, ...rest, ...guards, tlsName: tlsName?.value ?? null, method: method?.value ?? "POST" };
  },
);

const plainServer = refine<ServerAddress, ServerOptions>(serverAddress, (server) => {
  return { ...server, addresses: [], tlsName: null, method: "POST", maxQps: null, weight: 1 };
});

/** A server as a text or a map. */
const server: Shape<ServerOptions> = { ...mapOr(serverOptions, plainServer), expected: serverAddress.expected };

const ECS_WORDS = keyword("strip", "forward", "client");

export const ecsMode: Shape<EcsMode> = {
  schema: anyOf(ECS_WORDS.schema, { type: "string", pattern: "[.:]" }),
  expected: "`strip`, `forward`, `client` or a network",
  read(place, reader) {
    const word = scalarOf(place.node);
    if (typeof word !== "string" || !/[.:]/.test(word)) return ECS_WORDS.read(place, reader);
    const subnet = network.read(place, reader);
    return subnet === undefined ? undefined : { subnet };
  },
};

const neverShape = object("a map with `domains`, `types` or `clients`", {
  domains: key(oneOrMany(withPlace(domainPattern)), "Names that never go to this group.", []),
  types: key(oneOrMany(recordType), "Record types that never go to this group.", []),
  clients: key(oneOrMany(client), "Clients whose questions never go to this group.", []),
});

const fallbackMap = object("a map with `group`", {
  group: required(withPlace(reference), "The group.", nameless),
  after: optional(
    withPlace(duration("10ms", "10s")),
    "After so long without an answer it is asked too; by default only after every member has failed.",
  ),
});

interface RawFallback {
  readonly group: Located<string>;
  readonly after: Located<number> | null;
}

const fallbackName: Shape<RawFallback> = refine(withPlace(reference), (group) => ({ group, after: null }));

const groupShape = object("a map with `servers`", {
  servers: required(
    oneOrMore(withPlace(server), "a group needs a server"),
    "The members: addresses, URLs, `system`, or maps with `url`.",
    () => [],
  ),
  strategy: key(
    keyword("fastest", "race", "failover", "spread"),
    "fastest: the best by measured latency. race: all at once, the first good answer. failover: in order, the ill left out. spread: at random by weight.",
    "fastest",
  ),
  attempt: key(withPlace(duration("10ms", "10s")), "A member silent for so long is joined by the next.", "600ms"),
  fallback: optional(
    mapOr<RawFallback, RawFallback>(fallbackMap, fallbackName),
    "Group that is asked after every member of this one has failed, or, as a map with `after`, after that time.",
  ),
  asksFrom: key(oneOrMany(network), "Networks from which the members ask Fenliu: their questions never go back to them.", []),
  never: optional(neverShape, "What must never reach this group; such a question is refused with SERVFAIL."),
  volatile: key(boolean(), "Answers are never given stale, prefetched or kept across restarts.", false),
  ecs: optional(
    ecsMode,
    "EDNS Client Subnet towards the members: strip, forward (as the client sent it), client (the client's own network), or a fixed network.",
  ),
  proxy: optional(proxy, "SOCKS5 or HTTP proxy through which the members are asked; it is given their names."),
  ca: optional(
    certificateFile,
    "PEM file of the authority that the members' certificates come from, in place of the public ones.",
  ),
  rebinding: optional(rebindingMode, "As answers.rebinding, for this group."),
  accept: key(
    oneOrMany(withPlace(networkOrList)),
    "Addresses that answers of this group may have; others are taken out, and an answer without any left counts as none.",
    [],
  ),
  drop: key(
    oneOrMany(withPlace(networkOrList)),
    "Addresses that are taken out of answers of this group; an answer without any left counts as none.",
    [],
  ),
});

type RawGroup = RawOf<typeof groupShape>;
type RawGroups = readonly Named<string, RawGroup>[];

export const DEFAULT_SERVERS: readonly string[] = ["223.5.5.5", "119.29.29.29"];

export const upstreamsShape = refine<RawGroups, RawGroups>(
  mapOf("a map of upstream groups", parseOwnName, groupShape),
  (groups, place, reader) =>
    groups.length > 0 ? groups : reader.fail(place, "there is no group", "add one, or remove the section for the default"),
);

export const bootstrapShape = oneOrMore(withPlace(server), "names of servers could not be looked up");

export function toGroupOptions(groups: RawGroups): readonly GroupOptions[] {
  return groups.flatMap(({ name, value: raw }) => {
    if (raw === undefined) return [];
    const { attempt, servers, fallback, never, accept, drop, ...rest } = raw;
    const changed = {
      servers: servers.map(({ value }) => value),
      attemptMs: attempt.value,
      fallback: fallback?.group.value ?? null,
      fallbackAfterMs: fallback?.after?.value ?? null,
      accept: accept.map(({ value }) => value),
      drop: drop.map(({ value }) => value),
      never: never && { ...never, domains: never.domains.map(({ value }) => value) },
    };
    return [{ name, ...rest, ...changed }];
  });
}

export function checkBootstrap(servers: readonly Located<ServerOptions>[], reader: ConfigReader): void {
  for (const { value, place } of servers) {
    const isAddress = value.protocol === "system" || value.addresses.length > 0 || /^[\d.]+$|:/.test(value.host);
    if (!isAddress)
      reader.fail(place, `\`${value.label}\` would itself have to be looked up`, "name it by address, or pin its `addresses`");
  }
}

export function checkGroups(groups: RawGroups, deadline: Located<number>, reader: ConfigReader): void {
  for (const { value } of groups) {
    checkRepeatedServers(value?.servers ?? [], reader);
    if (value === undefined) continue;
    warnBeyondDeadline(value.attempt, deadline, "a second server would be asked too late", reader);
    const after = value.fallback?.after ?? null;
    if (after !== null) warnBeyondDeadline(after, deadline, "the fallback would be asked too late", reader);
  }
  for (const cycle of fallbackCycles(groups)) {
    const names = [...cycle.names, cycle.names[0]].map((name) => `\`${name}\``).join(" to ");
    reader.fail(cycle.place, `the fallbacks go round in a circle: from ${names}`, "remove one of these `fallback` keys");
  }
}

// Two members that agree confirm a doubtful answer; one server with two entries would agree with itself.
function checkRepeatedServers(servers: readonly Located<ServerOptions>[], reader: ConfigReader): void {
  const seen = new Set<string>();
  for (const { value, place } of servers) {
    const identity = JSON.stringify([value.protocol, value.host.toLowerCase(), value.port, value.path]);
    if (seen.has(identity))
      reader.fail(
        place,
        `\`${value.label}\` is in this group twice`,
        "remove one of them; `weight` gives a server a larger share",
      );
    seen.add(identity);
  }
}

interface Cycle {
  readonly names: readonly string[];
  /** Place of the `fallback` that closes the circle. */
  readonly place: SourceLocation;
}

function fallbackCycles(groups: RawGroups): readonly Cycle[] {
  const fallbacks = new Map(groups.map(({ name, value }) => [name, value?.fallback?.group ?? null]));
  const cycles: Cycle[] = [];
  const done = new Set<string>();
  for (const { name: start } of groups) {
    const path: string[] = [];
    for (let name = start; !done.has(name); ) {
      done.add(name);
      path.push(name);
      const next = fallbacks.get(name) ?? null;
      if (next === null) break;
      if (path.includes(next.value)) cycles.push({ names: path.slice(path.indexOf(next.value)), place: next.place });
      name = next.value;
    }
  }
  return cycles;
}
