import { type ApiClient, withApi } from "./api-client.ts";
import { type Command, EXIT, type Invocation, type Terminal, UsageError } from "./invocation.ts";

export const routerosCommand: Command = {
  usage: `  fenliu routeros URL              a script that makes this Fenliu the DNS server of a MikroTik router
`,
  help: `      URL             where the router reaches the DoH service: https://doh.example.com
      --failover ADDR the plain server that answers while Fenliu does not; may be given several times
      --without PART  leave out trust, ntp, dhcp, ra or redirect; may be given several times
      --remove        a script that takes everything away again
  Import the script on the router: /import file-name=fenliu.rsc
`,
  options: ["config", "failover", "without", "remove"],
  run: routeros,
};

async function routeros(invocation: Invocation, terminal: Terminal): Promise<number> {
  const [url, ...more] = invocation.words;
  if (url === undefined || more.length > 0) throw new UsageError("routeros takes one URL, such as https://doh.example.com");
  return withApi(invocation, terminal, (api) => printScript(api, invocation, { url, terminal }));
}

async function printScript(
  api: ApiClient,
  { failover = [], without = [], remove = false }: Invocation,
  { url, terminal }: { readonly url: string; readonly terminal: Terminal },
): Promise<number> {
  const several = (name: string, values: readonly string[]) => values.map((value) => [name, value] as const);
  const query = [
    ["url", url] as const,
    ...several("failover", failover),
    ...several("without", without),
    ...(remove ? [["remove", "true"] as const] : []),
  ];
  terminal.out(await api.text("routeros.rsc", { query }));
  return EXIT.ok;
}
