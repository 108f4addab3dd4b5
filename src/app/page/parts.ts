/** JavaScript of the page, first part: elements, calls over HTTP, inputs and outputs. It runs in the browser as it stands here. */
export const PARTS_SCRIPT = String.raw`
const app = JSON.parse(document.getElementById("app").textContent);
const API = "/gradio_api/";
const statusLine = document.getElementById("status");
const problemLine = document.getElementById("problem");

/** An element with attributes, listeners (functions) and children. */
function el(name, attributes = {}, ...children) {
  const made = document.createElement(name);
  for (const [key, value] of Object.entries(attributes)) {
    if (typeof value === "function") made.addEventListener(key, value);
    else if (value === true) made.setAttribute(key, "");
    else if (value !== undefined && value !== null && value !== false) made.setAttribute(key, value);
  }
  made.append(...children);
  return made;
}

function say(text) { if (statusLine.textContent !== text) statusLine.textContent = text; }
function complain(error) { problemLine.textContent = error === "" ? "" : error.message; }

async function post(path, body) {
  let response;
  try {
    response = await fetch(API + path, body instanceof FormData ? { method: "POST", body } : { method: "POST", headers: { "content-type": "application/json" }, body: JSON.stringify(body) });
  } catch {
    throw new Error("The app cannot be reached. Is it still running?");
  }
  if (response.status === 401) location.reload();
  const answer = await response.json().catch(() => ({}));
  if (!response.ok) throw new Error(answer.detail ?? answer.error ?? "The app answered with " + response.status);
  return answer;
}

/** Runs an endpoint; onOutput gets all outputs again and again as they grow. */
function call(name, data, onOutput) {
  let id;
  let stopped = false;
  const stop = () => {
    stopped = true;
    if (id !== undefined) post("cancel", { event_id: id }).catch(complain);
  };
  const run = async () => {
    ({ event_id: id } = await post("call/" + name, { data }));
    if (stopped) stop();
    await new Promise((resolve, reject) => {
      const source = new EventSource(API + "call/" + name + "/" + id);
      const on = (type, then) => source.addEventListener(type, (event) => then(event.data === undefined ? undefined : JSON.parse(event.data)));
      on("pending", ({ rank }) => say(rank === 0 ? "Waiting: you are next" : "Waiting: " + rank + " before you"));
      on("started", () => say("Working…"));
      on("generating", onOutput);
      on("complete", (outputs) => {
        source.close();
        onOutput(outputs);
        resolve();
      });
      on("error", (message) => {
        source.close();
        reject(new Error(message ?? "The connection to the app was lost."));
      });
    });
    return { stopped };
  };
  return { stop, done: run() };
}

/**
 * Calls, one at a time, during which Stop stands in the place of the button that began them. The focus goes along, and to "back" at the end.
 * What "run" is given begins a call; what was wrong with it has been told when "run" is over.
 */
function stoppable(button, stop, back) {
  let running = null;
  const run = async (begin) => {
    complain("");
    say("Working…");
    const hadFocus = document.activeElement === button || document.activeElement === document.body;
    try {
      running = begin();
      button.hidden = true;
      stop.hidden = false;
      if (hadFocus) stop.focus();
      const { stopped } = await running.done;
      say(stopped ? "Stopped" : "Done");
    } catch (error) {
      complain(error);
      say("");
    }
    const wasOnStop = document.activeElement === stop;
    running = null;
    button.hidden = false;
    stop.hidden = true;
    if (wasOnStop) back.focus();
  };
  return { run, runs: () => running !== null, stop: () => running?.stop() };
}

let count = 0;

/** An input as { element, get, set }. */
function inputOf(component) {
  const id = "input-" + count++;
  const info = component.info ? el("small", { id: id + "-info" }, component.info) : "";
  const about = { id, name: component.name, "aria-describedby": component.info ? id + "-info" : undefined };
  const label = (...more) => el("div", { class: "top" }, el("label", { for: id, dir: "auto" }, component.label), ...more);
  const field = (control, ...more) => el("div", { class: "field" }, label(...more), control, info);
  const text = (control, read, write = (value) => value ?? "") => ({ element: field(control), control, get: () => read(control.value), set: (value) => { control.value = write(value); } });
  let made;
  switch (component.type) {
    case "number":
      made = text(el("input", { ...about, type: "number", min: component.minimum, max: component.maximum, step: component.step ?? "any", inputmode: "decimal" }), (value) => (value === "" ? null : Number(value)));
      break;
    case "slider": {
      const shown = el("output", { for: id });
      const step = component.step ?? (component.maximum - component.minimum) / 100;
      const control = el("input", { ...about, type: "range", min: component.minimum, max: component.maximum, step, input: () => { shown.value = control.value; } });
      made = { element: field(control, shown), control, get: () => Number(control.value), set: (value) => { control.value = value ?? component.minimum; shown.value = control.value; } };
      break;
    }
    case "checkbox": {
      const control = el("input", { ...about, type: "checkbox" });
      made = { element: el("div", { class: "field" }, el("div", { class: "row" }, control, el("label", { for: id, dir: "auto" }, component.label)), info), control, get: () => control.checked, set: (value) => { control.checked = value === true; } };
      break;
    }
    case "dropdown":
      made = text(el("select", about, ...component.choices.map((choice) => el("option", { value: choice }, choice))), (value) => value, (value) => value ?? component.choices[0]);
      break;
    case "radio": {
      const buttons = component.choices.map((choice, i) => el("input", { type: "radio", name: id, id: id + "-" + i, value: choice }));
      const rows = buttons.map((button, i) => el("div", { class: "row" }, button, el("label", { for: button.id, dir: "auto" }, component.choices[i])));
      made = { element: el("fieldset", { class: "field" }, el("legend", { dir: "auto" }, component.label), ...rows, info), control: buttons[0], get: () => buttons.find(({ checked }) => checked)?.value ?? null, set: (value) => { for (const button of buttons) button.checked = button.value === (value ?? component.choices[0]); } };
      break;
    }
    case "file": {
      let file = null;
      const control = el("input", { ...about, type: "file", change: async () => {
        file = null;
        const chosen = control.files[0];
        if (chosen === undefined) return;
        const form = new FormData();
        form.append("files", chosen);
        try {
          say("Uploading…");
          const [path] = await post("upload", form);
          file = { path, orig_name: chosen.name, size: chosen.size, meta: { _type: "gradio.FileData" } };
          say("Uploaded");
        } catch (error) {
          control.value = "";
          complain(error);
        }
      } });
      made = { element: field(control), control, get: () => file, set: () => { file = null; control.value = ""; } };
      break;
    }
    case "json":
      made = text(el("textarea", { ...about, rows: 4, spellcheck: "false" }), (value) => (value.trim() === "" ? null : JSON.parse(value)), (value) => (value === undefined || value === null ? "" : JSON.stringify(value, null, 2)));
      break;
    default:
      made = text(
        (component.lines ?? 1) > 1
          ? el("textarea", { ...about, rows: component.lines, placeholder: component.placeholder, dir: "auto" })
          : el("input", { ...about, type: "text", placeholder: component.placeholder, dir: "auto", autocomplete: "off" }),
        (value) => value,
      );
  }
  made.set(component.value);
  return made;
}

/** An output as { element, set }. */
function outputOf(component) {
  const id = "output-" + count++;
  const title = el("div", { class: "top" }, el("span", { id, dir: "auto" }, component.label));
  const shown = el(component.type === "json" ? "pre" : "div", { class: "shown", role: "group", "aria-labelledby": id, tabindex: component.type === "json" ? "0" : undefined, dir: component.type === "json" ? "ltr" : "auto" });
  const set = (value) => {
    if (component.type === "label" && value !== null && typeof value === "object") {
      const rows = Object.entries(value).sort(([, a], [, b]) => b - a);
      shown.replaceChildren(...rows.map(([name, share]) => el("div", { class: "bar" }, el("span", { dir: "auto" }, name), el("span", {}, (100 * share).toFixed(1) + " %"), el("meter", { min: 0, max: 1, value: share, "aria-label": name }))));
    } else if (value === null || value === undefined) shown.textContent = "";
    else if (component.type === "json") shown.textContent = JSON.stringify(value, null, 2);
    else if (component.type === "checkbox") shown.textContent = value ? "yes" : "no";
    else shown.textContent = String(value);
  };
  return { element: el("div", { class: "field" }, title, shown), set };
}

/** The button that changes between light, dark and what the system says. */
function setUpTheme() {
  const button = document.getElementById("theme");
  const themes = ["auto", "light", "dark"];
  let theme = "auto";
  const show = () => {
    document.documentElement.dataset.theme = theme;
    button.textContent = "Theme: " + theme;
  };
  try { theme = themes.find((each) => each === localStorage.getItem("preflab-theme")) ?? "auto"; } catch { /* a frame without storage */ }
  button.addEventListener("click", () => {
    theme = themes[(themes.indexOf(theme) + 1) % themes.length];
    try { localStorage.setItem("preflab-theme", theme); } catch { /* as above */ }
    show();
  });
  show();
}
`;
