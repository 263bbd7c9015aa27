"""The style sheet of the evaluation page: light and dark, wide and narrow, no script and nothing from outside."""

STYLE = """
:root { color-scheme: light dark; --paper: #fbfbfa; --card: #ffffff; --ink: #1d2127; --soft: #5b6370; --line: #e1e4e8;
  --accent: #1f5f8b; --best: #e6f0f7; --extra: #fde7d3; --extra-ink: #8a3d00; --missed: #dcefe4;
  --missed-ink: #14573a; --error: #b3261e; --warning: #a86200; }
@media (prefers-color-scheme: dark) { :root { --paper: #14171b; --card: #1b1f25; --ink: #e5e8ec; --soft: #a0a8b4;
  --line: #313841; --accent: #7fb8e0; --best: #1d3446; --extra: #4a2c12; --extra-ink: #ffc795; --missed: #173828;
  --missed-ink: #a5e0c1; --error: #ff8a80; --warning: #ffc46b; } }
* { box-sizing: border-box; }
body { margin: 0; background: var(--paper); color: var(--ink); line-height: 1.55;
  font: 16px/1.55 system-ui, -apple-system, "Segoe UI", Roboto, "Helvetica Neue", Arial, sans-serif; }
main { max-width: 68rem; margin: 0 auto; padding: 2.5rem 1.25rem 4rem; }
header { border-bottom: 1px solid var(--line); margin-bottom: 2rem; padding-bottom: 1rem; }
h1 { font-size: 1.75rem; line-height: 1.25; margin: 0 0 .35rem; letter-spacing: -.01em; }
h2 { font-size: 1.2rem; margin: 2.75rem 0 .75rem; letter-spacing: -.005em; }
p { max-width: 46rem; margin: .5rem 0; }
.soft, figcaption, caption { color: var(--soft); font-size: .9rem; }
.scroll { overflow-x: auto; margin: 1.25rem 0; border: 1px solid var(--line); border-radius: .5rem;
  background: var(--card); }
table { border-collapse: collapse; width: 100%; font-variant-numeric: tabular-nums; font-size: .92rem; }
caption { text-align: left; padding: .8rem 1rem .5rem; caption-side: top; }
th, td { padding: .45rem 1rem; text-align: right; vertical-align: top; white-space: nowrap; }
th:first-child, td:first-child { text-align: left; white-space: normal; min-width: 9rem; }
thead th { color: var(--soft); font-weight: 600; border-bottom: 1px solid var(--line); }
tbody th { font-weight: 500; }
tbody + tbody { border-top: 2px solid var(--line); }
tr.group th { color: var(--soft); font-size: .78rem; font-weight: 600; letter-spacing: .04em; padding: .6rem 1rem .1rem; }
tr.baseline th, tr.baseline td { color: var(--soft); }
td.best { background: var(--best); color: var(--ink); font-weight: 650; }
td small { display: block; color: var(--soft); font-weight: 400; font-size: .78rem; }
figure { margin: 1.25rem 0; }
figure.plot img { display: block; width: 100%; max-width: 46rem; height: auto; background: #fff; padding: .75rem;
  border: 1px solid var(--line); border-radius: .5rem; }
figcaption { margin-top: .4rem; max-width: 46rem; }
.samples { display: grid; grid-template-columns: repeat(auto-fill, minmax(min(30rem, 100%), 1fr)); gap: 1rem; }
.sample { display: flex; gap: 1rem; background: var(--card); border: 1px solid var(--line); border-radius: .5rem;
  padding: 1rem; min-width: 0; }
.sample .images { display: flex; flex-direction: column; gap: .5rem; flex: 0 0 9.5rem; }
.sample .images img { width: 100%; height: auto; border-radius: .25rem; background: #000; display: block; }
.sample figure { margin: 0; } .sample figcaption { font-size: .8rem; margin: .2rem 0 0; overflow-wrap: anywhere; }
.legend { list-style: none; display: flex; flex-wrap: wrap; gap: .2rem .8rem; margin: 0; padding: 0; font-size: .8rem; }
.legend span { display: inline-block; width: .7rem; height: .7rem; border-radius: .2rem; margin-right: .35rem; }
.large .sample { flex-direction: column; }
.large .sample .images { display: grid; grid-template-columns: repeat(auto-fit, minmax(8.5rem, 1fr)); align-items: start;
  width: 100%; max-width: 28rem; flex: none; }
.large .sample .images img { width: 100%; max-width: none; }
.large .sample dd { white-space: pre-line; }
.notices { list-style: none; margin: 1rem 0; padding: 0; border: 1px solid var(--line); border-radius: .5rem;
  background: var(--card); }
.notices li { display: flex; gap: .25rem 1rem; padding: .55rem 1rem; border-top: 1px solid var(--line); }
.notices li:first-child { border-top: 0; } .notices div { min-width: 0; overflow-wrap: anywhere; }
.notices b { flex: 0 0 4.2rem; font-size: .85rem; line-height: 1.8; color: var(--soft); }
.notices .error b { color: var(--error); } .notices .warning b { color: var(--warning); }
.notices small { display: block; color: var(--soft); }
.sample dl { margin: 0; min-width: 0; flex: 1; font-size: .92rem; overflow-wrap: anywhere; }
.sample dt { color: var(--soft); font-size: .8rem; font-weight: 600; }
.sample dd { margin: 0 0 .7rem; }
.extra { background: var(--extra); color: var(--extra-ink); border-radius: .2rem; padding: 0 .15em;
  border-bottom: 2px dotted currentColor; }
.missed { background: var(--missed); color: var(--missed-ink); border-radius: .2rem; padding: 0 .15em;
  border-bottom: 2px solid currentColor; }
details { margin: 1rem 0; } summary { cursor: pointer; color: var(--accent); font-weight: 600; }
@media (max-width: 34rem) { main { padding: 1.5rem .9rem 3rem; } h1 { font-size: 1.4rem; }
  .sample { flex-direction: column; } .sample .images { flex-direction: row; flex-basis: auto; }
  .sample .images img { width: auto; flex: 1; min-width: 0; max-width: 14rem; }
  .notices li { flex-direction: column; } .notices b { flex-basis: auto; } th, td { padding: .4rem .7rem; } }
@media print { body { background: #fff; } .sample, .scroll, figure { break-inside: avoid; } }
"""
