/**
 * The door of the room: scripts that a MikroTik router runs (RouterOS 7.12 and later).
 *
 * `control/control.ts` renders the script for `GET /routeros.rsc`. The room knows the script language; it opens no connection.
 *
 * RouterOS runs an import line by line and undoes nothing when a line fails, so the order of the lines keeps DNS alive: first what the new settings need,
 * then the switch with its own rollback, at last the removal of what is no longer needed. Each line is whole by itself: no variable lives on in the next line.
 */

import { isIP } from "node:net";

interface DohServer {
  /** URL of the DNS-over-HTTPS service. */
  readonly url: URL;
  /** The addresses of the host of the URL; empty if the host is a literal or unknown. */
  readonly addresses: readonly string[];
}

/** Starts the comment of every static entry that a script owns. */
const PIN_OWNER = "fenliu:pin:";

/** The comment of every entry that scripts before the parts had owners of their own. */
const FORMER_OWNER = "fenliu";

/** One of these names has to resolve after the switch. They are popular within China and answered outside China too. */
const PROBES = ["www.baidu.com", "www.qq.com", "www.apple.com"];

/** Old values of these settings come back if no probe resolves. */
const SWITCHED: Readonly<Record<string, string>> = {
  "verify-doh-cert": "yes",
  "doh-timeout": "5s",
  "doh-max-concurrent-queries": "100",
  "allow-remote-requests": "yes",
};

/** A script that makes the server the DoH server of the router. A user may import the script again: the second import changes nothing. */
export function renderSetupScript(server: DohServer): string {
  const host = server.url.hostname;
  const pins = server.addresses.map((address) => ({ address, owner: `${PIN_OWNER}${host}:${address}` }));
  const isLiteral = isIP(host.replace(/^\[|\]$/g, "")) !== 0;
  const lines = [
    "# Makes Fenliu the DNS server of this router, for RouterOS 7. Import: /import file-name=fenliu.rsc",
    "# The certificate is checked: its authority has to be in /certificate, or among the builtin trust anchors.",
  ];
  if (!isLiteral && pins.length === 0)
    lines.push(
      `# The router has to look ${host} up by its own servers first: give the name an address in section hosts of Fenliu.`,
    );
  if (pins.length > 0) lines.push("# The router needs the addresses of Fenliu before it can ask Fenliu.");
  for (const { address, owner } of pins) {
    const same = `name=${quote(host)} and address=${address}`;
    const type = address.includes(":") ? "AAAA" : "A";
    lines.push(
      `/ip dns static set [find where comment=${quote(FORMER_OWNER)} and ${same}] comment=${quote(owner)}`,
      // RouterOS refuses a second entry with the same name, type and value, also when the first entry is the user's own.
      `:if ([:len [/ip dns static find where ${same}]] = 0) do={ /ip dns static add name=${quote(host)} type=${type} address=${address} comment=${quote(owner)} }`,
      `/ip dns static set [find where ${same}] disabled=no`,
    );
  }
  lines.push(
    "# Switches to Fenliu, and back to the old settings if no name resolves.",
    switchLine(server.url.href),
    "# Entries of earlier imports that are needed no longer.",
    `/ip dns static remove [find where comment=${quote(FORMER_OWNER)}]`,
    `/ip dns static remove [find where comment~${quote(`^${PIN_OWNER}`)}${pins.map(({ owner }) => ` and comment!=${quote(owner)}`).join("")}]`,
  );
  return `${lines.join("\n")}\n`;
}

function switchLine(url: string): string {
  const settings = Object.entries({ "use-doh-server": quote(url), ...SWITCHED });
  const save = settings.map(([key], index) => `:local old${index} [/ip dns get ${key}]; `).join("");
  const apply = settings.map(([key, value]) => ` ${key}=${value}`).join("");
  const restore = settings.map(([key], index) => ` ${key}=$old${index}`).join("");
  const probe = `:foreach probe in={${PROBES.map(quote).join("; ")}} do={ :if (!$works) do={ :do { :resolve $probe; :set works true } on-error={ } } }; `;
  const failure = quote("Fenliu does not answer this router: its DNS settings are as they were");
  const rollback = `:if (!$works) do={ /ip dns set${restore}; /ip dns cache flush; :error ${failure} }`;
  return `{ ${save}:local works false; /ip dns set${apply}; /ip dns cache flush; ${probe}${rollback} }`;
}

/** Text as a literal of the script language: `"`, `\` and `$` are escaped, a byte beyond printable ASCII is `\XX`. RouterOS 7.1 and later refuses `\?`. */
export function quote(text: string): string {
  const bytes = [...Buffer.from(text, "utf8")];
  const escaped = bytes.map((byte) => {
    const char = String.fromCharCode(byte);
    if (byte < 0x20 || byte > 0x7e) return `\\${byte.toString(16).toUpperCase().padStart(2, "0")}`;
    return '"\\$'.includes(char) ? `\\${char}` : char;
  });
  return `"${escaped.join("")}"`;
}
