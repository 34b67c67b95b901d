import { typeName } from "../../src/dns/types.ts";
import { extendedError, zone } from "../dns/zone.ts";
import { file } from "../support/files.ts";
import { type Outcome, type Workbench, workbenchWith } from "../support/workbench.ts";
import { bare, deny, empty, respond, silent, withRcode } from "../support/zone-script.ts";
import type { Script } from "../upstreams/scripted-server.ts";

/** Addresses in the list: 192.0.2.0/24 and 2001:db8:1::/48. Forged ones: 203.0.113.1 (poison), 203.0.113.2 (bogus). */
const ADDRESSES: Readonly<Record<string, readonly [A: string, AAAA: string]>> = {
  honest: ["192.0.2.7", "2001:db8:1::7"],
  foreign: ["198.51.100.7", "2001:db8:2::7"],
  mixed: ["192.0.2.7 198.51.100.7", "2001:db8:1::7 2001:db8:2::7"],
  poison: ["203.0.113.1", "2001:db8:bad::1"],
  bogus: ["203.0.113.2", "2001:db8:bad::2"],
  partlyPoison: ["192.0.2.7 203.0.113.1", "2001:db8:1::7 2001:db8:bad::1"],
  far: ["198.51.100.9", "2001:db8:2::9"],
};

/** What an upstream may do about page.example; with "@300" after it, 300 ms later. */
export function behaviour(cell: string): Script {
  const [name = "", delay] = cell.split("@");
  const script = plainBehaviour(name);
  return delay === undefined ? script : async (asked) => ({ kind: "after", delayMs: Number(delay), action: await script(asked) });
}

function plainBehaviour(name: string): Script {
  const addresses = ADDRESSES[name];
  if (addresses !== undefined) return (asked) => respond(asked, { answers: recordsOf(asked.name, asked.type, addresses) });
  switch (name) {
    case "empty":
      return empty;
    case "bare":
      return bare;
    case "nxdomain":
      return deny;
    case "servfail":
      return (asked) => withRcode(asked, 2);
    case "refused":
      return (asked) => withRcode(asked, 5);
    case "broken":
      return () => ({ kind: "close" });
    case "wrongType":
      return (asked) => respond(asked, { answers: zone(`${asked.name} 100 A 198.51.100.66`) });
    case "edeVoid":
      return (asked) => respond(asked, { rcode: 2, edns: { ...edns, options: [extendedError(0, "void answer: no")] } });
    case "silent":
      return () => silent;
    default:
      throw new Error(`${name} is no behaviour`);
  }
}

const edns = { udpPayloadBytes: 1232, version: 0, dnssecOk: false, otherFlags: 0, options: [] };

function recordsOf(name: string, type: number, [ipv4, ipv6]: readonly [string, string]) {
  const lines = [
    ...ipv4.split(" ").map((address) => `${name} 100 A ${address}`),
    ...ipv6.split(" ").map((address) => `${name} 100 AAAA ${address}`),
    `${name} 100 HTTPS 1 . alpn=h2 ipv4hint=${ipv4.replace(" ", ",")}`,
    `${name} 100 TXT "${ipv4}"`,
  ];
  return zone(...lines).filter((record) => record.type === type);
}

export interface ComparingSetup {
  readonly near: string;
  readonly far: string;
  /** More of the file. */
  readonly yaml?: string;
  /** Keys of the `compare` map. */
  readonly compare?: string;
  readonly keys?: string;
}

export interface Comparing {
  readonly bench: Workbench;
  /** As the workbench's, with who was asked what: "near A". */
  ask(type?: string, name?: string): Promise<Outcome & { readonly toWhom: readonly string[] }>;
  follow(side: "near" | "far", cell: string): void;
}

/** A site that compares `near` with `far` for every name. */
export async function comparing({ near, far, yaml = "", compare = "", keys }: ComparingSetup): Promise<Comparing> {
  const list = file("near-addresses.txt", ["192.0.2.0/24", "2001:db8:1::/48"]);
  const toWhom: string[] = [];
  const scripted = (side: string, cell: string): Script[] =>
    cell.split("&").map((member) => (asked) => {
      toWhom.push(`${side} ${typeName(asked.type)}`);
      return behaviour(member.trim())(asked);
    });
  const bench = await workbenchWith({
    yaml: `lists: { near-ip: { addresses: "${list}" } }
poison: [203.0.113.1, "2001:db8:bad::1"]
bogus: [203.0.113.2, "2001:db8:bad::2"]
rules: [{ name: others, compare: { near: near, far: far, keepNearIf: "list:near-ip"${compare} } }]
${yaml.includes("cache:") ? yaml : `${yaml}\ncache: { prefetch: false }`}`,
    upstreams: { near: scripted("near", near), far: scripted("far", far) },
    ...(keys === undefined ? {} : { keys }),
  });
  return {
    bench,
    async ask(type = "A", name = "page.example") {
      const before = toWhom.length;
      const outcome = await bench.ask(name, type);
      // After a failure the only member of a group is asked again.
      return { ...outcome, toWhom: [...new Set(toWhom.slice(before))] };
    },
    follow: (side, cell) => bench.follow(side, scripted(side, cell)),
  };
}
