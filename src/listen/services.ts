import type { AddressSet } from "../dns/address.ts";
import type { Clock } from "../lib/clock.ts";
import type { ConnectionSlots } from "./connection-slots.ts";
import type { ListenCounters } from "./counters.ts";
import type { Handler } from "./handler.ts";
import type { ListenLimits } from "./limits.ts";

/** What all listeners of one set share. */
export interface ListenServices {
  readonly handler: Handler;
  readonly clock: Clock;
  readonly limits: ListenLimits;
  readonly counters: ListenCounters;
  readonly slots: ConnectionSlots;
  /** Peers whose PROXY header is read. */
  readonly proxyPeers: AddressSet;
  /** Peers whose X-Forwarded-For is believed. */
  readonly trustedProxies: AddressSet;
  readonly report: (event: ListenEvent) => void;
}

/** What an operator may want to know and the listeners themselves have coped with. */
export type ListenEvent =
  | { readonly kind: "certificateReloaded" }
  | { readonly kind: "certificateRefused"; readonly reason: string }
  | { readonly kind: "localAddressSkipped"; readonly address: string; readonly reason: string }
  | { readonly kind: "socketError"; readonly where: string; readonly reason: string };
