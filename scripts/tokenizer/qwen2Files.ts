import { defaultSystem } from "../corpus/conversation.js";
import type { BytePairs } from "./bytePairs.js";
import { qwen2Pattern } from "./bytePairs.js";

/** The special tokens, last in the vocabulary and in this order. */
export const specialTokens = ["<|endoftext|>", "<|im_start|>", "<|im_end|>"] as const;

/** ChatML as Qwen2 renders it: a default system message, every turn closed, and the opening of the answer on request. */
const chatTemplate = [
  "{%- if not messages or messages[0]['role'] != 'system' -%}",
  `    {{- '<|im_start|>system\\n${defaultSystem}<|im_end|>\\n' -}}`,
  "{%- endif -%}",
  "{%- for message in messages -%}",
  "    {{- '<|im_start|>' + message['role'] + '\\n' + message['content'] + '<|im_end|>\\n' -}}",
  "{%- endfor -%}",
  "{%- if add_generation_prompt -%}",
  "    {{- '<|im_start|>assistant\\n' -}}",
  "{%- endif -%}",
].join("\n");

/** Positions the tiny model is made for. */
const maxPositions = 1024;

/** The files of a tokenizer and the configuration of the tiny Qwen2 model around it, by file name. */
export function qwen2Files(pairs: BytePairs): Record<string, object> {
  const first = pairs.tokens.length;
  const added = specialTokens.map((content, i) => ({
    id: first + i,
    content,
    single_word: false,
    lstrip: false,
    rstrip: false,
    normalized: false,
    special: true,
  }));
  const [endOfText, , turnEnd] = added.map(({ id }) => id) as [number, number, number];
  return {
    "tokenizer.json": {
      version: "1.0",
      truncation: null,
      padding: null,
      added_tokens: added,
      normalizer: { type: "NFC" },
      pre_tokenizer: {
        type: "Sequence",
        pretokenizers: [
          { type: "Split", pattern: { Regex: qwen2Pattern }, behavior: "Isolated", invert: false },
          { type: "ByteLevel", add_prefix_space: false, trim_offsets: true, use_regex: false },
        ],
      },
      post_processor: { type: "ByteLevel", add_prefix_space: false, trim_offsets: false, use_regex: false },
      decoder: { type: "ByteLevel", add_prefix_space: true, trim_offsets: true, use_regex: true },
      model: {
        type: "BPE",
        dropout: null,
        unk_token: null,
        continuing_subword_prefix: "",
        end_of_word_suffix: "",
        fuse_unk: false,
        byte_fallback: false,
        ignore_merges: false,
        vocab: Object.fromEntries(pairs.tokens.map((token, id) => [token, id])),
        merges: pairs.merges,
      },
    },
    "tokenizer_config.json": {
      add_prefix_space: false,
      added_tokens_decoder: Object.fromEntries(added.map(({ id, ...token }) => [id, token])),
      additional_special_tokens: ["<|im_start|>", "<|im_end|>"],
      bos_token: null,
      chat_template: chatTemplate,
      clean_up_tokenization_spaces: false,
      eos_token: "<|im_end|>",
      errors: "replace",
      model_max_length: maxPositions,
      pad_token: "<|endoftext|>",
      split_special_tokens: false,
      tokenizer_class: "Qwen2Tokenizer",
      unk_token: null,
    },
    "config.json": {
      architectures: ["Qwen2ForCausalLM"],
      attention_dropout: 0,
      bos_token_id: endOfText,
      eos_token_id: turnEnd,
      hidden_act: "silu",
      hidden_size: 192,
      initializer_range: 0.02,
      intermediate_size: 512,
      max_position_embeddings: maxPositions,
      max_window_layers: 6,
      model_type: "qwen2",
      num_attention_heads: 6,
      num_hidden_layers: 6,
      num_key_value_heads: 2,
      pad_token_id: endOfText,
      rms_norm_eps: 1e-6,
      rope_theta: 1000000,
      sliding_window: null,
      tie_word_embeddings: true,
      torch_dtype: "float32",
      use_cache: true,
      use_sliding_window: false,
      vocab_size: Math.ceil((first + specialTokens.length) / 64) * 64,
    },
    "generation_config.json": { bos_token_id: endOfText, do_sample: false, eos_token_id: [turnEnd, endOfText], pad_token_id: endOfText },
  };
}
