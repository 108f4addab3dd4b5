/** The loggers and the diagnosis beside a real trainer: they see every entry and change nothing. */
import { readFileSync, readdirSync } from "node:fs";
import { join } from "node:path";
import { describe, expect, it } from "vitest";
import { load_dataset } from "../../../src/data/index.js";
import { DPOConfig, type LogEntry, type TrainerCallback } from "../../../src/train/index.js";
import { diagnose } from "../../../src/train/diagnosis/diagnose.js";
import { reporters } from "../../../src/train/report/reporters.js";
import { goldenPairs, newFolder, withTrainer } from "../tinyModel.js";
import { FakeMlflow } from "./mlflowServer.js";

interface Ran {
  log: LogEntry[];
  state: string;
  findings: string[];
}

async function run(output_dir: string, callbacks: TrainerCallback[]): Promise<Ran> {
  const args = { output_dir, eval_strategy: "steps", eval_steps: 2, max_steps: 4 } as const;
  return withTrainer({ args, callbacks, eval_dataset: await goldenPairs([4, 5]) }, async (trainer) => {
    await trainer.train();
    const facts = { method: "dpo", trainRows: 4, evalRows: 2 } as const;
    const { findings } = diagnose(trainer.state, trainer.args, facts);
    return {
      log: trainer.state.log_history.filter((entry) => "loss" in entry || "eval_loss" in entry),
      state: readFileSync(join(output_dir, "trainer_state.json"), "utf8"),
      findings: findings.map(({ code }) => code),
    };
  });
}

describe("a trainer with loggers", () => {
  it("logs the same into a csv, event files and MLflow, and trains as without them", async () => {
    const server = new FakeMlflow();
    await server.start();
    try {
      const output_dir = newFolder();
      const args = new DPOConfig({ output_dir, report_to: "all" });
      const list = reporters(args, { environment: { MLFLOW_TRACKING_URI: server.uri } });
      expect(list).toHaveLength(3);
      const logged = await run(output_dir, list);
      const rows = [...(await load_dataset(join(output_dir, "runs", "log.csv")))]
        .map((row) => Object.fromEntries(Object.entries(row).flatMap(([name, cell]) => (cell === null ? [] : [[name, Number(cell)]]))))
        .filter((row) => "loss" in row || "eval_loss" in row);
      expect(rows).toEqual(logged.log);
      expect(rows.filter((row) => "eval_loss" in row)).toHaveLength(2);

      const [stored] = [...server.runs.values()];
      expect(stored!.status).toBe("FINISHED");
      const sent = stored!.metrics.filter(({ key }) => key === "loss").map(({ step, value }) => [step, value]);
      expect(sent).toEqual(logged.log.filter((entry) => "loss" in entry).map((entry) => [entry["step"], entry["loss"]]));
      expect(readdirSync(join(output_dir, "runs")).sort()).toEqual([expect.stringMatching(/^events\.out/), "log.csv", "mlflow_run.json"]);

      const bare = await run(newFolder(), []);
      expect(logged.state).toBe(bare.state);
      expect(logged.findings).toContain("start_as_reference");
      expect(logged.findings).not.toContain("start_differs");
    } finally {
      await server.stop();
    }
  });
});
