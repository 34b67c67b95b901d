import { readFileSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { runProgram } from "./programs.ts";
import { percentile } from "./statistics.ts";
import { dohQuestion, hostsOf } from "./zone.ts";

/**
 * How questions come. `doh` is HTTP/2 with many streams a connection, `doh-1` HTTP/2 with one, `http1` HTTP/1.1 with connections that are kept: what RouterOS
 * speaks. Over `tcp` and `dot` questions are pipelined.
 */
export const TRANSPORTS = ["udp", "tcp", "dot", "doh", "doh-1", "http1"] as const;

export type Transport = (typeof TRANSPORTS)[number];

/** What is asked of a server: everything it can take, or so many queries a second. */
export interface Load {
  readonly transport: Transport;
  /** null = as fast as it answers. */
  readonly perSecond: number | null;
}

/** What came of it, as the program that asked saw it. */
export interface Outcome {
  readonly answered: number;
  readonly lost: number;
  readonly perSecond: number;
  /** null where the load is not at a fixed rate: at saturation latency only says how many questions were under way. */
  readonly latency: Latency | null;
}

export interface Latency {
  readonly medianMicros: number;
  readonly p99Micros: number;
  readonly p999Micros: number;
}

export interface Target {
  readonly transport: Transport;
  readonly port: number;
}

export interface AskerParts {
  readonly folder: string;
  /** null = each question is for a name that nobody was asked for before, which none can know. */
  readonly hosts: readonly string[] | null;
  readonly signal: AbortSignal;
}

/** Clients that the load is spread over, and questions that all of them together have under way. */
const CLIENTS = 4;
const UNDER_WAY = 100;
/** Few enough under way that no buffer between server and upstream runs over. */
const GENTLY_UNDER_WAY = 10;
const LOST_AFTER_SECONDS = 2;
/** What a program may take beyond its time, to set up connections and to wait for what was lost. */
const SPARE_MS = 20_000;
const ALL_NAMES_LIMIT_MS = 120_000;

/** More new names a second than any server that is measured gets through. */
const MOST_NEW_PER_SECOND = 50_000;

/**
 * Asks servers on 127.0.0.1 for the same names in the same order, or for names that nobody was asked for: `dnsperf` over UDP, TCP and DoT, `h2load` over HTTP (GET, TLS), because the DoH
 * of dnsperf 2.10 stalls before some servers.
 */
export class LoadGenerator {
  readonly #parts: AskerParts;
  readonly #hosts: readonly string[];
  readonly #namesFile: string;
  #newNames = 0;

  constructor(parts: AskerParts) {
    this.#parts = parts;
    this.#hosts = parts.hosts ?? [];
    this.#namesFile = join(parts.folder, "names");
    this.#writeNames(this.#hosts);
  }

  /** @returns the bytes of all replies together over DoH, else how many were NOERROR: equal before and after if nothing changed. */
  async askAllNames({ transport, port }: Target): Promise<number> {
    const count = this.#hosts.length;
    if (!isHttp(transport)) {
      const rate = ["-n", "1", "-q", String(GENTLY_UNDER_WAY), "-t", String(LOST_AFTER_SECONDS)];
      const text = await this.#run("dnsperf", [...this.#dnsperf(port, transport), ...rate], ALL_NAMES_LIMIT_MS);
      return Number(/NOERROR (\d+)/.exec(text)?.[1] ?? 0);
    }
    const rate = ["-n", String(count), "-c", "1", "-m", String(streamsOf(transport, GENTLY_UNDER_WAY))];
    const text = await this.#run("h2load", [...this.#h2load(port, transport), ...rate], ALL_NAMES_LIMIT_MS);
    return Number(/status codes: (\d+) 2xx/.exec(text)?.[1]) === count ? Number(/\((\d+)\) data/.exec(text)?.[1]) : 0;
  }

  ask({ transport, port }: Target, perSecond: number | null, seconds: number): Promise<Outcome> {
    const target = { transport, port };
    return isHttp(transport) ? this.#askHttp(target, perSecond, seconds) : this.#askDns(target, perSecond, seconds);
  }

  async #askDns({ transport, port }: Target, perSecond: number | null, seconds: number): Promise<Outcome> {
    const once = this.#parts.hosts === null ? ["-n", "1"] : [];
    if (this.#parts.hosts === null) {
      const start = this.#newNames;
      this.#newNames += (perSecond ?? MOST_NEW_PER_SECOND) * seconds;
      this.#writeNames(hostsOf(start, this.#newNames));
    }
    const load = ["-l", String(seconds), "-c", String(CLIENTS), "-q", String(UNDER_WAY), "-t", String(LOST_AFTER_SECONDS)];
    const rate = perSecond === null ? [] : ["-Q", String(perSecond), "-v"];
    const text = await this.#run(
      "dnsperf",
      [...this.#dnsperf(port, transport), ...once, ...load, ...rate],
      seconds * 1000 + SPARE_MS,
    );
    return readDnsperf(text, perSecond !== null);
  }

  async #askHttp({ transport, port }: Target, perSecond: number | null, seconds: number): Promise<Outcome> {
    const load = ["-D", String(seconds), "-c", String(CLIENTS), "-m", String(streamsOf(transport, UNDER_WAY / CLIENTS))];
    const log = join(this.#parts.folder, "h2load.log");
    rmSync(log, { force: true });
    const rate = perSecond === null ? [] : ["--rps", String(perSecond / CLIENTS), `--log-file=${log}`];
    const text = await this.#run("h2load", [...this.#h2load(port, transport), ...load, ...rate], seconds * 1000 + SPARE_MS);
    return readH2load(text, perSecond === null ? null : readFileSync(log, "utf8"));
  }

  #dnsperf(port: number, transport: Transport): string[] {
    return ["-m", transport, "-s", "127.0.0.1", "-p", String(port), "-d", this.#namesFile, "-e"];
  }

  #h2load(port: number, transport: Transport): string[] {
    const file = join(this.#parts.folder, `urls-${port}`);
    const url = (host: string) => `https://127.0.0.1:${port}/dns-query?dns=${dohQuestion(host)}\n`;
    writeFileSync(file, this.#hosts.map(url).join(""));
    return [...(transport === "http1" ? ["--h1"] : []), "-i", file];
  }

  #writeNames(hosts: readonly string[]): void {
    writeFileSync(this.#namesFile, hosts.map((host) => `${host} A\n`).join(""));
  }

  #run(command: string, args: readonly string[], limitMs: number): Promise<string> {
    return runProgram(command, args, { limitMs, signal: this.#parts.signal });
  }
}

function isHttp(transport: Transport): boolean {
  return transport === "doh" || transport === "doh-1" || transport === "http1";
}

/** How many requests a connection has under way. */
function streamsOf(transport: Transport, many: number): number {
  return transport === "doh" ? many : 1;
}

/** Reads what dnsperf says at its end, and with `-v` its line for each query. */
export function readDnsperf(text: string, withLatency: boolean): Outcome {
  const number = (pattern: RegExp) => Number(pattern.exec(text)?.[1]);
  const seconds = withLatency ? Array.from(text.matchAll(/^> NOERROR .* (\d\.\d+)$/gm), ([, latency]) => Number(latency)) : null;
  return {
    answered: number(/Queries completed: +(\d+)/),
    lost: number(/Queries lost: +(\d+)/),
    perSecond: number(/Queries per second: +([\d.]+)/),
    latency: seconds === null ? null : latencyOf(seconds.map((each) => each * 1e6)),
  };
}

/** Reads what h2load says at its end, and its log: start, status and microseconds of each request, between tabs. */
export function readH2load(text: string, log: string | null): Outcome {
  const number = (pattern: RegExp) => Number(pattern.exec(text)?.[1]);
  const answered = number(/status codes: (\d+) 2xx/);
  return {
    answered,
    lost: number(/requests: .* (\d+) failed/),
    perSecond: number(/finished in [^,]+, ([\d.]+) req\/s/),
    latency:
      log === null
        ? null
        : latencyOf(
            log
              .trimEnd()
              .split("\n")
              .map((line) => Number(line.split("\t")[2])),
          ),
  };
}

function latencyOf(micros: readonly number[]): Latency {
  return { medianMicros: percentile(micros, 0.5), p99Micros: percentile(micros, 0.99), p999Micros: percentile(micros, 0.999) };
}
