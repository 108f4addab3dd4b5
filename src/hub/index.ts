/** The Hugging Face Hub: repositories by their ids wherever a path can stand. */
import { setRepositoryResolver } from "../data/repository.js";
import { downloadRepository } from "./download.js";

setRepositoryResolver(downloadRepository);

export { downloadRepository };
