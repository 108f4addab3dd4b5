/** The pages as HTML. What is in them is built by the script from the description, which travels in the page. */
import { escapeHtml } from "../../text/escapeHtml.js";
import type { AppDescription } from "../app.js";

export function page(app: AppDescription): string {
  // Nothing in the data can end the script element.
  const data = JSON.stringify(app).replaceAll("<", "\\u003c");
  const body = `<header>
<div><h1 dir="auto">${escapeHtml(app.title)}</h1>${app.description === "" ? "" : `<p dir="auto">${escapeHtml(app.description)}</p>`}</div>
<div class="tools"><button type="button" id="theme">Theme: auto</button></div>
</header>
<main id="main"></main>
<p id="status" role="status"></p>
<p id="problem" role="alert"></p>
<noscript>This page needs JavaScript.</noscript>
<script type="application/json" id="app">${data}</script>
<script src="/assets/app.js"></script>`;
  return document(app.title, `app-${app.kind}`, body);
}

export function loginPage(title: string, wrong: boolean): string {
  const body = `<main class="login">
<h1 dir="auto">${escapeHtml(title === "" ? "Log in" : title)}</h1>
${wrong ? '<p role="alert" class="wrong">User or password is wrong.</p>' : ""}
<form method="post" action="/login">
<label>User <input name="username" autocomplete="username" required autofocus></label>
<label>Password <input name="password" type="password" autocomplete="current-password" required></label>
<button class="main">Log in</button>
</form>
</main>`;
  return document(title === "" ? "Log in" : title, "app-login", body);
}

function document(title: string, className: string, body: string): string {
  return `<!doctype html>
<html lang="en" data-theme="auto">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta name="color-scheme" content="light dark">
<title>${escapeHtml(title)}</title>
<link rel="stylesheet" href="/assets/app.css">
</head>
<body class="${className}">
${body}
</body>
</html>
`;
}

/** A served app inside a notebook. */
export function frameOf(title: string, url: string): string {
  const [name, address] = [escapeHtml(title), escapeHtml(url)];
  return `<iframe src="${address}" title="${name}" width="100%" height="640" style="border:1px solid #8886;border-radius:6px"></iframe><p><a href="${address}" target="_blank" rel="noopener">${name} in a tab of its own</a></p>`;
}
