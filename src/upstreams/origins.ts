import { addressFromText, addressText } from "../dns/address.ts";
import type { Member } from "./member.ts";

/**
 * Every process of a host asks from these, so they say nothing about who asked: a resolver at 127.0.0.1 stays usable for programs beside it.
 * Where it does ask us, `asksFrom` says so.
 */
const SHARED_BY_ALL = new Set(["127.0.0.1", "::1"]);

/** Whether `origin` (as in `Errand.origin`) is an address that this member is asked at: its own questions must not go back to it. */
export function isAt(member: Member, origin: string): boolean {
  const asked = canonical(origin);
  if (SHARED_BY_ALL.has(asked)) return false;
  const { host, addresses } = member.server;
  return [host, ...addresses, ...(member.upstream.addresses?.() ?? [])].some((address) => canonical(address) === asked);
}

// Addresses with a zone and names of hosts are compared as they are written.
function canonical(text: string): string {
  const octets = addressFromText(text);
  return octets === null ? text.toLowerCase() : addressText(octets);
}
