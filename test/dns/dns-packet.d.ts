/** The part of dns-packet 5 that the tests use; it comes without types. */
declare module "dns-packet" {
  export interface PacketRecord {
    readonly name: string;
    readonly type: string;
    readonly class?: string;
    readonly ttl?: number;
    readonly data?: unknown;
  }

  export interface Packet {
    readonly id?: number;
    readonly type?: string;
    readonly flags?: number;
    readonly rcode?: string;
    readonly questions?: readonly { readonly name: string; readonly type: string; readonly class: string }[];
    readonly answers?: readonly PacketRecord[];
    readonly authorities?: readonly PacketRecord[];
    readonly additionals?: readonly PacketRecord[];
  }

  export function encode(packet: Packet): Buffer;
  export function decode(message: Buffer): Packet;
}
