import { expect, test } from "vitest";
import { SerialQueue } from "../../src/lib/serial-queue.ts";

test("tasks run one at a time in their order, also after one that fails", async () => {
  const queue = new SerialQueue();
  const order: string[] = [];
  const { promise: gate, resolve: open } = Promise.withResolvers<void>();
  const first = queue.add(async () => {
    await gate;
    order.push("first");
    return 1;
  });
  const failing = queue.add(async () => {
    order.push("second");
    throw new Error("a fault");
  });
  const last = queue.add(async () => void order.push("third"));
  const failed = expect(failing).rejects.toThrow("a fault");
  expect([queue.pending, order]).toEqual([3, []]);
  open();
  await queue.idle();
  expect(await first).toBe(1);
  await failed;
  await last;
  expect([queue.pending, order]).toEqual([0, ["first", "second", "third"]]);
});
