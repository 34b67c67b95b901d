import { readdirSync, readFileSync, readlinkSync } from "node:fs";
import { networkInterfaces } from "node:os";
import { errorText } from "./text.ts";

/** A socket that could not be opened. */
interface WantedSocket {
  readonly protocol: "udp" | "tcp";
  readonly port: number;
}

/** Says why a socket could not be bound to its address, and what to do about it. The system's code stands at the end. */
export function explainBindError(error: unknown, wanted: WantedSocket): string {
  switch (error instanceof Error && "code" in error ? error.code : undefined) {
    case "EADDRINUSE":
      return `the port is taken by ${portHolder(wanted)} (EADDRINUSE)`;
    case "EACCES":
      return `this user may not open ports below 1024; three ways: \`sudo fenliu service install\` (systemd gives the right), or \`sudo sysctl net.ipv4.ip_unprivileged_port_start=${wanted.port}\`, or a port such as ${wanted.port + 5000} (EACCES)`;
    case "EADDRNOTAVAIL":
      return `this host does not have the address; it has ${hostAddresses()}, and 0.0.0.0 or [::] stands for all (EADDRNOTAVAIL)`;
    case "EINVAL":
      return "not an address to listen on; a link-local one needs its interface, as in fe80::1%eth0 (EINVAL)";
    case "EAFNOSUPPORT":
      return "this host has no IPv6 (EAFNOSUPPORT)";
    default:
      return errorText(error);
  }
}

function hostAddresses(): string {
  const addresses = Object.values(networkInterfaces()).flatMap((each) => (each ?? []).map(({ address }) => address));
  return addresses.filter((address) => !address.startsWith("fe80:")).join(", ");
}

/** Programs that usually hold the port of DNS, and what to do about each. */
const KNOWN_HOLDERS: Readonly<Record<string, string>> = {
  "systemd-resolve":
    "write `DNSStubListener=no` in /etc/systemd/resolved.conf and run `systemctl restart systemd-resolved`, or listen on the address of this host's network instead",
  dnsmasq: "stop it with `systemctl disable --now dnsmasq`, or give one of the two another port",
  named: "stop it with `systemctl disable --now named`, or give one of the two another port",
};

/** The program that holds a port, as far as this user may see, and how to free the port. */
function portHolder(wanted: WantedSocket): string {
  const unknown = "another program or by another line of this section";
  const inodes = inodesOf(wanted);
  if (inodes.size === 0) return unknown;
  const holder = holderOf(inodes);
  if (holder === null) return `a program that this user may not see; \`sudo ss -lnp 'sport = :${wanted.port}'\` names it`;
  const { name, pid } = holder;
  if (pid === process.pid) return "another line of this section";
  return `${name} (process ${pid}); ${KNOWN_HOLDERS[name] ?? "stop it, or give one of the two another port"}`;
}

/** Inodes of the sockets that are bound to the port and, of TCP, listen. Empty where /proc does not tell. */
function inodesOf({ protocol, port }: WantedSocket): ReadonlySet<string> {
  const LISTENS = "0A";
  const lines = [protocol, `${protocol}6`].flatMap((table) => textAt(`/proc/net/${table}`).split("\n").slice(1));
  const inodes = lines.flatMap((line) => {
    const [, local = "", , state, , , , , , inode = ""] = line.trim().split(/\s+/);
    const isWanted = Number.parseInt(local.split(":")[1] ?? "", 16) === port && (protocol === "udp" || state === LISTENS);
    return isWanted ? [inode] : [];
  });
  return new Set(inodes);
}

/** The first process that has one of these sockets; null = none that this user may see. */
function holderOf(inodes: ReadonlySet<string>): { readonly name: string; readonly pid: number } | null {
  for (const pid of namesIn("/proc").filter((name) => /^\d+$/.test(name))) {
    const holds = namesIn(`/proc/${pid}/fd`).some((fd) => {
      const inode = /^socket:\[(\d+)\]$/.exec(targetOf(`/proc/${pid}/fd/${fd}`))?.[1];
      return inode !== undefined && inodes.has(inode);
    });
    if (holds) return { name: textAt(`/proc/${pid}/comm`).trim(), pid: Number(pid) };
  }
  return null;
}

// Processes end while one reads about them, and other users' processes are not to be read: both mean that there is nothing to tell.

function textAt(path: string): string {
  try {
    return readFileSync(path, "utf8");
  } catch {
    return "";
  }
}

function namesIn(folder: string): readonly string[] {
  try {
    return readdirSync(folder);
  } catch {
    return [];
  }
}

function targetOf(link: string): string {
  try {
    return readlinkSync(link);
  } catch {
    return "";
  }
}
