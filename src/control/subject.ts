import { type ExplainRequest, ParameterError } from "../admin/control.ts";
import { addressFromText, addressText } from "../dns/address.ts";
import { type Name, nameFromText } from "../dns/name.ts";
import { askMessage, isRejection, parseQuery, type Query } from "../dns/query.ts";
import { CLASS, rcodeName, typeName, typeNumber } from "../dns/types.ts";
import type { Client } from "../lib/client.ts";

/** A query that somebody might send. */
export interface Subject {
  readonly query: Query;
  readonly client: Client;
}

/** @throws ParameterError where a part of it is not what it should be. */
export function subjectOf({ name, type, client, clientId }: Omit<ExplainRequest, "resolve" | "version">): Subject {
  const asked = nameFromText(name);
  const number = typeNumber(type);
  const address = client === null ? "127.0.0.1" : canonical(client);
  const fits = clientId === null || /^[a-z0-9-]{1,63}$/.test(clientId);
  if (asked === null || number === null || address === null || !fits) {
    throw new ParameterError(
      ...(asked === null ? [{ parameter: "name", reason: `\`${name}\` is no domain name` }] : []),
      ...(number === null
        ? [
            {
              parameter: "type",
              reason: `\`${type}\` is no record type: a mnemonic such as HTTPS, or a number up to 65535 is wanted`,
            },
          ]
        : []),
      ...(address === null
        ? [{ parameter: "client", reason: `\`${client}\` is no address; client ids go by \`clientId\`` }]
        : []),
      ...(fits ? [] : [{ parameter: "clientId", reason: `\`${clientId}\` is no client id` }]),
    );
  }
  return { query: queryFor(asked, number), client: { ...SOMEBODY, address, clientId } };
}

/** Over a stream, where no size cuts an answer short. */
const SOMEBODY = { port: 0, transport: "tcp", http: null, method: null } as const;

/** As listeners write it; null where it is none. */
function canonical(text: string): string | null {
  const [, address = "", zone] = /^([^%]*)(%[^%]+)?$/.exec(text) ?? [];
  const octets = addressFromText(address);
  if (octets === null) return null;
  if (zone === undefined) return addressText(octets);
  return octets.length === 4 ? null : `${addressText(octets)}${zone}`;
}

function queryFor(name: Name, type: number): Query {
  const question = { name, type, class: CLASS.IN, dnssecOk: false, checkingDisabled: false, clientSubnet: null };
  const parsed = parseQuery(askMessage(question, { id: 0, edns: true, padded: false }));
  if (parsed === null) throw new Error("a question of ours cannot be read");
  if (isRejection(parsed)) {
    const rcode = rcodeName(parsed.rejected);
    const reason = `\`${typeName(type)}\` is nothing that a resolver is asked for: it is answered with ${rcode}`;
    throw new ParameterError({ parameter: "type", reason });
  }
  return parsed;
}
