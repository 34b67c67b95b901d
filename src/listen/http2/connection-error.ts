import type { ErrorCode } from "./codes.ts";

/** The peer broke the protocol in a way that ends the connection (RFC 9113 §5.4.1). */
export class ConnectionError extends Error {
  readonly code: ErrorCode;

  constructor(code: ErrorCode, message: string) {
    super(message);
    this.code = code;
  }
}
