/** Counted since the listeners were opened; `udpInFlight` and `connections` are of this moment. */
export interface ListenCounters {
  /** UDP queries whose answer is awaited. */
  udpInFlight: number;
  /** UDP queries dropped because too many were in flight. */
  udpShed: number;
  /** UDP replies that could not be sent. */
  udpUnsent: number;
  connections: number;
  /** Connections closed at once because there were too many. */
  connectionsRefused: number;
}
