/** Section `devices`. */
export interface DevicesOptions {
  /** Absolute paths of lease files as dnsmasq writes them. */
  readonly leases: readonly string[];
  /** Whether the leases, ARP and neighbours of the router in section `routeros` are read. */
  readonly router: boolean;
}
