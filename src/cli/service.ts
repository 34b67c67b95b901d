import { spawnSync } from "node:child_process";
import { chmodSync, chownSync, existsSync, mkdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { dirname, join } from "node:path";
import { setTimeout } from "node:timers/promises";
import { fileURLToPath } from "node:url";
import { errorText } from "../lib/text.ts";
import { type Command, EXIT, endpointToAsk, type Invocation, readConfig, type Terminal, UsageError } from "./invocation.ts";
import { queryCommand } from "./query.ts";
import { serviceConfiguration } from "./service-configuration.ts";

export const serviceCommand: Command = {
  usage: `  fenliu service install|uninstall|status [--purge]
                                   run under systemd from now on, and at every start of the machine; or no more; or how it fares
`,
  help: `      --purge         with uninstall: the configuration and the data too
`,
  options: ["purge"],
  run: (invocation, terminal) => service(invocation, terminal, SYSTEM),
};

/** The machine, as far as the command changes it. A test has one of its own. */
export interface ServiceHost {
  /** Stands before every path of the system; empty on a real machine. */
  readonly root: string;
  /** Folder of the program. */
  readonly program: string;
  readonly isAdministrator: boolean;
  /** Whether the hardened unit hides this folder from the service. */
  readonly isHidden: (folder: string) => boolean;
  /** Runs a program of the system. @returns its exit code, and what it said. */
  run(command: string, ...args: readonly string[]): { readonly code: number; readonly text: string };
  /** Whether the server of this configuration answers. */
  answers(configPath: string, terminal: Terminal): Promise<boolean>;
}

export const SYSTEM: ServiceHost = {
  root: "",
  program: fileURLToPath(new URL("../../", import.meta.url)).replace(/\/$/, ""),
  isAdministrator: process.getuid?.() === 0,
  isHidden: (folder) => /^\/(?:home|root|tmp|run\/user)\//.test(`${folder}/`),
  run(command, ...args) {
    const { status, stdout, stderr, error } = spawnSync(command, args, { encoding: "utf8" });
    return { code: status ?? 1, text: error === undefined ? `${stdout}${stderr}`.trim() : error.message };
  },
  async answers(path, terminal) {
    const isAnswered =
      (await queryCommand.run({ words: ["localhost"], config: path }, { ...terminal, out: () => {} })) === EXIT.ok;
    const admin = isAnswered ? readConfig(path, terminal, { warns: false })?.listen.admin : undefined;
    return isAnswered && (!admin || (await isReady(`http://${endpointToAsk(admin)}/readyz`)));
  },
};

const USER = "fenliu";
const UNIT = "/etc/systemd/system/fenliu.service";
const CONFIG_FOLDER = "/etc/fenliu";
/** The configuration of the service. */
export const SERVICE_CONFIG = `${CONFIG_FOLDER}/fenliu.yaml`;
/** The one folder where the service may write. */
export const DATA_FOLDER = "/var/lib/fenliu";

/** How long a server that has just started may take until it is ready. */
const READY_TRIES = 20;
const READY_PAUSE_MS = 500;
const HAND_OVER_TRIES = 60;

async function isReady(url: string): Promise<boolean> {
  for (let tries = 1; tries <= READY_TRIES; tries++) {
    const response = await fetch(url).catch(() => null);
    if (response?.ok === true) return true;
    await setTimeout(READY_PAUSE_MS);
  }
  return false;
}

/** A step that failed: the message says what to do. */
export class ServiceError extends Error {}

/** Installs, removes or shows the service. Each step that is done already is left as it is, so that a second call mends what the first left. */
export async function service({ words, purge }: Invocation, terminal: Terminal, host: ServiceHost): Promise<number> {
  const [verb, extra] = words;
  if (extra !== undefined || (verb !== "install" && verb !== "uninstall" && verb !== "status"))
    throw new UsageError("service takes one of install, uninstall, status");
  if (purge === true && verb !== "uninstall") throw new UsageError("--purge goes with `service uninstall`");
  try {
    if (!existsSync(`${host.root}/run/systemd/system`))
      throw new ServiceError("this machine is not run by systemd: have its own supervisor run `fenliu serve -c FILE`");
    if (verb === "status") return await showStatus(terminal, host);
    if (!host.isAdministrator) throw new ServiceError(`only root may do that: \`sudo fenliu service ${verb}\``);
    await (verb === "install" ? install(terminal, host) : uninstall(purge === true, terminal, host));
    return EXIT.ok;
  } catch (error) {
    const isOfSystem = error instanceof Error && "code" in error;
    if (!(error instanceof ServiceError) && !isOfSystem) throw error;
    terminal.err(`fenliu: ${errorText(error)}\n`);
    return EXIT.failed;
  }
}

async function install(terminal: Terminal, host: ServiceHost): Promise<void> {
  const { root, program } = host;
  if (host.isHidden(program))
    throw new ServiceError(
      `a service cannot run from ${program}: move this folder, for example to /opt/fenliu, and call it there`,
    );
  if (host.run("id", "-u", USER).code !== 0)
    demand(host, "useradd", "--system", "--user-group", "--home-dir", DATA_FOLDER, "--shell", "/usr/sbin/nologin", USER);
  const group = Number(demand(host, "id", "-g", USER));
  const configPath = `${root}${SERVICE_CONFIG}`;
  if (!existsSync(configPath)) {
    mkdirSync(dirname(configPath), { recursive: true, mode: 0o750 });
    writeFileSync(configPath, serviceConfiguration(readFileSync(join(program, "fenliu.yaml"), "utf8"), program));
    // Readable for the service and for nobody else: a configuration may hold tokens.
    for (const [path, mode] of [[dirname(configPath), 0o750] as const, [configPath, 0o640] as const]) {
      chownSync(path, 0, group);
      chmodSync(path, mode);
    }
    terminal.out(`written: ${configPath}\n`);
  }
  if (readConfig(configPath, terminal) === null) throw new ServiceError(`nothing is changed: mend ${configPath} first`);
  const shipped = readFileSync(join(program, "deploy/fenliu.service"), "utf8");
  const unit = shipped.replace("ExecStart=/opt/fenliu/bin/fenliu", `ExecStart=${commandOf(program)}`);
  const isSameUnit = existsSync(`${root}${UNIT}`) && readFileSync(`${root}${UNIT}`, "utf8") === unit;
  writeFileSync(`${root}${UNIT}`, unit);
  terminal.out(`written: ${root}${UNIT}\n`);
  demand(host, "systemctl", "daemon-reload");
  demand(host, "systemctl", "enable", "fenliu");
  // What systemd gives a process holds from its start on, so another unit needs a restart, which returns when the service says that it answers.
  const running = isSameUnit ? mainProcess(host) : 0;
  const isStarted = running > 0 ? await handOver(host, running) : host.run("systemctl", "restart", "fenliu").code === 0;
  if (!isStarted) {
    const { text } = host.run("journalctl", "-u", "fenliu", "-n", "20", "--no-pager", "-o", "cat");
    throw new ServiceError(`the service does not start:\n${text}`);
  }
  if (!(await host.answers(configPath, terminal)))
    throw new ServiceError("the service runs, but does not answer: `journalctl -u fenliu` says more");
  terminal.out("the service runs and answers; `systemctl reload fenliu` after a change of its configuration\n");
}

/** The process of the service; 0 = there is none. */
function mainProcess(host: ServiceHost): number {
  return Number(host.run("systemctl", "show", "--property=MainPID", "--value", "fenliu").text) || 0;
}

/** Has another process of the program that is installed now take the place of this one, without a lost question. @returns whether it has. */
async function handOver(host: ServiceHost, pid: number): Promise<boolean> {
  // The shell's own `kill`: a small system has no other.
  if (host.run("/bin/sh", "-c", `kill -USR2 ${pid}`).code !== 0) return false;
  for (let tries = 1; tries <= HAND_OVER_TRIES; tries++) {
    const now = mainProcess(host);
    if (now > 0 && now !== pid) return true;
    await setTimeout(READY_PAUSE_MS);
  }
  return false;
}

/** How to run this program: by the launcher of an archive, else by the Node in use. */
function commandOf(program: string): string {
  const launcher = join(program, "bin/fenliu");
  if (existsSync(launcher)) return launcher;
  return `${process.execPath} --disable-warning=ExperimentalWarning ${join(program, "start.mjs")}`;
}

async function uninstall(purge: boolean, terminal: Terminal, host: ServiceHost): Promise<void> {
  const { root } = host;
  if (existsSync(`${root}${UNIT}`)) {
    demand(host, "systemctl", "disable", "--now", "fenliu");
    rmSync(`${root}${UNIT}`);
    demand(host, "systemctl", "daemon-reload");
  }
  if (!purge) {
    terminal.out(`the service is gone; ${CONFIG_FOLDER} and ${DATA_FOLDER} are left: --purge removes them too\n`);
    return;
  }
  for (const folder of [CONFIG_FOLDER, DATA_FOLDER]) rmSync(`${root}${folder}`, { recursive: true, force: true });
  if (host.run("id", "-u", USER).code === 0) demand(host, "userdel", USER);
  terminal.out("the service is gone, with its configuration, its data and its user\n");
}

async function showStatus(terminal: Terminal, host: ServiceHost): Promise<number> {
  if (!existsSync(`${host.root}${UNIT}`)) throw new ServiceError("there is no service: `sudo fenliu service install` makes one");
  terminal.out(`${host.run("systemctl", "status", "fenliu", "--no-pager").text}\n`);
  if (host.run("systemctl", "is-active", "--quiet", "fenliu").code !== 0) return EXIT.failed;
  const answers = await host.answers(`${host.root}${SERVICE_CONFIG}`, terminal);
  terminal.out(answers ? "it answers\n" : "it does not answer\n");
  return answers ? EXIT.ok : EXIT.failed;
}

/** @returns what the program said. @throws ServiceError where it failed. */
export function demand(host: ServiceHost, command: string, ...args: readonly string[]): string {
  const { code, text } = host.run(command, ...args);
  if (code !== 0) throw new ServiceError(`\`${[command, ...args].join(" ")}\` failed: ${text}`);
  return text;
}
