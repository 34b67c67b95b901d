import { once } from "node:events";
import type { IncomingMessage, ServerResponse } from "node:http";
import { createServer, type ServerOptions } from "node:https";
import type { AddressInfo } from "node:net";
import { awaitWithin } from "../../../src/lib/deadline.ts";
import { SerialQueue } from "../../../src/lib/serial-queue.ts";
import { MENUS } from "./menus.ts";
import { type Router, RouterError, type Row } from "./router.ts";
import { runScript } from "./script.ts";

export interface RestUser {
  readonly password: string;
  /** Such as `read`, `write`, `api`, `rest-api`. */
  readonly policy: readonly string[];
}

export interface RestSetup {
  /** null = `certificate=none`: only anonymous ciphers, which Node cannot speak. */
  readonly tls: Pick<ServerOptions, "cert" | "key"> | null;
  readonly users: Readonly<Record<string, RestUser>>;
  /** How long the router works on a request, in ms. The number of records is that of the menu. */
  readonly workMs?: (method: string, records: number) => number;
}

/** What the router was asked; the body as it came. */
export interface RestRequest {
  readonly user: string;
  readonly method: string;
  readonly path: string;
  readonly body: string;
}

export interface RestServer {
  readonly port: number;
  readonly url: string;
  readonly requests: readonly RestRequest[];
  /** May be changed; who is logged in keeps the rights for ten minutes. */
  readonly users: Map<string, RestUser>;
  /** Closes every connection, so that the router is gone. */
  close(): Promise<void>;
}

const LOGIN_MS = 600_000;
const SESSION_MS = 60_000;

/** Opens the REST API of the router on a free port of 127.0.0.1, with the port to use again after a close where one is given. */
export async function openRest(router: Router, { tls, users, workMs = () => 0 }: RestSetup, port = 0): Promise<RestServer> {
  const requests: RestRequest[] = [];
  const known = new Map(Object.entries(users));
  const logins = new Map<string, { readonly policy: readonly string[]; readonly endsMs: number }>();
  const queues = new Map<string, SerialQueue>();
  const server = createServer({ ...tls, maxVersion: "TLSv1.2", keepAliveTimeout: 120_000 }, (request, response) => {
    void answer(request, response);
  });
  server.on("tlsClientError", () => {});

  async function answer(request: IncomingMessage, response: ServerResponse): Promise<void> {
    const chunks: Buffer[] = [];
    for await (const chunk of request) chunks.push(chunk);
    send(response, await replyTo(request, Buffer.concat(chunks).toString()));
  }

  async function replyTo({ method = "", url: path = "", headers }: IncomingMessage, body: string): Promise<Reply> {
    const login = logIn(headers.authorization ?? "");
    if (method === "HEAD") return failure(501);
    if (login === null) return failure(401);
    requests.push({ user: login.user, method, path, body });
    if (!login.policy.includes("api")) return failure(500, "std failure: not allowed (9)");
    if (body !== "" && headers["content-type"] !== "application/json") return failure(415);
    const queue = queues.get(login.user) ?? new SerialQueue();
    queues.set(login.user, queue);
    // A client that has gone away does not end the request: the next one of the same user waits for it.
    const served = queue.add(async () => {
      const { menu } = placeOf(path);
      await work(workMs(method, menu !== null && hasMenu(menu) ? router.rows(menu).length : 0));
      return serve(router, { method, path, body, policy: login.policy });
    });
    return (await awaitWithin(router.clock, SESSION_MS, served)) ?? failure(400, "Session closed");
  }

  function hasMenu(menu: string): boolean {
    try {
      router.menu(menu);
      return true;
    } catch {
      return false;
    }
  }

  function work(ms: number): Promise<void> {
    if (ms <= 0) return Promise.resolve();
    return new Promise((resolve) => void router.clock.setTimer(resolve, ms));
  }

  function logIn(authorization: string): { readonly user: string; readonly policy: readonly string[] } | null {
    const [user = "", password = ""] = Buffer.from(authorization.replace(/^Basic /, ""), "base64")
      .toString()
      .split(":");
    const kept = logins.get(authorization);
    if (kept !== undefined && kept.endsMs > router.clock.now()) return { user, policy: kept.policy };
    const account = known.get(user);
    if (account === undefined || account.password !== password || !account.policy.includes("rest-api")) return null;
    logins.set(authorization, { policy: account.policy, endsMs: router.clock.now() + LOGIN_MS });
    return { user, policy: account.policy };
  }

  server.listen(port, "127.0.0.1");
  await once(server, "listening");
  const bound = (server.address() as AddressInfo).port;
  return {
    port: bound,
    url: `https://127.0.0.1:${bound}`,
    requests,
    users: known,
    async close() {
      server.close();
      server.closeAllConnections();
      await once(server, "close");
    },
  };
}

interface Reply {
  readonly status: number;
  /** Sent as JSON; absent = an empty body. */
  readonly value?: unknown;
}

function send(response: ServerResponse, { status, value }: Reply): void {
  const text = value === undefined ? "" : JSON.stringify(value);
  response.writeHead(status, { "content-type": "application/json", "content-length": Buffer.byteLength(text) }).end(text);
}

const MESSAGES: Readonly<Record<number, string>> = {
  400: "Bad Request",
  401: "Unauthorized",
  404: "Not Found",
  415: "Unsupported Media Type",
  500: "Internal Server Error",
  501: "Not Implemented",
};

function success(status: number, value?: unknown): Reply {
  return { status, value };
}

function failure(status: number, detail = ""): Reply {
  return { status, value: { ...(detail === "" ? {} : { detail }), error: status, message: MESSAGES[status] } };
}

interface Call {
  readonly method: string;
  readonly path: string;
  readonly body: string;
  readonly policy: readonly string[];
}

/** The menu of a path below /rest, and what follows it: an id, a name or a command. */
function placeOf(path: string): { readonly menu: string | null; readonly rest: string } {
  const words = new URL(path, "https://router").pathname.replace(/^\/rest\//, "").split("/");
  for (let length = words.length; length > 0; length--) {
    const menu = words.slice(0, length).join("/");
    if (MENUS[menu] !== undefined) return { menu, rest: words.slice(length).join("/") };
  }
  return { menu: null, rest: words.join("/") };
}

/** One call, without HTTP, logins and queues. */
export async function serve(router: Router, call: Call): Promise<Reply> {
  try {
    return await serveCall(router, call);
  } catch (error) {
    if (error instanceof SyntaxError) return failure(400, "Failed to parse json");
    if (!(error instanceof RouterError)) throw error;
    if (error.message === "no such item" && call.method === "DELETE") return failure(404);
    return failure(400, error.message);
  }
}

async function serveCall(router: Router, { method, path, body, policy }: Call): Promise<Reply> {
  const { menu, rest } = placeOf(path);
  const values: Record<string, unknown> = body === "" ? {} : JSON.parse(body);
  const isReading = method === "GET" || (method === "POST" && rest === "print");
  if (!policy.includes(isReading ? "read" : "write")) {
    // Without `write` the router does not even find the record.
    if (method === "PATCH" || method === "DELETE") return failure(400, "missing or invalid resource identifier");
    return failure(500, "not enough permissions (9)");
  }
  if (method === "POST" && menu === null && rest === "execute") {
    const failure = await runScript(router, String(values["script"])).then(() => "", String);
    return success(200, { ret: failure });
  }
  if (method === "POST" && rest === "flush" && menu === null && path.endsWith("/ip/dns/cache/flush")) {
    router.flushCache();
    return success(200, []);
  }
  if (menu === null) throw new RouterError(`no such command or directory (${rest.split("/").at(-1)})`);
  const isSingle = router.menu(menu).single === true;
  if (method === "POST") return command(router, { menu, name: rest, values, isSingle });
  const fields = textsOf(values);
  if (method === "PUT") {
    const id = router.add(menu, fields);
    return success(201, rowOf(router, menu, id));
  }
  if (method === "GET") {
    const query = new URL(path, "https://router").searchParams;
    const proplist = query.get(".proplist")?.split(",") ?? null;
    if (rest !== "" && isSingle) throw new RouterError(`no such command or directory (${rest})`);
    if (rest !== "") {
      if (/%2a/i.test(rest)) throw new RouterError("missing or invalid resource identifier");
      const row = rowOf(router, menu, rest);
      return row === undefined ? failure(404) : success(200, only(row, proplist));
    }
    if (isSingle) return success(200, only(router.record(menu), proplist));
    const conditions = [...query].filter(([key]) => !key.startsWith("."));
    const rows = router.rows(menu).filter((row) => conditions.every(([key, value]) => row[key] === value));
    return success(
      200,
      rows.map((row) => only(row, proplist)),
    );
  }
  if (isSingle || rest === "" || !rest.startsWith("*")) throw new RouterError("missing or invalid resource identifier");
  if (method === "PATCH") {
    router.set(menu, [rest], fields);
    return success(200, rowOf(router, menu, rest));
  }
  if (method === "DELETE") {
    router.remove(menu, [rest]);
    return success(204);
  }
  return failure(501);
}

interface Command {
  readonly menu: string;
  readonly name: string;
  readonly values: Record<string, unknown>;
  readonly isSingle: boolean;
}

function command(router: Router, { menu, name, values, isSingle }: Command): Reply {
  const { ".id": ids, ".query": query, ".proplist": proplist, "count-only": countOnly, ...fields } = values;
  const idList = typeof ids === "string" ? ids.split(",") : [];
  if (name === "print") {
    const words = Array.isArray(query) ? query.map(String) : [];
    const rows = router.rows(menu).filter((row) => matches(row, words));
    if (countOnly !== undefined) return success(200, { ret: String(rows.length) });
    const wanted = Array.isArray(proplist) ? proplist.map(String) : null;
    return success(
      200,
      rows.map((row) => only(row, wanted)),
    );
  }
  if (name === "add") return success(200, { ret: router.add(menu, textsOf(fields)) });
  if (name !== "set" && name !== "remove") throw new RouterError(`no such command or directory (${name})`);
  if (!isSingle && idList.length === 0) throw new RouterError("missing or invalid resource identifier");
  if (name === "set") router.set(menu, idList, textsOf(fields));
  else router.remove(menu, idList);
  return success(200, []);
}

/** Words of a query: `k=v` and `k` push, `#|`, `#&` and `#!` combine; what is left must all hold. */
function matches(row: Row, words: readonly string[]): boolean {
  const stack: boolean[] = [];
  for (const word of words) {
    if (word.startsWith("#")) {
      const last = stack.pop() ?? true;
      if (word === "#!") stack.push(!last);
      else stack.push(word === "#|" ? (stack.pop() ?? false) || last : (stack.pop() ?? true) && last);
      continue;
    }
    const [key = "", value] = word.split(/=(.*)/s);
    stack.push(value === undefined ? row[key] !== undefined : row[key] === value);
  }
  return stack.every(Boolean);
}

function rowOf(router: Router, menu: string, id: string): Row | undefined {
  return router.rows(menu).find((row) => row[".id"] === id || row["name"] === id);
}

/** `.id` always comes along in lists. */
function only(row: Row, proplist: readonly string[] | null): Row {
  if (proplist === null) return row;
  return Object.fromEntries(Object.entries(row).filter(([key]) => key === ".id" || proplist.includes(key)));
}

function textsOf(values: Record<string, unknown>): Readonly<Record<string, string>> {
  return Object.fromEntries(Object.entries(values).map(([key, value]) => [key, String(value)]));
}
