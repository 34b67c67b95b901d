import { dnsdist } from "./dnsdist.ts";
import { dnsmasq } from "./dnsmasq.ts";
import { echo } from "./echo.ts";
import { fenliu } from "./fenliu.ts";
import type { Peer } from "./peer.ts";
import { smartdns } from "./smartdns.ts";
import { unbound } from "./unbound.ts";

/** In the order of the report. */
export const PEERS: readonly Peer[] = [fenliu, dnsdist, unbound, dnsmasq, smartdns, echo];

export const OURS = fenliu.name;
export const FLOOR = echo.name;
