/** Measurements in processes of their own: events, failures, and the memory guard. */
import { existsSync } from "node:fs";
import { describe, expect, test } from "vitest";
import { runChild } from "../../bench/shared/child.js";

const node = (script: string, options?: Parameters<typeof runChild>[2]) => runChild(process.execPath, ["-e", script], options);

describe("a child", () => {
  test("gives its events, whatever else it prints", async () => {
    const seen: unknown[] = [];
    const { events, killed } = await node(`console.log("loading"); console.log('{"step":1}'); console.log('{"step":2}')`, {
      onEvent: (event) => seen.push(event),
    });
    expect(events).toEqual([{ step: 1 }, { step: 2 }]);
    expect(seen).toEqual(events);
    expect(killed).toBeUndefined();
  });

  test("that fails is an error with its last messages", async () => {
    await expect(node(`console.error("no such thing"); process.exit(3)`)).rejects.toMatchObject({
      code: "child_failed",
      message: expect.stringMatching(/exit code 3[\s\S]*no such thing/) as string,
    });
  });

  test.skipIf(!existsSync("/proc/self/status"))("that takes too much memory is stopped, and says why (Linux only)", async () => {
    const { killed, events } = await node(
      `console.log('{"begun":true}'); const held = Buffer.alloc(3e8, 1); setTimeout(() => held[0], 60000)`,
      {
        memoryLimit: 2e8,
      },
    );
    expect(events).toEqual([{ begun: true }]);
    expect(killed).toBe("it took more than 0.20 GB");
  });
});
