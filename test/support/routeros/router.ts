/**
 * A MikroTik router in memory, as far as Fenliu deals with one: its menus, ids, refusals, rights and reboots (RouterOS 7.12 to 7.22).
 * Read `menus.ts` (which fields there are), this file, then what acts on it: `rest.ts` (REST over TLS), `script.ts` (the script language) and
 * `doh-client.ts` (how it asks its DoH server).
 */

import { X509Certificate } from "node:crypto";
import { isIP } from "node:net";
import ipaddr from "ipaddr.js";
import { type Clock, systemClock } from "../../../src/lib/clock.ts";
import { keyIdsOf } from "../../../src/routeros/chain.ts";
import { hasSince, MENUS, type Menu, type RouterVersion } from "./menus.ts";

/** One record as the router prints it: all values are texts, and `.id` is there unless the menu has one record. */
export type Row = Readonly<Record<string, string>>;

export interface RouterSetup {
  readonly version?: RouterVersion;
  /** `home` refuses the scheduler. */
  readonly deviceMode?: "advanced" | "home";
  readonly clock?: Clock;
}

/** A refusal of the router; the message is the one that RouterOS gives. */
export class RouterError extends Error {}

interface Entry {
  readonly id: string;
  readonly values: Map<string, string>;
  /** When the record ends by its timeout; null = never. */
  readonly endsMs: number | null;
}

export class Router {
  readonly version: RouterVersion;
  readonly deviceMode: "advanced" | "home";
  readonly clock: Clock;
  /** What `:execute` has started: each script is run when `runJobs` is called. */
  readonly jobs: string[] = [];
  /** What a certificate is once the router has signed it, as PEM. */
  ownCertificate = "";
  /** How far the clock of the router is off. */
  clockErrorMs = 0;
  /** What `:resolve` does: an address, or a RouterError. */
  resolve: (name: string) => Promise<string> = () => Promise.reject(new RouterError("failure: dns server failure"));
  /** What else is dropped when the DNS cache is flushed. */
  onFlush: () => void = () => {};
  readonly #menus = new Map<string, Entry[]>();
  readonly #pems = new Map<string, string>();
  #lastId = 0;
  #bootedMs: number;

  constructor({ version = "7.22", deviceMode = "advanced", clock = systemClock }: RouterSetup = {}) {
    this.version = version;
    this.deviceMode = deviceMode;
    this.clock = clock;
    this.#bootedMs = clock.now();
    for (const [name, { single }] of Object.entries(MENUS)) if (single === true) this.#insert(name, {}, null);
    this.plant("system/resource", { version: `${version}.1 (stable)` });
    this.plant("interface/list", { name: "WAN" });
    this.plant("interface/list", { name: "LAN" });
  }

  /** The menu, with its fields. @throws RouterError where this version does not have the menu. */
  menu(name: string): Menu {
    const menu = MENUS[name];
    if (menu === undefined || !hasSince(menu, this.version))
      throw new RouterError(`no such command or directory (${lastOf(name)})`);
    return menu;
  }

  /** Every record of a menu, in order; records whose time is up are gone. */
  rows(name: string): readonly Row[] {
    const menu = this.menu(name);
    return this.#living(name).map((entry) => this.#print(name, menu, entry));
  }

  /** The record of a menu that has one. */
  record(name: string): Row {
    return this.rows(name)[0] ?? {};
  }

  /** @returns the id of the new record. @throws RouterError */
  add(name: string, { "place-before": before, ...values }: Readonly<Record<string, string>>): string {
    const menu = this.menu(name);
    if (menu.single === true || Object.keys(menu.fields).length === 0) throw new RouterError("no such command (add)");
    if (menu.deviceMode === true && this.deviceMode === "home") throw new RouterError("failure: not allowed by device-mode");
    const complete = this.#checked(name, menu, values);
    this.#refuseDuplicate(name, menu, complete, null);
    const id = this.#insert(name, Object.fromEntries(complete), endOf(complete, this.clock.now()));
    if (before !== undefined) this.#moveBefore(name, id, this.#find(name, before).id);
    return id;
  }

  /** Changes records, by their ids; the record of a menu that has one needs none. @throws RouterError; then no record has changed. */
  set(name: string, ids: readonly string[], values: Readonly<Record<string, string>>): void {
    const menu = this.menu(name);
    const changes = this.#checked(name, menu, values);
    const entries = menu.single === true ? this.#living(name) : ids.map((id) => this.#find(name, id));
    for (const entry of entries) {
      const changed = new Map([...entry.values, ...changes]);
      this.#refuseDuplicate(name, menu, changed, entry.id);
      const endsMs = changes.has("timeout") ? endOf(changes, this.clock.now()) : entry.endsMs;
      this.#menus.set(
        name,
        this.#living(name).map((other) => (other.id === entry.id ? { ...entry, values: changed, endsMs } : other)),
      );
    }
  }

  /** @throws RouterError where a record is not there; then no record is gone. */
  remove(name: string, ids: readonly string[]): void {
    this.menu(name);
    for (const id of ids) this.#find(name, id);
    this.#menus.set(
      name,
      this.#living(name).filter(({ id }) => !ids.includes(id)),
    );
  }

  /** Sets up a record as the router itself would, read-only fields included; a menu with one record gets these values. */
  plant(name: string, values: Readonly<Record<string, string>>): string {
    const [only] = this.#menus.get(name) ?? [];
    if (MENUS[name]?.single !== true || only === undefined)
      return this.#insert(name, values, endOf(new Map(Object.entries(values)), this.clock.now()));
    for (const [field, value] of Object.entries(values)) only.values.set(field, value);
    return only.id;
  }

  flushCache(): void {
    this.#menus.set("ip/dns/cache/all", []);
    this.onFlush();
  }

  /** Trusts an authority, as an import of its certificate does. */
  trust(pem: string, name: string): void {
    const certificate = new X509Certificate(pem);
    const fingerprint = certificate.fingerprint256.replaceAll(":", "").toLowerCase();
    this.#pems.set(fingerprint, pem);
    const skid = keyIdsOf(certificate).subject ?? "";
    this.plant("certificate", { name, "common-name": certificate.subject, fingerprint, skid });
  }

  /** Signs certificates of the router's own: a certificate of the fixtures stands for each. */
  sign(ids: readonly string[]): void {
    const fingerprint = new X509Certificate(this.ownCertificate).fingerprint256.replaceAll(":", "").toLowerCase();
    for (const id of ids) this.#find("certificate", id).values.set("fingerprint", fingerprint);
  }

  /** The trusted certificates, as PEM. */
  authorities(): readonly string[] {
    const trusted = this.rows("certificate").filter((row) => row["trusted"] === "true");
    return trusted.map((row) => this.#pems.get(row["fingerprint"] ?? "") ?? "");
  }

  note(topics: string, message: string): void {
    this.plant("log", { time: new Date(this.clock.wallMs()).toISOString().slice(0, 19).replace("T", " "), topics, message });
  }

  /** Records with a timeout live in memory alone, and so do the caches and the log. */
  reboot(): void {
    this.#bootedMs = this.clock.now();
    for (const [name, entries] of this.#menus)
      this.#menus.set(
        name,
        entries.filter(({ endsMs }) => endsMs === null),
      );
    for (const name of ["ip/dns/cache/all", "log", "ip/arp", "ipv6/neighbor"]) this.#menus.set(name, []);
    this.jobs.length = 0;
  }

  /** Everything that a user has set, without ids: equal for two routers that were set up alike. */
  snapshot(): string {
    const shown = Object.keys(MENUS).filter((name) => name !== "log" && hasSince(MENUS[name] as Menu, this.version));
    return JSON.stringify(shown.map((name) => [name, this.rows(name).map((row) => without(row, ".id", "uptime", "time"))]));
  }

  #insert(name: string, values: Readonly<Record<string, string>>, endsMs: number | null): string {
    const id = `*${(++this.#lastId).toString(16).toUpperCase()}`;
    const { fields, readOnly } = MENUS[name] as Menu;
    const defaults = Object.entries({ ...fields, ...readOnly }).filter((each): each is [string, string] => each[1] !== null);
    this.#menus.set(name, [
      ...(this.#menus.get(name) ?? []),
      { id, values: new Map([...defaults, ...Object.entries(values)]), endsMs },
    ]);
    return id;
  }

  #moveBefore(name: string, id: string, before: string): void {
    const entries = this.#menus.get(name) ?? [];
    const moved = entries.filter((entry) => entry.id === id);
    this.#menus.set(
      name,
      entries.flatMap((entry) => (entry.id === id ? [] : entry.id === before ? [...moved, entry] : [entry])),
    );
  }

  #living(name: string): readonly Entry[] {
    const nowMs = this.clock.now();
    return (this.#menus.get(name) ?? []).filter(({ endsMs }) => endsMs === null || endsMs > nowMs);
  }

  #find(name: string, id: string): Entry {
    const isNamed = (entry: Entry): boolean => entry.id === id || (!id.startsWith("*") && entry.values.get("name") === id);
    const entry = this.#living(name).find(isNamed);
    if (entry === undefined) throw new RouterError("no such item");
    return entry;
  }

  #print(name: string, menu: Menu, { id, values, endsMs }: Entry): Row {
    const nowMs = this.clock.now();
    const shown = [...values].filter(([field]) => hasSince(menu, this.version, field));
    if (endsMs !== null) shown.push(["timeout", durationText(endsMs - nowMs)], ["dynamic", "true"]);
    if (name === "system/clock") shown.push(...this.#clockValues(values.get("gmt-offset") ?? ""));
    if (name === "system/resource") shown.push(["uptime", durationText(nowMs - this.#bootedMs)]);
    return Object.fromEntries(menu.single === true ? shown : [[".id", id], ...shown]);
  }

  #clockValues(offset: string): readonly [string, string][] {
    const [, sign, hours = "0", minutes = "0"] = /^([+-])(\d+):(\d+)$/.exec(offset) ?? [];
    const offsetMs = (sign === "-" ? -1 : 1) * (Number(hours) * 60 + Number(minutes)) * 60_000;
    const [date = "", time = ""] = new Date(this.clock.wallMs() + this.clockErrorMs + offsetMs)
      .toISOString()
      .slice(0, 19)
      .split("T");
    return [
      ["date", date],
      ["time", time],
    ];
  }

  /** The values as the router keeps them. @throws RouterError for unknown fields and impossible values. */
  #checked(name: string, menu: Menu, values: Readonly<Record<string, string>>): Map<string, string> {
    const kept = new Map<string, string>();
    for (const [field, value] of Object.entries(values)) {
      const initial = menu.fields[field];
      if (initial === undefined || !hasSince(menu, this.version, field)) throw new RouterError(`unknown parameter ${field}`);
      kept.set(field, normalised(name, field, value, initial === "true" || initial === "false"));
    }
    if (name === "ip/dns/static" && (kept.get("name") ?? "") !== "" && (kept.get("regexp") ?? "") !== "")
      throw new RouterError("failure: only name or regexp allowed");
    return kept;
  }

  #refuseDuplicate(name: string, { unique, fields }: Menu, values: ReadonlyMap<string, string>, self: string | null): void {
    if (unique === undefined) return;
    const keyOf = (of: ReadonlyMap<string, string>) =>
      unique.fields.map((field) => of.get(field) ?? fields[field] ?? "").join("\n");
    const isTwin = (entry: Entry) => entry.id !== self && keyOf(entry.values) === keyOf(values);
    if (this.#living(name).some(isTwin)) throw new RouterError(unique.refusal);
  }
}

/** A record without some of its fields. */
export function without(row: Row, ...fields: readonly string[]): Row {
  return Object.fromEntries(Object.entries(row).filter(([field]) => !fields.includes(field)));
}

function lastOf(menu: string): string {
  return menu.split("/").at(-1) ?? menu;
}

/** `yes` and `no` are kept as booleans; addresses of lists lose their host bits. A text that is no address is taken for a DNS name, without a word. */
function normalised(menu: string, field: string, value: string, isBoolean: boolean): string {
  if (isBoolean) {
    if (value !== "yes" && value !== "no" && value !== "true" && value !== "false")
      throw new RouterError(`value of ${field} must be yes or no`);
    return value === "yes" ? "true" : value === "no" ? "false" : value;
  }
  if (field === "timeout" && durationMs(value) > MAX_TIMEOUT_MS) throw new RouterError("value of timeout is out of range");
  return field === "address" && menu.endsWith("address-list") ? network(value) : value;
}

function network(text: string): string {
  const [address = "", length] = text.split("/");
  const family = isIP(address);
  if (family === 0) return text;
  const bits = family === 4 ? 32 : 128;
  const prefix = length === undefined ? bits : Number(length);
  const cidr = `${address}/${prefix}`;
  const base = family === 4 ? ipaddr.IPv4.networkAddressFromCIDR(cidr) : ipaddr.IPv6.networkAddressFromCIDR(cidr);
  return family === 4 && prefix === 32 ? base.toString() : `${ipaddr.parse(base.toString()).toString()}/${prefix}`;
}

function endOf(values: ReadonlyMap<string, string>, nowMs: number): number | null {
  const timeout = values.get("timeout") ?? "";
  return timeout === "" ? null : nowMs + durationMs(timeout);
}

const UNITS: Readonly<Record<string, number>> = { w: 604_800, d: 86_400, h: 3600, m: 60, s: 1 };

/** 35w3d13h13m56s. */
const MAX_TIMEOUT_MS = (35 * 604_800 + 3 * 86_400 + 13 * 3600 + 13 * 60 + 56) * 1000;

/** @throws RouterError */
function durationMs(text: string): number {
  if (/^\d+$/.test(text)) return Number(text) * 1000;
  const [, hours, minutes, seconds] = /^(\d+):(\d\d):(\d\d)$/.exec(text) ?? [];
  if (seconds !== undefined) return (Number(hours) * 3600 + Number(minutes) * 60 + Number(seconds)) * 1000;
  if (!/^(\d+[wdhms])+$/.test(text)) throw new RouterError(`invalid value ${text} for a time`);
  return [...text.matchAll(/(\d+)([wdhms])/g)].reduce(
    (sum, [, count, unit = ""]) => sum + Number(count) * (UNITS[unit] ?? 0) * 1000,
    0,
  );
}

/** As the router prints a time: `1d2h3m4s`. */
function durationText(ms: number): string {
  let rest = Math.max(0, Math.ceil(ms / 1000));
  let text = "";
  for (const [unit, seconds] of Object.entries(UNITS)) {
    const count = Math.floor(rest / seconds);
    rest -= count * seconds;
    if (count > 0) text += `${count}${unit}`;
  }
  return text === "" ? "0s" : text;
}
