/** Making, changing and deleting repositories, branches and tags. */
import { owns } from "./accounts.js";
import { type Exchange, readJson, sendJson, textOf } from "./exchange.js";
import { type RepositoryKind, checkRefName, checkRepositoryId } from "./names.js";
import { Refusal, badRequest, loginNeeded, repositoryNotFound } from "./refusal.js";
import { MAIN, type Repository, type RepositoryState, refuseExisting, requireExisting, withEntry } from "./repository.js";

type Args = Readonly<Record<string, string>>;

interface Naming {
  readonly kind: RepositoryKind;
  readonly id: string;
}

/** The repository that a request names in its body. */
function namedIn({ user }: Exchange, { name, organization, type = "model" }: Record<string, unknown>): Naming {
  if (user === undefined) throw loginNeeded();
  if (type !== "model" && type !== "dataset")
    throw badRequest(`type must be "model" or "dataset" on this hub, got ${JSON.stringify(type)}`);
  return { kind: type, id: checkRepositoryId(`${textOf(organization) ?? user.name}/${textOf(name) ?? ""}`) };
}

function isPrivate(body: Record<string, unknown>, otherwise: boolean): boolean {
  const { visibility, private: hidden } = body;
  if (visibility !== undefined && visibility !== null && visibility !== "public" && visibility !== "private")
    throw badRequest(`visibility must be "public" or "private", got ${JSON.stringify(visibility)}`);
  if (typeof visibility === "string") return visibility === "private";
  return typeof hidden === "boolean" ? hidden : otherwise;
}

/** POST `/api/repos/create` */
export async function createRepository(exchange: Exchange): Promise<void> {
  const { user, store, base } = exchange;
  const body = await readJson(exchange);
  const { kind, id } = namedIn(exchange, body);
  const [owner] = id.split("/") as [string];
  if (user === undefined || !owns(user, owner))
    throw new Refusal(403, `You don't have the rights to create a ${kind} under the namespace "${owner}"`);
  const url = `${base}/${kind === "dataset" ? "datasets/" : ""}${id}`;
  if ((await store.find(kind, id)) !== undefined)
    return sendJson(exchange, 409, { error: `You already created this ${kind} repo: ${id}`, url });
  await store.create(kind, id, { private: isPrivate(body, false) }, user.name);
  sendJson(exchange, 200, { url, id, name: id });
}

/** DELETE `/api/repos/delete` */
export async function deleteRepository(exchange: Exchange): Promise<void> {
  const { user, store } = exchange;
  const { kind, id } = namedIn(exchange, await readJson(exchange));
  const repository = await store.find(kind, id);
  const visible = repository !== undefined && (owns(user, repository.namespace) || !(await repository.state()).private);
  if (!visible) throw repositoryNotFound(true);
  if (!owns(user, repository.namespace)) throw new Refusal(403, `You don't have the rights to delete ${id}`);
  await store.delete(repository);
  sendJson(exchange, 200, {});
}

/** PUT `/api/…/settings` */
export async function changeSettings(exchange: Exchange, repository: Repository): Promise<void> {
  const body = await readJson(exchange);
  const { gated } = body;
  if (gated !== undefined && gated !== false && gated !== "auto" && gated !== "manual")
    throw badRequest(`gated must be false, "auto" or "manual", got ${JSON.stringify(gated)}`);
  const next = await repository.change((state) => {
    const changed: RepositoryState = { ...state, private: isPrivate(body, state.private), gated: gated ?? state.gated };
    return Promise.resolve([changed, changed]);
  });
  sendJson(exchange, 200, { private: next.private, gated: next.gated });
}

/** POST `/api/…/branch/NAME` */
export async function createBranch(exchange: Exchange, repository: Repository, { ref }: Args): Promise<void> {
  const { startingPoint, overwrite, emptyBranch } = await readJson(exchange);
  const name = checkRefName(ref);
  await repository.change(async (state) => {
    const exists = Object.hasOwn(state.branches, name);
    // As on the Hub: overwriting with nothing in particular changes nothing.
    if (exists && overwrite === true && startingPoint === undefined && emptyBranch !== true) return [state, undefined];
    if (exists && overwrite !== true) refuseExisting(state.branches, name);
    const note = { title: "initial commit", description: "", author: exchange.user!.name };
    const { hash } =
      emptyBranch === true
        ? await repository.addCommit(undefined, new Map(), note)
        : await repository.resolve(textOf(startingPoint) ?? MAIN, state);
    return [{ ...state, branches: withEntry(state.branches, name, hash) }, undefined];
  });
  sendJson(exchange, 200, {});
}

/** DELETE `/api/…/branch/NAME` */
export async function deleteBranch(exchange: Exchange, repository: Repository, { ref }: Args): Promise<void> {
  if (ref === MAIN) throw new Refusal(403, "The branch main cannot be deleted");
  await repository.change((state) => {
    requireExisting(state.branches, ref!);
    return Promise.resolve([{ ...state, branches: withEntry(state.branches, ref!, undefined) }, undefined]);
  });
  sendJson(exchange, 200, {});
}

/** POST `/api/…/tag/REVISION` */
export async function createTag(exchange: Exchange, repository: Repository, { ref }: Args): Promise<void> {
  const name = checkRefName((await readJson(exchange))["tag"]);
  await repository.change(async (state) => {
    refuseExisting(state.tags, name);
    return [{ ...state, tags: withEntry(state.tags, name, (await repository.resolve(ref!, state)).hash) }, undefined];
  });
  sendJson(exchange, 200, {});
}

/** DELETE `/api/…/tag/NAME` */
export async function deleteTag(exchange: Exchange, repository: Repository, { ref }: Args): Promise<void> {
  await repository.change((state) => {
    requireExisting(state.tags, ref!);
    return Promise.resolve([{ ...state, tags: withEntry(state.tags, ref!, undefined) }, undefined]);
  });
  sendJson(exchange, 200, {});
}
