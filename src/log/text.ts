import { printable } from "../lib/text.ts";
import { unreachable } from "../lib/unreachable.ts";
import type { AttemptRecord, QueryRecord, TraceMatch, TraceStep } from "./record.ts";

/** Everything of a record in plain words, line by line. */
export function recordDetails(record: QueryRecord): string[] {
  const { id, version, name, type, rcode, size, durationUs, source, action, negativeTtl } = record;
  const rows: readonly (readonly [string, readonly string[]])[] = [
    ["asked by", [askerText(record)]],
    ["answered", [rcode === null ? "nothing was sent" : `${rcode}, ${size} bytes, after ${milliseconds(durationUs / 1000)}`]],
    ["from", [action === "none" ? source : `${source}, ${action}`]],
    ["rule", record.rule === null ? [] : [ruleText(record)]],
    ["upstream", upstreamText(record) === "" ? [] : [upstreamText(record)]],
    ["answers", record.answers],
    ["negative", negativeTtl === null ? [] : [`may be held for ${negativeTtl} s`]],
    ["errors", record.ede],
    ["edited", record.edits],
    ["decided", record.trace?.map(stepText) ?? ["under a version of configuration and lists that is not kept any more"]],
    ["asked", record.attempts.map(attemptText)],
    ["version", version === "" ? [] : [version]],
  ];
  const heading = `${localTime(record.time)}  ${name === "" ? "no readable question" : `${name} ${type}`}  (${id})`;
  return [heading, ...rows.flatMap(([title, lines]) => detailLines(title, lines))].map((line) => printable(line));
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

/** A step on the way to a decision as one sentence for people, without a capital and a full stop: the same on the command line and the dashboard. */
export function stepText(step: TraceStep): string {
  switch (step.kind) {
    case "hosts":
      return `the hosts table has ${step.pattern}${placeText(step)}`;
    case "special":
      return `the name is in the special zone ${step.zone}, which only a pattern within the zone opens`;
    case "rule":
      return ruleStepText(step);
    case "kept":
      return `the name does not get NXDOMAIN, because of ${keeperText(step.because)}`;
    case "first-group":
      return `no rule decides, so it goes to the first group, ${step.group}`;
    case "alias":
      return `it is an alias: what answers is ${step.target}, by its own decision`;
    case "compared":
      return comparisonText(step);
    default:
      return unreachable(step);
  }
}

/** `taobao.com, line 12 of list cn`, or `*.ads.example` alone where the rule itself has it. */
export function matchText(match: TraceMatch): string {
  return match.list === null
    ? match.pattern
    : `${match.pattern}, line ${match.line} of list ${match.list}${sourceText(match.source)}`;
}

function ruleStepText({ rule, outcome, match, when }: Extract<TraceStep, { kind: "rule" }>): string {
  const because = match === null ? "" : ` because of ${matchText(match)}`;
  switch (outcome) {
    case "decides":
      return `rule ${rule} decides${because}`;
    case "modifies":
      return `rule ${rule} matches${because}: its settings hold, and the rules after it decide`;
    case "closed":
      return `rule ${rule} matches${because}, but has no pattern within the special zone`;
    case "types":
      return `rule ${rule} is not for this type`;
    case "when":
      return when === undefined
        ? `rule ${rule} is not for this time`
        : `rule ${rule} is not within ${when.hours}; it is ${when.time}`;
    case "clients":
      return `rule ${rule} is not for this client`;
    case "domains":
      return `rule ${rule} has no pattern for the name`;
    case "excepted":
      return `rule ${rule} excepts the name${because}`;
    case "longest":
      return `rule ${rule} has no list that holds the name`;
    default:
      return unreachable(outcome);
  }
}

function comparisonText({ side, near, by }: Extract<TraceStep, { kind: "compared" }>): string {
  const finding = near === null ? "" : ` (near: ${near})`;
  switch (by) {
    case "comparison":
      return near === null
        ? `the ${side} side was asked first, and its answer counts: not all its addresses are near`
        : `both sides were asked, and the ${side} one answers${finding}`;
    case "verdict":
      return `the name is known for the ${side} side${finding}`;
    case "default":
      return `nothing is known of the name, so the ${side} side answers`;
    case "failure":
      return `the far side failed, and the ${side} one has the best that is left${finding}`;
    default:
      return unreachable(by);
  }
}

function keeperText(because: Extract<TraceStep, { kind: "kept" }>["because"]): string {
  if (because === "hosts") return "the hosts table";
  return because === "special" ? "a special name" : `rule ${because.rule}`;
}

function placeText({ source, line }: { readonly source: string; readonly line: number }): string {
  if (source === "") return "";
  return line > 0 ? `, line ${line} of ${source}` : `, of ${source}`;
}

function sourceText(source: string): string {
  return source === "" ? "" : ` (${source})`;
}
