/** Names and addresses of repositories. */
import type { HubSettings } from "./environment.js";

export interface RepositoryAddress {
  readonly kind: "model" | "dataset";
  /** `owner/name` */
  readonly id: string;
  /** As in the address: `owner/name`, `datasets/owner/name`. */
  readonly name: string;
}

export function repositoryAddress(kind: RepositoryAddress["kind"], id: string): RepositoryAddress {
  return { kind, id, name: kind === "dataset" ? `datasets/${id}` : id };
}

/** The page of a repository. */
export function repositoryUrl({ endpoint }: HubSettings, { name }: RepositoryAddress): string {
  return `${endpoint}/${name}`;
}

/** Where a file's bytes are. @param revision a branch, tag or commit */
export function fileUrl(settings: HubSettings, repository: RepositoryAddress, revision: string, path: string): string {
  return `${repositoryUrl(settings, repository)}/resolve/${encodeURIComponent(revision)}/${path.split("/").map(encodeURIComponent).join("/")}`;
}
