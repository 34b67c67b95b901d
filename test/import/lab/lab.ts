/**
 * Runs a server beside the Fenliu that was imported from its configuration, before servers that say who was asked, and compares both:
 *
 *   node test/import/lab/lab.ts FILE [--clients a,b] [--names N] [--record TSV | --reference TSV] [--report] [--show VERDICT]
 *
 * FILE is the main configuration in a folder of its own. Needs root (network namespaces), `ip`, `unshare`, `openssl`, and the program: `mosdns`, `mosdns4`
 * (version 4), `AdGuardHome`, `smartdns`, `dnsmasq`, `mihomo` or `chinadns-ng` (with `ipset`), in the folder FENLIU_LAB_PROGRAMS or on the PATH. With `--reference` the program need not be there: what it did
 * was recorded before. Nothing leaves the namespaces. Read `scene.ts`, `mock.ts`, `inside.ts`.
 */
import { execFileSync, spawn } from "node:child_process";
import { once } from "node:events";
import { cpSync, existsSync, mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { basename, dirname, join, resolve } from "node:path";
import { fileURLToPath } from "node:url";
import { parseArgs } from "node:util";
import { parseDocument } from "yaml";
import { type Imported, importConfig } from "../../../src/import/import.ts";
import { reportText } from "../../../src/import/report.ts";
import type { Ask, Job, Replied } from "./inside.ts";
import {
  namesIn,
  OWN_NAMES,
  roleOf,
  type Scene,
  type Side,
  SLOW_NAMES,
  sceneOf,
  sideOfRole,
  type Transport,
  textsIn,
  UNKNOWN_NAMES,
} from "./scene.ts";

/** What became of a question: who was asked, and what came. */
export interface Seen extends Replied {
  readonly roles: readonly string[];
}

export type Verdict = "leak" | "blank" | "wider" | "wrong" | "opened" | "extra" | "shape" | "equal";

export interface Difference {
  readonly verdict: Verdict;
  readonly before: Seen;
  readonly now: Seen;
}

export interface Result {
  readonly imported: Imported;
  readonly program: readonly Seen[];
  readonly differences: readonly Difference[];
}

export interface LabOptions {
  readonly clients?: readonly string[];
  /** Of each file that holds names. */
  readonly names?: number;
  readonly types?: readonly string[];
  /** What the program did when it was last run; null = it is run now. */
  readonly reference?: readonly Seen[] | null;
}

const TYPES = ["A", "AAAA", "HTTPS", "TXT", "MX", "PTR"];
const projectRoot = fileURLToPath(new URL("../../..", import.meta.url));

/** Imports the configuration, and asks both servers the same questions. */
export async function compareServers(file: string, options: LabOptions = {}): Promise<Result> {
  const work = mkdtempSync(join(tmpdir(), "fenliu-lab-"));
  try {
    return await compareIn(work, file, options);
  } finally {
    rmSync(work, { recursive: true, force: true });
  }
}

async function compareIn(
  work: string,
  file: string,
  { clients = ["10.77.0.9"], names = 30, types = TYPES, reference = null }: LabOptions,
): Promise<Result> {
  const source = join(work, "source");
  cpSync(dirname(file), source, { recursive: true });
  const main = join(source, basename(file));
  const imported = importConfig(main, null, { proxy: "socks5://127.0.0.1:7890", relative: (path) => path, dataFolder: null });
  const config = configOf(imported, work);
  const at = listensAt(imported.yaml);
  const { configurations, lists } = textsIn(source);
  const scene = sceneOf(configurations, at.port);
  const asked =
    reference ??
    asksOf({
      names: [...namesIn([...configurations, ...lists], names), ...UNKNOWN_NAMES, ...OWN_NAMES, ...SLOW_NAMES],
      types,
      clients,
    });
  const tls = makeCertificate(work, scene);
  const shared = { scene, tls, at, asks: asked.map(({ name, type, client }) => ({ name, type, client })) };
  const environment = { SSL_CERT_FILE: join(work, "cert.pem"), NODE_EXTRA_CA_CERTS: join(work, "cert.pem") };
  const program =
    reference ??
    (await seenBy(work, { ...shared, folder: source, run: commandOf(imported.kind, { main, work, at }), env: environment }));
  const fenliu = [join(projectRoot, "node_modules/.bin/node"), join(projectRoot, "src/main.ts"), "serve", "-c", config];
  const now = await seenBy(work, { ...shared, folder: work, run: fenliu, env: environment });
  const keyOf = ({ name, type, client }: Ask) => `${name} ${type} ${client}`;
  const recorded = new Map(program.map((seen) => [keyOf(seen), seen]));
  // A and AAAA help each other out: a preferred family is asked for with the other.
  const FAMILY = ["A", "AAAA", "HTTPS"];
  const helped = (seen: Seen) =>
    FAMILY.includes(seen.type) ? FAMILY.flatMap((type) => recorded.get(keyOf({ ...seen, type }))?.roles ?? []) : seen.roles;
  const isOneGroup = groupsOf(imported.yaml, scene);
  const differences = now.flatMap((seen): Difference[] => {
    const before = recorded.get(keyOf(seen));
    return before === undefined
      ? []
      : [{ verdict: verdictOf(before, seen, { isOneGroup, mayAsk: helped(before) }), before, now: seen }];
  });
  return { imported, program, differences };
}

/** Every name with every type from each client; the clients after the first ask other names, as the first filled the caches. */
function asksOf({
  names,
  types,
  clients,
}: {
  readonly names: readonly string[];
  readonly types: readonly string[];
  readonly clients: readonly string[];
}): readonly Ask[] {
  return clients.flatMap((client) => names.flatMap((name) => types.map((type) => ({ name, type, client }))));
}

async function seenBy(work: string, job: Omit<Job, "log" | "replies">): Promise<readonly Seen[]> {
  const rounds = Map.groupBy(job.asks, ({ client }) => client);
  const seen: Seen[] = [];
  // Each client has a server that remembers nothing of those before.
  for (const asks of rounds.values()) {
    const [log, replies, path] = ["log.tsv", "replies.json", "job.json"].map((name) => join(work, name)) as [
      string,
      string,
      string,
    ];
    rmSync(replies, { force: true });
    writeFileSync(log, "");
    writeFileSync(path, JSON.stringify({ ...job, asks, log, replies }));
    const child = spawn(
      "unshare",
      ["-n", join(projectRoot, "node_modules/.bin/node"), fileURLToPath(new URL("inside.ts", import.meta.url)), "world", path],
      { stdio: "inherit" },
    );
    await once(child, "exit");
    if (!existsSync(replies)) throw new Error(`${job.run.join(" ")} could not be asked`);
    const roles = new Map<string, Set<string>>();
    for (const line of readFileSync(log, "utf8").trim().split("\n")) {
      const [role = "", name = "", type = ""] = line.split("\t");
      roles.set(`${name} ${type}`, (roles.get(`${name} ${type}`) ?? new Set()).add(role));
    }
    const replied: readonly Replied[] = JSON.parse(readFileSync(replies, "utf8"));
    for (const reply of replied) seen.push({ ...reply, roles: [...(roles.get(`${reply.name} ${reply.type}`) ?? [])].sort() });
  }
  return seen;
}

interface Allowance {
  /** Whether two servers are members of one group, of which one is asked by chance. */
  readonly isOneGroup: (one: string, other: string) => boolean;
  /** Whom the program asked for the name at all. */
  readonly mayAsk: readonly string[];
}

/** Worst first. */
export function verdictOf(before: Seen, now: Seen, { isOneGroup, mayAsk }: Allowance): Verdict {
  const [sidesBefore, sidesNow] = [new Set(mayAsk.map(sideOfRole)), new Set(now.roles.map(sideOfRole))];
  const had = before.answers.length > 0;
  const has = now.answers.length > 0;
  const isZero = (seen: Seen) => seen.answers.some((answer) => / (A 0\.0\.0\.0|AAAA ::)$/.test(answer));
  const more = [...sidesNow].filter((side: Side) => !sidesBefore.has(side));
  if (more.length > 0 && (sidesBefore.size > 0 || !has)) return "leak";
  if (had && !has) return isZero(before) ? "equal" : now.roles.length === 0 ? "wider" : "blank";
  if (before.roles.length > 0 && now.roles.length === 0 && isZero(now)) return "wider";
  if (mayAsk.length === 0 && now.roles.length > 0) return "opened";
  // A question for another family may have asked them in the program: the answer is the same.
  if (now.roles.length === 0 && before.rcode === now.rcode && before.answers.join() === now.answers.join()) return "equal";
  if (had && has && before.roles.length > 0 && !now.roles.some((role) => before.roles.some((each) => isOneGroup(each, role))))
    return "wrong";
  const answeredBy = (seen: Seen) =>
    new Set(
      seen.answers.flatMap((answer) =>
        / (A 61\.135|AAAA 2400:3200)/.test(answer) ? ["near"] : / (A 142\.250|AAAA 2607)/.test(answer) ? ["far"] : [],
      ),
    );
  const [sideThen, sideNow] = [answeredBy(before), answeredBy(now)];
  if (had && has && sideThen.size > 0 && [...sideNow].some((side) => !sideThen.has(side))) return "wrong";
  if (now.roles.some((role) => !before.roles.some((each) => isOneGroup(each, role)))) return "extra";
  if (before.rcode !== now.rcode || had !== has) return "shape";
  return "equal";
}

interface Group {
  readonly servers: readonly (string | { readonly url: string; readonly addresses?: readonly string[] })[];
  readonly fallback?: string;
}

/** Servers are told apart by their groups in the new file. */
function groupsOf(yaml: string, scene: Scene): (one: string, other: string) => boolean {
  const { upstreams }: { readonly upstreams: Readonly<Record<string, Group>> } = parseDocument(yaml).toJS();
  const members = Object.values(upstreams).map(({ servers, fallback }) =>
    [...servers, ...(fallback === undefined ? [] : (upstreams[fallback]?.servers ?? []))].flatMap((server) => {
      const url = typeof server === "string" ? server : server.url;
      const [, scheme = "udp", host = "", port] = /^(?:(\w+):\/\/)?(\[[^\]]*\]|[^:/]+)(?::(\d+))?/.exec(url) ?? [];
      const transport = (scheme === "tcp" ? "udp" : scheme) as Transport;
      const hosts = [host.replace(/[[\]]/g, ""), ...(typeof server === "string" ? [] : (server.addresses ?? []))];
      return hosts.map((each) =>
        roleOf(scene, transport, each, Number(port ?? { udp: 53, tcp: 53, tls: 853, https: 443 }[transport])),
      );
    }),
  );
  return (one, other) => one === other || members.some((group) => group.includes(one) && group.includes(other));
}

function configOf({ yaml, files }: Imported, work: string): string {
  for (const [name, text] of files) {
    mkdirSync(dirname(join(work, name)), { recursive: true });
    writeFileSync(join(work, name), text);
  }
  const document = parseDocument(yaml);
  document.setIn(["log", "queries"], { enabled: false });
  document.setIn(["cache", "file"], null);
  document.setIn(["listen", "admin"], null);
  writeFileSync(join(work, "fenliu.yaml"), document.toString());
  return join(work, "fenliu.yaml");
}

function listensAt(yaml: string): Job["at"] {
  const { listen }: { readonly listen?: { readonly dns?: readonly string[] } } = parseDocument(yaml).toJS();
  const written = listen?.dns?.[0] ?? "127.0.0.1:5053";
  const [, host = "", port = "53"] = /^(.*):(\d+)$/.exec(written) ?? [];
  const address = host.replace(/[[\]]/g, "");
  // A client asks an address of the house; on loopback a client of the house would not be answered.
  return { address: address === "0.0.0.0" || address === "::" || address === "" ? "10.77.0.1" : address, port: Number(port) };
}

function makeCertificate(work: string, scene: Scene): Job["tls"] {
  const names = [...Object.keys(scene.hosts).map((host) => `DNS:${host}`), ...scene.world.map((address) => `IP:${address}`)];
  const subject = [
    "-subj",
    "/CN=lab",
    "-addext",
    `subjectAltName=${names.join(",")}`,
    "-addext",
    "basicConstraints=critical,CA:TRUE",
  ];
  const [key, cert] = [join(work, "key.pem"), join(work, "cert.pem")];
  execFileSync(
    "openssl",
    [
      "req",
      "-x509",
      "-newkey",
      "ec",
      "-pkeyopt",
      "ec_paramgen_curve:P-256",
      "-nodes",
      "-days",
      "2",
      ...subject,
      "-keyout",
      key,
      "-out",
      cert,
    ],
    { stdio: "pipe" },
  );
  return { cert: readFileSync(cert, "utf8"), key: readFileSync(key, "utf8") };
}

/** How the program of a kind is started, with what would disturb switched off in its copy. */
function commandOf(
  kind: string,
  { main, work, at }: { readonly main: string; readonly work: string; readonly at: Job["at"] },
): readonly string[] {
  const folder = process.env["FENLIU_LAB_PROGRAMS"] ?? "";
  const program = (name: string) => (existsSync(join(folder, name)) ? join(folder, name) : name);
  const append = (text: string) => writeFileSync(main, `${readFileSync(main, "utf8")}\n${text}\n`);
  switch (kind) {
    case "mosdns": {
      const isFour = /^servers:/m.test(readFileSync(main, "utf8"));
      return [program(isFour ? "mosdns4" : "mosdns"), "start", "-c", main, "-d", dirname(main)];
    }
    case "adguardhome": {
      const document = parseDocument(readFileSync(main, "utf8"));
      // Nobody signs in, and no list can be fetched here.
      document.set("users", []);
      document.set("filters", []);
      document.set("whitelist_filters", []);
      writeFileSync(main, document.toString());
      return [program("AdGuardHome"), "-c", main, "-w", work, "--no-check-update", "--web-addr", "127.0.0.1:3999"];
    }
    case "smartdns":
      append(
        `speed-check-mode none\ndualstack-ip-selection no\nprefetch-domain no\nserve-expired no\nlog-level error\nca-file ${join(work, "cert.pem")}`,
      );
      return [program("smartdns"), "-f", "-c", main, "-p", join(work, "pid")];
    case "dnsmasq":
      // Not a daemon, which would look for relative files in the root.
      return [program("dnsmasq"), "-d", "-C", main, "--user=root", "--log-facility=-", `--pid-file=${join(work, "pid")}`];
    case "mihomo": {
      const document = parseDocument(readFileSync(main, "utf8"));
      // Its DNS alone: the rules of connections want downloads, and other listeners the rights of the host.
      for (const key of [
        "tun",
        "proxies",
        "proxy-groups",
        "proxy-providers",
        "external-controller",
        "external-ui",
        "sniffer",
        "ntp",
      ])
        document.delete(key);
      document.set("rules", ["MATCH,DIRECT"]);
      // Fenliu leaves it its port, and is asked at its own.
      document.setIn(["dns", "listen"], `${at.address}:${at.port}`);
      writeFileSync(main, document.toString());
      return [program("mihomo"), "-d", dirname(main), "-f", main];
    }
    case "chinadns-ng": {
      // It asks sets of the kernel for addresses: one for all, of the addresses that the mocks of domestic servers answer with.
      const text = readFileSync(main, "utf8").replace(/^-{0,2}(ipset-name[46]|add-tag\w+-ip|group-ipset)\b.*$/gm, "");
      writeFileSync(main, `${text}\nipset-name4 home4\nipset-name6 home6\n`);
      const sets = [
        "create home4 hash:net",
        "add home4 61.135.0.0/16",
        "create home6 hash:net family inet6",
        "add home6 2400:3200::/32",
      ];
      const start = `${sets.map((set) => `ipset ${set}`).join(" && ")} && exec ${program("chinadns-ng")} -C ${main}`;
      return ["sh", "-c", start];
    }
    default:
      throw new Error(`no program is known for ${kind}`);
  }
}

/** A line each: name, type, client, roles, rcode, answers. */
export function recordText(seen: readonly Seen[]): string {
  const rows = seen.map(({ name, type, client, roles, rcode, answers }) =>
    [name, type, client, roles.join(" "), rcode, answers.join("; ")].join("\t"),
  );
  return `${rows.sort().join("\n")}\n`;
}

export function readRecord(text: string): readonly Seen[] {
  return text
    .trim()
    .split("\n")
    .map((line) => {
      const [name = "", type = "", client = "", roles = "", rcode = "", answers = ""] = line.split("\t");
      return {
        name,
        type,
        client,
        roles: roles === "" ? [] : roles.split(" "),
        rcode,
        answers: answers === "" ? [] : answers.split("; "),
      };
    });
}

const ORDER: readonly Verdict[] = ["leak", "blank", "wider", "wrong", "opened", "extra", "shape", "equal"];

/** Differences of one cause together, worst first: three of each, and all of the verdict that is to be shown. */
export function tableOf(differences: readonly Difference[], shown = ""): string {
  const sides = ({ roles }: Seen) => [...new Set(roles.map(sideOfRole))].sort().join("+") || "here";
  const groups = Map.groupBy(differences, ({ verdict, before, now }) =>
    [
      verdict,
      `${sides(before)} ${before.rcode}${before.answers.length > 0 ? "" : " empty"}`,
      `${sides(now)} ${now.rcode}${now.answers.length > 0 ? "" : " empty"}`,
    ].join(" | "),
  );
  const lines = [...groups]
    .filter(([key]) => !key.startsWith("equal"))
    .sort(
      ([a, one], [b, other]) =>
        ORDER.indexOf(a.split(" ")[0] as Verdict) - ORDER.indexOf(b.split(" ")[0] as Verdict) || other.length - one.length,
    )
    .map(([key, all]) => {
      const types = [...new Set(all.map(({ before }) => before.type))].join(" ");
      const examples = all
        .slice(0, key.startsWith(`${shown} `) ? all.length : 3)
        .map(
          ({ before, now }) =>
            `${before.name} ${before.type} ${before.client}: ${before.roles.join("+")} [${before.answers.join("; ")}] -> ${now.roles.join("+")} [${now.answers.join("; ")}]`,
        );
      return `${String(all.length).padStart(5)}  ${key} | ${types}\n         ${examples.join("\n         ")}`;
    });
  const counts = ORDER.map((verdict) => `${verdict} ${differences.filter((each) => each.verdict === verdict).length}`);
  return `${lines.join("\n")}\n${counts.join(", ")}\n`;
}

if (import.meta.main) {
  const { values, positionals } = parseArgs({
    allowPositionals: true,
    options: {
      clients: { type: "string" },
      names: { type: "string" },
      record: { type: "string" },
      reference: { type: "string" },
      report: { type: "boolean" },
      show: { type: "string" },
    },
  });
  const result = await compareServers(resolve(positionals[0] ?? ""), {
    ...(values.clients === undefined ? {} : { clients: values.clients.split(",") }),
    ...(values.names === undefined ? {} : { names: Number(values.names) }),
    reference: values.reference === undefined ? null : readRecord(readFileSync(values.reference, "utf8")),
  });
  if (values.record !== undefined) writeFileSync(values.record, recordText(result.program));
  if (values.report === true) console.log(reportText(result.imported.findings, (path) => basename(path)));
  console.log(tableOf(result.differences, values.show));
}
