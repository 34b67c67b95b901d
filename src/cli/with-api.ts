import type { Config } from "../config/types.ts";
import { ApiClient, ApiRefusal, ApiSilent, ApiUnreachable } from "./api-client.ts";
import { configPath, readConfig } from "./config-path.ts";
import type { Invocation } from "./run.ts";
import { EXIT, type Terminal } from "./terminal.ts";

/** Carries out a command through the API of the server that runs by the configuration; says so where there is none, or where it refuses. */
export async function withApi(
  { config: given }: Pick<Invocation, "config">,
  terminal: Terminal,
  carryOut: (api: ApiClient) => Promise<number>,
): Promise<number> {
  const path = configPath(given, terminal);
  const config = readConfig(path, terminal, { warns: false });
  if (config === null) return EXIT.failed;
  try {
    return await carryOut(new ApiClient(config));
  } catch (error) {
    if (!(error instanceof ApiRefusal) && !(error instanceof ApiUnreachable)) throw error;
    terminal.err(`fenliu: ${apiFault(error, config, path)}\n`);
    return EXIT.failed;
  }
}

/** What is wrong, and what to do where the configuration at `path` may not be the one that the server runs by. */
export function apiFault(error: ApiRefusal | ApiUnreachable, { admin }: Pick<Config, "admin">, path: string | null): string {
  const read = path ?? "the defaults";
  if (error instanceof ApiSilent) return `${error.message}; is it running, and by ${read}? ${NAME_IT}`;
  if (!(error instanceof ApiRefusal) || error.status !== 401) return error.message;
  const fault = admin.token === null ? "the API wants a token, and there is none in" : "the API does not take the token of";
  return `${fault} ${read}. ${NAME_IT}`;
}

const NAME_IT = "-c FILE names another configuration";
