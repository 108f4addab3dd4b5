import { expect, test } from "vitest";
import { hasComms, openComm, registerCommTarget } from "../../src/app/index.js";

test("outside a notebook comms are refused with what to do instead", () => {
  expect(hasComms()).toBe(false);
  expect(() => registerCommTarget("x", () => undefined)).toThrow(
    "registerCommTarget: must run in a cell of Preflab's kernel, got a plain program; serve it over HTTP instead",
  );
  expect(() => openComm("x")).toThrow(expect.objectContaining({ code: "comm_unavailable" }));
});
