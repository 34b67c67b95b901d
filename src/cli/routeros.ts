import { type RouterCheck, routerCheckSchema } from "../admin/schemas/router.ts";
import { type ApiClient, withApi } from "./api-client.ts";
import { type Command, EXIT, type Invocation, type Terminal, UsageError } from "./invocation.ts";

export const routerosCommand: Command = {
  usage: `  fenliu routeros URL              a script that makes this Fenliu the DNS server of a MikroTik router
  fenliu routeros check            what on the router of section \`routeros\` keeps clients from Fenliu
`,
  help: `      URL             where the router reaches the DoH service: https://doh.example.com
      --failover ADDR the plain server that answers while Fenliu does not; may be given several times
      --without PART  leave out trust, ntp, dhcp, ra or redirect; may be given several times
      --remove        a script that takes everything away again
  Import a script on the router: /import file-name=fenliu.rsc
  check only reads. It ends with 1 where it finds something:
      --fix           print the commands that put it right as one script, to look at and to import
`,
  options: ["config", "json", "failover", "without", "remove", "fix"],
  run: routeros,
};

async function routeros(invocation: Invocation, terminal: Terminal): Promise<number> {
  const [word, ...more] = invocation.words;
  if (word === undefined || more.length > 0)
    throw new UsageError("routeros takes `check`, or one URL such as https://doh.example.com");
  if (word === "check") return withApi(invocation, terminal, (api) => check(api, invocation, terminal));
  return withApi(invocation, terminal, (api) => printScript(api, invocation, { url: word, terminal }));
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

async function check(api: ApiClient, { json = false, fix = false }: Invocation, terminal: Terminal): Promise<number> {
  const found = await api.read(routerCheckSchema, "routeros/check");
  terminal.out(json ? `${JSON.stringify(found, null, 2)}\n` : fix ? found.fix : checkText(found));
  return found.findings.length === 0 ? EXIT.ok : EXIT.failed;
}

function checkText({ version, findings, notes }: RouterCheck): string {
  const count = findings.length === 0 ? "nothing to do" : findings.length === 1 ? "one finding" : `${findings.length} findings`;
  const parts = findings.map(
    ({ number, menu, field, seen, wanted, otherwise, command }) =>
      `\n${number}. /${menu} ${field}: ${seen}; wanted: ${wanted === "" ? "nothing" : wanted}\n   ${otherwise.text}\n   ${command}\n`,
  );
  return `RouterOS ${version}: ${count}\n${parts.join("")}${notes.map(({ text }) => `\nnote: ${text}\n`).join("")}`;
}
