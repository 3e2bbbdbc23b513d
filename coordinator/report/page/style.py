"""The page's one style sheet, inline, because the page loads nothing: light, dark, narrow and on paper.

A colour never says anything alone: each has its sign and its word beside it. Text on its ground keeps a
contrast of 4.5 : 1 or more (WCAG 2.2, 1.4.3), which tests/browser measures in both schemes.
"""

from __future__ import annotations

from typing import Final

STYLE: Final = """
:root {
  color-scheme: light dark;
  --ground: #ffffff; --text: #1c1f23; --quiet: #57606a; --line: #d3d8de; --raised: #f5f7f9;
  --works: #e2f4e7; --on-works: #11592b; --breaks: #fde8e8; --on-breaks: #9b1c1c;
  --unproven: #fdf1cf; --on-unproven: #664a00; --accent: #1f5fbf;
}
@media (prefers-color-scheme: dark) {
  :root {
    --ground: #14171a; --text: #e5e7ea; --quiet: #a3acb5; --line: #343b42; --raised: #1c2125;
    --works: #12351f; --on-works: #9be2b0; --breaks: #451a1c; --on-breaks: #ffb8b8;
    --unproven: #3a2f0f; --on-unproven: #f3d683; --accent: #8ab8ff;
  }
}
* { box-sizing: border-box; }
body {
  margin: 0 auto; max-width: 62rem; padding: 1.5rem 1rem 4rem; background: var(--ground); color: var(--text);
  font: 1rem/1.5 system-ui, sans-serif; overflow-wrap: anywhere;
}
h1 { font-size: 1.6rem; line-height: 1.25; margin: 0 0 .75rem; }
h2 { font-size: 1.25rem; margin: 2.5rem 0 .75rem; padding-top: .75rem; border-top: 1px solid var(--line); }
h3 { font-size: 1rem; margin: 1.5rem 0 .5rem; }
p, ul, dl { margin: .5rem 0; }
ul { padding-left: 1.25rem; }
li { margin: .35rem 0; }
code, pre, svg text { font-family: ui-monospace, "SFMono-Regular", Menlo, Consolas, monospace; }
code, pre { font-size: .85rem; }
pre { background: var(--raised); border: 1px solid var(--line); border-radius: 6px; padding: .6rem .75rem;
  margin: .5rem 0; white-space: pre-wrap; }
.quiet { color: var(--quiet); }
.verdict { padding: .75rem 1rem; border-radius: 8px; font-weight: 600; }
.works, .verdict.proven { background: var(--works); color: var(--on-works); }
.breaks, .verdict.broken { background: var(--breaks); color: var(--on-breaks); }
.unproven { background: var(--unproven); color: var(--on-unproven); }
.breaks a { color: inherit; }
dl { display: grid; grid-template-columns: max-content 1fr; gap: .15rem 1rem; }
dt { color: var(--quiet); }
dd { margin: 0; }
.scroll { overflow-x: auto; margin: .75rem 0; }
.scroll:focus-visible, summary:focus-visible, a:focus-visible { outline: 2px solid var(--accent); }
table { border-collapse: collapse; overflow-wrap: normal; font-size: .925rem; }
caption { text-align: left; color: var(--quiet); padding-bottom: .35rem; }
th, td { border: 1px solid var(--line); padding: .35rem .6rem; text-align: left; vertical-align: top; }
thead th { background: var(--raised); font-weight: 600; }
tbody th { font-weight: 600; white-space: nowrap; }
td.mark { white-space: nowrap; }
details { border: 1px solid var(--line); border-radius: 6px; margin: .5rem 0; padding: 0 .75rem; }
details[open] { padding-bottom: .5rem; }
summary { cursor: pointer; padding: .45rem 0; }
td details, td details[open] { border: 0; margin: 0; padding: 0; }
td summary { padding: 0; }
svg { display: block; }
.edge { fill: none; stroke: var(--quiet); stroke-width: 1.3; }
marker path { fill: var(--quiet); }
.step rect { fill: var(--raised); stroke: var(--quiet); }
.step text { fill: var(--text); font-size: 11px; text-anchor: middle; }
.step text.detail { fill: var(--quiet); }
.step.switch rect { fill: var(--works); stroke: var(--on-works); stroke-width: 2; }
.step.switch text, .step.switch text.detail { fill: var(--on-works); }
.step.approve rect { fill: var(--unproven); stroke: var(--on-unproven); stroke-dasharray: 5 3; }
.step.approve text, .step.approve text.detail { fill: var(--on-unproven); }
.step.no-return rect { fill: var(--breaks); stroke: var(--on-breaks); stroke-width: 2.5; }
.step.no-return text, .step.no-return text.detail { fill: var(--on-breaks); }
@media (max-width: 30rem) {
  body { padding-top: 1rem; }
  table { font-size: .8rem; }
  th, td { padding: .25rem .35rem; }
}
@media print {
  body { max-width: none; padding: 0; font-size: .8rem; }
  details::details-content { content-visibility: visible; block-size: auto; }
  h2, h3, summary { break-after: avoid; }
  tr, .step { break-inside: avoid; }
  .scroll { overflow: visible; }
  svg { max-width: 100%; height: auto; }
}
"""
