import { networkInterfaces } from "node:os";

/** Whether `::1` can be listened on: not if IPv6 is switched off, as in many containers. */
export const hasIpv6 = Object.values(networkInterfaces()).some((addresses) =>
  addresses?.some(({ address }) => address === "::1"),
);
