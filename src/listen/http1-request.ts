import { MAX_MESSAGE_BYTES } from "../dns/wire.ts";
import { type Body, NO_BODY } from "./body.ts";
import { UPDATE_PATH } from "./doh.ts";
import type { RequestHead } from "./types.ts";

/** A request of HTTP/1.1 that lies whole in the bytes. */
interface WholeRequest {
  readonly head: RequestHead;
  readonly body: Body;
  /** Where the next request begins. */
  readonly end: number;
}

/** The longest head that is read here. Node's parser takes 16 KiB. */
const MAX_HEAD_BYTES = 8192;

const MAX_HEADER_LINES = 64;

/**
 * Reads the plain requests that DoH clients send: GET without a body, or POST with a Content-Length, all of it in `bytes` from `start` on.
 * null = anything else, which Node's parser must judge, and updates of addresses, which need another header. The rules are stricter than RFC 9112, so that both parsers agree about every request
 * that is read here: no line break but CR LF, no repeated header that matters, no header that changes how the connection goes on.
 * The body is a copy.
 */
export function readWholeRequest(bytes: Buffer, start: number): WholeRequest | null {
  const isPost = startsWith(bytes, start, "POST /");
  if (!isPost && !startsWith(bytes, start, "GET /")) return null;
  const targetStart = start + (isPost ? "POST ".length : "GET ".length);
  const targetEnd = skip(bytes, targetStart, TARGET_BYTE);
  if (!startsWith(bytes, targetEnd, " HTTP/1.1\r\n") || startsWith(bytes, targetStart, UPDATE_PATH)) return null;
  const limit = Math.min(bytes.length, start + MAX_HEAD_BYTES);
  const known: KnownHeaders = {
    contentType: undefined,
    contentEncoding: undefined,
    contentLength: undefined,
    forwardedFor: undefined,
    realIp: undefined,
  };
  let at = targetEnd + " HTTP/1.1\r\n".length;
  for (let lines = 0; bytes[at] !== CR; lines++) {
    if (lines === MAX_HEADER_LINES || at >= limit) return null;
    at = readHeaderLine(bytes, at, known);
    if (at === -1) return null;
  }
  if (bytes[at + 1] !== LF || at >= limit) return null;
  at += 2;
  const { contentLength, contentType, contentEncoding, forwardedFor, realIp } = known;
  const target = bytes.toString("latin1", targetStart, targetEnd);
  const head: RequestHead = { method: isPost ? "POST" : "GET", target, contentType, contentEncoding, forwardedFor, realIp };
  if (!isPost) return contentLength === undefined ? { head, body: NO_BODY, end: at } : null;
  const length = contentLength === undefined ? null : parseLength(contentLength);
  if (length === null || at + length > bytes.length) return null;
  return { head, body: { kind: "whole", bytes: Uint8Array.from(bytes.subarray(at, at + length)) }, end: at + length };
}

type KnownHeaders = { [Name in KnownHeader]: string | undefined };

type KnownHeader = "contentType" | "contentEncoding" | "contentLength" | "forwardedFor" | "realIp";

/** Headers whose value is handed on. */
const KNOWN = new Map<string, KnownHeader>([
  ["content-type", "contentType"],
  ["content-encoding", "contentEncoding"],
  ["content-length", "contentLength"],
  ["x-forwarded-for", "forwardedFor"],
  ["x-real-ip", "realIp"],
]);

/** Headers that change how the message or the connection is read. Node's parser takes `proxy-connection` for `connection`. */
const DECLINED = new Set(["transfer-encoding", "upgrade", "expect", "proxy-connection"]);

/** Notes a header. Returns where the next line begins; -1 = not a line for us. */
function readHeaderLine(bytes: Buffer, start: number, known: KnownHeaders): number {
  const nameEnd = skip(bytes, start, NAME_BYTE);
  if (nameEnd === start || bytes[nameEnd] !== COLON) return -1;
  let valueStart = nameEnd + 1;
  while (bytes[valueStart] === SPACE) valueStart++;
  const valueEnd = skip(bytes, valueStart, VALUE_BYTE);
  if (bytes[valueEnd] !== CR || bytes[valueEnd + 1] !== LF) return -1;
  const end = valueEnd + 2;
  if (FIRST_LETTER_MATTERS[bytes[start] ?? 0] !== 1) return end;
  const name = bytes.toString("latin1", start, nameEnd).toLowerCase();
  if (DECLINED.has(name)) return -1;
  if (name === "connection") return /^keep-alive$/i.test(bytes.toString("latin1", valueStart, valueEnd)) ? end : -1;
  const key = KNOWN.get(name);
  if (key === undefined) return end;
  if (known[key] !== undefined || valueStart === valueEnd || bytes[valueEnd - 1] === SPACE) return -1;
  known[key] = bytes.toString("latin1", valueStart, valueEnd);
  return end;
}

/** null = not a plain number of a length that a DNS message can have. */
function parseLength(text: string): number | null {
  const length = /^[1-9]\d{0,4}$/.test(text) ? Number(text) : 0;
  return length >= 1 && length <= MAX_MESSAGE_BYTES ? length : null;
}

const CR = 0x0d;
const LF = 0x0a;
const SPACE = 0x20;
const COLON = 0x3a;

/** Bytes by their number: 1 = belongs to the class. */
type ByteClass = Uint8Array;

const NAME_BYTE = byteClass(/[A-Za-z\d_-]/);
const TARGET_BYTE = byteClass(/[A-Za-z\d_\-./?=&%~+,:;]/);
const VALUE_BYTE = byteClass(/[\x20-\x7e]/);
const FIRST_LETTER_MATTERS = byteClass(
  new RegExp(`[${["connection", ...KNOWN.keys(), ...DECLINED].map(([letter]) => letter).join("")}]`, "i"),
);

function byteClass(pattern: RegExp): ByteClass {
  return Uint8Array.from({ length: 256 }, (_, byte) => (pattern.test(String.fromCharCode(byte)) ? 1 : 0));
}

/** Returns the first place from `start` on whose byte is not in the class. */
function skip(bytes: Buffer, start: number, members: ByteClass): number {
  let at = start;
  while (at < bytes.length && members[bytes[at] ?? 0] === 1) at++;
  return at;
}

function startsWith(bytes: Buffer, start: number, text: string): boolean {
  if (start + text.length > bytes.length) return false;
  for (let at = 0; at < text.length; at++) if (bytes[start + at] !== text.charCodeAt(at)) return false;
  return true;
}
