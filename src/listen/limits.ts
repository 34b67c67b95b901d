/** What bounds the listeners. No configuration key sets these; they are written down here with their reasons. */
export interface ListenLimits {
  /** UDP queries whose answer is awaited, over all sockets; beyond it new ones are dropped and counted. */
  readonly udpInFlight: number;
  /** Size asked for the receive buffer of each UDP socket; the kernel may grant less. */
  readonly udpReceiveBufferBytes: number;
  /** Replies that the kernel did not take yet, per UDP socket; beyond it replies are dropped and counted. */
  readonly udpSendQueueBytes: number;
  /** Open connections over all stream listeners. */
  readonly connections: number;
  /** Open connections of one IPv4 address or IPv6 /64. Trusted proxies are exempt on the HTTP listeners. */
  readonly connectionsPerClient: number;
  /** Questions of one connection whose answer is awaited; beyond it the connection is not read. */
  readonly outstandingPerConnection: number;
  /** Bytes of answers that a client has not read; beyond it the connection is cut. */
  readonly writeBacklogBytes: number;
  /** How long a client may leave an answer unread. */
  readonly writeMs: number;
  /** From the first byte of a message on TCP or TLS to its last. */
  readonly messageMs: number;
  readonly tcpIdleMs: number;
  readonly dotIdleMs: number;
  readonly httpIdleMs: number;
  readonly proxyHeaderMs: number;
  readonly tlsHandshakeMs: number;
  /** From the first byte of an HTTP/1 request to the end of its head. */
  readonly httpHeaderMs: number;
  /**
   * From the first byte of an HTTP/1 request to the end of its body, and then between two moments at which anything moves; on HTTP/2 the
   * whole life of a stream.
   */
  readonly httpRequestMs: number;
}

interface Range {
  readonly default: number;
  readonly min: number;
  readonly max: number;
}

const LIMITS: { readonly [K in keyof ListenLimits]: Range } = {
  // A dead upstream holds each of its questions for the whole deadline: 2,500 a second then still find room.
  udpInFlight: { default: 10_000, min: 1, max: 1_000_000 },
  // Some 10,000 questions of the size the kernel accounts for: what arrives while the process collects garbage.
  udpReceiveBufferBytes: { default: 8 << 20, min: 4096, max: 1 << 30 },
  udpSendQueueBytes: { default: 4 << 20, min: 65_536, max: 1 << 30 },
  // A connection costs some 20 KB, over TLS 60 KB.
  connections: { default: 4096, min: 1, max: 1_000_000 },
  connectionsPerClient: { default: 1024, min: 1, max: 1_000_000 },
  // RFC 7766 §6.2.1.1 asks servers to take pipelined queries and leaves the number to them.
  outstandingPerConnection: { default: 256, min: 1, max: 100_000 },
  // 16 replies of the largest size.
  writeBacklogBytes: { default: 1 << 20, min: 131_072, max: 1 << 30 },
  writeMs: { default: 10_000, min: 100, max: 600_000 },
  messageMs: { default: 10_000, min: 100, max: 600_000 },
  // RFC 7766 §6.2.3 recommends an idle time on the order of seconds; a busy forwarder asks more often than that.
  tcpIdleMs: { default: 10_000, min: 1000, max: 3_600_000 },
  // RFC 7858 §3.4 wants connections kept and used again, for a handshake costs more than an idle connection.
  dotIdleMs: { default: 30_000, min: 1000, max: 3_600_000 },
  // DoH clients such as routers keep one connection and take its closing for a failure.
  httpIdleMs: { default: 180_000, min: 120_000, max: 3_600_000 },
  proxyHeaderMs: { default: 5_000, min: 100, max: 60_000 },
  tlsHandshakeMs: { default: 10_000, min: 100, max: 120_000 },
  httpHeaderMs: { default: 10_000, min: 100, max: 60_000 },
  // Longer than the longest `answers.deadline`, which is 30 s.
  httpRequestMs: { default: 40_000, min: 100, max: 600_000 },
};

/**
 * The defaults with some replaced.
 * @throws RangeError for a value outside its range.
 */
export function limitsWith(overrides: Partial<ListenLimits> = {}): ListenLimits {
  const pick = (key: keyof ListenLimits): number => {
    const { default: standard, min, max } = LIMITS[key];
    const value = overrides[key] ?? standard;
    if (!(value >= min && value <= max)) throw new RangeError(`${key} = ${value} is not within ${min} and ${max}`);
    return value;
  };
  return {
    udpInFlight: pick("udpInFlight"),
    udpReceiveBufferBytes: pick("udpReceiveBufferBytes"),
    udpSendQueueBytes: pick("udpSendQueueBytes"),
    connections: pick("connections"),
    connectionsPerClient: pick("connectionsPerClient"),
    outstandingPerConnection: pick("outstandingPerConnection"),
    writeBacklogBytes: pick("writeBacklogBytes"),
    writeMs: pick("writeMs"),
    messageMs: pick("messageMs"),
    tcpIdleMs: pick("tcpIdleMs"),
    dotIdleMs: pick("dotIdleMs"),
    httpIdleMs: pick("httpIdleMs"),
    proxyHeaderMs: pick("proxyHeaderMs"),
    tlsHandshakeMs: pick("tlsHandshakeMs"),
    httpHeaderMs: pick("httpHeaderMs"),
    httpRequestMs: pick("httpRequestMs"),
  };
}
