import { addressFromText, privateAddresses, rangeFromText } from "../dns/address.ts";
import type { ClientSubnet } from "../dns/edns.ts";
import { unreachable } from "../lib/unreachable.ts";
import type { ForwardDecision } from "../rules/decision.ts";
import type { EcsMode } from "../upstreams/options.ts";
import type { QueryInProgress } from "./resolve.ts";
import type { Resolver } from "./types.ts";

/** How much of a client's own address is sent, in bits: what RFC 7871 §11.1 advises. */
const OWN_PREFIX = { ipv4: 24, ipv6: 56 } as const;

/**
 * The subnet that goes along with a question (RFC 7871); null = none. A rule's mode beats the group's. Whoever sends a prefix of no bits wants
 * nothing sent, and that wish is passed on where anything would have been (§7.1.2). Networks at home mean nothing outside and are never sent.
 */
export function subnetToSend(
  { groups }: Resolver,
  { query, client, decision }: QueryInProgress<ForwardDecision>,
): ClientSubnet | null {
  const mode = decision.context.settings.ecs ?? groups.get(decision.group).options.ecs ?? "strip";
  if (mode === "strip") return null;
  if (query.clientSubnet?.sourcePrefix === 0) return NOTHING_OF_ME;
  switch (mode) {
    case "forward":
      return query.clientSubnet === null ? null : forwarded(query.clientSubnet);
    case "client":
      return networkOf(client.address);
    default:
      return fixed(mode);
  }
}

/**
 * What the reply says of the subnet that the client sent: to how many of its bits the answer is tailored (RFC 7871 §7.2.1). What upstreams say
 * of that is not relied on: an answer for the client's network is taken to be for no other.
 */
export function scopeOfReply({ groups }: Resolver, { query, decision }: QueryInProgress<ForwardDecision>): number {
  const mode = decision.context.settings.ecs ?? groups.get(decision.group).options.ecs ?? "strip";
  if (query.clientSubnet === null) return 0;
  switch (mode) {
    case "strip":
      return 0;
    case "forward":
    case "client":
      return query.clientSubnet.sourcePrefix;
    default:
      return typeof mode === "object" ? 0 : unreachable(mode);
  }
}

const NOTHING_OF_ME: ClientSubnet = { family: 1, sourcePrefix: 0, scopePrefix: 0, prefixHex: "" };

function forwarded(subnet: ClientSubnet): ClientSubnet | null {
  const octets = Buffer.alloc(subnet.family === 1 ? 4 : 16);
  octets.write(subnet.prefixHex, "hex");
  return privateAddresses.has(octets) ? null : { ...subnet, scopePrefix: 0 };
}

function networkOf(address: string): ClientSubnet | null {
  const octets = addressFromText(address);
  if (octets === null || privateAddresses.has(octets)) return null;
  return subnetOf(octets, octets.length === 4 ? OWN_PREFIX.ipv4 : OWN_PREFIX.ipv6);
}

const fixedSubnets = new WeakMap<Extract<EcsMode, object>, ClientSubnet>();

/** @throws Error for what is no network: the configuration is checked. */
function fixed(mode: Extract<EcsMode, object>): ClientSubnet {
  const known = fixedSubnets.get(mode);
  if (known !== undefined) return known;
  const range = rangeFromText(mode.subnet);
  if (range === null) throw new Error(`${mode.subnet} is no network`);
  const subnet = subnetOf(range.first, commonBits(range.first, range.last));
  fixedSubnets.set(mode, subnet);
  return subnet;
}

function subnetOf(octets: Uint8Array, prefix: number): ClientSubnet {
  const kept = Buffer.from(octets.subarray(0, Math.ceil(prefix / 8)));
  const last = kept.length - 1;
  if (last >= 0) kept[last] = (kept[last] ?? 0) & (0xff << (-prefix & 7));
  return { family: octets.length === 4 ? 1 : 2, sourcePrefix: prefix, scopePrefix: 0, prefixHex: kept.toString("hex") };
}

function commonBits(first: Uint8Array, last: Uint8Array): number {
  const differing = first.findIndex((byte, index) => byte !== last[index]);
  if (differing < 0) return first.length * 8;
  return differing * 8 + Math.clz32(((first[differing] ?? 0) ^ (last[differing] ?? 0)) << 24);
}
