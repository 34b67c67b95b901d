import { direct } from "./direct.ts";
import { dnsdist } from "./dnsdist.ts";
import { dnsmasq } from "./dnsmasq.ts";
import { echo } from "./echo.ts";
import { fenliu, fenliuFeeding, fenliuLogging } from "./fenliu.ts";
import { floor } from "./floor.ts";
import type { Peer } from "./peer.ts";
import { smartdns } from "./smartdns.ts";
import { unbound } from "./unbound.ts";

/** In the order of the report. */
export const PEERS: readonly Peer[] = [
  fenliu,
  fenliuLogging,
  fenliuFeeding,
  dnsdist,
  unbound,
  dnsmasq,
  smartdns,
  echo,
  floor,
  direct,
];

/** Those that nobody is measured by. */
export const NO_RIVALS: ReadonlySet<string> = new Set([
  fenliu.name,
  fenliuLogging.name,
  fenliuFeeding.name,
  echo.name,
  floor.name,
  direct.name,
]);
