import { ednsRecord, UDP_PAYLOAD_OCTETS } from "../dns/edns.ts";
import { FLAG, HEADER_OCTETS, type Rejection } from "../dns/query.ts";
import { setUint16 } from "../dns/wire.ts";

/** The reply to a message that is no question we answer: FORMERR, NOTIMP, REFUSED, BADVERS; OPT for those who sent a readable one. */
export function rejectionReply(rejection: Rejection): Uint8Array {
  const question = rejection.questionWire ?? new Uint8Array();
  const opt = rejection.edns === null ? new Uint8Array() : rejectionOpt(rejection.rejected, rejection.edns.dnssecOk);
  const wire = Buffer.alloc(HEADER_OCTETS + question.length + opt.length);
  setUint16(wire, 0, rejection.id);
  const echoed = (rejection.recursionDesired ? FLAG.RD : 0) | (rejection.checkingDisabled ? FLAG.CD : 0);
  setUint16(wire, 2, FLAG.QR | FLAG.RA | (rejection.opcode << 11) | echoed | (rejection.rejected & 15));
  setUint16(wire, 4, question.length === 0 ? 0 : 1);
  setUint16(wire, 10, opt.length === 0 ? 0 : 1);
  wire.set(question, HEADER_OCTETS);
  wire.set(opt, HEADER_OCTETS + question.length);
  return wire;
}

function rejectionOpt(rcode: number, dnssecOk: boolean): Buffer {
  const content = { udpPayloadOctets: UDP_PAYLOAD_OCTETS, extendedRcode: rcode >> 4, dnssecOk, clientSubnet: null };
  return ednsRecord({ ...content, extendedErrors: [], paddingBlockOctets: 0 }, 0);
}
