import { createHash } from "node:crypto";
import type { GroupOptions } from "./options.ts";

/**
 * By group, a fingerprint of what its answers come from: equal for equal servers in whatever order, however they are asked, with the same proxy,
 * subnet and fallback. Passwords have no part in it.
 * @param groups whose fallbacks do not lead in a circle.
 */
export function groupMarks(groups: readonly GroupOptions[]): ReadonlyMap<string, string> {
  const byName = new Map(groups.map((group) => [group.name, group]));
  return new Map(groups.map((group) => [group.name, digest(JSON.stringify(sourcesOf(group, byName)))]));
}

function sourcesOf(
  { servers, proxy, ecs, volatile, fallback }: GroupOptions,
  byName: ReadonlyMap<string, GroupOptions>,
): unknown {
  const next = fallback === null ? undefined : byName.get(fallback);
  return {
    servers: servers
      .map(({ protocol, host, port, path, addresses, tlsName }) =>
        JSON.stringify([protocol, host, port, path, addresses, tlsName]),
      )
      .sort(),
    proxy: proxy === null ? null : [proxy.protocol, proxy.host, proxy.port],
    ecs,
    volatile,
    fallback: next === undefined ? null : sourcesOf(next, byName),
  };
}

function digest(text: string): string {
  return createHash("sha256").update(text).digest("base64url").slice(0, 16);
}
