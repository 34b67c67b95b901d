import { hash, timingSafeEqual } from "node:crypto";
import { AddressSet, addressFromText, addressText, networkOfAddress, withoutZone } from "../dns/address.ts";
import { type Name, nameFromText, nameText, parentOf, ROOT } from "../dns/name.ts";
import type { HostRecord } from "../hosts/options.ts";
import type { Clock } from "../lib/clock.ts";
import { errorText } from "../lib/text.ts";
import { TokenBuckets } from "../lib/token-bucket.ts";
import type { AddressUpdate, AddressUpdateReply, DdnsOptions, DdnsToken } from "./options.ts";

/**
 * Hosts report their own addresses by the protocol DynDNS2, which ddclient, inadyn, routers and scripts of RouterOS speak: `GET /nic/update` with
 * Basic authentication, whose password is the token. `app/` opens the service; the API and the DoH listeners hand it their requests.
 */

interface DdnsParts {
  readonly clock: Clock;
  /** Called for every request, because a reload may change the tokens. */
  readonly options: () => DdnsOptions;
  /** What was reported before. */
  readonly reported: () => readonly HostRecord[];
  /** Puts the addresses of names into the hosts table; families that are not among them stay. Rejects where they cannot be kept. */
  readonly report: (reports: ReadonlyMap<string, readonly string[]>) => Promise<void>;
  /** Tells the operator, at most now and then. */
  readonly warn: (kind: string, details: object) => void;
}

/** Requests of one token: enough for a client with several names that tries again, too few for one that asks all the time. */
const UPDATE_RATE = { perSecond: 1 / 30, burst: 20 };

/** Wrong tokens of one network. Beyond, no token is looked at, so that neither a wrong nor a right one is told. */
const GUESS_RATE = { perSecond: 1 / 60, burst: 10 };

/** Networks that are remembered. */
const MAX_NETWORKS = 4096;

const MAX_NAMES = 20;
const MAX_ADDRESSES = 16;

/** "This network", multicast and what is reserved: the address of no host. */
const UNUSABLE = AddressSet.of("0.0.0.0/8", "224.0.0.0/3", "::/128", "ff00::/8");

/** Takes updates. Tells nothing to those without a token: neither which names there are nor how near a token was. */
export class DdnsService {
  readonly #parts: DdnsParts;
  readonly #updates = new TokenBuckets(UPDATE_RATE, MAX_NETWORKS);
  readonly #guesses = new TokenBuckets(GUESS_RATE, MAX_NETWORKS);

  constructor(parts: DdnsParts) {
    this.#parts = parts;
  }

  /** null = the configuration has no tokens. */
  async update({ query, authorization, client }: AddressUpdate): Promise<AddressUpdateReply | null> {
    const { clock, options, warn } = this.#parts;
    const { tokens } = options();
    if (tokens.length === 0) return null;
    if (authorization === undefined) return BAD_AUTH;
    const nowMs = clock.now();
    const guesses = this.#guesses.of(networkOfAddress(client), nowMs);
    if (guesses.waitMs(nowMs) > 0) return replyWith("abuse");
    const token = findToken(tokens, authorization);
    if (token === null) {
      guesses.take(nowMs);
      warn("ddns: a client sent a wrong token", { client });
      return BAD_AUTH;
    }
    const names = token.names.join(" ");
    if (!this.#updates.of(digest(token.token).toString("hex"), nowMs).take(nowMs)) {
      warn("ddns: a client reports too often", { client, names });
      return replyWith("abuse");
    }
    return await this.#report(token, new URLSearchParams(query), client);
  }

  async #report(token: DdnsToken, parameters: URLSearchParams, client: string): Promise<AddressUpdateReply> {
    const asked = listOf(parameters.get("hostname"));
    const addresses = addressesIn(parameters, client);
    if (asked.length === 0) return replyWith("notfqdn");
    if (asked.length > MAX_NAMES) return replyWith("numhost");
    if (addresses === null) return replyWith("dnserr");
    const allowed = new Set(token.names.map(nameFromText));
    const known = new Map(this.#parts.reported().map(({ name, addresses: before }) => [nameFromText(name), before]));
    const changes = new Map<string, readonly string[]>();
    const codes = asked.map((text) => {
      const name = nameFromText(text);
      if (name === null || !isQualified(name)) return "notfqdn";
      if (!allowed.has(name)) return "nohost";
      const before = known.get(name) ?? [];
      if (mergeFamilies(before, addresses).join() === before.join()) return `nochg ${addresses.join(",")}`;
      changes.set(nameText(name), addresses);
      return `good ${addresses.join(",")}`;
    });
    if (changes.size > 0) {
      try {
        await this.#parts.report(changes);
      } catch (error) {
        this.#parts.warn("ddns: a report could not be kept", { names: [...changes.keys()].join(" "), reason: errorText(error) });
        return replyWith("911");
      }
    }
    return replyWith(...codes);
  }
}

/** The addresses of a name after a report: a family that the report does not have stays as it was. */
export function mergeFamilies(before: readonly string[], reported: readonly string[]): readonly string[] {
  const isIpv6 = (address: string) => address.includes(":");
  return [false, true].flatMap((family) => {
    const news = reported.filter((address) => isIpv6(address) === family);
    return news.length > 0 ? news : before.filter((address) => isIpv6(address) === family);
  });
}

const BAD_AUTH: AddressUpdateReply = { status: 401, text: "badauth\n" };

function replyWith(...lines: readonly string[]): AddressUpdateReply {
  return { status: 200, text: `${lines.join("\n")}\n` };
}

/** The token that is the password (RFC 7617 §2). Compares digests with all of them in constant time. */
function findToken(tokens: readonly DdnsToken[], authorization: string): DdnsToken | null {
  const [, encoded = ""] = /^basic +([A-Za-z0-9+/=_-]+) *$/i.exec(authorization) ?? [];
  const credentials = Buffer.from(encoded, "base64").toString("utf8");
  const sent = digest(credentials.slice(credentials.indexOf(":") + 1));
  return tokens.filter(({ token }) => timingSafeEqual(digest(token), sent))[0] ?? null;
}

function digest(text: string): Buffer {
  return hash("sha256", text, "buffer");
}

function listOf(text: string | null): readonly string[] {
  return (text ?? "").split(",").flatMap((each) => (each.trim() === "" ? [] : [each.trim()]));
}

/** What `myip` and `myipv6` name, each once, IPv4 first; where both are empty, the address of the client. null = one is no address of a host. */
function addressesIn(parameters: URLSearchParams, client: string): readonly string[] | null {
  const named = [...listOf(parameters.get("myip")), ...listOf(parameters.get("myipv6"))];
  const texts = named.length === 0 ? [withoutZone(client)] : named;
  const addresses = texts
    .map(addressFromText)
    .filter((bytes) => bytes !== null)
    .filter((bytes) => !UNUSABLE.has(bytes));
  if (addresses.length < texts.length || texts.length > MAX_ADDRESSES) return null;
  return mergeFamilies([], [...new Set(addresses.map(addressText))]);
}

/** Whether a name has two labels or more. */
function isQualified(name: Name): boolean {
  return name !== ROOT && parentOf(name) !== ROOT;
}
