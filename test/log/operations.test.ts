import { expect, test } from "vitest";
import { operationsLog } from "../../src/log/operations.ts";

test("a program reads one JSON object a line", () => {
  const lines: string[] = [];
  operationsLog("info", (line) => lines.push(line), false).warn({ list: "cn" }, "not downloaded yet");
  expect(JSON.parse(lines.join(""))).toMatchObject({ level: 40, list: "cn", msg: "not downloaded yet" });
});

test("a person at a terminal reads time, level, sentence and details", () => {
  const lines: string[] = [];
  operationsLog("info", (line) => lines.push(line), true).warn({ list: "cn", entries: 3 }, "not downloaded yet");
  expect(lines.join("")).toMatch(/^\d\d:\d\d:\d\d warn {2}not downloaded yet {2}list=cn {2}entries=3\n$/);
});

test("text from the network neither controls the terminal nor begins a line", () => {
  const lines: string[] = [];
  const log = operationsLog("info", (line) => lines.push(line), true);
  log.warn({ reason: "not for \u001b[2J\n12:00:00 info all is well" }, "no answer\r");
  expect(lines.join("")).toMatch(/^[^\p{Cc}]*\n$/u);
});

test("messages below the level are not written", () => {
  const lines: string[] = [];
  operationsLog("warn", (line) => lines.push(line), false).info("Fenliu is answering");
  expect(lines).toEqual([]);
});
