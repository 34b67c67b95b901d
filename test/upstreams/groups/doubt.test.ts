import { expect, test } from "vitest";
import { RCODE } from "../../../src/dns/types.ts";
import { DOUBT_MS } from "../../../src/upstreams/dispatch.ts";
import { serverOptions } from "../server-options.ts";
import { answers, type Behaviour, fails, groupOptions, Site, silent } from "./scripted.ts";

/** NOERROR without the record and without SOA. */
const empty = (afterMs: number): Behaviour => answers(afterMs, RCODE.NOERROR, { answered: false, soa: null });

const doubtsEmpty = true;

test("an empty answer without SOA makes the group ask another member, whose records win", async () => {
  const site = new Site(groupOptions("g"));
  site.behave({ a: empty(5), b: answers(10) });
  expect(await site.ask({ doubtsEmpty })).toMatchObject({ outcome: "b", elapsedMs: 15, answer: { answered: true } });
  expect(site.takeAsked()).toEqual(["a", "b"]);
});

test("two members that agree are believed, and no third is asked", async () => {
  const site = new Site(groupOptions("g"));
  site.behave({ a: empty(5), b: empty(10) });
  expect(await site.ask({ doubtsEmpty })).toMatchObject({ elapsedMs: 15, answer: { answered: false } });
  expect(site.takeAsked()).toEqual(["a", "b"]);
});

test("a group with one member is believed at once", async () => {
  const site = new Site(groupOptions("g", { servers: [serverOptions("a")] }));
  site.behave({ a: empty(5) });
  expect(await site.ask({ doubtsEmpty })).toMatchObject({ elapsedMs: 5, answer: { answered: false } });
});

test("if the second member fails the next is asked, and after the last one the first answer is believed", async () => {
  const site = new Site(groupOptions("g"));
  site.behave({ a: empty(5), b: fails("network", 5), c: answers(5) });
  expect(await site.ask({ doubtsEmpty })).toMatchObject({ outcome: "c", elapsedMs: 15 });
  site.behave({ c: fails("network", 5) });
  expect(await site.ask({ doubtsEmpty })).toMatchObject({ elapsedMs: 15, answer: { answered: false } });
});

test("a silent second member is waited for no longer than attemptMs", async () => {
  const site = new Site(groupOptions("g"));
  site.behave({ a: empty(5), b: silent, c: silent });
  expect(await site.ask({ doubtsEmpty })).toMatchObject({ elapsedMs: 605, answer: { answered: false } });
});

test("in a race the pending answers are awaited, and no member is asked twice", async () => {
  const site = new Site(groupOptions("g", { strategy: "race" }));
  site.behave({ a: empty(5), b: answers(200), c: silent });
  expect(await site.ask({ doubtsEmpty })).toMatchObject({ outcome: "b", elapsedMs: 200 });
  site.behave({ b: silent });
  expect(await site.ask({ doubtsEmpty })).toMatchObject({ elapsedMs: 5 + DOUBT_MS, answer: { answered: false } });
  expect(site.takeAsked()).toEqual(["a", "b", "c", "a", "b", "c"]);
});

test("without `doubtsEmpty` an empty answer is as good as any", async () => {
  const site = new Site(groupOptions("g"));
  site.behave({ a: empty(5) });
  expect(await site.ask()).toMatchObject({ elapsedMs: 5, answer: { answered: false } });
  expect(site.takeAsked()).toEqual(["a"]);
});
