/** Some listeners could not be opened, so none is. */
export class ListenError extends Error {
  /** One line each: section, address and reason. */
  readonly problems: readonly string[];

  constructor(problems: readonly string[]) {
    super(`cannot listen:\n${problems.map((problem) => `  ${problem}`).join("\n")}`);
    this.name = "ListenError";
    this.problems = problems;
  }
}

/** Why an address could not be bound, in words, and what to do about it. */
export function explainBindError(error: unknown): string {
  if (!(error instanceof Error)) return String(error);
  const code = "code" in error ? error.code : undefined;
  switch (code) {
    case "EADDRINUSE":
      return "the port is taken by another program or by another line of this section (EADDRINUSE)";
    case "EACCES":
      return "not allowed; ports below 1024 need root, the capability CAP_NET_BIND_SERVICE or a lower net.ipv4.ip_unprivileged_port_start (EACCES)";
    case "EADDRNOTAVAIL":
      return "this host does not have the address (EADDRNOTAVAIL)";
    case "EINVAL":
      return "not an address to listen on; a link-local one needs its interface, as in fe80::1%eth0 (EINVAL)";
    case "EAFNOSUPPORT":
      return "this host has no IPv6 (EAFNOSUPPORT)";
    default:
      return error.message;
  }
}
