/**
 * An app is data: what it is called, what goes in, what comes out, and named functions. Two front ends are made from that description, a page that
 * `launch()` serves and widgets in a notebook cell, and neither knows more of the app than the description says.
 */
import type { JsonValue, OptionInput } from "../config/index.js";
import { showInCell } from "./cell/showInCell.js";
import type { ChatEngine } from "./chat.js";
import type { NamedComponent } from "./component.js";
import type { Endpoint } from "./endpoint.js";
import { JobQueue } from "./jobs.js";
import { LAUNCH_OPTIONS, QUEUE_OPTIONS } from "./queueOptions.js";
import { AppServer } from "./server/server.js";

/** All that a front end needs. */
export interface AppDescription {
  kind: "interface" | "chat";
  title: string;
  description: string;
  /** Name of the endpoint behind the main button. */
  call: string;
  /** Of a chat: the message, the messages before it, then the settings. */
  inputs: readonly NamedComponent[];
  /** Of a chat: one answer for each model. */
  outputs: readonly NamedComponent[];
  /** Each a value for every input from the first on; of a chat, messages. */
  examples: readonly (readonly JsonValue[])[];
  /** Name of the endpoint that takes likes and dislikes, or null. */
  vote: string | null;
}

export type QueueInput = OptionInput<typeof QUEUE_OPTIONS.entries>;
export type LaunchOptions = OptionInput<typeof LAUNCH_OPTIONS.entries>;

export interface AppOptions extends QueueInput {
  title?: string;
  description?: string;
}

const displaySymbol: unique symbol = Symbol.for("Jupyter.display") as never;

export abstract class App {
  readonly title: string;
  readonly description: string;
  readonly queue: JobQueue;

  /** @throws ConfigError for queue options that are unknown or out of range */
  protected constructor(where: string, { title, description = "" }: AppOptions, queue: QueueInput, concurrency: number) {
    const { concurrency_limit, max_size, time_limit } = QUEUE_OPTIONS.resolve(queue, { where });
    this.title = title ?? where;
    this.description = description;
    this.queue = new JobQueue({ concurrency_limit: concurrency_limit ?? concurrency, max_size, time_limit });
  }

  abstract readonly endpoints: readonly Endpoint[];
  abstract describe(): AppDescription;

  /** What answers OpenAI's chat requests; undefined for an app that is no chat. */
  get chat(): ChatEngine | undefined {
    return undefined;
  }

  /** What can go wrong before the first call goes wrong here. */
  async prepare(): Promise<void> {}

  /**
   * Serves the app over HTTP: a page, Gradio's protocol, and for chats OpenAI's.
   * @throws ConfigError `option_…`, `app_address` when the port is taken
   */
  async launch(options: LaunchOptions = {}): Promise<AppServer> {
    await this.prepare();
    return AppServer.start(this, LAUNCH_OPTIONS.resolve(options, { where: "launch" }));
  }

  /** In a notebook: the app as widgets in the cell. */
  async [displaySymbol](): Promise<Record<string, unknown>> {
    await this.prepare();
    return showInCell(this);
  }
}
