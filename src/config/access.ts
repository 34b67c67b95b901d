import { key, object, oneOrMany, oneOrMore } from "./object.ts";
import { boolean, integer, orFalse } from "./shape.ts";
import { clientOrPrivate, network } from "./values.ts";

const rateLimitShape = object("a map with `perSecond`, `burst` and `exempt`", {
  perSecond: key(integer(1, 1_000_000), "Questions per second from one IPv4 address or IPv6 /64.", 200),
  burst: key(integer(1, 10_000_000), "Questions that may come at once after a pause.", 1000),
  exempt: key(oneOrMany(clientOrPrivate), "Who has no limit: private, networks, addresses, client ids.", ["private"]),
});

/** Reads section `access` straight into its options. */
export const accessShape = object("a map with `clients` and `rateLimit`", {
  clients: key(oneOrMore(clientOrPrivate, "nobody could ask"), "Who may ask: private, networks, addresses, client ids.", [
    "private",
  ]),
  rateLimit: key(orFalse(rateLimitShape), "How fast one client may ask; false: no limit.", {}),
});

/** Section `trustedProxies`. */
export const trustedProxiesShape = oneOrMany(network);

/** Reads section `special` straight into its options. */
export const specialShape = object("a map of switches", {
  firefoxCanary: key(boolean(), "Answer Firefox's canary name so that it does not switch to a DoH service of its own.", false),
  privateRelay: key(boolean(), "Answer the names of iCloud Private Relay so that it stays off.", false),
  ddr: key(boolean(), "Tell clients of the encrypted listeners (DDR, RFC 9462).", false),
});
