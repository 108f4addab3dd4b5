/** The Hugging Face Hub: repositories by their ids wherever a path can stand, and `push_to_hub`. */
import { setRepositoryResolver } from "../data/repository.js";
import { downloadRepository } from "./download.js";

setRepositoryResolver(downloadRepository);

export { downloadRepository };
export { modelCard, writeModelCard, type CardFacts } from "./modelCard.js";
export type { CardDetails, CardEvaluation } from "./card/facts.js";
export { type CardSample, generateSamples } from "./card/samples.js";
export { cardFaults, requireCardMetadata } from "./card/metadata.js";
export { datasetCard, type DatasetCardFacts } from "./datasetCard.js";
export type { CreateModelCardOptions } from "./createModelCard.js";
export { DatasetCard, ModelCard } from "./repoCard.js";
export { upload_folder, type UploadFolderOptions } from "./uploadFolder.js";
export type { PushResult, PushToHubOptions } from "./push.js";
export type { PushDatasetOptions } from "./pushDataset.js";
export type { PushTrainerOptions } from "./pushModel.js";
import "./createModelCard.js";
import "./pushDataset.js";
import "./pushModel.js";
import "./card/sweep.js";
