import type { AttemptRecord, QueryRecord } from "./record.ts";
import { stepText } from "./step-text.ts";

/** Everything of a record in plain words, line by line. */
export function recordDetails(record: QueryRecord): string[] {
  const { id, version, name, type, rcode, size, durationUs, source, action, negativeTtl } = record;
  const rows: readonly (readonly [string, readonly string[]])[] = [
    ["asked by", [askerText(record)]],
    ["answered", [rcode === null ? "nothing was sent" : `${rcode}, ${size} octets, after ${milliseconds(durationUs / 1000)}`]],
    ["from", [action === "none" ? source : `${source}, ${action}`]],
    ["rule", record.rule === null ? [] : [ruleText(record)]],
    ["upstream", upstreamText(record) === "" ? [] : [upstreamText(record)]],
    ["answers", record.answers],
    ["negative", negativeTtl === null ? [] : [`may be held for ${negativeTtl} s`]],
    ["errors", record.ede],
    ["edited", record.edits],
    ["decided", record.trace.map(stepText)],
    ["asked", record.attempts.map(attemptText)],
    ["version", version === "" ? [] : [version]],
  ];
  const heading = `${localTime(record.time)}  ${name === "" ? "no readable question" : `${name} ${type}`}  (${id})`;
  return [heading, ...rows.flatMap(([title, lines]) => detailLines(title, lines))].map(printable);
}

function detailLines(title: string, lines: readonly string[]): string[] {
  return lines.map((line, index) => `  ${(index === 0 ? title : "").padEnd(10)}${line}`);
}

function askerText({ client, clientId, transport, http, method }: QueryRecord): string {
  const who = client === "" ? "an address that is not kept" : client;
  const carrier =
    transport === "doh" ? `DoH (HTTP/${http ?? "?"} ${method ?? "?"})` : transport === "dot" ? "DoT" : transport.toUpperCase();
  return `${who}${clientId === null ? "" : `, client id ${clientId}`}, over ${carrier}`;
}

export function ruleText({ rule, list, line }: QueryRecord): string {
  if (rule === null) return "";
  return list === null ? rule : `${rule} (${list}:${line ?? "?"})`;
}

export function upstreamText({ route, upstream }: QueryRecord): string {
  return [route, upstream].filter((part) => part !== null).join(" ");
}

/** A server that was asked, and what came of it. */
export function attemptText({ group, server, transport, ms, rcode, failure }: AttemptRecord): string {
  const of = group === null ? "" : ` of ${group}`;
  return `${server}${of} over ${transport.toUpperCase()}: ${rcode ?? failure ?? "no answer"} after ${milliseconds(ms)}`;
}

export function milliseconds(ms: number): string {
  return `${ms < 10 ? ms.toFixed(2) : ms.toFixed(ms < 100 ? 1 : 0)} ms`;
}

/** `2026-11-21 21:03:11.482` where this machine is. */
export function localTime(time: string): string {
  const at = new Date(time);
  const date = [at.getFullYear(), at.getMonth() + 1, at.getDate()].map(twoDigits).join("-");
  const clock = [at.getHours(), at.getMinutes(), at.getSeconds()].map(twoDigits).join(":");
  return `${date} ${clock}.${String(at.getMilliseconds()).padStart(3, "0")}`;
}

function twoDigits(value: number): string {
  return String(value).padStart(2, "0");
}

/** Texts of servers and clients must not steer a terminal. */
export function printable(text: string): string {
  return text.replace(/[\p{Cc}\p{Cf}\u2028\u2029]/gu, "\ufffd");
}
