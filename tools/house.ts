/**
 * Checks that `src/` and `web/` keep to the plan of the rooms (docs/architecture.md): `node tools/house.ts [FOLDER]`, part of `npm run lint`.
 *
 * - Every file lies in a room that has a row in the table below; `main.ts` alone lies at the root.
 * - A room imports only the rooms of its row, `lib/`, and the types of any `options.ts`.
 * - Two rooms never export the same name, option types aside: one name, one thing.
 * - The dashboard, `web/`, takes of `src/` the types of the API and of its sentences, and one function: what came of a query, in a word.
 * - Words that gave way to those of the field do not come back.
 * - The door of a room names every file of the room, so that a reader who begins there finds the rest.
 * - No file is longer than 700 lines.
 */

import { existsSync, readdirSync, readFileSync } from "node:fs";
import { dirname, join, posix } from "node:path";
import { fileURLToPath } from "node:url";

/** Which rooms a room may import. Rooms further up in the table are built on those below: there is no circle. */
const ROOMS: Readonly<Record<string, readonly string[]>> = {
  cli: [
    "app",
    "import",
    "admin",
    "control",
    "server",
    "config",
    "listen",
    "resolve",
    "rules",
    "lists",
    "answers",
    "upstreams",
    "log",
    "dns",
  ],
  app: ["control", "server", "admin", "config", "devices", "ddns", "routeros", "listen", "lists", "upstreams", "stats", "log"],
  control: [
    "server",
    "admin",
    "config",
    "devices",
    "ddns",
    "routeros",
    "listen",
    "resolve",
    "rules",
    "lists",
    "hosts",
    "cache",
    "upstreams",
    "access",
    "stats",
    "replies",
    "log",
    "dns",
  ],
  server: ["config", "listen", "resolve", "rules", "lists", "hosts", "cache", "upstreams", "answers", "access", "log", "dns"],
  import: ["config", "lists", "dns"],
  admin: ["stats", "log", "dns"],
  config: ["dns"],
  stats: ["log"],
  resolve: ["rules", "hosts", "cache", "upstreams", "answers", "dns"],
  rules: ["lists", "hosts", "dns"],
  listen: ["replies", "log", "dns"],
  lists: ["dns"],
  hosts: ["dns"],
  access: ["dns"],
  cache: ["dns"],
  upstreams: ["dns"],
  answers: ["dns"],
  routeros: ["log", "dns"],
  ddns: ["dns"],
  devices: ["dns"],
  replies: ["log", "dns"],
  log: ["dns"],
  dns: [],
  lib: [],
};

/** The file of each room that is read first. `lib/` has none: its files have nothing to do with each other. */
export const DOORS: Readonly<Record<string, readonly string[]>> = {
  cli: ["run.ts"],
  app: ["app.ts"],
  control: ["control.ts"],
  server: ["pipeline.ts"],
  import: ["import.ts"],
  admin: ["server.ts"],
  config: ["load.ts"],
  stats: ["metrics.ts"],
  resolve: ["resolve.ts"],
  rules: ["decider.ts"],
  listen: ["listeners.ts"],
  replies: ["table.ts"],
  lists: ["load.ts"],
  hosts: ["table.ts"],
  access: ["access.ts"],
  cache: ["answer-cache.ts"],
  answers: ["render.ts"],
  routeros: ["script.ts", "router-link.ts"],
  devices: ["device-names.ts"],
  ddns: ["update.ts"],
  upstreams: ["upstream.ts"],
  log: ["query-log.ts"],
  dns: ["wire.ts"],
};

/** Words that were replaced, and by what: one word for one thing. */
const FORMER_WORDS: Readonly<Record<string, string>> = {
  octet: "byte",
  octets: "bytes",
  Noted: "QueryEvent",
  errand: "ExchangeOptions",
  Flights: "SingleFlight",
  Rechecks: "RefreshThrottle",
  isGuess: "tentative",
  promisedUntil: "advertisedUntil",
  troubledAt: "lastRefreshFailureAt",
  judgedBy: "filterFingerprint",
  Soundings: "BackgroundQueries",
  Underway: "PendingRequests",
  AddressBook: "ServerAddresses",
  LeakGuard: "RouteGuard",
  ForgeryWatch: "SpoofDetector",
  Outbox: "FrameOutput",
  NeverRules: "EgressPolicy",
  putAside: "quarantine",
  BelievedTime: "TrustedClock",
  Exposition: "PrometheusWriter",
  StreamSlots: "StreamLimiter",
};

const MAX_LINES = 700;

/** Imports, exports from elsewhere, and imports at run time. */
const IMPORT = /^(?:import|export) (type )?(?:[^"';]*? from )?"(\.{1,2}\/[^"]+)"|\bimport\("(\.{1,2}\/[^"]+)"\)/gm;
const EXPORT = /^export (?:declare )?(?:abstract )?(?:async )?(?:const|let|function\*?|class|interface|type) (\w+)/gm;

interface SourceFile {
  /** Path below `src` or `web`, with `/`. */
  readonly path: string;
  readonly text: string;
}

/** Every breach in the tree at `root`, a sentence each. */
export function findBreaches(root: string): readonly string[] {
  const files = readSources(join(root, "src"));
  const page = readSources(join(root, "web"));
  return [
    ...files.flatMap(placeFaults),
    ...files.flatMap(importFaults),
    ...files.flatMap((file) => lengthFaults(file, "src")),
    ...nameFaults(files),
    ...doorFaults(files),
    ...files.flatMap(wordFaults),
    ...page.flatMap(webFaults),
    ...page.flatMap((file) => lengthFaults(file, "web")),
  ];
}

function readSources(folder: string): readonly SourceFile[] {
  if (!existsSync(folder)) return [];
  const paths = readdirSync(folder, { recursive: true, encoding: "utf8" }).filter((path) => /\.tsx?$/.test(path));
  return paths.sort().map((path) => ({ path: path.replaceAll("\\", "/"), text: readFileSync(join(folder, path), "utf8") }));
}

/** The room of a path below `src`; null for a file at the root. */
function roomOf(path: string): string | null {
  const slash = path.indexOf("/");
  return slash === -1 ? null : path.slice(0, slash);
}

function placeFaults({ path }: SourceFile): readonly string[] {
  const room = roomOf(path);
  if (room === null) return path === "main.ts" ? [] : [`src/${path}: only main.ts may lie at the root of src`];
  return ROOMS[room] === undefined ? [`src/${path}: the room ${room}/ has no row in the table`] : [];
}

function importFaults({ path, text }: SourceFile): readonly string[] {
  const room = roomOf(path);
  const allowed = room === null ? ["cli"] : ROOMS[room];
  if (allowed === undefined) return [];
  return importsOf(text).flatMap(({ isType, specifier }) => {
    const target = posix.join(posix.dirname(path), specifier);
    const targetRoom = roomOf(target);
    if (targetRoom === room || targetRoom === "lib" || (target.endsWith("/options.ts") && isType)) return [];
    if (targetRoom !== null && allowed.includes(targetRoom)) return [];
    return [
      `src/${path} imports ${target}: ${room ?? "the root"} may import ${["lib", ...allowed].join(", ")} and types of options.ts`,
    ];
  });
}

function importsOf(text: string): readonly { readonly isType: boolean; readonly specifier: string }[] {
  return [...text.matchAll(IMPORT)].map(([, type, early, late]) => ({
    isType: type !== undefined,
    specifier: early ?? late ?? "",
  }));
}

/** What a browser runs is the dashboard's own: of the server it knows the types of the API. */
function webFaults({ path, text }: SourceFile): readonly string[] {
  return importsOf(text).flatMap(({ isType, specifier }) => {
    const target = posix.join("web", posix.dirname(path), specifier);
    const isOwn = target.startsWith("web/");
    const isTypeOfApi = isType && /^src\/(?:admin\/schemas\/|lib\/said\.ts$)/.test(target);
    if (isOwn || isTypeOfApi || target === "src/log/outcome.ts") return [];
    return [
      `web/${path} imports ${target}: the dashboard may import types of src/admin/schemas and src/lib/said.ts, and log/outcome.ts`,
    ];
  });
}

function lengthFaults({ path, text }: SourceFile, folder: string): readonly string[] {
  const lines = text.split("\n").length - 1;
  return lines > MAX_LINES ? [`${folder}/${path}: ${lines} lines, at most ${MAX_LINES}`] : [];
}

function wordFaults({ path, text }: SourceFile): readonly string[] {
  return Object.entries(FORMER_WORDS)
    .filter(([word]) => new RegExp(`\\b${word}\\b`).test(text))
    .map(([word, successor]) => `src/${path}: ${word} is called ${successor}`);
}

function doorFaults(files: readonly SourceFile[]): readonly string[] {
  return Object.entries(DOORS).flatMap(([room, doors]) => {
    const paths = doors.map((door) => `${room}/${door}`);
    const texts = files.filter(({ path }) => paths.includes(path)).map(({ text }) => text);
    if (texts.length === 0) return [];
    // Files in folders of the room are found by their folder, and every section of the configuration has its `options.ts`.
    const unnamed = files.filter(({ path }) => {
      const [folder, name = "", deeper] = path.split("/");
      return folder === room && deeper === undefined && name !== "options.ts" && !paths.includes(path) && !hasName(texts, name);
    });
    return unnamed.map(({ path }) => `src/${path}: the door of the room, src/${paths.join(" or src/")}, does not name it`);
  });
}

function hasName(texts: readonly string[], name: string): boolean {
  return texts.some((text) => new RegExp(`(?<![\\w-])${name.replace(".", "\\.")}`).test(text));
}

function nameFaults(sources: readonly SourceFile[]): readonly string[] {
  const places = new Map<string, Map<string, string>>();
  for (const { path, text } of sources) {
    const room = roomOf(path);
    if (room === null || path.endsWith("/options.ts")) continue;
    for (const [, name = ""] of text.matchAll(EXPORT)) {
      const rooms = places.get(name) ?? new Map<string, string>();
      places.set(name, rooms.set(room, path));
    }
  }
  return [...places]
    .filter(([, rooms]) => rooms.size > 1)
    .map(([name, rooms]) => `${name} is exported by ${[...rooms.values()].map((path) => `src/${path}`).join(" and ")}`);
}

if (process.argv[1] === fileURLToPath(import.meta.url)) {
  const breaches = findBreaches(process.argv[2] ?? join(dirname(fileURLToPath(import.meta.url)), ".."));
  for (const breach of breaches) console.error(breach);
  if (breaches.length > 0) {
    console.error(
      `\n${breaches.length} breaches of the plan of the house: the table is in tools/house.ts, the reasons in docs/architecture.md.`,
    );
    process.exitCode = 1;
  }
}
