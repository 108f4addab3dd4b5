/** How to use a model, in TypeScript and in Python: a quick start and the three ways in which people ask a model. */

export interface UsageFacts {
  /** Repository of the model or the adapter. */
  readonly repo_id: string;
  /** Repository of the base model, for an adapter. */
  readonly base: string | undefined;
  /** Whether the tokenizer has a chat template. */
  readonly chat: boolean;
  /** Whether it learned from preferences. */
  readonly aligned: boolean;
  /** ISO 639 codes; the questions are asked in Arabic where it comes first, else in English. */
  readonly languages: readonly string[];
}

interface Questions {
  readonly plain: string;
  readonly aligned: string;
  readonly chat: string;
}

const ARABIC: Questions = {
  plain: "ما رأيك في أهمية التعليم؟",
  aligned: "كيف يمكنني تحسين مهاراتي في البرمجة؟",
  chat: "أحتاج نصيحة حول اختيار التخصص الجامعي",
};
const ENGLISH: Questions = {
  plain: "What do you think about the importance of education?",
  aligned: "How can I improve my programming skills?",
  chat: "I need advice on choosing what to study at university.",
};

export function usageSections(facts: UsageFacts): string[] {
  const questions = facts.languages[0] === "ar" ? ARABIC : ENGLISH;
  const aligned = facts.aligned ? "Preference-aligned generation" : "Sampling with a repetition penalty";
  return [
    "## Quick start",
    facts.chat
      ? both(startTypeScript(facts, questions), startPython(facts, questions))
      : both(plainTypeScript(facts, questions), plainPython(facts, questions)),
    "## Usage",
    loading(facts),
    "### Plain generation",
    both(
      generateTypeScript(JSON.stringify(questions.plain), { max_length: 150, do_sample: true, temperature: 0.7 }),
      generatePython(pythonText(questions.plain), { max_length: 150, do_sample: "True", temperature: 0.7 }),
    ),
    `### ${aligned}`,
    both(
      generateTypeScript(JSON.stringify(questions.aligned), {
        max_length: 200,
        do_sample: true,
        temperature: 0.8,
        top_p: 0.9,
        repetition_penalty: 1.1,
      }),
      generatePython(pythonText(questions.aligned), {
        max_length: 200,
        do_sample: "True",
        temperature: 0.8,
        top_p: 0.9,
        repetition_penalty: 1.1,
      }),
    ),
    ...(facts.chat ? ["### Chat", both(chatTypeScript(questions), chatPython(questions))] : []),
  ];
}

function both(typescript: readonly string[], python: readonly string[]): string {
  return `TypeScript, with Preflab:\n\n${fence("typescript", typescript)}\n\nPython:\n\n${fence("python", python)}`;
}

export function fence(language: string, lines: readonly string[]): string {
  return `\`\`\`${language}\n${lines.join("\n")}\n\`\`\``;
}

/** JSON's escapes are Python's, too. */
function pythonText(text: string): string {
  return JSON.stringify(text);
}

function loadTypeScript({ repo_id, base }: UsageFacts): string[] {
  if (base === undefined)
    return [
      'import { AutoModelForCausalLM, AutoTokenizer } from "preflab";',
      "",
      `const tokenizer = await AutoTokenizer.from_pretrained(${JSON.stringify(repo_id)});`,
      `const model = await AutoModelForCausalLM.from_pretrained(${JSON.stringify(repo_id)});`,
    ];
  return [
    'import { AutoModelForCausalLM, AutoTokenizer, PeftModel } from "preflab";',
    "",
    `const tokenizer = await AutoTokenizer.from_pretrained(${JSON.stringify(base)});`,
    `const base = await AutoModelForCausalLM.from_pretrained(${JSON.stringify(base)});`,
    `const model = await PeftModel.from_pretrained(base, ${JSON.stringify(repo_id)});`,
  ];
}

function loadPython({ repo_id, base }: UsageFacts): string[] {
  const source = pythonText(base ?? repo_id);
  return [
    ...(base === undefined ? [] : ["from peft import PeftModel"]),
    "from transformers import AutoModelForCausalLM, AutoTokenizer",
    "",
    `tokenizer = AutoTokenizer.from_pretrained(${source})`,
    `model = AutoModelForCausalLM.from_pretrained(${source})`,
    ...(base === undefined ? [] : [`model = PeftModel.from_pretrained(model, ${pythonText(repo_id)})`]),
  ];
}

function loading(facts: UsageFacts): string {
  return `The examples below go on from these lines.\n\n${both(loadTypeScript(facts), loadPython(facts))}`;
}

function startTypeScript(facts: UsageFacts, { chat }: Questions): string[] {
  return [
    ...loadTypeScript(facts),
    "",
    `const ids = tokenizer.apply_chat_template([{ role: "user", content: ${JSON.stringify(chat)} }], { add_generation_prompt: true });`,
    "const output = await model.generate(ids, { max_new_tokens: 128 });",
    "console.log(tokenizer.decode(output.slice(ids.length), { skip_special_tokens: true }));",
  ];
}

function startPython(facts: UsageFacts, { chat }: Questions): string[] {
  const conversation = `[{"role": "user", "content": ${pythonText(chat)}}]`;
  const ask = [`output = generator(${conversation}, max_new_tokens=128, return_full_text=False)[0]`, 'print(output["generated_text"])'];
  if (facts.base === undefined)
    return ["from transformers import pipeline", "", `generator = pipeline("text-generation", model=${pythonText(facts.repo_id)})`, ...ask];
  const [peft, , ...rest] = loadPython(facts);
  return [
    peft!,
    "from transformers import AutoModelForCausalLM, AutoTokenizer, pipeline",
    ...rest,
    'generator = pipeline("text-generation", model=model, tokenizer=tokenizer)',
    ...ask,
  ];
}

function plainTypeScript(facts: UsageFacts, { plain }: Questions): string[] {
  return [...loadTypeScript(facts), "", ...generateTypeScript(JSON.stringify(plain), { max_new_tokens: 128 })];
}

function plainPython(facts: UsageFacts, { plain }: Questions): string[] {
  return [...loadPython(facts), "", ...generatePython(pythonText(plain), { max_new_tokens: 128 })];
}

type Sampling = Readonly<Record<string, number | boolean | string>>;

function generateTypeScript(prompt: string, options: Sampling): string[] {
  const written = Object.entries(options).map(([name, value]) => `${name}: ${value}`);
  return [
    `const ids = tokenizer.encode(${prompt});`,
    `const output = await model.generate(ids, { ${written.join(", ")} });`,
    "console.log(tokenizer.decode(output, { skip_special_tokens: true }));",
  ];
}

function generatePython(prompt: string, options: Sampling): string[] {
  const written = Object.entries(options).map(([name, value]) => `${name}=${value}`);
  return [
    `inputs = tokenizer(${prompt}, return_tensors="pt")`,
    `output = model.generate(**inputs, ${written.join(", ")}, pad_token_id=tokenizer.eos_token_id)`,
    "print(tokenizer.decode(output[0], skip_special_tokens=True))",
  ];
}

function chatTypeScript({ chat }: Questions): string[] {
  return [
    `const messages = [{ role: "user", content: ${JSON.stringify(chat)} }];`,
    "const ids = tokenizer.apply_chat_template(messages, { add_generation_prompt: true });",
    "const output = await model.generate(ids, { max_new_tokens: 200, do_sample: true, temperature: 0.7, top_p: 0.9 });",
    "console.log(tokenizer.decode(output.slice(ids.length), { skip_special_tokens: true }));",
  ];
}

function chatPython({ chat }: Questions): string[] {
  return [
    `messages = [{"role": "user", "content": ${pythonText(chat)}}]`,
    'inputs = tokenizer.apply_chat_template(messages, add_generation_prompt=True, return_tensors="pt", return_dict=True)',
    "output = model.generate(**inputs, max_new_tokens=200, do_sample=True, temperature=0.7, top_p=0.9)",
    'print(tokenizer.decode(output[0, inputs["input_ids"].shape[1]:], skip_special_tokens=True))',
  ];
}
