import { randomBytes } from "node:crypto";
import { optOf, recordPlaces } from "../dns/answer.ts";
import { OPTION, readOptions } from "../dns/edns.ts";
import { plainNameEnd } from "../dns/name.ts";
import { HEADER_BYTES, uint16 } from "../dns/wire.ts";

/** RFC 7873 §4. */
const CLIENT_BYTES = 8;
const SERVER_BYTES = { least: 8, most: 32 } as const;

/** How long one client cookie is used: a server could know us by it from one address to the next (RFC 9018 §8). */
const LIFE_MS = 3_600_000;

/** What the cookie of an answer says of it. */
export type CookieVerdict =
  /** It repeats ours: whoever sent the answer has seen the question. */
  | "right"
  /** It is not ours. The answer is forged. */
  | "wrong"
  /** It has none, although this server gave one before: the answer may be forged. */
  | "missing"
  /** It has none, as all answers of this server so far. */
  | "unknown";

/** The cookies that one server and we know each other by (RFC 7873). A forger who does not see the questions would have to guess 64 bits more. */
export class ServerCookies {
  #client = randomBytes(CLIENT_BYTES);
  /** null = the server gave none yet. */
  #server: Buffer | null = null;
  #bornMs: number | null = null;

  /** The content of the option for the next question. */
  next(nowMs: number): Buffer {
    this.#bornMs ??= nowMs;
    if (nowMs - this.#bornMs >= LIFE_MS) {
      this.#client = randomBytes(CLIENT_BYTES);
      this.#server = null;
      this.#bornMs = nowMs;
    }
    return this.#server === null ? this.#client : Buffer.concat([this.#client, this.#server]);
  }

  /** Judges an answer to a question with `sent`, and keeps the server's part. Its question is ours: `readReply` has seen to that. */
  judge(answer: Uint8Array, sent: Buffer): CookieVerdict {
    const cookie = cookieIn(answer);
    if (cookie === null) return this.#server === null ? "unknown" : "missing";
    if (!cookie.subarray(0, CLIENT_BYTES).equals(sent.subarray(0, CLIENT_BYTES))) return "wrong";
    const server = cookie.subarray(CLIENT_BYTES);
    const isOfNow = this.#client.equals(sent.subarray(0, CLIENT_BYTES));
    if (isOfNow && server.length >= SERVER_BYTES.least && server.length <= SERVER_BYTES.most) this.#server = Buffer.from(server);
    return "right";
  }
}

/** The cookie option of a message with one question; null = there is none. */
function cookieIn(message: Uint8Array): Buffer | null {
  const questionEnd = plainNameEnd(message, HEADER_BYTES) + 4;
  const places = uint16(message, 4) === 1 ? recordPlaces(message, questionEnd) : null;
  const opt = places === null ? null : optOf(places);
  if (opt === null || opt === "misplaced") return null;
  const cookie = readOptions(message, opt.data, opt.end).find(({ code }) => code === OPTION.COOKIE);
  return cookie === undefined ? null : Buffer.from(cookie.data);
}
