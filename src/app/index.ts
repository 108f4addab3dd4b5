/** Apps: a function or a model with a page, a cell and an HTTP API, from one description. */
export { App, type AppDescription, type AppOptions, type LaunchOptions } from "./app.js";
export { ChatInterface, type ChatInterfaceOptions } from "./chatInterface.js";
export {
  hasComms,
  openComm,
  registerCommTarget,
  type Comm,
  type CommData,
  type CommExtras,
  type CommMessage,
  type CommTarget,
} from "./comms.js";
export type { Component, ComponentSpec, UploadedFile } from "./component.js";
export type { Answer, CallContext } from "./endpoint.js";
export { Interface, type InterfaceOptions } from "./interface.js";
export type { AppServer } from "./server/server.js";
