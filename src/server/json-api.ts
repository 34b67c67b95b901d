import { decodeMessage, encodeMessage } from "../dns/message.ts";
import { nameFromText } from "../dns/name.ts";
import { jsonMessage } from "../dns/text.ts";
import { CLASS, typeNumber } from "../dns/types.ts";
import type { Client } from "../lib/client.ts";
import type { Handler, JsonReply } from "../listen/types.ts";

/** Answers `?name=&type=&cd=&do=` in the JSON of Google's and Cloudflare's public resolvers: the same way of a query, shown differently. */
export async function answerJson(answer: Handler["answer"], parameters: URLSearchParams, client: Client): Promise<JsonReply> {
  const name = nameFromText(parameters.get("name") ?? "");
  if (name === null) return bad("name: a domain name is wanted");
  const type = typeNumber(parameters.get("type") ?? "A");
  if (type === null) return bad("type: a record type such as AAAA, or its number, is wanted");
  const message = encodeMessage({
    id: 0,
    response: false,
    opcode: 0,
    authoritative: false,
    truncated: false,
    recursionDesired: true,
    recursionAvailable: false,
    authenticData: true,
    checkingDisabled: isSet(parameters.get("cd")),
    rcode: 0,
    edns: { udpPayloadBytes: 0xffff, version: 0, dnssecOk: isSet(parameters.get("do")), otherFlags: 0, options: [] },
    questions: [{ name, type, class: CLASS.IN }],
    answers: [],
    authority: [],
    additional: [],
  });
  const reply = await answer(message, client);
  const decoded = reply === null ? null : decodeMessage(reply.wire);
  if (reply === null || decoded === null) return bad("this question has no answer");
  return { kind: "ok", body: JSON.stringify(jsonMessage(decoded)), maxAgeSeconds: reply.maxAgeSeconds };
}

function isSet(value: string | null): boolean {
  return value === "1" || value === "true";
}

function bad(text: string): JsonReply {
  return { kind: "bad", text };
}
