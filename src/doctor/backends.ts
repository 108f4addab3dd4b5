/** What can do arithmetic here: ONNX Runtime's providers for engine "compiled", TensorFlow.js's backends for engine "eager". */
export type Runtime = "onnxruntime" | "tfjs";

export interface Backend {
  /** Stable name in the JSON report. */
  id: string;
  /** Name for people. */
  title: string;
  runtime: Runtime;
  /** Execution provider, or name of the TensorFlow.js backend. */
  name: string;
  /** npm packages that must be installed. */
  packages: readonly string[];
  /** How a run chooses it. */
  choose: string;
  /** What to do when it is not there or does not work. */
  install: string;
}

const TFJS = "4.22.0";

export const BACKENDS: readonly Backend[] = [
  {
    id: "onnxruntime-cpu",
    title: "ONNX Runtime CPU",
    runtime: "onnxruntime",
    name: "cpu",
    packages: ["onnxruntime-node"],
    choose: 'device: "cpu" (the default)',
    install: "ONNXRUNTIME_NODE_INSTALL=skip npm install onnxruntime-node@1.30.0",
  },
  {
    id: "onnxruntime-webgpu",
    title: "ONNX Runtime WebGPU",
    runtime: "onnxruntime",
    name: "webgpu",
    packages: ["onnxruntime-node"],
    choose: 'device: "webgpu"',
    install:
      "a GPU with a driver that its graphics interface can see: Vulkan on Linux (check with vulkaninfo), Direct3D 12 on Windows, Metal on macOS",
  },
  {
    id: "onnxruntime-cuda",
    title: "ONNX Runtime CUDA",
    runtime: "onnxruntime",
    name: "cuda",
    packages: ["onnxruntime-node"],
    choose: 'device: "cuda"',
    install:
      "an NVIDIA GPU on Linux x64 with CUDA 12 and cuDNN 9, then ONNXRUNTIME_NODE_INSTALL=1 node node_modules/onnxruntime-node/script/install.js",
  },
  {
    id: "tfjs-tensorflow-gpu",
    title: "TensorFlow.js tensorflow-gpu",
    runtime: "tfjs",
    name: "tensorflow",
    packages: ["@tensorflow/tfjs-node-gpu"],
    choose: 'engine: "eager" (found by itself)',
    install: `an NVIDIA GPU on Linux or Windows with CUDA 11 and cuDNN 8, then npm install @tensorflow/tfjs-node-gpu@${TFJS}`,
  },
  {
    id: "tfjs-tensorflow",
    title: "TensorFlow.js tensorflow",
    runtime: "tfjs",
    name: "tensorflow",
    packages: ["@tensorflow/tfjs-node"],
    choose: 'engine: "eager" (found by itself)',
    install: `npm install @tensorflow/tfjs-node@${TFJS}`,
  },
  {
    id: "tfjs-webgpu",
    title: "TensorFlow.js webgpu",
    runtime: "tfjs",
    name: "webgpu",
    packages: ["webgpu", "@tensorflow/tfjs-backend-webgpu"],
    choose: 'engine: "eager", backend: "webgpu"',
    install: `npm install webgpu @tensorflow/tfjs-backend-webgpu@${TFJS}, and a GPU driver as for ONNX Runtime WebGPU`,
  },
  {
    id: "tfjs-wasm",
    title: "TensorFlow.js wasm",
    runtime: "tfjs",
    name: "wasm",
    packages: ["@tensorflow/tfjs-backend-wasm"],
    choose: 'engine: "eager", backend: "wasm"',
    install: `npm install @tensorflow/tfjs-backend-wasm@${TFJS}`,
  },
  {
    id: "tfjs-cpu",
    title: "TensorFlow.js cpu",
    runtime: "tfjs",
    name: "cpu",
    packages: ["@tensorflow/tfjs"],
    choose: 'engine: "eager", backend: "cpu"',
    install: `npm install @tensorflow/tfjs@${TFJS}`,
  },
];
