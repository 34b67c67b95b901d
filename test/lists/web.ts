import { readFileSync } from "node:fs";
import { createServer, type IncomingMessage, type ServerResponse } from "node:http";
import { createServer as createTlsServer } from "node:https";
import type { AddressInfo } from "node:net";
import { onTestFinished } from "vitest";
import { listFetcher } from "../../src/app/list-refresh.ts";
import type { Clock } from "../../src/lib/clock.ts";
import type { ListOptions } from "../../src/lists/options.ts";
import type { Fetcher } from "../../src/lists/update.ts";
import { Bootstrap } from "../../src/upstreams/bootstrap.ts";
import { Groups } from "../../src/upstreams/group.ts";
import { tlsFixture } from "../listen/support/site.ts";
import { listOptions } from "./list-options.ts";

export type Page = (request: IncomingMessage, response: ServerResponse) => void;

export interface Web {
  /** Without a slash at its end. */
  readonly url: string;
  /** The requested paths, such as "/a.txt". */
  readonly asked: readonly string[];
  /** Replaces a page, or adds one. */
  serve(path: string, page: Page | string): void;
  close(): Promise<void>;
}

/** A web server on a free port. Pages that it does not have are 404. */
export async function web(pages: Readonly<Record<string, Page | string>>, scheme: "http" | "https" = "http"): Promise<Web> {
  const served = new Map(Object.entries(pages));
  const asked: string[] = [];
  const answer = (request: IncomingMessage, response: ServerResponse): void => {
    const path = request.url ?? "";
    asked.push(path);
    const page = served.get(path);
    if (page === undefined) response.writeHead(404).end("there is no such page");
    else if (typeof page === "string") response.end(page);
    else page(request, response);
  };
  const tls = () => ({ cert: readFileSync(tlsFixture("cert.pem")), key: readFileSync(tlsFixture("key.pem")) });
  const server = scheme === "http" ? createServer(answer) : createTlsServer(tls(), answer);
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  const { port } = server.address() as AddressInfo;
  const close = (): Promise<void> =>
    new Promise((resolve) => {
      server.close(() => resolve());
      server.closeAllConnections();
    });
  onTestFinished(close);
  return { url: `${scheme}://localhost:${port}`, asked, serve: (path, page) => void served.set(path, page), close };
}

/** A page whose ETag is the length of its text: a client with this ETag gets 304. */
export function tagged(text: string): Page {
  return (request, response) => {
    const etag = `"${text.length}"`;
    if (request.headers["if-none-match"] === etag) return void response.writeHead(304).end();
    response.writeHead(200, { etag }).end(text);
  };
}

/** Fetches from this host, over TLS with the test certificate. */
export function testFetcher(clock: Clock): Fetcher {
  const parts = { groups: new Groups(new Map()), bootstrap: new Bootstrap([], clock) };
  return listFetcher(parts, { clock, ca: readFileSync(tlsFixture("cert.pem"), "utf8"), resolvConf: "/nowhere" });
}

/** A list of domains from these URLs. */
export function downloaded(name: string, urls: readonly string[], changes: Partial<ListOptions> = {}): ListOptions {
  return listOptions(name, "domains", { sources: urls.map((url) => ({ kind: "url", url, category: null })), ...changes });
}

export function names(count: number, suffix = "test"): string {
  return Array.from({ length: count }, (_, index) => `n${index}.${suffix}\n`).join("");
}

/** Waits in real time for events on sockets and files. */
export async function until(condition: () => boolean | Promise<boolean>): Promise<void> {
  while (!(await condition())) await new Promise((resolve) => setImmediate(resolve));
}
