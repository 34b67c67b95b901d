import { PREFACE } from "../http2/codes.ts";
import type { StartDecision } from "../read-start.ts";

/** Tells HTTP/2 from everything else by its preface, which is taken, and which no HTTP/1 request can be (RFC 9113 §3.4). */
export function sniffHttp(start: Uint8Array): StartDecision<"http1" | "http2"> {
  const length = Math.min(start.length, PREFACE.length);
  if (!PREFACE.subarray(0, length).equals(start.subarray(0, length))) return { kind: "decided", takenBytes: 0, value: "http1" };
  return length < PREFACE.length ? { kind: "more" } : { kind: "decided", takenBytes: PREFACE.length, value: "http2" };
}
