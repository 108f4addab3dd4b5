/** TRL's `create_model_card`: the card of a run, into its own folder. */
import { basename, resolve } from "node:path";
import { unknownOption } from "../config/index.js";
import { Trainer } from "../train/index.js";
import { CARD_DETAILS, type CardDetails } from "./card/facts.js";
import { writeModelCard } from "./modelCard.js";

export interface CreateModelCardOptions extends CardDetails {
  /** What the card calls the model; default the name of `output_dir`. */
  model_name?: string;
  /** Hub ids of the data. */
  dataset_name?: string | readonly string[];
  tags?: readonly string[];
}

declare module "../train/loop/trainer.js" {
  interface Trainer {
    /**
     * Writes README.md, a model card of the run so far, and training_curves.svg into `output_dir`.
     * @throws HubError `card_metadata`, `card_private`; ConfigError `option_unknown`
     */
    create_model_card(options?: CreateModelCardOptions): Promise<void>;
  }
}

Trainer.prototype.create_model_card = async function create_model_card(this: Trainer, options: CreateModelCardOptions = {}): Promise<void> {
  const { model_name = basename(resolve(this.args.output_dir)), dataset_name = [], tags = [], ...details } = options;
  const unknown = Object.keys(details).find((name) => !(CARD_DETAILS as readonly string[]).includes(name));
  if (unknown !== undefined)
    throw unknownOption(unknown, ["model_name", "dataset_name", "tags", ...CARD_DETAILS], { where: "create_model_card" });
  const facts = { repo_id: model_name, model: this.model, trainer: this, datasets: [dataset_name].flat(), tags, ...details };
  await writeModelCard(this.args.output_dir, facts);
};
