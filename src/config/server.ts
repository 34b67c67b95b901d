import { isIP } from "node:net";
import type { ProxyOptions, ServerOptions } from "../upstreams/options.ts";
import { type Parsed, shorten, text } from "./shape.ts";
import { parseDomainName, splitHostPort } from "./values.ts";

/** The options in the text of a server. The map form has the others. */
export type ServerAddress = Pick<ServerOptions, "label" | "protocol" | "host" | "port" | "path">;

export const serverAddress = text({
  expected: "a server such as `223.5.5.5` or `https://1.1.1.1/dns-query`",
  parse: parseServer,
  examples: ["223.5.5.5", "udp://192.168.88.1:53", "tcp://9.9.9.9", "tls://8.8.8.8", "https://1.1.1.1/dns-query", "system"],
  fixOfCollection: 'put an address with brackets in quotes, as in "[2400:3200::1]:53"',
});

export const proxy = text({
  expected: "a proxy such as `socks5://127.0.0.1:7890`",
  parse: parseProxy,
  examples: ["socks5://127.0.0.1:7890", "http://user:password@127.0.0.1:7890"],
});

/** A URL of one of the schemes. */
export function url(...schemes: readonly string[]) {
  const expected = `a URL that begins with ${schemes.map((scheme) => `\`${scheme}://\``).join(" or ")}`;
  return text({
    expected,
    parse: (written): Parsed<string> => {
      const parsed = URL.parse(written);
      const isKnown = parsed !== null && parsed.hostname !== "" && schemes.includes(parsed.protocol.slice(0, -1));
      return isKnown ? { value: written } : { wrong: `\`${written}\` is not ${expected}`, fix: `write ${expected}` };
    },
  });
}

const DEFAULT_PORTS = { udp: 53, tcp: 53, tls: 853, https: 443 } as const;
const DEFAULT_PATH = "/dns-query";

export function parseServer(written: string): Parsed<ServerAddress> {
  if (written === "system") return { value: { label: written, protocol: "system", host: "", port: 0, path: "" } };
  const [, scheme, rest = ""] = /^([a-z0-9+.-]+):\/\/(.*)$/is.exec(written) ?? [];
  if (scheme === undefined) return parseBareAddress(written);
  const protocol = scheme.toLowerCase();
  if (protocol === "https") return parseHttpsServer(written);
  if (protocol !== "udp" && protocol !== "tcp" && protocol !== "tls")
    return { wrong: `\`${protocol}://\` is no protocol for a server`, fix: "use udp://, tcp://, tls:// or https://" };
  const parts = splitHostPort(rest.replace(/\/$/, ""));
  if (parts === null || !isHost(parts.host) || parts.port === 0)
    return { wrong: `\`${written}\` is no server`, fix: `write it as in \`${protocol}://192.0.2.1:${DEFAULT_PORTS[protocol]}\`` };
  return { value: { label: written, protocol, host: parts.host, port: parts.port ?? DEFAULT_PORTS[protocol], path: "" } };
}

function parseBareAddress(written: string): Parsed<ServerAddress> {
  const parts = splitHostPort(written);
  if (parts !== null && isIP(parts.host) !== 0 && parts.port !== 0)
    return { value: { label: written, protocol: "udp", host: parts.host, port: parts.port ?? DEFAULT_PORTS.udp, path: "" } };
  const isName = parts !== null && isHost(parts.host) && /[a-z]/i.test(parts.host);
  const fix = isName
    ? `write \`udp://${written}\`, \`tls://${written}\` or \`https://${written}/dns-query\`; in \`bootstrap\` write its address`
    : "write it as in `223.5.5.5` or `[2400:3200::1]:53`";
  return { wrong: `\`${written}\` is no address of a server`, fix };
}

function parseHttpsServer(written: string): Parsed<ServerAddress> {
  const parsed = URL.parse(written);
  const host = parsed?.hostname.replace(/^\[(.*)\]$/, "$1") ?? "";
  if (parsed === null || !isHost(host) || parsed.port === "0")
    return { wrong: `\`${written}\` is no server`, fix: "write it as in `https://192.0.2.1/dns-query`" };
  if (parsed.username !== "" || parsed.password !== "" || parsed.hash !== "")
    return {
      wrong: "a server's URL has neither user, password nor `#`",
      fix: `write \`https://${parsed.host}${parsed.pathname}${parsed.search}\``,
    };
  const path = parsed.pathname + parsed.search;
  const port = parsed.port === "" ? DEFAULT_PORTS.https : Number(parsed.port);
  return {
    value: { label: httpsLabel(written, parsed), protocol: "https", host, port, path: path === "/" ? DEFAULT_PATH : path },
  };
}

/**
 * The URL as clients (RFC 8914), metrics and the log show it. Only the common path is shown: another path, or a query, may be the key to an
 * account.
 */
function httpsLabel(written: string, { host, pathname, search }: URL): string {
  const [common = ""] = /^\/dns-query(?=\/|$)/.exec(pathname) ?? [];
  const isKey = pathname.slice(common.length).length > 1;
  if (!isKey && search === "") return written;
  return `https://${host}${common}${isKey ? "/***" : ""}${search === "" ? "" : "?***"}`;
}

export function parseProxy(written: string): Parsed<ProxyOptions> {
  const [, protocol = "", user, password, authority = ""] =
    /^([a-z0-9]+):\/\/(?:([^@/]*?)(?::([^@/]*))?@)?([^@/]+)\/?$/i.exec(written) ?? [];
  const parts = splitHostPort(authority);
  if (protocol === "socks5h")
    return {
      wrong: "`socks5h://` is no protocol here: names are given to the proxy anyway",
      fix: `write \`socks5://${written.slice(10)}\``,
    };
  if ((protocol !== "socks5" && protocol !== "http") || parts === null || !isHost(parts.host))
    return {
      wrong: `\`${shorten(written)}\` is no proxy`,
      fix: "write it as in `socks5://127.0.0.1:7890` or `http://127.0.0.1:7890`",
    };
  if (parts.port === null || parts.port === 0)
    return { wrong: `\`${written}\` has no port`, fix: `add the port, as in \`${protocol}://127.0.0.1:7890\`` };
  const [username, secret] = [decode(user), decode(password)];
  if (username === undefined || secret === undefined)
    return { wrong: "user or password has a `%` that begins no byte", fix: "write `%25` for `%`" };
  return { value: { protocol, host: parts.host, port: parts.port, username, password: secret } };
}

/** undefined = the percent-encoding is broken. */
function decode(part: string | undefined): string | null | undefined {
  if (part === undefined) return null;
  try {
    return decodeURIComponent(part);
  } catch (error) {
    if (!(error instanceof URIError)) throw error;
    return undefined;
  }
}

function isHost(host: string): boolean {
  return isIP(host) !== 0 || "value" in parseDomainName(host);
}
