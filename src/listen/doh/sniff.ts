import type { StartDecision } from "../read-start.ts";

/** RFC 9113 §3.4: what an HTTP/2 client sends first, and no HTTP/1 request can be. */
const PREFACE = Buffer.from("PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", "latin1");

/** Tells HTTP/2 from everything else by the first octets of a connection; takes none of them. */
export function sniffHttp(start: Uint8Array): StartDecision<"http1" | "http2"> {
  const length = Math.min(start.length, PREFACE.length);
  if (!PREFACE.subarray(0, length).equals(start.subarray(0, length))) return { kind: "decided", takenBytes: 0, value: "http1" };
  return length < PREFACE.length ? { kind: "more" } : { kind: "decided", takenBytes: 0, value: "http2" };
}
