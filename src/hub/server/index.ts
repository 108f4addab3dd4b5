export { HubServer, type HubServerOptions, type RequestRecord } from "./server.js";
export type { Account } from "./accounts.js";
export type { HubLimits } from "./limits.js";
export type { Fault } from "./faults.js";
