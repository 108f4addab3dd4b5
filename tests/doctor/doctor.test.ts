import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { BACKENDS, type Backend } from "../../src/doctor/backends.js";
import { findHubLogin } from "../../src/doctor/hubLogin.js";
import { formatDiagnosis } from "../../src/doctor/index.js";
import { findJupyter } from "../../src/doctor/jupyter.js";
import { describeMachine } from "../../src/doctor/machine.js";
import { openBackend } from "../../src/doctor/multiply.js";
import { largestError, makeProduct } from "../../src/doctor/product.js";
import { type Finding, tryBackends } from "../../src/doctor/tries.js";

const backend = (id: string): Backend => BACKENDS.find((candidate) => candidate.id === id)!;

let folder: string;
beforeAll(() => {
  folder = mkdtempSync(join(tmpdir(), "preflab-doctor-"));
});
afterAll(() => {
  rmSync(folder, { recursive: true });
});
function program(name: string, code: string): string {
  const path = join(folder, `${name}.cjs`);
  writeFileSync(path, code);
  return path;
}

describe("the product", () => {
  test("the check sees a wrong element, a wrong length and NaN", () => {
    // [1, 2; 3, 4] × [5, 6; 7, 8] by hand.
    const product = {
      a: Float32Array.of(1, 2, 3, 4),
      b: Float32Array.of(5, 6, 7, 8),
      shapeA: [2, 2] as [number, number],
      shapeB: [2, 2] as [number, number],
    };
    expect(largestError(product, [19, 22, 43, 50])).toBe(0);
    expect(largestError(product, [19, 22, 43, 50.5])).toBe(0.5);
    expect(largestError(product, [19, 22, 43])).toBe(Infinity);
    expect(largestError(product, [19, 22, NaN, 50])).toBe(Infinity);
  });

  test.each(["onnxruntime-cpu", "tfjs-cpu"])("%s computes it", async (id) => {
    const product = makeProduct();
    const { multiply, limit } = await openBackend(backend(id));
    expect(largestError(product, await multiply(product))).toBe(0);
    expect(limit()).toBeUndefined();
  });
});

describe("tries in child processes", () => {
  const only = [backend("tfjs-cpu")];

  test("what works reports its speed and how to choose it", async () => {
    const [onnx, plain] = await tryBackends([backend("onnxruntime-cpu"), backend("tfjs-cpu")]);
    expect(onnx).toMatchObject({ id: "onnxruntime-cpu", status: "works", choose: 'device: "cpu" (the default)' });
    expect(plain).toMatchObject({ id: "tfjs-cpu", status: "works" });
    expect(onnx!.speed).toBeGreaterThan(plain!.speed!);
  });

  test("a crash is reported with its signal", async () => {
    const crash = program("crash", 'process.kill(process.pid, "SIGSEGV"); setTimeout(() => {}, 10000);');
    expect(await tryBackends(only, { program: crash })).toMatchObject([
      { status: "fails", reason: "its process crashed with SIGSEGV", install: expect.any(String) },
    ]);
  });

  test("an abort is reported with the last line it wrote", async () => {
    const abort = program("abort", 'console.error("terminate called\\nno adapter"); process.exitCode = 3;');
    expect(await tryBackends(only, { program: abort })).toMatchObject([
      { status: "fails", reason: "its process ended with code 3: no adapter" },
    ]);
  });

  test("a hang ends at the time limit", async () => {
    const hang = program("hang", "for (;;) {}");
    expect(await tryBackends(only, { program: hang, timeoutMs: 300 })).toMatchObject([
      { status: "fails", reason: "no answer within 0.3 s" },
    ]);
  });

  test("a missing package is absent and nothing is started", async () => {
    const absent = { ...backend("tfjs-wasm"), packages: ["@preflab/no-such-package"] };
    const [found] = await tryBackends([absent], { program: join(folder, "no-such-program.cjs") });
    expect(found).toMatchObject({
      status: "absent",
      reason: "@preflab/no-such-package not installed",
      install: expect.stringContaining("npm install"),
    });
  });
});

describe("what else the machine has", () => {
  test("Node's version is compared by number", () => {
    const [major, minor] = process.versions.node.split(".").map(Number) as [number, number];
    expect(describeMachine(`>=${major}.${minor}`).nodeIsSupported).toBe(true);
    expect(describeMachine(`>=${major}.${minor + 1}`).nodeIsSupported).toBe(false);
    expect(describeMachine(">=9.99").nodeIsSupported).toBe(true);
    const machine = describeMachine(">=20.19");
    expect(machine.threads).toBeGreaterThanOrEqual(1);
    expect(machine.memoryFree).toBeLessThanOrEqual(machine.memoryTotal);
  });

  test("Hub token: variables, then HF_TOKEN_PATH, then HF_HOME; its text is never part of the result", () => {
    const home = join(folder, "home");
    mkdirSync(join(home, ".cache", "huggingface"), { recursive: true });
    expect(findHubLogin({ HOME: home }).source).toBeNull();
    expect(findHubLogin({ HOME: home }).install).toHaveLength(1);
    const file = join(home, ".cache", "huggingface", "token");
    writeFileSync(file, "hf_secret\n");
    expect(findHubLogin({ HOME: home })).toEqual({ source: file, install: [] });
    expect(findHubLogin({ HOME: home, HF_HOME: folder }).source).toBeNull();
    expect(findHubLogin({ HOME: home, HF_TOKEN_PATH: file, HF_HOME: folder }).source).toBe(file);
    expect(findHubLogin({ HOME: home, HF_TOKEN: "hf_other" })).toEqual({ source: "HF_TOKEN", install: [] });
    expect(findHubLogin({ HOME: folder, HF_TOKEN: "  " }).source).toBeNull();
  });

  test("a Preflab kernelspec is found by its command line, another kernel is not", async () => {
    const data = join(folder, "jupyter");
    const spec = (name: string, argv: string[]): void => {
      mkdirSync(join(data, "kernels", name), { recursive: true });
      writeFileSync(join(data, "kernels", name, "kernel.json"), JSON.stringify({ argv, display_name: name }));
    };
    spec("python3", ["python3", "-m", "ipykernel"]);
    const environment = { HOME: folder, PATH: folder, JUPYTER_PATH: data };
    expect(await findJupyter(environment)).toEqual({
      version: null,
      kernelspecs: [],
      install: [expect.stringContaining("jupyterlab"), expect.stringContaining("preflab kernel install")],
    });
    spec("ts", ["node", "/opt/node_modules/preflab/dist/kernel-ext/main.js", "{connection_file}"]);
    expect((await findJupyter(environment)).kernelspecs).toEqual([join(data, "kernels", "ts")]);
  });

  test("the report names every backend, and says what to install for what is missing only", () => {
    const backends: Finding[] = [
      { id: "a", title: "Alpha", status: "works", speed: 12.5, choose: "device: a", limit: "no training: no kernel" },
      { id: "b", title: "Beta", status: "fails", reason: "no adapter", install: "a driver" },
      { id: "c", title: "Gamma", status: "absent", reason: "gamma not installed", install: "npm install gamma" },
    ];
    const text = formatDiagnosis({
      preflab: "0.1.0",
      machine: { ...describeMachine(">=20.19"), nodeIsSupported: true, memoryTotal: 2 ** 34, memoryFree: 2 ** 33 },
      backends,
      jupyter: { version: "5.7.2", kernelspecs: ["/k/preflab"], install: [] },
      hub: { source: "HF_TOKEN", install: [] },
    });
    expect(text).toContain(
      "  Alpha  ok     12.5 GFLOP/s  device: a; no training: no kernel\n  Beta   FAILS                no adapter\n  Gamma  -                    gamma not installed",
    );
    expect(text).toContain("16.0 GiB, 8.0 GiB free");
    expect(text.slice(text.indexOf("To get what is missing"))).toBe("To get what is missing\n  Beta: a driver\n  Gamma: npm install gamma");
  });
});
