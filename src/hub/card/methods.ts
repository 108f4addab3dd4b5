/** What a card says of a training method: its name, where it was published, and how to cite it. */
import type { CausalLM } from "../../model/index.js";
import type { Trainer } from "../../train/index.js";

interface Paper {
  readonly key: string;
  readonly title: string;
  readonly authors: string;
  readonly year: number;
  readonly arxiv: string;
}

interface Method {
  readonly name: string;
  readonly long: string;
  readonly paper?: Paper;
}

const METHODS: Readonly<Record<string, Method>> = {
  sft: { name: "SFT", long: "supervised fine-tuning" },
  dpo: {
    name: "DPO",
    long: "Direct Preference Optimization",
    paper: {
      key: "rafailov2023direct",
      title: "Direct Preference Optimization: Your Language Model is Secretly a Reward Model",
      authors: "Rafael Rafailov and Archit Sharma and Eric Mitchell and Stefano Ermon and Christopher D. Manning and Chelsea Finn",
      year: 2023,
      arxiv: "2305.18290",
    },
  },
  kto: {
    name: "KTO",
    long: "Kahneman-Tversky Optimization",
    paper: {
      key: "ethayarajh2024kto",
      title: "KTO: Model Alignment as Prospect Theoretic Optimization",
      authors: "Kawin Ethayarajh and Winnie Xu and Niklas Muennighoff and Dan Jurafsky and Douwe Kiela",
      year: 2024,
      arxiv: "2402.01306",
    },
  },
  cpo: {
    name: "CPO",
    long: "Contrastive Preference Optimization",
    paper: {
      key: "xu2024contrastive",
      title: "Contrastive Preference Optimization: Pushing the Boundaries of LLM Performance in Machine Translation",
      authors:
        "Haoran Xu and Amr Sharaf and Yunmo Chen and Weiting Tan and Lingfeng Shen and Benjamin Van Durme and Kenton Murray and Young Jin Kim",
      year: 2024,
      arxiv: "2401.08417",
    },
  },
  orpo: {
    name: "ORPO",
    long: "Odds Ratio Preference Optimization",
    paper: {
      key: "hong2024orpo",
      title: "ORPO: Monolithic Preference Optimization without Reference Model",
      authors: "Jiwoo Hong and Noah Lee and James Thorne",
      year: 2024,
      arxiv: "2403.07691",
    },
  },
};

const LORA: Paper = {
  key: "hu2021lora",
  title: "LoRA: Low-Rank Adaptation of Large Language Models",
  authors: "Edward J. Hu and Yelong Shen and Phillip Wallis and Zeyuan Allen-Zhu and Yuanzhi Li and Shean Wang and Lu Wang and Weizhu Chen",
  year: 2021,
  arxiv: "2106.09685",
};
const QLORA: Paper = {
  key: "dettmers2023qlora",
  title: "QLoRA: Efficient Finetuning of Quantized LLMs",
  authors: "Tim Dettmers and Artidoro Pagnoni and Ari Holtzman and Luke Zettlemoyer",
  year: 2023,
  arxiv: "2305.14314",
};

/** Papers of the losses that are not their method's own, by loss_type. */
const LOSS_PAPERS: Readonly<Record<string, string>> = {
  hinge: "2309.06657",
  ipo: "2310.12036",
  exo_pair: "2402.00856",
  nca_pair: "2402.05369",
  robust: "2403.00409",
  bco_pair: "2404.04656",
  sppo_hard: "2405.00675",
  aot: "2406.05882",
  aot_unpaired: "2406.05882",
  apo_zero: "2408.06266",
  apo_zero_unpaired: "2408.06266",
  apo_down: "2408.06266",
  discopop: "2406.08414",
  sigmoid_norm: "2411.15124",
  simpo: "2405.14734",
  alphapo: "2501.03884",
};

/** `Direct Preference Optimization ([DPO](…)) with loss ipo (arXiv…)`. */
export function describeMethod({ method, args }: Trainer): string {
  const { name, long, paper } = METHODS[method] ?? { name: method, long: method };
  const whole = paper === undefined ? `${long} (${name})` : `${long} ([${name}](https://huggingface.co/papers/${paper.arxiv}))`;
  const losses = [(args as unknown as { loss_type?: unknown }).loss_type ?? []].flat();
  if (losses.some((loss) => typeof loss === "function")) return `${whole} with a loss function of its author's own`;
  const links = losses.flatMap((loss) => {
    const arxiv = LOSS_PAPERS[String(loss)];
    return arxiv === undefined ? [] : [`[${String(loss)}](https://huggingface.co/papers/${arxiv})`];
  });
  return links.length === 0 ? whole : `${whole} with the loss ${links.join(" + ")}`;
}

/** BibTeX entries for what was used. */
export function citations(model: CausalLM, trainer: Trainer | undefined): string[] {
  const method = trainer === undefined ? undefined : METHODS[trainer.method];
  const cited: [string, Paper][] = [];
  if (method?.paper !== undefined) cited.push([method.name, method.paper]);
  if (model.peft_config !== undefined) cited.push(["LoRA", LORA]);
  if (model.base.quantization_config?.load_in_4bit === true) cited.push(["QLoRA", QLORA]);
  return cited.map(([name, paper]) => `Cite ${name} as:\n\n\`\`\`bibtex\n${bibtex(paper)}\n\`\`\``);
}

function bibtex({ key, title, authors, year, arxiv }: Paper): string {
  const fields = [
    ["title", `{${title}}`],
    ["author", authors],
    ["year", String(year)],
    ["eprint", arxiv],
    ["archivePrefix", "arXiv"],
    ["url", `https://arxiv.org/abs/${arxiv}`],
  ] as const;
  return `@misc{${key},\n${fields.map(([name, value]) => `  ${name.padEnd(13)} = {${value}}`).join(",\n")}\n}`;
}
