/** Who may read and change a repository. */
import { owns } from "./accounts.js";
import type { Exchange } from "./exchange.js";
import { Refusal, loginNeeded, repositoryNotFound } from "./refusal.js";
import type { Repository } from "./repository.js";

/**
 * What a route needs:
 * - "read": the repository is public, or the user's.
 * - "contribute": also a user with a token that may write, as for a pull request to somebody else's repository.
 * - "write": also the repository's owner.
 */
export type Access = "read" | "contribute" | "write";

/** @throws Refusal 401, 403, 404 */
export async function requireAccess({ user }: Exchange, repository: Repository, access: Access, readOnly: boolean): Promise<void> {
  const mine = owns(user, repository.namespace);
  if (!mine && (await repository.state()).private) throw repositoryNotFound(user !== undefined);
  if (access === "read") return;
  requireWriter(user, readOnly);
  if (access === "write") requireOwner({ user }, repository);
}

/** @throws Refusal 401, 403 */
export function requireWriter(user: Exchange["user"], readOnly: boolean): void {
  if (user === undefined) throw loginNeeded();
  if (readOnly) throw new Refusal(403, "This hub is read-only");
  if (user.role === "read") throw new Refusal(403, "This token may only read; use one with the role write");
}

/** @throws Refusal 403 */
export function requireOwner({ user }: Pick<Exchange, "user">, { id, namespace, kind }: Repository): void {
  if (!owns(user, namespace))
    throw new Refusal(403, `You don't have the rights to change the ${kind} ${id}; pass create_pr to propose a change`);
}
