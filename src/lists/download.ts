import { createHash } from "node:crypto";
import { open, rm } from "node:fs/promises";
import type { Socket } from "node:net";
import type { Readable } from "node:stream";
import { pipeline } from "node:stream/promises";
import { createGunzip } from "node:zlib";
import { Client, type Dispatcher, errors } from "undici";
import type { Clock, Timer } from "../lib/clock.ts";
import { errorText } from "../lib/text.ts";

/** What is read of a list at most, unpacked. The largest lists known have 25 MB. */
const MAX_DOWNLOAD_BYTES = 64 * 1024 * 1024;

/** How long one download may take as a whole, and how long a server may send nothing. */
const TIMEOUT_MS = { total: 600_000, idle: 30_000 } as const;

const MAX_REDIRECTS = 5;

/** What is read of an answer that does not count, so that the server may end it in peace. */
const MAX_DUMPED_BYTES = 16_384;

export interface DownloadTarget {
  readonly protocol: "http" | "https";
  /** A host name or an IP literal without brackets. */
  readonly host: string;
  readonly port: number;
}

/** Opens a connection for downloads, with TLS for `https`: looks the host up, goes through a proxy, and has its own time limit. */
type Dial = (target: DownloadTarget, signal: AbortSignal) => Promise<Socket>;

/** Which version of a file is held already. */
interface Validators {
  readonly etag: string | null;
  /** As the server wrote it. */
  readonly lastModified: string | null;
}

export interface DownloadOrder {
  readonly url: string;
  /** null = nothing is held. */
  readonly held: Validators | null;
  /** The file that the body is written to; it is removed again where the download fails. */
  readonly path: string;
  readonly signal: AbortSignal;
  /** Called as bytes arrive; `totalBytes` is null where the server does not say. */
  readonly progress: (receivedBytes: number, totalBytes: number | null) => void;
}

export type Download =
  /** What is held is still the newest. */
  | { readonly kind: "unchanged" }
  /** The file is written, and safe on the disk. */
  | ({ readonly kind: "new"; readonly bytes: number; readonly sha256: string } & Validators);

/** A download that did not come about; the message says why, without the URL. */
export class DownloadError extends Error {}

interface DownloadSurroundings {
  readonly dial: Dial;
  readonly clock: Clock;
}

/**
 * Fetches one URL into a file, over HTTP/1.1, without holding it in memory.
 * @throws DownloadError; the signal's reason when it aborts.
 */
export async function download(order: DownloadOrder, { dial, clock }: DownloadSurroundings): Promise<Download> {
  const limits = new Limits(order.signal, clock);
  try {
    let url = order.url;
    for (let hop = 0; hop <= MAX_REDIRECTS; hop++) {
      const outcome = await request(url, order, { dial, limits });
      if (outcome.kind !== "moved") return outcome;
      url = outcome.url;
    }
    throw new DownloadError(`more than ${MAX_REDIRECTS} redirects`);
  } catch (error) {
    await rm(order.path, { force: true });
    throw limits.signal.aborted ? limits.signal.reason : readable(error);
  } finally {
    limits.end();
  }
}

/** Aborts when the whole takes too long, or nothing has been heard for a while. */
class Limits {
  readonly #outer: AbortSignal;
  readonly #clock: Clock;
  readonly #controller = new AbortController();
  readonly #total: Timer;
  #idle: Timer;

  constructor(outer: AbortSignal, clock: Clock) {
    this.#outer = outer;
    this.#clock = clock;
    outer.addEventListener("abort", this.#stop);
    if (outer.aborted) this.#stop();
    this.#total = clock.setTimer(() => this.#overdue(`not complete within ${TIMEOUT_MS.total / 1000} s`), TIMEOUT_MS.total);
    this.#idle = this.#idleTimer();
  }

  get signal(): AbortSignal {
    return this.#controller.signal;
  }

  heard(): void {
    this.#idle.cancel();
    this.#idle = this.#idleTimer();
  }

  end(): void {
    this.#total.cancel();
    this.#idle.cancel();
    this.#outer.removeEventListener("abort", this.#stop);
  }

  #idleTimer(): Timer {
    return this.#clock.setTimer(() => this.#overdue(`nothing came for ${TIMEOUT_MS.idle / 1000} s`), TIMEOUT_MS.idle);
  }

  #overdue(reason: string): void {
    this.#controller.abort(new DownloadError(reason));
  }

  readonly #stop = (): void => this.#controller.abort(this.#outer.reason);
}

interface Way {
  readonly dial: Dial;
  readonly limits: Limits;
}

type Outcome = Download | { readonly kind: "moved"; readonly url: string };

async function request(url: string, order: DownloadOrder, { dial, limits }: Way): Promise<Outcome> {
  const { target, origin, path, login } = parts(url);
  const client = new Client(origin, {
    allowH2: false,
    // The limits above are the ones that hold; they go by the clock.
    headersTimeout: 0,
    bodyTimeout: 0,
    maxResponseSize: MAX_DOWNLOAD_BYTES,
    connect: (_, connected) => {
      dial(target, limits.signal).then(
        (socket) => connected(null, socket),
        (error: Error) => connected(error, null),
      );
    },
  });
  try {
    const headers = { ...headersFor(order.held), ...login };
    const response = await client.request({ path, method: "GET", headers, signal: limits.signal });
    limits.heard();
    return await outcomeOf(response, url, { order, limits });
  } finally {
    await client.destroy();
  }
}

interface UrlParts {
  readonly target: DownloadTarget;
  readonly origin: string;
  readonly path: string;
  /** The header with the user and password of the URL, where it has them. */
  readonly login: { readonly authorization?: string };
}

function parts(url: string): UrlParts {
  const { protocol, hostname, port, origin, pathname, search, username, password } = new URL(url);
  const scheme = protocol === "https:" ? "https" : "http";
  const target = {
    protocol: scheme,
    host: hostname.replace(/^\[(.*)\]$/, "$1"),
    port: port === "" ? DEFAULT_PORTS[scheme] : Number(port),
  } as const;
  const login = username === "" && password === "" ? {} : { authorization: `Basic ${credentials(username, password)}` };
  return { target, origin, path: pathname + search, login };
}

// RFC 7617 §2.
function credentials(username: string, password: string): string {
  return Buffer.from(`${decodeURIComponent(username)}:${decodeURIComponent(password)}`).toString("base64");
}

const DEFAULT_PORTS = { http: 80, https: 443 } as const;

function headersFor(held: Validators | null): Record<string, string> {
  return {
    "user-agent": "fenliu",
    accept: "*/*",
    "accept-encoding": "gzip",
    ...(held?.etag == null ? {} : { "if-none-match": held.etag }),
    ...(held?.lastModified == null ? {} : { "if-modified-since": held.lastModified }),
  };
}

interface Receiving {
  readonly order: DownloadOrder;
  readonly limits: Limits;
}

async function outcomeOf(response: Dispatcher.ResponseData, url: string, receiving: Receiving): Promise<Outcome> {
  const { statusCode, headers, body } = response;
  if (statusCode === 200) return await receive(response, receiving);
  await body.dump({ limit: MAX_DUMPED_BYTES, signal: receiving.limits.signal }).catch(() => {});
  const { held } = receiving.order;
  if (statusCode === 304 && held !== null) return { kind: "unchanged" };
  const location = single(headers["location"]);
  if (location !== null && [301, 302, 303, 307, 308].includes(statusCode)) return { kind: "moved", url: moved(url, location) };
  throw new DownloadError(`status ${statusCode}`);
}

function moved(from: string, location: string): string {
  const to = URL.parse(location, from);
  if (to === null || (to.protocol !== "https:" && to.protocol !== "http:"))
    throw new DownloadError("a redirect to what is no web address");
  // What was asked for over TLS must not be taken from whoever sits in between.
  if (to.protocol === "http:" && from.startsWith("https:")) throw new DownloadError("a redirect from https:// to http://");
  return to.href;
}

async function receive({ headers, body }: Dispatcher.ResponseData, { order, limits }: Receiving): Promise<Download> {
  const coding = single(headers["content-encoding"])?.toLowerCase() ?? "identity";
  if (coding !== "identity" && coding !== "gzip") throw new DownloadError(`compressed as ${coding}, which was not asked for`);
  const length = single(headers["content-length"]);
  const totalBytes = length === null ? null : Number(length);
  if (totalBytes !== null && totalBytes > MAX_DOWNLOAD_BYTES) throw tooLarge();
  let receivedBytes = 0;
  async function* heard(source: Readable): AsyncGenerator<Buffer> {
    for await (const chunk of source) {
      limits.heard();
      receivedBytes += chunk.length;
      order.progress(receivedBytes, totalBytes);
      yield chunk;
    }
  }
  const write = (source: AsyncIterable<Buffer>) => writeWhole(source, order.path);
  const { signal } = limits;
  const written =
    coding === "gzip"
      ? await pipeline(body, heard, createGunzip(), write, { signal })
      : await pipeline(body, heard, write, { signal });
  return { kind: "new", ...written, etag: single(headers["etag"]), lastModified: single(headers["last-modified"]) };
}

async function writeWhole(source: AsyncIterable<Buffer>, path: string): Promise<{ bytes: number; sha256: string }> {
  const hash = createHash("sha256");
  let bytes = 0;
  const file = await open(path, "w");
  try {
    for await (const chunk of source) {
      bytes += chunk.length;
      if (bytes > MAX_DOWNLOAD_BYTES) throw tooLarge();
      hash.update(chunk);
      await file.writeFile(chunk);
    }
    await file.sync();
  } finally {
    await file.close();
  }
  return { bytes, sha256: hash.digest("hex") };
}

function single(value: string | readonly string[] | undefined): string | null {
  return (typeof value === "string" ? value : value?.[0]) ?? null;
}

function tooLarge(): DownloadError {
  return new DownloadError(`larger than ${MAX_DOWNLOAD_BYTES / 1024 / 1024} MiB`);
}

function readable(error: unknown): Error {
  if (error instanceof DownloadError) return error;
  if (error instanceof errors.ResponseExceededMaxSizeError) return tooLarge();
  return new DownloadError(errorText(error), { cause: error });
}
