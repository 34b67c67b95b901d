import { addressFromText, privateAddresses, rangeFromText } from "../dns/address.ts";
import type { ClientSubnet } from "../dns/edns.ts";
import { unreachable } from "../lib/unreachable.ts";
import type { Group } from "../upstreams/group.ts";
import type { EcsMode } from "../upstreams/options.ts";
import type { UpstreamQuery } from "./types.ts";

/** How many bits of a client's own address are sent, as RFC 7871 §11.1 advises. */
const OWN_PREFIX = { ipv4: 24, ipv6: 56 } as const;

/**
 * The subnet to send with a question to this group (RFC 7871); null = none. The mode of a rule beats the mode of the group. A client that sends a
 * prefix of 0 bits does not want its subnet sent, and this wish is passed on (§7.1.2). Private networks mean nothing outside and are never sent.
 */
export function subnetToSend({ query, client, decision }: UpstreamQuery, group: Group): ClientSubnet | null {
  const mode = modeOf(decision, group);
  if (mode === "strip") return null;
  if (query.clientSubnet?.sourcePrefix === 0) return NOTHING_OF_ME;
  switch (mode) {
    case "forward":
      return query.clientSubnet === null ? null : publicSubnet(query.clientSubnet);
    case "client":
      return networkOf(client.address);
    default:
      return fixedSubnet(mode);
  }
}

/**
 * For how many bits of the client's subnet the reply is valid (RFC 7871 §7.2.1). The scope of the upstream is not used: an answer for the
 * client's network counts as valid for that network only.
 */
export function scopeOfReply({ query, decision }: UpstreamQuery, group: Group): number {
  const mode = modeOf(decision, group);
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

function modeOf({ context }: UpstreamQuery["decision"], group: Group): EcsMode {
  return context.settings.ecs ?? group.options.ecs ?? "strip";
}

const NOTHING_OF_ME: ClientSubnet = { family: 1, sourcePrefix: 0, scopePrefix: 0, prefixHex: "" };

function publicSubnet(subnet: ClientSubnet): ClientSubnet | null {
  const bytes = Buffer.alloc(subnet.family === 1 ? 4 : 16);
  bytes.write(subnet.prefixHex, "hex");
  return privateAddresses.has(bytes) ? null : { ...subnet, scopePrefix: 0 };
}

function networkOf(address: string): ClientSubnet | null {
  const bytes = addressFromText(address);
  if (bytes === null || privateAddresses.has(bytes)) return null;
  return subnetOf(bytes, bytes.length === 4 ? OWN_PREFIX.ipv4 : OWN_PREFIX.ipv6);
}

const fixedSubnets = new WeakMap<Extract<EcsMode, object>, ClientSubnet>();

/** @throws Error for an invalid network; the checks of the configuration report it first. */
function fixedSubnet(mode: Extract<EcsMode, object>): ClientSubnet {
  const known = fixedSubnets.get(mode);
  if (known !== undefined) return known;
  const range = rangeFromText(mode.subnet);
  if (range === null) throw new Error(`${mode.subnet} is no network`);
  const subnet = subnetOf(range.first, commonBits(range.first, range.last));
  fixedSubnets.set(mode, subnet);
  return subnet;
}

function subnetOf(bytes: Uint8Array, prefix: number): ClientSubnet {
  const kept = Buffer.from(bytes.subarray(0, Math.ceil(prefix / 8)));
  const last = kept.length - 1;
  if (last >= 0) kept[last] = (kept[last] ?? 0) & (0xff << (-prefix & 7));
  return { family: bytes.length === 4 ? 1 : 2, sourcePrefix: prefix, scopePrefix: 0, prefixHex: kept.toString("hex") };
}

function commonBits(first: Uint8Array, last: Uint8Array): number {
  const differing = first.findIndex((byte, index) => byte !== last[index]);
  if (differing < 0) return first.length * 8;
  return differing * 8 + Math.clz32(((first[differing] ?? 0) ^ (last[differing] ?? 0)) << 24);
}
