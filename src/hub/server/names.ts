/**
 * What clients may name. Files of a commit are stored under their hashes, so no path of a client's ever becomes a path on this disk;
 * only owner and name of a repository do, and both are checked here.
 */
import { isRepositoryId } from "../../data/repository.js";
import type { RepositoryAddress } from "../address.js";
import { badRequest } from "./refusal.js";

export type RepositoryKind = RepositoryAddress["kind"];

const LONGEST_PATH = 1000;
const LONGEST_REF = 200;

/** @throws Refusal 400 unless `owner/name` is one the Hub accepts */
export function checkRepositoryId(id: string): string {
  if (!isRepositoryId(id)) {
    throw badRequest(
      `Repo id must use alphanumeric chars, '-', '_' or '.'; the name cannot start or end with '-' or '.' and the maximum length is 96: ${JSON.stringify(id)}`,
    );
  }
  return id;
}

/** @throws Refusal 400 unless the path lies inside a repository, on every system */
export function checkFilePath(path: unknown): string {
  const parts = typeof path === "string" ? path.split("/") : [];
  const wrong =
    typeof path !== "string" ||
    path.length > LONGEST_PATH ||
    parts.some((part) => part === "" || part === "." || part === ".." || part.toLowerCase() === ".git") ||
    // Control characters, and what Windows reads as a drive or a folder.
    /[\u0000-\u001f\u007f\\:]/.test(path);
  if (wrong) throw badRequest(`Invalid path in repo: ${JSON.stringify(path)}`);
  return path;
}

/** The rules of git for names of branches and tags. @throws Refusal 400 */
export function checkRefName(name: unknown): string {
  const parts = typeof name === "string" ? name.split("/") : [];
  const wrong =
    typeof name !== "string" ||
    name.length > LONGEST_REF ||
    !/^[\w][\w./+-]*$/.test(name) ||
    name.includes("..") ||
    parts.some((part) => part === "" || part.startsWith(".") || part.endsWith(".") || part.endsWith(".lock")) ||
    // Those the Hub gives out itself, and what would pass for a commit.
    parts[0] === "refs" ||
    name === "HEAD" ||
    /^[0-9a-f]{40}$/.test(name);
  if (wrong) throw badRequest(`Invalid reference name: ${JSON.stringify(name)}`);
  return name;
}
