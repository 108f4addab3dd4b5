import { existsSync, mkdtempSync, readFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { isAbsolute, join } from "node:path";
import { afterEach, expect, test, vi } from "vitest";
import { installKernel } from "../../kernel-ext/install.js";

afterEach(() => vi.unstubAllEnvs());
const folder = (): string => mkdtempSync(join(tmpdir(), "preflab-install-"));

test("a kernelspec with absolute paths that exist, in the place that Jupyter looks in", async () => {
  const prefix = folder();
  for (const options of [{ prefix }, { sysPrefix: prefix }]) {
    const { directory } = await installKernel(options);
    expect(directory).toBe(join(prefix, "share", "jupyter", "kernels", "preflab"));
    const spec = JSON.parse(readFileSync(join(directory, "kernel.json"), "utf8")) as { argv: string[] };
    expect(spec).toMatchObject({
      display_name: "TypeScript (Preflab)",
      language: "typescript",
      interrupt_mode: "message",
      metadata: { debugger: false },
    });
    const [node, script, connection, ...rest] = spec.argv;
    for (const path of [node!, script!]) {
      expect(isAbsolute(path)).toBe(true);
      expect(existsSync(path)).toBe(true);
    }
    expect([connection, rest]).toEqual(["{connection_file}", []]);
    expect(existsSync(join(directory, "logo-svg.svg"))).toBe(true);
  }
});

test("the user's folder follows JUPYTER_DATA_DIR, then XDG_DATA_HOME", async () => {
  const data = folder();
  vi.stubEnv("JUPYTER_DATA_DIR", data);
  expect(await installKernel({ user: true })).toEqual({ directory: join(data, "kernels", "preflab") });
  vi.stubEnv("JUPYTER_DATA_DIR", "");
  vi.stubEnv("XDG_DATA_HOME", data);
  expect(await installKernel()).toEqual({ directory: join(data, "jupyter", "kernels", "preflab") });
});

test("two places at once are refused", async () => {
  await expect(installKernel({ user: true, prefix: "/nowhere" })).rejects.toThrow(
    "kernel install: must name one place, got --user and --prefix",
  );
});
