export type ListenLimits = Readonly<Record<keyof typeof LISTEN_LIMITS, number>>;

/** The limits of the listeners, with their reasons. No configuration key sets them. */
export const LISTEN_LIMITS = {
  /** Receive buffer of each UDP socket; the kernel may grant less. Holds the some 10,000 queries that arrive during a garbage collection. */
  udpReceiveBufferBytes: 8 << 20,
  /** Replies that the kernel has not taken yet, per UDP socket; more are dropped and counted. */
  udpSendQueueBytes: 4 << 20,
  /** Open connections over all stream listeners. One costs some 20 KB, over TLS 60 KB. */
  connections: 4096,
  /** Pending requests of one HTTP connection: streams of HTTP/2; on HTTP/1, whose answers keep the order of the requests, it is not read beyond them. */
  outstandingPerConnection: 256,
  /** Answers that a client has not read, 16 of the largest size; beyond it the connection is cut. */
  writeBacklogBytes: 1 << 20,
  /**
   * Answers that clients have not read, and questions that wait for their turn, over all stream connections; beyond it those connections are cut of which
   * most waits. A connection whose client gives no window, or pipelines and does not read, would hold its backlog, and thousands of them all memory.
   */
  heldBytes: 64 << 20,
  /** How long a client may leave an answer unread. */
  writeMs: 10_000,
  /** From the first byte of a message on TCP or TLS to its last. */
  messageMs: 10_000,
  /**
   * When listeners close: how long ago a client over TCP, TLS or HTTP/1 may have connected or asked, that its next request is awaited, for it may be on its
   * way already.
   */
  drainMs: 500,
  /** RFC 7766 §6.2.3 recommends an idle time of some seconds; a busy forwarder asks more often than that. */
  tcpIdleMs: 10_000,
  /** RFC 7858 §3.4 wants connections kept and used again: a handshake costs more than an idle connection. */
  dotIdleMs: 30_000,
  /** DoH clients such as routers keep one connection, and treat its closing as a failure. */
  httpIdleMs: 180_000,
  proxyHeaderMs: 5_000,
  tlsHandshakeMs: 10_000,
  /** From the first byte of an HTTP/1 request to the end of its head; from the first frame of a header block of HTTP/2 to its last. */
  httpHeaderMs: 10_000,
  /**
   * HTTP/2 streams that a client may reset at once within 100 ms of their beginning, or make us reset, before its connection is closed (CVE-2023-44487,
   * CVE-2025-8671); 500 a second come on top.
   */
  http2Resets: 1000,
  /**
   * HTTP/2 frames without a request that a client may send at once: PING, SETTINGS, WINDOW_UPDATE, PRIORITY, empty DATA and unknown ones (CVE-2019-9512,
   * -9515, -9518); 100 a second and 10 for each request come on top.
   */
  http2IdleFrames: 2000,
  /**
   * On HTTP/1: from the first byte of a request to the end of its body, and then between any two moments with traffic. On HTTP/2: the whole
   * life of a stream. Longer than the longest `answers.deadline`, which is 30 s.
   */
  httpRequestMs: 40_000,
};
