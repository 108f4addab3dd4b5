import { defineOptions } from "../config/index.js";
import { type Command, readCommandLine, refusePositionals } from "./command.js";
import { ownManifest } from "./manifest.js";

const DOCTOR_OPTIONS = defineOptions("Options", {
  json: { type: "boolean", default: false, help: "Print JSON for scripts instead of a table" },
});

export const doctor: Command = {
  name: "doctor",
  usage: "preflab doctor [--json]",
  summary:
    "Lists what this machine has for training and notebooks, tries each with a small product, and says what to install for what is missing.",
  tables: [DOCTOR_OPTIONS],
  async prepare(argv) {
    const { values, positionals } = await readCommandLine("preflab doctor", [DOCTOR_OPTIONS], argv);
    refusePositionals("preflab doctor", positionals);
    const { json } = DOCTOR_OPTIONS.resolve(values[0]!, { where: "preflab doctor", prefix: "--" });
    return async () => {
      const { diagnose, formatDiagnosis } = await import("../doctor/index.js");
      const diagnosis = await diagnose(ownManifest());
      console.log(json ? JSON.stringify(diagnosis, null, 2) : formatDiagnosis(diagnosis));
      // Without ONNX Runtime on the CPU nothing trains at its normal speed: scripts may rely on the exit code.
      return diagnosis.backends.some((found) => found.id === "onnxruntime-cpu" && found.status === "works") ? 0 : 1;
    };
  },
};
