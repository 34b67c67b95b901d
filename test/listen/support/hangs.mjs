// In place of the thread of UDP: gives no sign of life, and cannot be woken by a message.
Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0);
