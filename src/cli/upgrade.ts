import { createHash } from "node:crypto";
import { existsSync, mkdirSync, readFileSync, renameSync, rmSync } from "node:fs";
import { join, resolve } from "node:path";
import { errorText } from "../lib/text.ts";
import { type Command, EXIT, type Invocation, type Terminal, UsageError } from "./invocation.ts";
import { demand, SERVICE_CONFIG, ServiceError, type ServiceHost, SYSTEM } from "./service.ts";

export const upgradeCommand: Command = {
  usage: `  fenliu upgrade FILE              put the release in this archive in the place of this one, and go back where it does not answer
`,
  options: [],
  run: (invocation, terminal) => upgrade(invocation, terminal, SYSTEM),
};

/**
 * Verifies an archive, has the new version check the present configuration, swaps the folders of the program, and installs the service again, which
 * restarts it and asks it. If the new version does not answer, the old one comes back.
 */
export async function upgrade({ words }: Invocation, terminal: Terminal, host: ServiceHost): Promise<number> {
  const [file, extra] = words;
  if (file === undefined || extra !== undefined) throw new UsageError("upgrade takes the path of one archive");
  const { program } = host;
  const fresh = `${program}.new`;
  try {
    if (!existsSync(join(program, "bin/fenliu")))
      throw new ServiceError(
        "this Fenliu does not come from an archive: in a checkout `git pull` is the upgrade, and an image is built anew",
      );
    if (!host.isAdministrator) throw new ServiceError(`only root may do that: \`sudo fenliu upgrade ${file}\``);
    unpack(resolve(terminal.directory, file), fresh, host);
    const config = `${host.root}${SERVICE_CONFIG}`;
    if (existsSync(config)) terminal.out(`${demand(host, join(fresh, "bin/fenliu"), "check", "-c", config)}\n`);
    swap(program, fresh, `${program}.old`);
    const installed = host.run(join(program, "bin/fenliu"), "service", "install");
    if (installed.code === 0) {
      terminal.out(`the new version runs and answers; the old one is kept in ${program}.old\n`);
      return EXIT.ok;
    }
    swap(program, `${program}.old`, `${program}.bad`);
    demand(host, join(program, "bin/fenliu"), "service", "install");
    throw new ServiceError(
      `the new version does not answer: the old one runs again, the new one lies in ${program}.bad\n${installed.text}`,
    );
  } catch (error) {
    const isOfSystem = error instanceof Error && "code" in error;
    if (!(error instanceof ServiceError) && !isOfSystem) throw error;
    terminal.err(`fenliu: ${errorText(error)}\n`);
    return EXIT.failed;
  } finally {
    rmSync(fresh, { recursive: true, force: true });
  }
}

/** @throws ServiceError where the archive is not what its checksum says. */
function unpack(archive: string, folder: string, host: ServiceHost): void {
  if (!existsSync(`${archive}.sha256`))
    throw new ServiceError(`${archive}.sha256 is not there: it comes with the archive, and says whether the archive is whole`);
  const [wanted] = readFileSync(`${archive}.sha256`, "utf8").split(/\s/);
  const digest = createHash("sha256").update(readFileSync(archive)).digest("hex");
  if (digest !== wanted) throw new ServiceError(`${archive} is not whole: its checksum is ${digest}; download it again`);
  rmSync(folder, { recursive: true, force: true });
  mkdirSync(folder);
  demand(host, "tar", "-xzf", archive, "-C", folder, "--strip-components=1", "--no-same-owner");
}

/** Puts `next` in the place of `program`, which is kept as `aside`. */
function swap(program: string, next: string, aside: string): void {
  rmSync(aside, { recursive: true, force: true });
  renameSync(program, aside);
  renameSync(next, program);
}
