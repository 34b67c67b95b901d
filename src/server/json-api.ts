import { decodeMessage } from "../dns/message.ts";
import { nameFromText } from "../dns/name.ts";
import { askMessage } from "../dns/query.ts";
import { jsonMessage } from "../dns/text.ts";
import { CLASS, typeNumber } from "../dns/types.ts";
import type { Client } from "../lib/client.ts";
import type { Handler, JsonReply } from "../listen/types.ts";

/**
 * Answers `?name=&type=&cd=&do=` in the JSON format of Google's and Cloudflare's public resolvers. The question is put into a DNS message and
 * goes the same way as every other query.
 */
export async function answerJson(answer: Handler["answer"], parameters: URLSearchParams, client: Client): Promise<JsonReply> {
  const name = nameFromText(parameters.get("name") ?? "");
  if (name === null) return badRequest("name: a domain name is wanted");
  const type = typeNumber(parameters.get("type") ?? "A");
  if (type === null) return badRequest("type: a record type such as AAAA, or its number, is wanted");
  const question = {
    name,
    type,
    class: CLASS.IN,
    dnssecOk: isSet(parameters.get("do")),
    checkingDisabled: isSet(parameters.get("cd")),
    clientSubnet: null,
  };
  const reply = await answer(askMessage(question, { id: 0, edns: true, padded: false }), client);
  const decoded = reply === null ? null : decodeMessage(reply.wire);
  if (reply === null || decoded === null) return badRequest("this question has no answer");
  return { kind: "ok", body: JSON.stringify(jsonMessage(decoded)), maxAgeSeconds: reply.maxAgeSeconds };
}

function isSet(value: string | null): boolean {
  return value === "1" || value === "true";
}

function badRequest(text: string): JsonReply {
  return { kind: "bad", text };
}
