/** Training on pairs of token ids: the same run as on the text they were made of. */
import { expect, it } from "vitest";
import { Dataset, preferenceExamples } from "../../src/data/index.js";
import { tokenizePreferences } from "../../src/text/index.js";
import { goldenPairs, goldenTokenizer, smallLora, smallTrainer, withTrainer } from "./tinyModel.js";

it("gives the losses of the same rows as text", async () => {
  const text = await goldenPairs(4);
  const { pairs } = tokenizePreferences(preferenceExamples(text), await goldenTokenizer());
  const ids = Dataset.from_rows(pairs.map(({ prompt_ids, chosen_ids, rejected_ids }) => ({ prompt_ids, chosen_ids, rejected_ids })));
  const losses: number[][] = [];
  for (const train_dataset of [text, ids]) {
    await withTrainer({ train_dataset, peft_config: smallLora() }, async (trainer) => {
      await trainer.train();
      losses.push(trainer.state.log_history.flatMap((entry) => (typeof entry["loss"] === "number" ? [entry["loss"]] : [])));
    });
  }
  expect(losses[0]).toHaveLength(3);
  expect(losses[1]).toEqual(losses[0]);
});

it("refuses ids that the model does not have", async () => {
  const rows = [{ prompt_ids: [1], chosen_ids: [2], rejected_ids: [99_999] }];
  await expect(smallTrainer({ train_dataset: Dataset.from_rows(rows) })).rejects.toMatchObject({ code: "vocabulary" });
});
