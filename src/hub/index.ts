/** The Hugging Face Hub: repositories by their ids wherever a path can stand, and `push_to_hub`. */
import { setRepositoryResolver } from "../data/repository.js";
import { downloadRepository } from "./download.js";

setRepositoryResolver(downloadRepository);

export { downloadRepository };
export { modelCard, type CardFacts } from "./modelCard.js";
export type { PushResult, PushToHubOptions, PushTrainerOptions } from "./push.js";
import "./push.js";
