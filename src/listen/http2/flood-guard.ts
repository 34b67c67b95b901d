import { TokenBucket } from "../../lib/token-bucket.ts";
import type { ListenServices } from "../types.ts";
import { ERROR, insist } from "./frames.ts";

/** In the long run, besides `ListenLimits.http2Resets`. A client that asks two servers and gives up the slower one resets many. */
const RESETS_PER_SECOND = 500;

/** In the long run, besides `ListenLimits.http2IdleFrames`. */
const IDLE_FRAMES = { perSecond: 100, perRequest: 10 };

/**
 * Counts faults of a client that no single frame shows, by when its frames were read: by when they have their turn, a flood would count as slow because
 * it keeps itself waiting.
 */
export class FloodGuard {
  readonly #resets: TokenBucket;
  readonly #idleFrames: TokenBucket;
  readonly #maxRecent: number;
  /** Streams that we ended before the client had sent everything. Their frames may still be on the way. */
  readonly #recentlyReset = new Set<number>();

  constructor({ clock, limits }: Pick<ListenServices, "clock" | "limits">) {
    const nowMs = clock.now();
    this.#resets = new TokenBucket({ burst: limits.http2Resets, perSecond: RESETS_PER_SECOND }, nowMs);
    this.#idleFrames = new TokenBucket({ burst: limits.http2IdleFrames, perSecond: IDLE_FRAMES.perSecond }, nowMs);
    this.#maxRecent = 2 * limits.outstandingPerConnection;
  }

  /** The client reset a stream, or made us reset it. @throws ConnectionError when that is a flood. */
  countReset(arrivedMs: number): void {
    insist(this.#resets.take(arrivedMs), ERROR.ENHANCE_YOUR_CALM, "a flood of resets");
  }

  /** A frame came that is no part of a request. @throws ConnectionError when that is a flood. */
  countIdleFrame(arrivedMs: number): void {
    insist(this.#idleFrames.take(arrivedMs), ERROR.ENHANCE_YOUR_CALM, "a flood of frames without requests");
  }

  noteRequest(): void {
    this.#idleFrames.refund(IDLE_FRAMES.perRequest);
  }

  /** From now on `requireRecentReset` allows frames on this stream. */
  noteReset(streamId: number): void {
    this.#recentlyReset.add(streamId);
    const [oldest] = this.#recentlyReset;
    if (this.#recentlyReset.size > this.#maxRecent && oldest !== undefined) this.#recentlyReset.delete(oldest);
  }

  /** @throws ConnectionError for a frame on a stream that the client itself had ended (§5.1) or skipped (§5.1.1). */
  requireRecentReset(streamId: number): void {
    insist(this.#recentlyReset.has(streamId), ERROR.STREAM_CLOSED, "a frame on a stream that has ended");
  }
}
