import { createHash } from "node:crypto";
import { open, rm } from "node:fs/promises";
import type { Socket } from "node:net";
import type { Readable } from "node:stream";
import { pipeline } from "node:stream/promises";
import { createGunzip } from "node:zlib";
import type { Dispatcher } from "undici";
import { privateAddresses } from "../dns/address.ts";
import type { Clock } from "../lib/clock.ts";
import { ResettableTimer } from "../lib/deadline.ts";
import { errorText } from "../lib/text.ts";

/** Limit for an unpacked list. The largest lists known have 25 MB. */
const MAX_DOWNLOAD_BYTES = 64 * 1024 * 1024;

/** `total`: one download with its redirects; `idle`: a server sends nothing. */
const TIMEOUT_MS = { total: 600_000, idle: 30_000 } as const;

const MAX_REDIRECTS = 5;

/** Bytes that are read of the body of a redirect or an error, so that the server can finish. */
const MAX_DUMPED_BYTES = 16_384;

export interface DownloadTarget {
  readonly protocol: "http" | "https";
  /** A host name or an IP literal without brackets. */
  readonly host: string;
  readonly port: number;
}

/** Opens a connection, with TLS for `https`: resolves the host, goes through a proxy, and has its own time limit. */
type Dial = (target: DownloadTarget, signal: AbortSignal) => Promise<Socket>;

/** Tells which version of a file is stored. */
interface Validators {
  readonly etag: string | null;
  /** As the server wrote it. */
  readonly lastModified: string | null;
}

export interface DownloadRequest {
  readonly url: string;
  /** The stored version; null = none. */
  readonly held: Validators | null;
  /** The file that the body is written to; removed if the download fails. */
  readonly path: string;
  readonly signal: AbortSignal;
  /** Called as bytes arrive; `totalBytes` is null if the server does not say. */
  readonly progress: (receivedBytes: number, totalBytes: number | null) => void;
}

export type Download =
  /** The stored version is the newest. */
  | { readonly kind: "unchanged" }
  /** The file is written and flushed to the disk. */
  | ({ readonly kind: "new"; readonly bytes: number; readonly sha256: string } & Validators);

/** A download failed; the message says why, without the URL. */
export class DownloadError extends Error {}

/**
 * Fetches one URL into a file over HTTP/1.1, without holding the body in memory.
 * @throws DownloadError; the signal's reason when it aborts.
 */
export async function download(
  request: DownloadRequest,
  { dial, clock }: { readonly dial: Dial; readonly clock: Clock },
): Promise<Download> {
  const timeout = new AbortController();
  const giveUp = (reason: string) => timeout.abort(new DownloadError(reason));
  const total = clock.setTimer(() => giveUp(`not complete within ${TIMEOUT_MS.total / 1000} s`), TIMEOUT_MS.total);
  const idle = new ResettableTimer(clock, () => giveUp(`nothing came for ${TIMEOUT_MS.idle / 1000} s`));
  const signal = AbortSignal.any([request.signal, timeout.signal]);
  const dialHop = dialWithin(dial);
  const transfer = { ...request, signal, dial: dialHop, onActivity: () => idle.set(TIMEOUT_MS.idle) };
  try {
    transfer.onActivity();
    let { url } = request;
    for (let hop = 0; hop <= MAX_REDIRECTS; hop++) {
      const outcome = await get(url, transfer);
      if (outcome.kind !== "moved") return outcome;
      url = outcome.url;
    }
    throw new DownloadError(`more than ${MAX_REDIRECTS} redirects`);
  } catch (error) {
    await rm(request.path, { force: true });
    throw signal.aborted ? signal.reason : toDownloadError(error);
  } finally {
    total.cancel();
    idle.cancel();
  }
}

/**
 * Refuses a private address behind a redirect from the internet: a web server must not make us ask our own network, and show what it says. A list whose own
 * URL leads to a private address, or whose proxy has one, may be redirected anywhere.
 */
function dialWithin(dial: Dial): Dial {
  let startsPrivate: boolean | null = null;
  return async (target, signal) => {
    const refusal = new DownloadError("a redirect to a private address");
    if (startsPrivate === false && privateAddresses.hasText(target.host)) throw refusal;
    const socket = await dial(target, signal);
    const isPrivate = privateAddresses.hasText(socket.remoteAddress ?? "");
    startsPrivate ??= isPrivate;
    if (startsPrivate || !isPrivate) return socket;
    socket.destroy();
    throw refusal;
  };
}

interface Transfer extends DownloadRequest {
  readonly dial: Dial;
  readonly onActivity: () => void;
}

type Outcome = Download | { readonly kind: "moved"; readonly url: string };

async function get(url: string, transfer: Transfer): Promise<Outcome> {
  const { protocol, hostname, port, origin, pathname, search, username, password } = new URL(url);
  const scheme = protocol === "https:" ? "https" : "http";
  const host = hostname.replace(/^\[(.*)\]$/, "$1");
  const target: DownloadTarget = { protocol: scheme, host, port: port === "" ? DEFAULT_PORTS[scheme] : Number(port) };
  // Many servers never download anything, and need not have the code in memory.
  const { Client } = await import("undici");
  const client = new Client(origin, {
    allowH2: false,
    // `download` limits the time by its own clock.
    headersTimeout: 0,
    bodyTimeout: 0,
    maxResponseSize: MAX_DOWNLOAD_BYTES,
    connect: (_, onConnected) => {
      transfer.dial(target, transfer.signal).then(
        (socket) => onConnected(null, socket),
        (error: Error) => onConnected(error, null),
      );
    },
  });
  const { held, signal } = transfer;
  const headers = {
    "user-agent": "fenliu",
    accept: "*/*",
    "accept-encoding": "gzip",
    ...(held?.etag == null ? {} : { "if-none-match": held.etag }),
    ...(held?.lastModified == null ? {} : { "if-modified-since": held.lastModified }),
    ...(username === "" && password === "" ? {} : { authorization: basicAuthorization(username, password) }),
  };
  try {
    const response = await client.request({ path: pathname + search, method: "GET", headers, signal });
    transfer.onActivity();
    return await readResponse(response, url, transfer);
  } finally {
    await client.destroy();
  }
}

const DEFAULT_PORTS = { http: 80, https: 443 } as const;

// RFC 7617 §2.
function basicAuthorization(username: string, password: string): string {
  return `Basic ${Buffer.from(`${decodeURIComponent(username)}:${decodeURIComponent(password)}`).toString("base64")}`;
}

async function readResponse(response: Dispatcher.ResponseData, url: string, transfer: Transfer): Promise<Outcome> {
  const { statusCode, headers, body } = response;
  if (statusCode === 200) return await receiveFile(response, transfer);
  await body.dump({ limit: MAX_DUMPED_BYTES, signal: transfer.signal }).catch(() => {});
  if (statusCode === 304 && transfer.held !== null) return { kind: "unchanged" };
  const location = firstValue(headers["location"]);
  if (location === null || ![301, 302, 303, 307, 308].includes(statusCode)) throw new DownloadError(`status ${statusCode}`);
  const to = URL.parse(location, url);
  if (to === null || (to.protocol !== "https:" && to.protocol !== "http:"))
    throw new DownloadError("a redirect to what is no web address");
  // A request over TLS must not be answered by anybody on the way.
  if (to.protocol === "http:" && url.startsWith("https:")) throw new DownloadError("a redirect from https:// to http://");
  return { kind: "moved", url: to.href };
}

async function receiveFile({ headers, body }: Dispatcher.ResponseData, transfer: Transfer): Promise<Download> {
  const coding = firstValue(headers["content-encoding"])?.toLowerCase() ?? "identity";
  if (coding !== "identity" && coding !== "gzip") throw new DownloadError(`compressed as ${coding}, which was not asked for`);
  const length = firstValue(headers["content-length"]);
  const totalBytes = length === null ? null : Number(length);
  if (totalBytes !== null && totalBytes > MAX_DOWNLOAD_BYTES) throw tooLarge();
  let receivedBytes = 0;
  async function* watch(source: Readable): AsyncGenerator<Buffer> {
    for await (const chunk of source) {
      transfer.onActivity();
      receivedBytes += chunk.length;
      transfer.progress(receivedBytes, totalBytes);
      yield chunk;
    }
  }
  const write = (source: AsyncIterable<Buffer>) => writeFile(source, transfer.path);
  const { signal } = transfer;
  const written =
    coding === "gzip"
      ? await pipeline(body, watch, createGunzip(), write, { signal })
      : await pipeline(body, watch, write, { signal });
  return { kind: "new", ...written, etag: firstValue(headers["etag"]), lastModified: firstValue(headers["last-modified"]) };
}

async function writeFile(source: AsyncIterable<Buffer>, path: string): Promise<{ bytes: number; sha256: string }> {
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

function firstValue(header: string | readonly string[] | undefined): string | null {
  return (typeof header === "string" ? header : header?.[0]) ?? null;
}

function tooLarge(): DownloadError {
  return new DownloadError(`larger than ${MAX_DOWNLOAD_BYTES / 1024 / 1024} MiB`);
}

/** The code of `ResponseExceededMaxSizeError` of undici. */
const TOO_LARGE = "UND_ERR_RES_EXCEEDED_MAX_SIZE";

function toDownloadError(error: unknown): Error {
  if (error instanceof DownloadError) return error;
  if (error instanceof Error && "code" in error && error.code === TOO_LARGE) return tooLarge();
  return new DownloadError(errorText(error), { cause: error });
}
