import { isIPv4, isIPv6 } from "node:net";
import type { QueryLogOptions } from "./options.ts";

/** What is kept of a client's address: all of it, its /24 or /48 as a network, or nothing. What is no address is kept by `full` alone. */
export function clientShown(address: string, mode: QueryLogOptions["clients"]): string {
  if (mode === "full") return address;
  if (mode === "none") return "";
  if (isIPv4(address)) return `${address.split(".").slice(0, 3).join(".")}.0/24`;
  const [bare = ""] = address.split("%");
  return isIPv6(bare) ? `${leadingGroups(bare, 3).join(":")}::/48` : "";
}

/** The first groups of sixteen bits, in the shortest form of each. */
function leadingGroups(address: string, count: number): string[] {
  const [head = "", tail] = address.split("::");
  const before = groupsOf(head);
  const after = tail === undefined ? [] : groupsOf(tail);
  const zeros = Array.from({ length: tail === undefined ? 0 : 8 - before.length - after.length }, () => "0");
  return [...before, ...zeros, ...after].slice(0, count).map((group) => Number.parseInt(group, 16).toString(16));
}

/** A dotted end stands for two groups, which are never among the first. */
function groupsOf(text: string): string[] {
  if (text === "") return [];
  return text.split(":").flatMap((group) => (group.includes(".") ? ["0", "0"] : [group]));
}
