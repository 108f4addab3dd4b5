/** Who may do what: users by token, and organisations that users share. */
import { createHash } from "node:crypto";
import type { IncomingMessage } from "node:http";
import { ConfigError } from "../../errors.js";
import { Refusal } from "./refusal.js";

export interface Account {
  /** The user's namespace. */
  readonly name: string;
  /** `hf_…`; secret. */
  readonly token: string;
  /** A token that reads cannot change anything; default "write". */
  readonly role?: "read" | "write";
  /** Namespaces that the user shares with others. */
  readonly organizations?: readonly string[];
}

export type User = Omit<Required<Account>, "token">;

const NAME = /^[A-Za-z0-9](?:[A-Za-z0-9_-]{0,38}[A-Za-z0-9])?$/;

/** First words of this server's own addresses. */
const RESERVED = new Set(["api", "models", "datasets", "spaces", "lfs", "lfs-complete", "cdn"]);

export class Accounts {
  /** By the hash of the token, so that looking one up takes no time that tells about others. */
  readonly #byHash = new Map<string, User>();

  /** @throws ConfigError `hub_account` (the token is never shown) */
  constructor(accounts: readonly Account[] = []) {
    for (const account of accounts) this.add(account);
  }

  /** @throws ConfigError `hub_account` */
  add({ name, token, role = "write", organizations = [] }: Account): void {
    for (const each of [name, ...organizations])
      if (!NAME.test(each) || RESERVED.has(each))
        throw new ConfigError(
          "hub_account",
          `hub-serve: a name must be 1 to 40 letters, digits, "-" or "_", and none of ${[...RESERVED].join(", ")}, got ${JSON.stringify(each)}`,
        );
    if (!/^hf_[\x21-\x7e]{3,}$/.test(token)) {
      throw new ConfigError(
        "hub_account",
        `hub-serve: the token of ${name} must be hf_ and at least three more characters without spaces, got something else (not shown)`,
      );
    }
    const hash = hashOf(token);
    if (this.#byHash.has(hash))
      throw new ConfigError("hub_account", `hub-serve: every token must belong to one user, got that of ${name} twice`);
    this.#byHash.set(hash, { name, role, organizations });
  }

  get names(): string[] {
    return [...new Set([...this.#byHash.values()].map(({ name }) => name))];
  }

  /** The user of a request, or undefined for a stranger. @throws Refusal 401 for a token nobody has */
  userOf({ headers: { authorization } }: IncomingMessage): User | undefined {
    if (authorization === undefined) return undefined;
    const token = /^Bearer (\S+)$/.exec(authorization)?.[1] ?? passwordOf(authorization);
    const user = token === undefined ? undefined : this.#byHash.get(hashOf(token));
    if (user === undefined) throw new Refusal(401, "Invalid credentials in Authorization header");
    return user;
  }
}

/** Whether a namespace is the user's own or one of an organisation. */
export function owns(user: User | undefined, namespace: string): boolean {
  return user !== undefined && (user.name === namespace || user.organizations.includes(namespace));
}

/** git sends the token as a password. */
function passwordOf(authorization: string): string | undefined {
  const encoded = /^Basic (\S+)$/.exec(authorization)?.[1];
  return encoded === undefined ? undefined : Buffer.from(encoded, "base64").toString().split(":").slice(1).join(":");
}

function hashOf(token: string): string {
  return createHash("sha256").update(token).digest("hex");
}

/** What `whoami` tells. */
export function describeUser({ name, role, organizations }: User): object {
  return {
    type: "user",
    id: name,
    name,
    fullname: name,
    email: null,
    emailVerified: false,
    isPro: false,
    canPay: false,
    avatarUrl: "",
    periodEnd: null,
    orgs: organizations.map((org) => ({
      type: "org",
      id: org,
      name: org,
      fullname: org,
      roleInOrg: role,
      avatarUrl: "",
      isEnterprise: false,
    })),
    auth: { type: "access_token", accessToken: { displayName: "hub-serve", role, createdAt: "1970-01-01T00:00:00.000Z" } },
  };
}
