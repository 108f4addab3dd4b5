/** Pull requests: a proposed commit that a branch does not have yet, under `refs/pr/N`. */
import { type User, owns } from "./accounts.js";
import { timestamp } from "./clock.js";
import { type Exchange, readJson, sendJson, textOf } from "./exchange.js";
import { Refusal, badRequest } from "./refusal.js";
import { MAIN, type PullRequest, type Repository, type RepositoryState, type StoredFile, withEntry } from "./repository.js";

type Args = Readonly<Record<string, string>>;

export function pullUrl(base: string, { name }: Repository, num: number): string {
  return `${base}/${name}/discussions/${num}`;
}

/** @returns the new state and the request's number */
export function addPull(
  state: RepositoryState,
  facts: Pick<PullRequest, "title" | "description" | "author" | "base" | "baseCommit" | "head"> & { status?: "open" | "draft" },
): readonly [RepositoryState, number] {
  const num = Math.max(0, ...state.pulls.map((pull) => pull.num)) + 1;
  return [{ ...state, pulls: [...state.pulls, { status: "open", ...facts, num, createdAt: timestamp() }] }, num];
}

/** A pull request changed by its author or the repository's owner. @throws Refusal 403, 404, 409 */
export function changePull(
  state: RepositoryState,
  num: number,
  user: User,
  repository: Repository,
  facts: Partial<PullRequest>,
): RepositoryState {
  const pull = pullOf(state, num);
  if (pull.author !== user.name && !owns(user, repository.namespace))
    throw new Refusal(403, "Only its author and the owner may change a pull request");
  if (pull.status === "merged" || (pull.status === "closed" && facts.status === undefined))
    throw new Refusal(409, `The pull request is ${pull.status}`);
  return { ...state, pulls: state.pulls.map((each) => (each === pull ? { ...pull, ...facts } : each)) };
}

function pullOf(state: RepositoryState, num: number): PullRequest {
  const pull = state.pulls.find((each) => each.num === num);
  if (pull === undefined) throw new Refusal(404, `Discussion ${num} not found`, "EntryNotFound");
  return pull;
}

/** POST `/api/…/discussions`: opens a pull request without changes yet. */
export async function openPull(exchange: Exchange, repository: Repository): Promise<void> {
  const { title, description, pullRequest } = await readJson(exchange);
  if (pullRequest !== true) throw badRequest("This hub has pull requests and no other discussions");
  const text = textOf(title)?.trim() ?? "";
  if (text.length < 3 || text.length > 200) throw badRequest("title must have 3 to 200 characters");
  const num = await repository.change((state) => {
    const head = state.branches[MAIN]!;
    const facts = { title: text, description: textOf(description) ?? "", author: exchange.user!.name, base: MAIN, baseCommit: head, head };
    return Promise.resolve(addPull(state, { ...facts, status: "draft" }));
  });
  sendJson(exchange, 200, { num, url: pullUrl(exchange.base, repository, num), pullRequest: true });
}

/** GET `/api/…/discussions` */
export async function listPulls(exchange: Exchange, repository: Repository): Promise<void> {
  const { searchParams } = exchange.url;
  const status = searchParams.get("status") ?? "all";
  const author = searchParams.get("author");
  const found =
    searchParams.get("type") === "discussion"
      ? []
      : (await repository.state()).pulls.filter(
          (pull) =>
            (status === "all" || (status === "open") === ["open", "draft"].includes(pull.status)) &&
            (author === null || pull.author === author),
        );
  const size = 50;
  const start = size * Math.max(0, Number(searchParams.get("p") ?? 0) || 0);
  const discussions = [...found]
    .reverse()
    .slice(start, start + size)
    .map((pull) => overview(repository, pull));
  sendJson(exchange, 200, { discussions, count: found.length, start, numClosedDiscussions: 0 });
}

function overview({ kind, id }: Repository, { num, title, status, author, createdAt }: PullRequest): object {
  return { num, title, status, author: { name: author, type: "user" }, createdAt, isPullRequest: true, repo: { name: id, type: kind } };
}

/** GET `/api/…/discussions/N` */
export async function tellPull(exchange: Exchange, repository: Repository, { num }: Args): Promise<void> {
  const state = await repository.state();
  const pull = pullOf(state, Number(num));
  const { author, createdAt, description, base, mergeCommit } = pull;
  const latest = { raw: description, html: "", updatedAt: createdAt, author: { name: author, type: "user" } };
  const opened = {
    id: String(pull.num),
    type: "comment",
    createdAt,
    author: { name: author, type: "user" },
    data: { edited: false, hidden: false, latest },
  };
  sendJson(exchange, 200, {
    ...overview(repository, pull),
    events: [opened],
    filesWithConflicts: mergeCommit === undefined ? (await mergedFiles(repository, state, pull)).conflicts : [],
    changes: { base: `refs/heads/${base}`, ...(mergeCommit === undefined ? {} : { mergeCommitId: mergeCommit }) },
  });
}

/** POST `/api/…/discussions/N/merge` */
export async function mergePull(exchange: Exchange, repository: Repository, { num }: Args): Promise<void> {
  const user = exchange.user!;
  const hash = await repository.change(async (state) => {
    const pull = pullOf(state, Number(num));
    if (["merged", "closed"].includes(pull.status)) throw new Refusal(409, `The pull request is ${pull.status}`);
    const { files, conflicts } = await mergedFiles(repository, state, pull);
    if (conflicts.length > 0) throw new Refusal(409, `Both sides have changed ${conflicts.join(", ")}`);
    const note = { title: `${pull.title} (#${pull.num})`, description: pull.description, author: pull.author };
    const commit = await repository.addCommit(state.branches[pull.base], files, note);
    const merged = changePull(state, pull.num, user, repository, { status: "merged", mergeCommit: commit.hash });
    return [{ ...merged, branches: withEntry(state.branches, pull.base, commit.hash) }, commit.hash];
  });
  sendJson(exchange, 200, {
    status: "merged",
    mergeCommitId: hash,
    id: num,
    type: "status-change",
    createdAt: timestamp(),
    data: { status: "merged" },
  });
}

/** The base branch with the changes of a pull request, and the files that both sides have changed. */
async function mergedFiles(repository: Repository, state: RepositoryState, { base, baseCommit, head }: PullRequest) {
  const ours = (await repository.resolve(base, state)).files;
  const [before, theirs] = [(await repository.resolve(baseCommit)).files, (await repository.resolve(head)).files];
  const files = new Map(ours);
  const conflicts: string[] = [];
  const same = (a: StoredFile | undefined, b: StoredFile | undefined): boolean => a?.gitHash === b?.gitHash;
  for (const path of new Set([...before.keys(), ...theirs.keys()])) {
    const [old, wanted, present] = [before.get(path), theirs.get(path), ours.get(path)];
    if (same(old, wanted) || same(present, wanted)) continue;
    if (!same(old, present)) conflicts.push(path);
    else if (wanted === undefined) files.delete(path);
    else files.set(path, wanted);
  }
  return { files, conflicts };
}

/** POST `/api/…/discussions/N/status` */
export async function changePullStatus(exchange: Exchange, repository: Repository, { num }: Args): Promise<void> {
  const { status } = await readJson(exchange);
  if (status !== "open" && status !== "closed") throw badRequest(`status must be "open" or "closed", got ${JSON.stringify(status)}`);
  const user = exchange.user!;
  await repository.change((state) => Promise.resolve([changePull(state, Number(num), user, repository, { status }), undefined]));
  const author = { name: user.name, type: "user" };
  sendJson(exchange, 200, { newStatus: { id: num, type: "status-change", createdAt: timestamp(), author, data: { status } } });
}
