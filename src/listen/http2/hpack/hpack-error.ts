/** What is wrong with a header block. The tables of both sides no longer agree, so the connection must end with COMPRESSION_ERROR (RFC 9113 §4.3). */
export class HpackError extends Error {
  constructor(problem: string) {
    super(problem);
    this.name = "HpackError";
  }
}
