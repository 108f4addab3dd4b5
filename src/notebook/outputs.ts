/** Collects the kernel's messages into the outputs of cells, as a front end does. */
import type { MimeBundle } from "./mime.js";
import type { CodeCell, Output } from "./nbformat.js";
import type { Message } from "./wire.js";

export class OutputCollector {
  /** msg_id of an execute_request → its cell. Output may come after later cells have begun. */
  readonly #cells = new Map<string, CodeCell>();
  readonly #clearNext = new Set<CodeCell>();
  /** display_id → every place that shows it. */
  readonly #displays = new Map<string, Extract<Output, { output_type: "display_data" | "execute_result" }>[]>();

  begin(msg_id: string, cell: CodeCell): void {
    this.#cells.set(msg_id, cell);
    cell.outputs = [];
    cell.execution_count = null;
  }

  /** Takes one iopub message. @returns the cell it changed, or undefined */
  take(message: Message): CodeCell | undefined {
    const cell = this.#cells.get(message.parent_header.msg_id ?? "");
    const { content } = message;
    switch (message.header.msg_type) {
      case "execute_input":
        if (cell !== undefined) cell.execution_count = content.execution_count as number;
        return cell;
      case "stream":
        this.#append(cell, { output_type: "stream", name: content.name as "stdout" | "stderr", text: String(content.text) });
        return cell;
      case "display_data":
        this.#remember(
          content,
          this.#append(cell, {
            output_type: "display_data",
            data: content.data as MimeBundle,
            metadata: (content.metadata ?? {}) as Record<string, unknown>,
          }),
        );
        return cell;
      case "execute_result":
        this.#remember(
          content,
          this.#append(cell, {
            output_type: "execute_result",
            data: content.data as MimeBundle,
            metadata: (content.metadata ?? {}) as Record<string, unknown>,
            execution_count: content.execution_count as number,
          }),
        );
        return cell;
      case "update_display_data": {
        for (const shown of this.#displays.get(displayId(content) ?? "") ?? []) {
          shown.data = content.data as MimeBundle;
          shown.metadata = (content.metadata ?? {}) as Record<string, unknown>;
        }
        return cell;
      }
      case "clear_output":
        if (cell !== undefined && content.wait === true) this.#clearNext.add(cell);
        else if (cell !== undefined) cell.outputs = [];
        return cell;
      case "error":
        this.#append(cell, {
          output_type: "error",
          ename: String(content.ename),
          evalue: String(content.evalue),
          traceback: content.traceback as string[],
        });
        return cell;
      default:
        return undefined;
    }
  }

  #append(cell: CodeCell | undefined, output: Output): Output {
    if (cell === undefined) return output;
    if (this.#clearNext.delete(cell)) cell.outputs = [];
    const last = cell.outputs.at(-1);
    if (output.output_type === "stream" && last?.output_type === "stream" && last.name === output.name) last.text += output.text;
    else cell.outputs.push(output);
    return output;
  }

  #remember(content: Message["content"], output: Output): void {
    const id = displayId(content);
    if (id === undefined || (output.output_type !== "display_data" && output.output_type !== "execute_result")) return;
    this.#displays.set(id, [...(this.#displays.get(id) ?? []), output]);
  }
}

function displayId(content: Message["content"]): string | undefined {
  const id = (content.transient as { display_id?: unknown } | undefined)?.display_id;
  return typeof id === "string" ? id : undefined;
}
