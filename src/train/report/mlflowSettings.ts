/** Which MLflow server, experiment, run and login: the variables of Python's mlflow. */
import { ConfigError } from "../../errors.js";

export type Environment = Readonly<Record<string, string | undefined>>;

export interface MlflowSettings {
  /** Without login and without a slash at the end. */
  readonly uri: string;
  /** Value of the header Authorization. Secret: never part of a message. */
  readonly authorization: string | undefined;
  /** Texts that no message may hold. */
  readonly secrets: readonly string[];
  readonly experimentName: string | undefined;
  readonly experimentId: string;
  /** A run to go on with. */
  readonly runId: string | undefined;
  /** Longest wait for one answer. */
  readonly timeoutMs: number;
}

const DEFAULT_TIMEOUT_S = 30;
/** MLflow's experiment "Default". */
const DEFAULT_EXPERIMENT = "0";

/** Whether an MLflow server is set. */
export function hasMlflow(environment: Environment): boolean {
  return filled(environment["MLFLOW_TRACKING_URI"]) !== undefined;
}

/** @throws ConfigError `mlflow_uri`, `mlflow_login`, `mlflow_timeout` */
export function mlflowSettings(environment: Environment): MlflowSettings {
  const text = filled(environment["MLFLOW_TRACKING_URI"]);
  if (text === undefined)
    throw new ConfigError(
      "mlflow_uri",
      `report_to "mlflow": MLFLOW_TRACKING_URI must be set, got nothing; set it to the server's address, e.g. http://localhost:5000 (start one with: mlflow server)`,
    );
  const url = URL.canParse(text) ? new URL(text) : undefined;
  if (url === undefined || !/^https?:$/.test(url.protocol))
    throw new ConfigError(
      "mlflow_uri",
      `MLFLOW_TRACKING_URI: must be the http or https address of an MLflow server, got ${url === undefined ? "text that is no address" : `an address with ${url.protocol}`}; start one with: mlflow server --backend-store-uri URI`,
    );
  const login = findLogin(environment, url);
  return {
    uri: `${url.origin}${url.pathname}`.replace(/\/+$/, ""),
    ...login,
    experimentName: filled(environment["MLFLOW_EXPERIMENT_NAME"]),
    experimentId: filled(environment["MLFLOW_EXPERIMENT_ID"]) ?? DEFAULT_EXPERIMENT,
    runId: filled(environment["MLFLOW_RUN_ID"]),
    timeoutMs: findTimeout(environment) * 1000,
  };
}

function filled(value: string | undefined): string | undefined {
  return value === undefined || value.trim() === "" ? undefined : value.trim();
}

/** Name and password go before the token, as in Python's mlflow; those inside the address are taken where none are set. */
function findLogin(environment: Environment, url: URL): Pick<MlflowSettings, "authorization" | "secrets"> {
  const user = filled(environment["MLFLOW_TRACKING_USERNAME"]) ?? filled(decodeURIComponent(url.username));
  const password = filled(environment["MLFLOW_TRACKING_PASSWORD"]) ?? filled(decodeURIComponent(url.password));
  const token = filled(environment["MLFLOW_TRACKING_TOKEN"]);
  if ((user === undefined) !== (password === undefined)) {
    const [set, missing] = user === undefined ? ["PASSWORD", "USERNAME"] : ["USERNAME", "PASSWORD"];
    throw new ConfigError(
      "mlflow_login",
      `MLflow login: a name and a password must come together, got only MLFLOW_TRACKING_${set}; set MLFLOW_TRACKING_${missing} too`,
    );
  }
  if (user !== undefined && password !== undefined) {
    const both = Buffer.from(`${user}:${password}`).toString("base64");
    return { authorization: `Basic ${both}`, secrets: [password, both] };
  }
  if (token === undefined) return { authorization: undefined, secrets: [] };
  if (!/^[\x21-\x7e]+$/.test(token))
    throw new ConfigError("mlflow_login", "MLFLOW_TRACKING_TOKEN: must be one word, got something else (not shown); copy it again");
  return { authorization: `Bearer ${token}`, secrets: [token] };
}

function findTimeout(environment: Environment): number {
  const text = filled(environment["MLFLOW_HTTP_REQUEST_TIMEOUT"]);
  if (text === undefined) return DEFAULT_TIMEOUT_S;
  const seconds = Number(text);
  if (seconds > 0 && Number.isFinite(seconds)) return seconds;
  throw new ConfigError(
    "mlflow_timeout",
    `MLFLOW_HTTP_REQUEST_TIMEOUT: must be seconds > 0, got "${text}"; unset it for ${DEFAULT_TIMEOUT_S}`,
  );
}
