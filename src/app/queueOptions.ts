import { defineOptions } from "../config/index.js";

/** How many may ask at once, and for how long; names are Gradio's. */
export const QUEUE_OPTIONS = defineOptions("Queue", {
  concurrency_limit: {
    type: "integer",
    default: null,
    nullable: true,
    min: 1,
    max: 64,
    unit: "calls",
    help: "Calls that run at the same time; null for 4 with a model, whose answers then grow in turns, and 1 with a function",
  },
  max_size: { type: "integer", default: 64, min: 1, max: 10_000, unit: "calls", help: "Calls that may wait; more are refused" },
  time_limit: { type: "number", default: 300, exclusiveMin: 0, max: 86_400, unit: "s", help: "A call that runs longer is ended" },
});

/** Where the app is served and for whom; names are those of Gradio's `launch`. */
export const LAUNCH_OPTIONS = defineOptions("Server", {
  server_name: { type: "string", default: "127.0.0.1", help: "Address to listen on; 127.0.0.1 is this machine only" },
  server_port: {
    type: "integer",
    default: null,
    nullable: true,
    min: 0,
    max: 65535,
    help: "Port to listen on; null for 7860 or the next that is free, up to 7959; 0 for any",
  },
  share: {
    type: "boolean",
    default: false,
    help: "Listen in every network this machine is in, in plain HTTP; --auth asks who comes",
    differs: "Gradio makes a public tunnel; here nothing leaves the local network",
  },
  auth: {
    type: "pair",
    default: [],
    help: "A user and a password; repeat for more. Programs send the password as a bearer token or as HTTP Basic",
  },
  max_file_size: { type: "number", default: 20, exclusiveMin: 0, max: 10_000, unit: "MB", help: "Largest upload" },
  requests_per_minute: {
    type: "integer",
    default: 600,
    nullable: true,
    min: 1,
    help: "Most requests from one address; null for any number",
  },
  quiet: { type: "boolean", default: false, help: "Do not print the address" },
});
