import { mkdirSync, mkdtempSync, realpathSync, rmSync, writeFileSync } from "node:fs";
import { createRequire } from "node:module";
import { tmpdir } from "node:os";
import { join } from "node:path";
import util from "node:util";
import { afterEach, beforeEach, describe, expect, test } from "vitest";
import { registerBackend } from "../../src/compile/installedBackends.js";
import { findNativePackages, registerNativeBackend } from "../../src/compile/nativeBackend.js";
import { tf } from "../../src/compile/tensorflow.js";
import { EngineError } from "../../src/errors.js";

// The real packages download hundreds of megabytes; these stand-ins do what they do when loaded: call functions that Node 23 removed
// from util, register the backend "tensorflow" and make it active.
const TFJS = JSON.stringify(createRequire(import.meta.url).resolve("@tensorflow/tfjs"));
const WORKS = `
  const util = require("util");
  if (util.isNullOrUndefined(0) || !util.isNullOrUndefined(undefined) || !util.isArray([])) throw new Error("util");
  const tf = require(${TFJS});
  tf.registerBackend("tensorflow", tf.findBackendFactory("cpu"), 3);
  tf.setBackend("tensorflow");`;
const BROKEN = `throw new Error("Cannot find module 'tfjs_binding.node'\\nRequire stack: ...")`;

let folder: string;
let root: string;
beforeEach(() => {
  folder = realpathSync(mkdtempSync(join(tmpdir(), "preflab-native-")));
  root = join(folder, "package.json");
});
afterEach(() => {
  rmSync(folder, { recursive: true });
  if (tf.findBackendFactory("tensorflow") !== null) tf.removeBackend("tensorflow");
});

function install(name: string, code: string, manifestName = name): string {
  const home = join(folder, "node_modules", name);
  mkdirSync(home, { recursive: true });
  writeFileSync(join(home, "package.json"), JSON.stringify({ name: manifestName, version: "4.22.0", main: "index.js" }));
  writeFileSync(join(home, "index.js"), code);
  return join(home, "package.json");
}

describe("native backends", () => {
  test("tfjs-node is found, loaded with the functions it needs, and the active backend stays", async () => {
    const removed = util as unknown as Record<string, unknown>;
    const before = { isNullOrUndefined: removed["isNullOrUndefined"], isArray: removed["isArray"] };
    delete removed["isNullOrUndefined"];
    delete removed["isArray"];
    try {
      const manifest = install("@tensorflow/tfjs-node", WORKS);
      const found = findNativePackages([root]);
      expect(found).toEqual([{ package: "@tensorflow/tfjs-node", version: "4.22.0", manifest }]);
      await tf.setBackend("cpu");
      expect(registerNativeBackend(found)).toEqual({ backend: "tensorflow", package: "@tensorflow/tfjs-node", version: "4.22.0" });
      expect(tf.getBackend()).toBe("cpu");
      expect(tf.findBackendFactory("tensorflow")).not.toBeNull();
    } finally {
      Object.assign(removed, before);
    }
  });

  test("the alias that danfojs-node's install notes make is not native", () => {
    install("@tensorflow/tfjs-node", "", "@tensorflow/tfjs");
    expect(findNativePackages([root])).toEqual([]);
  });

  test("nothing installed: null", () => {
    expect(findNativePackages([root])).toEqual([]);
    expect(registerNativeBackend([])).toBeNull();
  });

  test("the GPU package comes first, and one that cannot be loaded gives way to the next", () => {
    install("@tensorflow/tfjs-node", WORKS);
    install("@tensorflow/tfjs-node-gpu", BROKEN);
    const found = findNativePackages([root]);
    expect(found.map((native) => native.package)).toEqual(["@tensorflow/tfjs-node-gpu", "@tensorflow/tfjs-node"]);
    expect(registerNativeBackend(found)?.package).toBe("@tensorflow/tfjs-node");
  });

  test("installed but unusable is an error that names the package and its reason", () => {
    install("@tensorflow/tfjs-node", BROKEN);
    let caught: unknown;
    try {
      registerNativeBackend(findNativePackages([root]));
    } catch (error) {
      caught = error;
    }
    expect(caught).toBeInstanceOf(EngineError);
    expect(caught).toMatchObject({
      code: "native_backend",
      message:
        "native backend: an installed package must load, got @tensorflow/tfjs-node 4.22.0: Cannot find module 'tfjs_binding.node'; reinstall it, or choose another with backend: \"cpu\"",
    });
  });

  test("a package that registers nothing is an error", () => {
    install("@tensorflow/tfjs-node", "module.exports = {};");
    expect(() => registerNativeBackend(findNativePackages([root]))).toThrow(/it registered no backend "tensorflow"/);
  });
});

describe("backends by name", () => {
  const home = process.cwd();
  beforeEach(() => process.chdir(folder));
  afterEach(() => {
    process.chdir(home);
    if (tf.findBackendFactory("wasm") !== null) tf.removeBackend("wasm");
  });

  test("wasm is loaded from the working folder's packages and started; the active backend stays", async () => {
    install("@tensorflow/tfjs-backend-wasm", `const tf = require(${TFJS}); tf.registerBackend("wasm", tf.findBackendFactory("cpu"));`);
    await tf.setBackend("cpu");
    await registerBackend("wasm");
    expect(tf.getBackend()).toBe("cpu");
    expect(await tf.setBackend("wasm")).toBe(true);
    await tf.setBackend("cpu");
  });

  test.each<[string, string, string | RegExp]>([
    [
      "wasm",
      "no_backend",
      'TensorFlow.js: backend "wasm" needs the package @tensorflow/tfjs-backend-wasm, got none; npm install @tensorflow/tfjs-backend-wasm@4.22.0',
    ],
    ["webgpu", "no_backend", 'TensorFlow.js: backend "webgpu" needs the package webgpu, got none; npm install webgpu'],
    [
      "tensorflow",
      "no_backend",
      'TensorFlow.js: backend "tensorflow" needs the package @tensorflow/tfjs-node, got none; npm install @tensorflow/tfjs-node@4.22.0',
    ],
    ["cuda", "no_backend", /^TensorFlow\.js: backend must be one of .*tensorflow, wasm, webgpu, or registered before, got "cuda"$/],
  ])("%s without its package", async (name, code, message) => {
    const failure = await registerBackend(name).then(
      () => undefined,
      (error: EngineError) => error,
    );
    expect(failure).toBeInstanceOf(EngineError);
    expect(failure!.code).toBe(code);
    if (message instanceof RegExp) expect(failure!.message).toMatch(message);
    else expect(failure!.message).toBe(message);
  });

  test("a backend that cannot start is an error, and the active one stays", async () => {
    install(
      "@tensorflow/tfjs-backend-wasm",
      `const tf = require(${TFJS}); tf.registerBackend("wasm", () => { throw new Error("no simd"); });`,
    );
    await tf.setBackend("cpu");
    await expect(registerBackend("wasm")).rejects.toMatchObject({ code: "backend_start" });
    expect(tf.getBackend()).toBe("cpu");
  });
});
