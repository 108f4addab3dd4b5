import { expect, test } from "vitest";
import { withHugePages } from "../../kernel-ext/hugePages.js";
import { Session, plain } from "./session.js";

test("the tunable joins what is set, and gives way to the user's own choice", () => {
  expect(withHugePages({ A: "1" }, "linux")).toEqual({ A: "1", GLIBC_TUNABLES: "glibc.malloc.hugetlb=1" });
  expect(withHugePages({ GLIBC_TUNABLES: "glibc.malloc.check=1" }, "linux")).toEqual({
    GLIBC_TUNABLES: "glibc.malloc.check=1:glibc.malloc.hugetlb=1",
  });
  expect(withHugePages({ GLIBC_TUNABLES: "glibc.malloc.hugetlb=0" }, "linux")).toEqual({ GLIBC_TUNABLES: "glibc.malloc.hugetlb=0" });
  expect(withHugePages({ A: "1" }, "darwin")).toEqual({ A: "1" });
});

test.runIf(process.platform === "linux")("cells run in a process that has it", async () => {
  const session = await Session.open(undefined, { GLIBC_TUNABLES: "" });
  try {
    expect(plain(await session.run("process.env.GLIBC_TUNABLES"))).toBe("'glibc.malloc.hugetlb=1'");
  } finally {
    await session.close();
  }
});
