import { escapeHtml } from "../text/escapeHtml.js";
import { PAGE_STYLE } from "./pageStyle.js";

/** A whole page that needs no other file and no network. @param main HTML of its content @param after HTML behind it, e.g. scripts @param head HTML for its head */
export function htmlDocument(title: string, main: string, after?: string, head = ""): string {
  return `<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">${head}
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>${escapeHtml(title)}</title>
<style>${PAGE_STYLE}</style>
</head>
<body>
<main>
${main}
</main>${after === undefined ? "" : `\n${after}`}
</body>
</html>
`;
}
