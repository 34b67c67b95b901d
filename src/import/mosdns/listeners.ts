import { existsSync } from "node:fs";
import { isIPv6 } from "node:net";
import { parseEndpoint, splitHostPort } from "../../config/values.ts";
import { type Findings, ImportError, type Place } from "../model.ts";
import { childOf, itemsOf, pathBeside, type Tree, textAt, textOf } from "../source.ts";
import type { Bundle } from "./bundle.ts";

type Section = "dns" | "tls" | "https" | "http";

/** Protocols of version 4, and types of plugins of version 5. */
const SECTIONS: Readonly<Record<string, Section>> = {
  udp: "dns",
  tcp: "dns",
  tls: "tls",
  dot: "tls",
  https: "https",
  doh: "https",
  http: "http",
  udp_server: "dns",
  tcp_server: "dns",
  http_server: "http",
};

export const SERVER_TYPES = ["udp_server", "tcp_server", "http_server", "quic_server"];

interface Entry {
  readonly tag: string;
  readonly place: Place;
}

interface Written {
  readonly protocol: string;
  readonly address: string;
  readonly tree: Tree;
  readonly entries: readonly Entry[];
}

/** What the bundle listens on, and the one sequence that its listeners run. @throws ImportError where they run different ones. */
export function readListeners(
  bundle: Bundle,
  findings: Findings,
): { readonly entry: Entry; readonly settings: Readonly<Record<string, unknown>> } {
  const written = [...version4(bundle), ...version5(bundle)];
  const entries = [...new Map(written.flatMap((each) => each.entries).map((entry) => [entry.tag, entry])).values()];
  const [first, second] = entries;
  if (second !== undefined)
    throw new ImportError(
      second.place,
      `the listeners run \`${first?.tag}\` and \`${second.tag}\`: here all ports share one set of rules. Leave one of them, and import again`,
    );
  const last = [...bundle.plugins.values()].findLast(({ type }) => type === "sequence");
  // A bundle that is included by another has no servers of its own.
  const entry = first ?? (last === undefined ? undefined : { tag: last.tag, place: last.place });
  if (entry === undefined) throw new ImportError({ file: bundle.file, line: 1 }, "no server runs a sequence here");
  return { entry, settings: listenSettings(written, bundle, findings) };
}

function version4({ servers }: Bundle): readonly Written[] {
  return servers.flatMap((server) => {
    const entries = itemsOf(childOf(server, "exec")).map((exec) => ({ tag: textOf(exec), place: exec.place }));
    const listeners = itemsOf(childOf(server, "listeners"));
    const shared = { entries, tree: server };
    if (listeners.length === 0) return [{ ...shared, protocol: "", address: "" }];
    return listeners.map((tree) => ({
      ...shared,
      tree,
      protocol: textAt(tree, "protocol") || "udp",
      address: textAt(tree, "addr"),
    }));
  });
}

function version5({ plugins }: Bundle): readonly Written[] {
  return [...plugins.values()].flatMap(({ type, args, place }): Written[] => {
    if (!SERVER_TYPES.includes(type) || args === null) return [];
    const written = [childOf(args, "entry"), ...itemsOf(childOf(args, "entries")).map((path) => childOf(path, "exec"))];
    const entries = written.flatMap((each) => (textOf(each) === "" ? [] : [{ tag: textOf(each), place: each?.place ?? place }]));
    return [{ protocol: type, address: textAt(args, "listen"), tree: args, entries }];
  });
}

function listenSettings(written: readonly Written[], bundle: Bundle, findings: Findings): Readonly<Record<string, unknown>> {
  const listen: Record<Section, string[]> = { dns: [], tls: [], https: [], http: [] };
  const taken = new Map<string, Section>();
  let tls: { cert: string; key: string } | null = null;
  let dohPath: string | null = null;
  for (const { protocol, address, tree } of written) {
    if (address === "") continue;
    const plain = SECTIONS[protocol.toLowerCase()];
    const [cert, key] = [textAt(tree, "cert"), textAt(tree, "key")].map((path) =>
      path === "" ? "" : pathBeside(bundle.file, path),
    );
    const section = cert === "" ? plain : plain === "http" ? "https" : protocol === "tcp_server" ? "tls" : plain;
    const leave = (why: string) => findings.add("left", tree.place, `the listener ${address}: ${why}`);
    if (section === undefined) {
      leave(`there is no protocol \`${protocol}\` here`);
      continue;
    }
    if (section === "tls" || section === "https") {
      if (cert === undefined || key === undefined || !existsSync(cert) || !existsSync(key)) {
        leave(`${cert || "its certificate"} and ${key || "key"} cannot be read`);
        continue;
      }
      tls ??= { cert, key };
    }
    for (const text of listenAddresses(address)) {
      const parsed = parseEndpoint(text);
      if (!("value" in parsed) || (taken.get(text) ?? section) !== section)
        leave("value" in parsed ? "another has this port already" : parsed.wrong);
      else if (!listen[section].includes(text)) listen[section].push(text);
      taken.set(text, taken.get(text) ?? section);
    }
    const path = textAt(tree, "url_path") || textAt(itemsOf(childOf(tree, "entries"))[0] ?? null, "path");
    if (/^(?:\/[\w.~-]+)+$/.test(path)) dohPath ??= path;
    const header = childOf(tree, "get_user_ip_from_header", "src_ip_header");
    if (header !== null)
      findings.add(
        "changed",
        header.place,
        "the client's address is taken from X-Forwarded-For or X-Real-IP of `trustedProxies` alone",
      );
  }
  const port = /:(\d+)$/.exec(textAt(bundle.api, "http"))?.[1];
  if (port !== undefined)
    findings.add(
      "left",
      bundle.api?.place ?? { file: bundle.file, line: 1 },
      "the API of mosdns; that of Fenliu listens at `listen.admin`",
    );
  if (taken.size === 0) return {};
  const place = written[0]?.tree.place ?? { file: bundle.file, line: 1 };
  findings.add(
    "changed",
    place,
    "plain DNS is served over both UDP and TCP, and to private networks alone: see `access.clients`",
  );
  const isAdminTaken = [...taken.keys()].some((text) => text.endsWith(":9080"));
  return {
    listen: { ...listen, ...(dohPath === null ? {} : { dohPath }), ...(isAdminTaken ? { admin: null } : {}) },
    ...(tls === null ? {} : { tls }),
  };
}

/** `:53` is every address of both families. */
export function listenAddresses(written: string): readonly string[] {
  const plain = written.trim();
  const port = /^:(\d+)$/.exec(plain)?.[1];
  if (port !== undefined) return [`0.0.0.0:${port}`, `[::]:${port}`];
  const parts = splitHostPort(plain);
  // A port left out is that of plain DNS.
  if (parts !== null && parts.port === null) return [isIPv6(parts.host) ? `[${parts.host}]:53` : `${parts.host}:53`];
  return [plain.replace(/^localhost:/, "127.0.0.1:")];
}
