import type { OwnHosts } from "../hosts/options.ts";
import { checkHosts, ownHosts, ownHostsShape } from "./hosts.ts";
import { readYaml } from "./load.ts";
import type { Problem } from "./problem.ts";

export type OwnHostsResult =
  | { readonly kind: "ok"; readonly own: OwnHosts }
  | { readonly kind: "invalid"; readonly problems: readonly Problem[] };

/** Checks the text of `data/hosts.yaml`, whose records are written as in section `hosts`. Never throws. */
export function parseOwnHosts(text: string, path: string | null): OwnHostsResult {
  const { raw, reading } = readYaml(text, path, { shape: ownHostsShape, check: checkHosts });
  return raw === undefined ? { kind: "invalid", problems: reading.problems } : { kind: "ok", own: ownHosts(raw) };
}
