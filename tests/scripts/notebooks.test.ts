import { describe, expect, it } from "vitest";
import { chooseNotebooks } from "../../scripts/notebooks.js";

const known = ["b", "a", "c"];

describe("chooseNotebooks", () => {
  it.each([
    [[], ["a", "b", "c"]],
    [
      ["c", "a"],
      ["a", "c"],
    ],
    [["--except", "a", "--except", "b"], ["c"]],
    [["a", "b", "--except", "b"], ["a"]],
  ])("%j: %j", (args, names) => {
    expect(chooseNotebooks(known, args)).toEqual(names);
  });

  it.each([[["d"]], [["--except", "d"]], [["a.ipynb"]]])("refuses %j", (args) => {
    expect(() => chooseNotebooks(known, args)).toThrow(
      expect.objectContaining({ code: "notebook", message: expect.stringContaining(`must be one of b, a, c, got ${args.at(-1)}`) }),
    );
  });
});
