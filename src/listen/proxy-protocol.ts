import { type Peer, parseAddress } from "./address.ts";
import type { StartDecision } from "./read-start.ts";

/** Where a connection really comes from; `source` null = the header does not say, so the connection's own address holds. */
export interface ProxyHeader {
  readonly source: Peer | null;
}

const V2_SIGNATURE = Buffer.from("\r\n\r\n\0\r\nQUIT\n", "latin1");
const V2_FIXED_BYTES = 16;

/** Addresses take at most 216 octets; the rest is room for TLVs such as a client certificate's name, which are skipped. */
const V2_MAX_BYTES = 4096;

const V1_START = Buffer.from("PROXY ", "latin1");

/** The longest line there can be, with its end. PROXY protocol §2.1. */
const V1_MAX_BYTES = 107;

const MORE = { kind: "more" } as const;
const REFUSED = { kind: "refused" } as const;

/** Reads a PROXY header, version 1 or 2, from the first octets of a stream. Anything else there is refused. */
export function readProxyHeader(start: Uint8Array): StartDecision<ProxyHeader> {
  const bytes = Buffer.from(start.buffer, start.byteOffset, start.byteLength);
  if (beginsLike(bytes, V1_START)) return bytes.length < V1_START.length ? MORE : readV1(bytes);
  if (beginsLike(bytes, V2_SIGNATURE)) return bytes.length < V2_FIXED_BYTES ? MORE : readV2(bytes);
  return REFUSED;
}

/** Whether the two agree as far as both go. */
function beginsLike(bytes: Buffer, expected: Buffer): boolean {
  const length = Math.min(bytes.length, expected.length);
  return bytes.subarray(0, length).equals(expected.subarray(0, length));
}

function decided(takenBytes: number, source: Peer | null): StartDecision<ProxyHeader> {
  return { kind: "decided", takenBytes, value: { source } };
}

function readV1(bytes: Buffer): StartDecision<ProxyHeader> {
  const end = bytes.subarray(0, V1_MAX_BYTES).indexOf("\r\n");
  if (end === -1) return bytes.length < V1_MAX_BYTES ? MORE : REFUSED;
  const takenBytes = end + 2;
  const [family, source, destination, sourcePort, destinationPort, ...rest] = bytes
    .toString("latin1", V1_START.length, end)
    .split(" ");
  // Whatever follows UNKNOWN is to be ignored.
  if (family === "UNKNOWN") return decided(takenBytes, null);
  if (family !== "TCP4" && family !== "TCP6") return REFUSED;
  const isFamily = (text = ""): boolean => parseAddress(text) !== null && text.includes(":") === (family === "TCP6");
  const address = parseAddress(source ?? "");
  const port = parsePort(sourcePort);
  if (address === null || port === null || !isFamily(source) || !isFamily(destination)) return REFUSED;
  if (parsePort(destinationPort) === null || rest.length > 0) return REFUSED;
  return decided(takenBytes, { address, port });
}

function parsePort(text = ""): number | null {
  if (!/^\d{1,5}$/.test(text)) return null;
  const port = Number(text);
  return port <= 65_535 ? port : null;
}

function readV2(bytes: Buffer): StartDecision<ProxyHeader> {
  const versionAndCommand = bytes.readUInt8(12);
  const family = bytes.readUInt8(13) >> 4;
  const lengthBytes = bytes.readUInt16BE(14);
  const takenBytes = V2_FIXED_BYTES + lengthBytes;
  if (takenBytes > V2_MAX_BYTES) return REFUSED;
  // 0x20 = LOCAL: the proxy speaks for itself, as in its health checks; 0x21 = PROXY.
  if (versionAndCommand !== 0x20 && versionAndCommand !== 0x21) return REFUSED;
  if (bytes.length < takenBytes) return MORE;
  if (versionAndCommand === 0x20) return decided(takenBytes, null);
  if (family === 1) {
    if (lengthBytes < 12) return REFUSED;
    return decided(takenBytes, { address: bytes.subarray(16, 20).join("."), port: bytes.readUInt16BE(24) });
  }
  if (family === 2) {
    if (lengthBytes < 36) return REFUSED;
    const groups = Array.from({ length: 8 }, (_, group) => bytes.readUInt16BE(16 + 2 * group).toString(16));
    const address = parseAddress(groups.join(":"));
    return address === null ? REFUSED : decided(takenBytes, { address, port: bytes.readUInt16BE(48) });
  }
  // UNSPEC and UNIX carry no address of use here.
  return decided(takenBytes, null);
}
