/** Style of the served pages: light and dark, wide and narrow, left-to-right and right-to-left. */
export const PAGE_STYLE = `
:root { color-scheme: light; --ink: #1b1f24; --faint: #57606a; --paper: #ffffff; --soft: #f3f5f8; --line: #c9d0d8; --main: #0a58ca; --onmain: #ffffff; --mine: #dbe9ff; --bad: #b3261e; --focus: #0a58ca; }
@media (prefers-color-scheme: dark) { :root[data-theme="auto"] { color-scheme: dark; --ink: #e7eaee; --faint: #a3adb8; --paper: #14171a; --soft: #1e2328; --line: #414a54; --main: #8ab8ff; --onmain: #0b1a30; --mine: #1f3658; --bad: #ff9a91; --focus: #a9ccff; } }
:root[data-theme="dark"] { color-scheme: dark; --ink: #e7eaee; --faint: #a3adb8; --paper: #14171a; --soft: #1e2328; --line: #414a54; --main: #8ab8ff; --onmain: #0b1a30; --mine: #1f3658; --bad: #ff9a91; --focus: #a9ccff; }
* { box-sizing: border-box; }
[hidden] { display: none !important; }
html { height: 100%; }
body { margin: 0 auto; padding: 0 1rem; max-width: 68rem; min-height: 100%; display: flex; flex-direction: column; background: var(--paper); color: var(--ink); font: 1rem/1.5 system-ui, "Segoe UI", "Noto Sans", "Noto Sans Arabic", sans-serif; }
header { display: flex; gap: 1rem; align-items: start; justify-content: space-between; padding: .8rem 0 .4rem; }
h1 { font-size: 1.3rem; line-height: 1.25; margin: 0; } h2 { font-size: 1rem; margin: 0 0 .5rem; }
header p { margin: .2rem 0 0; color: var(--faint); }
.tools { display: flex; gap: .4rem; flex-wrap: wrap; justify-content: end; }
button { font: inherit; color: inherit; background: var(--soft); border: 1px solid var(--line); border-radius: .5rem; padding: .45rem .8rem; min-height: 2.5rem; cursor: pointer; }
button:hover:not(:disabled) { border-color: var(--main); }
button:disabled { opacity: .55; cursor: default; }
button.main { background: var(--main); color: var(--onmain); border-color: var(--main); font-weight: 600; }
button[aria-pressed="true"] { background: var(--main); color: var(--onmain); }
:focus-visible { outline: 3px solid var(--focus); outline-offset: 2px; }
main { flex: 1; display: flex; flex-direction: column; gap: .8rem; min-height: 0; }
textarea, input:not([type="range"], [type="checkbox"], [type="radio"]), select { font: inherit; color: inherit; background: var(--paper); border: 1px solid var(--line); border-radius: .5rem; padding: .5rem .7rem; width: 100%; min-height: 2.5rem; }
textarea { resize: vertical; }
input[type="range"] { width: 100%; accent-color: var(--main); min-height: 2rem; }
input[type="checkbox"], input[type="radio"] { width: 1.2rem; height: 1.2rem; accent-color: var(--main); }
.field { display: grid; gap: .2rem; margin: 0 0 .8rem; border: 0; padding: 0; min-width: 0; }
.field > .top { display: flex; justify-content: space-between; gap: .5rem; font-weight: 600; }
.field output, .field legend { font-weight: 600; }
.field small { color: var(--faint); }
.row { display: flex; gap: .5rem; align-items: center; flex-wrap: wrap; }
details { border: 1px solid var(--line); border-radius: .5rem; padding: .3rem .8rem; }
summary { cursor: pointer; padding: .3rem 0; font-weight: 600; }
.settings { display: grid; grid-template-columns: repeat(auto-fit, minmax(14rem, 1fr)); gap: 0 1.5rem; padding-top: .5rem; }
#log { flex: 1; overflow-y: auto; min-height: 12rem; padding: .3rem; display: flex; flex-direction: column; gap: .8rem; }
.turn { display: grid; gap: .5rem; }
.mine { justify-self: end; max-width: 85%; background: var(--mine); border-radius: .8rem; padding: .5rem .8rem; white-space: pre-wrap; overflow-wrap: anywhere; margin: 0; }
.answers { display: grid; grid-template-columns: repeat(auto-fit, minmax(min(18rem, 100%), 1fr)); gap: .8rem; }
.answer { background: var(--soft); border: 1px solid var(--line); border-radius: .8rem; padding: .5rem .8rem; display: grid; gap: .3rem; align-content: start; }
.answer h3 { font-size: .85rem; margin: 0; color: var(--faint); }
.text { white-space: pre-wrap; overflow-wrap: anywhere; margin: 0; min-height: 1.5em; }
[aria-busy="true"] > .text::after { content: "▍"; color: var(--main); }
.marks { display: flex; gap: .4rem; flex-wrap: wrap; }
.marks button { min-height: 2.25rem; padding: .2rem .7rem; }
.hello { color: var(--faint); margin: auto 0; text-align: center; }
.send { display: grid; grid-template-columns: 1fr auto; gap: .5rem; align-items: end; }
.send label { grid-column: 1 / -1; font-weight: 600; }
.examples { display: flex; gap: .4rem; flex-wrap: wrap; align-items: center; }
.examples button { text-align: start; }
.panels { display: grid; grid-template-columns: repeat(auto-fit, minmax(min(20rem, 100%), 1fr)); gap: 1rem; align-items: start; }
.panel { background: var(--soft); border: 1px solid var(--line); border-radius: .8rem; padding: 1rem; min-width: 0; }
.shown { background: var(--paper); border: 1px solid var(--line); border-radius: .5rem; padding: .5rem .7rem; min-height: 2.5rem; white-space: pre-wrap; overflow-wrap: anywhere; margin: 0; font: inherit; }
pre.shown { font: .9rem/1.45 ui-monospace, "DejaVu Sans Mono", monospace; max-height: 24rem; overflow: auto; }
.bar { display: grid; grid-template-columns: 1fr auto; gap: 0 .6rem; } .bar meter { grid-column: 1 / -1; width: 100%; height: 1rem; }
#status { color: var(--faint); min-height: 1.5rem; margin: .4rem 0 .2rem; } #problem { color: var(--bad); font-weight: 600; margin: 0 0 .6rem; overflow-wrap: anywhere; }
#problem:empty { display: none; }
.login { max-width: 22rem; margin: 12vh auto 0; width: 100%; flex: none; } .login form { display: grid; gap: .8rem; } .wrong { color: var(--bad); font-weight: 600; }
.app-chat main { padding-top: .3rem; }
@media (min-height: 36rem) { .app-chat { height: 100dvh; } }
@media (max-width: 40rem) { body { padding: 0 .7rem; } h1 { font-size: 1.1rem; } .mine { max-width: 95%; } .hello { margin: .5rem 0; } }
@media (prefers-reduced-motion: no-preference) { [aria-busy="true"] > .text::after { animation: blink 1s steps(2) infinite; } @keyframes blink { 50% { opacity: 0; } } }
`;
