/** JavaScript of the page, second part: a conversation. */
export const CHAT_SCRIPT = String.raw`
function setUpChat(main) {
  const [message, , ...settings] = app.inputs;
  const names = app.outputs.map(({ label }) => label);
  const controls = settings.map((component) => ({ ...inputOf(component), name: component.name }));
  let turns = [];

  const hello = el("p", { class: "hello" }, names.length > 1 ? "Ask something. " + names.join(" and ") + " answer side by side" + (app.vote ? ", and you say which answer is better." : ".") : "Ask something.");
  const log = el("section", { id: "log", role: "log", "aria-label": "Conversation", tabindex: "0" }, hello);
  const box = el("textarea", { id: "message", rows: 2, dir: "auto", placeholder: message.placeholder, enterkeyhint: "send", maxlength: 20000 });
  const send = el("button", { class: "main", id: "send" }, "Send");
  const stop = el("button", { type: "button", id: "stop", hidden: true, click: () => answering.stop() }, "Stop");
  const answering = stoppable(send, stop, box);
  const fresh = el("button", { type: "button", id: "fresh", click: () => begin() }, "New chat");
  const form = el("form", { class: "send", submit: (event) => { event.preventDefault(); ask(box.value); } },
    el("label", { for: "message" }, message.label), box, el("div", { class: "row" }, send, stop));
  const examples = app.examples.length === 0 ? "" : el("div", { class: "examples", role: "group", "aria-label": "Examples" },
    el("span", {}, "Examples:"), ...app.examples.map(([text]) => el("button", { type: "button", dir: "auto", click: () => ask(text) }, text)));
  const more = controls.length === 0 ? "" : el("details", {}, el("summary", {}, "Settings"), el("div", { class: "settings" }, ...controls.map(({ element }) => element)));
  document.querySelector(".tools").prepend(fresh);
  main.append(log, examples, form, more);

  box.addEventListener("keydown", (event) => {
    if (event.key !== "Enter" || event.shiftKey || event.isComposing) return;
    event.preventDefault();
    ask(box.value);
  });
  document.addEventListener("keydown", (event) => { if (event.key === "Escape") answering.stop(); });

  function begin() {
    answering.stop();
    turns = [];
    log.replaceChildren(hello);
    complain("");
    say("");
    box.focus();
  }

  /** What was said before a turn: of several answers the one that was liked, else the first. */
  function historyBefore(turn) {
    return turns.slice(0, turns.indexOf(turn)).flatMap(({ question, answers, liked }) => [
      { role: "user", content: question },
      { role: "assistant", content: answers[liked ?? 0].text },
    ]);
  }

  function ask(text) {
    if (text.trim() === "" || answering.runs()) return;
    box.value = "";
    const answers = names.map((name) => ({ name, text: "" }));
    const turn = { question: text, answers, liked: null, again: 0 };
    hello.remove();
    turn.element = el("article", { class: "turn" }, el("p", { class: "mine", dir: "auto" }, text), el("div", { class: "answers" }, ...answers.map((answer, i) => drawAnswer(turn, answer, i))));
    log.append(turn.element);
    turns.push(turn);
    void answerTurn(turn);
  }

  function drawAnswer(turn, answer, i) {
    answer.shown = el("p", { class: "text", dir: "auto" });
    answer.marks = el("div", { class: "marks", hidden: true });
    const which = names.length > 1 ? " (" + answer.name + ")" : "";
    if (app.vote) {
      const vote = (symbol, label, liked) => el("button", { type: "button", "aria-label": label + which, title: label, "aria-pressed": "false", click: (event) => castVote(turn, i, liked, event.currentTarget) }, symbol);
      answer.marks.append(vote("Good", "Good answer", true), vote("Bad", "Bad answer", false));
    }
    if (i === 0) answer.marks.append(el("button", { type: "button", class: "again", click: () => again(turn) }, "Again"));
    answer.element = el("div", { class: "answer" }, names.length > 1 ? el("h3", {}, answer.name) : "", answer.shown, answer.marks);
    return answer.element;
  }

  function again(turn) {
    if (answering.runs()) return;
    turn.again++;
    turn.liked = null;
    for (const { marks } of turn.answers) for (const button of marks.children) if (button.hasAttribute("aria-pressed")) button.setAttribute("aria-pressed", "false");
    void answerTurn(turn);
  }

  async function answerTurn(turn) {
    const near = () => log.scrollHeight - log.scrollTop - log.clientHeight < 80;
    const toEnd = () => { log.scrollTop = log.scrollHeight; };
    for (const answer of turn.answers) {
      answer.text = "";
      answer.shown.textContent = "";
      answer.marks.hidden = true;
      answer.element.setAttribute("aria-busy", "true");
    }
    toEnd();
    const show = (outputs) => {
      const stay = near();
      outputs.forEach((text, i) => {
        turn.answers[i].text = text ?? "";
        turn.answers[i].shown.textContent = text ?? "";
      });
      if (stay) toEnd();
    };
    const chosen = () => controls.map(({ name, get }) => (name === "seed" ? get() + turn.again : get()));
    await answering.run(() => call(app.call, [turn.question, historyBefore(turn), ...chosen()], show));
    for (const answer of turn.answers) {
      answer.element.removeAttribute("aria-busy");
      answer.marks.hidden = answer.text === "" && turn.answers.every(({ text }) => text === "");
    }
    for (const each of turns) each.element.querySelector(".again").hidden = each !== turn;
    toEnd();
  }

  async function castVote(turn, i, liked, button) {
    const others = turn.answers.filter((_, at) => at !== i);
    const other = others.length === 0 ? null : others[0].text;
    const prompt = [...historyBefore(turn), { role: "user", content: turn.question }];
    const all = (other === null ? turn.answers.slice(i, i + 1) : turn.answers).flatMap(({ marks }) => [...marks.querySelectorAll("[aria-pressed]")]);
    try {
      complain("");
      let result;
      const { done } = call(app.vote, [prompt, turn.answers[i].text, liked, other], ([value]) => { result = value; });
      await done;
      for (const each of all) each.setAttribute("aria-pressed", String(each === button));
      if (other !== null) turn.liked = liked ? i : 1 - i;
      say(result.note);
    } catch (error) {
      complain(error);
    }
  }
  box.focus();
}
`;
