/** Which handler answers which request. `:name` is one segment of the path, `*name` all that follow. */
import { requireAccess, requireWriter, type Access } from "./access.js";
import { describeUser } from "./accounts.js";
import { changeSettings, createBranch, createRepository, createTag, deleteBranch, deleteRepository, deleteTag } from "./changes.js";
import { takeCommit } from "./commits.js";
import { type Exchange, type Handler, sendJson } from "./exchange.js";
import { resolveFile, sendObject } from "./files.js";
import { listCommits, listRefs, listRepositories, listTree, tellFacts, tellPaths, validateCard } from "./listings.js";
import { changePullStatus, listPulls, mergePull, openPull, tellPull } from "./pulls.js";
import { Refusal, loginNeeded, repositoryNotFound } from "./refusal.js";
import { completeObject, lfsBatch, preupload, receiveObject, verifyObject } from "./uploads.js";

type Args = Readonly<Record<string, string>>;

interface Route {
  readonly methods: readonly string[];
  readonly segments: readonly string[];
  answer(exchange: Exchange, args: Args, readOnly: boolean): Promise<void>;
}

/** A route about one repository: `:kinds/:owner/:name` in its path. "link" is for those who show a signed link instead of a token. */
function about(methods: string, path: string, access: Access | "link", handler: Handler): Route {
  return {
    methods: methods.split(" "),
    segments: path.split("/").slice(1),
    async answer(exchange, args, readOnly) {
      const { store, user } = exchange;
      const kind = args["kinds"] === "datasets" ? "dataset" : "model";
      const id = `${args["owner"]!}/${args["name"]!}`;
      const repository = await store.find(kind, id);
      // Who may not write hears that first, as on the Hub.
      if (access !== "read" && access !== "link" && user === undefined) throw loginNeeded();
      if (repository === undefined) throw repositoryNotFound(user !== undefined);
      if (access !== "link") await requireAccess(exchange, repository, access, readOnly);
      await handler(exchange, repository, args);
    },
  };
}

/** A route about the hub as a whole. */
function general(method: string, path: string, answer: Route["answer"]): Route {
  return { methods: [method], segments: path.split("/").slice(1), answer };
}

const REPOSITORY = "/api/:kinds/:owner/:name";

const ROUTES: readonly Route[] = [
  general("GET", "/api/whoami-v2", (exchange) => {
    if (exchange.user === undefined) throw loginNeeded();
    return Promise.resolve(sendJson(exchange, 200, describeUser(exchange.user)));
  }),
  general("POST", "/api/validate-yaml", validateCard),
  general("POST", "/api/repos/create", (exchange, _, readOnly) => {
    requireWriter(exchange.user, readOnly);
    return createRepository(exchange);
  }),
  general("DELETE", "/api/repos/delete", (exchange, _, readOnly) => {
    requireWriter(exchange.user, readOnly);
    return deleteRepository(exchange);
  }),
  general("GET", "/api/:kinds", (exchange, { kinds }) => listRepositories(exchange, kinds === "datasets" ? "dataset" : "model")),

  about("GET HEAD", REPOSITORY, "read", tellFacts),
  about("GET HEAD", `${REPOSITORY}/revision/:revision`, "read", tellFacts),
  about("GET", `${REPOSITORY}/auth-check`, "read", (exchange) => Promise.resolve(sendJson(exchange, 200, {}))),
  about("GET", `${REPOSITORY}/tree/:revision`, "read", listTree),
  about("GET", `${REPOSITORY}/tree/:revision/*path`, "read", listTree),
  about("POST", `${REPOSITORY}/paths-info/:revision`, "read", tellPaths),
  about("GET", `${REPOSITORY}/commits/:revision`, "read", listCommits),
  about("GET", `${REPOSITORY}/refs`, "read", listRefs),
  about("GET", `${REPOSITORY}/discussions`, "read", listPulls),
  about("GET", `${REPOSITORY}/discussions/:num`, "read", tellPull),

  about("POST", `${REPOSITORY}/preupload/:revision`, "contribute", preupload),
  about("POST", `${REPOSITORY}/commit/:revision`, "contribute", takeCommit),
  about("POST", `${REPOSITORY}/discussions`, "contribute", openPull),
  about("POST", `${REPOSITORY}/discussions/:num/status`, "contribute", changePullStatus),
  about("POST", `${REPOSITORY}/discussions/:num/merge`, "write", mergePull),
  about("PUT", `${REPOSITORY}/settings`, "write", changeSettings),
  about("POST", `${REPOSITORY}/branch/:ref`, "write", createBranch),
  about("DELETE", `${REPOSITORY}/branch/:ref`, "write", deleteBranch),
  about("POST", `${REPOSITORY}/tag/:ref`, "write", createTag),
  about("DELETE", `${REPOSITORY}/tag/:ref`, "write", deleteTag),

  ...["/:owner/:name", "/:kinds/:owner/:name"].flatMap((repository) => [
    about("GET HEAD", `${repository}/resolve/:revision/*path`, "read", resolveFile),
    about("POST", `${repository}.git/info/lfs/objects/batch`, "contribute", lfsBatch),
    about("POST", `${repository}.git/info/lfs/objects/verify`, "contribute", verifyObject),
  ]),
  about("PUT", "/lfs/:kinds/:owner/:name/:oid", "link", receiveObject),
  about("POST", "/lfs-complete/:kinds/:owner/:name/:oid", "link", completeObject),
  about("GET HEAD", "/cdn/:kinds/:owner/:name/:oid", "link", sendObject),
];

/** @throws Refusal, also 404 for a path and 405 for a method that nothing answers */
export async function answer(exchange: Exchange, readOnly: boolean): Promise<void> {
  const segments = segmentsOf(exchange.url.pathname);
  let allowed: readonly string[] = [];
  for (const route of ROUTES) {
    const args = match(route.segments, segments);
    if (args === undefined) continue;
    if (route.methods.includes(exchange.method)) return route.answer(exchange, args, readOnly);
    allowed = [...allowed, ...route.methods];
  }
  if (allowed.length > 0)
    throw new Refusal(405, `This address takes ${allowed.join(", ")}, got ${exchange.method}`, undefined, { allow: allowed.join(", ") });
  throw new Refusal(404, "Sorry, we can't find the page you are looking for.");
}

/** Decoded; `refs/pr/N` and `refs/convert/NAME` are one segment, as clients do not always encode their slashes. */
function segmentsOf(pathname: string): string[] {
  let segments: string[];
  try {
    segments = pathname.split("/").slice(1).map(decodeURIComponent);
  } catch {
    throw new Refusal(400, "The address must be UTF-8, percent-encoded");
  }
  const at = segments.indexOf("refs");
  if (at > 0 && ["pr", "convert"].includes(segments[at + 1] ?? "")) segments.splice(at, 3, segments.slice(at, at + 3).join("/"));
  return segments;
}

function match(pattern: readonly string[], segments: readonly string[]): Args | undefined {
  const args: Record<string, string> = {};
  for (const [i, part] of pattern.entries()) {
    const segment = segments[i];
    if (segment === undefined) return undefined;
    if (part.startsWith("*")) {
      args[part.slice(1)] = segments.slice(i).join("/");
      return args;
    }
    if (part === ":kinds") {
      if (segment !== "models" && segment !== "datasets") return undefined;
      args["kinds"] = segment;
    } else if (part === ":name.git") {
      if (!segment.endsWith(".git")) return undefined;
      args["name"] = segment.slice(0, -4);
    } else if (part.startsWith(":")) args[part.slice(1)] = segment;
    else if (part !== segment) return undefined;
  }
  return pattern.length === segments.length ? args : undefined;
}
