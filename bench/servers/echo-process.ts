// A process of its own, as the other servers are: says its port, then echoes until it is stopped.

import { createSocket } from "node:dgram";

const socket = createSocket({ type: "udp4", lookup: (host, _options, found) => found(null, host, 4) });
socket.on("message", (message, remote) => {
  message[2] = (message[2] ?? 0) | 0x80;
  socket.send(message, remote.port, remote.address, () => {});
});
socket.bind(0, "127.0.0.1", () => {
  socket.setRecvBufferSize(2 ** 20);
  process.stdout.write(`port ${socket.address().port}\n`);
});
