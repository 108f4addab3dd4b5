/** Style of rendered notebooks, for light and dark screens and for paper. */
export const PAGE_STYLE = `
:root { color-scheme: light dark; --ink: #1c2024; --paper: #fff; --soft: #f5f6f8; --line: #d9dde2; --bad: #b3261e; --badsoft: #fdecea; }
@media (prefers-color-scheme: dark) { :root { --ink: #e6e8eb; --paper: #16181b; --soft: #1f2226; --line: #373c43; --bad: #ff8a80; --badsoft: #3a1f1d; } }
body { margin: 0; background: var(--paper); color: var(--ink); font: 16px/1.55 system-ui, sans-serif; }
main { max-width: 1100px; margin: 0 auto; padding: 1.5rem 1rem 4rem; }
section { margin: 0 0 1rem; }
.code { display: grid; grid-template-columns: 3.2rem minmax(0, 1fr); gap: .3rem; }
.count { color: #888; font: 12px/1.5 ui-monospace, monospace; text-align: right; padding: .7rem .3rem 0 0; }
pre { margin: 0; padding: .6rem .8rem; overflow-x: auto; font: 13px/1.5 ui-monospace, monospace; white-space: pre-wrap; overflow-wrap: anywhere; }
.source { background: var(--soft); border: 1px solid var(--line); border-radius: 4px; white-space: pre; overflow-wrap: normal; }
.injected .source { border-style: dashed; }
.stderr { background: var(--badsoft); }
.error { background: var(--badsoft); color: var(--bad); border-inline-start: 4px solid var(--bad); }
.output { padding: .4rem .8rem; overflow-x: auto; }
.output > pre { padding: 0; }
img, svg { max-width: 100%; }
table { border-collapse: collapse; font-size: 14px; margin: .4rem 0; }
th, td { border-bottom: 1px solid var(--line); padding: .25rem .6rem; text-align: start; }
.plot { min-height: 300px; background: #fff; }
.markdown { padding-inline-start: 3.5rem; }
.markdown code { background: var(--soft); padding: .1em .3em; border-radius: 3px; font-size: .9em; }
.markdown pre code { background: none; padding: 0; }
blockquote { margin-inline: 0; padding-inline-start: 1rem; border-inline-start: 4px solid var(--line); }
.hljs-keyword, .hljs-literal { color: #8250df; } .hljs-string, .hljs-template-variable { color: #116329; } .hljs-comment { color: #6e7781; font-style: italic; }
.hljs-number { color: #0550ae; } .hljs-title, .hljs-built_in { color: #953800; }
@media (prefers-color-scheme: dark) { .hljs-keyword, .hljs-literal { color: #d2a8ff; } .hljs-string { color: #a5d6a7; } .hljs-number { color: #79c0ff; } .hljs-title, .hljs-built_in { color: #ffa657; } }
@media print { .source { white-space: pre-wrap; } section { break-inside: avoid; } }
`;
