import { listOf, named } from "../admin/schemas/named.ts";
import { type HostView, hostViewSchema } from "../admin/schemas/views.ts";
import { type ApiClient, withApi } from "./api-client.ts";
import { type Command, EXIT, type Invocation, type Terminal, UsageError } from "./invocation.ts";
import { alignColumns } from "./record-table.ts";

export const hostsCommand: Command = {
  usage: `  fenliu hosts                     the names of the hosts table, hidden ones too
  fenliu hosts set NAME ADDRESS... give a name these addresses, over those of the file
  fenliu hosts unset NAME          take that back, or show a hidden name again
  fenliu hosts hide NAME           hide a name of the file
`,
  help: `      NAME            a name, or *.NAME for everything below it
      ADDRESS         IPv4 or IPv6; one other name instead of addresses makes an alias
`,
  options: ["config", "json"],
  run: hosts,
};

/** Shows or changes the hosts table of the running server. */
async function hosts(invocation: Invocation, terminal: Terminal): Promise<number> {
  const { words, json = false } = invocation;
  const [verb, name, ...values] = words;
  const change = verb === undefined ? null : changeOf(verb, name, values);
  return withApi(invocation, terminal, async (api) => {
    if (change !== null) {
      await change(api);
      terminal.out(json ? "{}\n" : `${name}: done\n`);
      return EXIT.ok;
    }
    const views = await api.read(hostList, "hosts");
    terminal.out(json ? `${JSON.stringify(views)}\n` : table(views));
    return EXIT.ok;
  });
}

/** @throws UsageError */
function changeOf(verb: string, name: string | undefined, values: readonly string[]): (api: ApiClient) => Promise<unknown> {
  if (verb !== "set" && verb !== "unset" && verb !== "hide")
    throw new UsageError(`hosts knows set, unset and hide, not \`${verb}\``);
  if (name === undefined) throw new UsageError(`hosts ${verb} takes a NAME`);
  const path = `hosts/${encodeURIComponent(name)}`;
  if (verb === "set") {
    if (values.length === 0) throw new UsageError("hosts set takes a NAME and an ADDRESS");
    const [only = ""] = values;
    const isAlias = values.length === 1 && !/^[\d.]+$|:/.test(only);
    return (api) => api.read(hostViewSchema, path, { method: "PUT", body: isAlias ? { cname: only } : { address: values } });
  }
  if (values.length > 0) throw new UsageError(`hosts ${verb} takes one NAME`);
  const query: [string, string][] = verb === "hide" ? [["hide", "true"]] : [];
  return (api) => api.send(path, { method: "DELETE", query });
}

const hostList = named("Hosts", listOf(hostViewSchema));

function table(views: readonly HostView[]): string {
  const rows = views.map(({ name, addresses, cname, source, line, own, hidden }) => [
    name,
    cname === null ? addresses.join(" ") || "as the rules say" : `alias of ${cname}`,
    own || source === "ddns" ? source : `${source}:${line}`,
    hidden ? "hidden" : "",
  ]);
  return rows.length === 0 ? "the hosts table is empty\n" : alignColumns([["NAME", "ADDRESSES", "SOURCE", ""], ...rows]);
}
