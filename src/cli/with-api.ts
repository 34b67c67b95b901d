import { ApiClient, ApiRefusal, ApiUnreachable } from "./api-client.ts";
import { configPath, readConfig } from "./config-path.ts";
import type { Invocation } from "./run.ts";
import { EXIT, type Terminal } from "./terminal.ts";

/** Carries out a command through the API of the server that runs by the configuration; says so where there is none, or where it refuses. */
export async function withApi(
  { config: given }: Pick<Invocation, "config">,
  terminal: Terminal,
  carryOut: (api: ApiClient) => Promise<number>,
): Promise<number> {
  const config = readConfig(configPath(given, terminal), terminal, { warns: false });
  if (config === null) return EXIT.failed;
  try {
    return await carryOut(new ApiClient(config));
  } catch (error) {
    if (!(error instanceof ApiRefusal) && !(error instanceof ApiUnreachable)) throw error;
    terminal.err(`fenliu: ${error.message}\n`);
    return EXIT.failed;
  }
}
