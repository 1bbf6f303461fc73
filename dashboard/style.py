"""CSS rules for what the theme cannot express. They contain no untrusted text."""

from __future__ import annotations

from tocsin.dashboard.tones import TONES

_TONES = "\n".join(
    f'[class*="st-key-tone-{tone.key}-"] {{ border-left: 4px solid {tone.hex} !important; }}'
    for tone in TONES.values()
)

STYLE = f"""<style>
.block-container, [data-testid="stMainBlockContainer"] {{
  padding: 4.2rem 1.5rem 2rem; max-width: 1500px;
}}
{_TONES}
[class*="st-key-tone-"], [class*="st-key-panel-"] {{ background: light-dark(#fff, #171e27); }}
/* On the alerts page, a link to an alert must not look like the current page. */
[class*="st-key-row-"] [data-testid="stPageLink"] a,
[class*="st-key-note-"] [data-testid="stPageLink"] a {{
  background: none !important;
}}
[class*="st-key-row-"] [data-testid="stPageLink"] a *,
[class*="st-key-note-"] [data-testid="stPageLink"] a * {{ font-weight: 400; }}
/* The link of a card covers the whole card. */
[class*="st-key-tone-"] {{ position: relative; }}
[class*="st-key-tone-"]:hover {{ box-shadow: 0 2px 10px rgb(0 0 0 / 14%); }}
[class*="st-key-tone-"]:focus-within {{ outline: 2px solid currentcolor; outline-offset: 1px; }}
[class*="st-key-tone-"] [data-testid="stPageLink"] a::after {{
  content: ""; position: absolute; inset: 0; border-radius: inherit;
}}
[class*="st-key-tone-"] [data-testid="stElementContainer"]:has([data-testid="stPageLink"]),
[class*="st-key-tone-"] [data-testid="stPageLink"],
[class*="st-key-tone-"] [data-testid="stPageLink"] > div,
[class*="st-key-tone-"] [data-testid="stPageLink"] a {{ position: static; }}
[class*="st-key-tone-"] [data-testid="stPageLink"] a {{
  padding: 0; background: none !important; font-weight: 600; outline: none;
}}
[data-testid="stCaptionContainer"] p, [data-testid="stCaptionContainer"] {{
  color: light-dark(#56606d, #a9b4c2); opacity: 1;
}}
.tocsin-bar {{ display: flex; gap: 2px; width: 100%; height: 22px; }}
.tocsin-bar.small {{ height: 12px; margin-top: 2px; }}
.tocsin-bar i {{ flex: 1 1 0; min-width: 1px; border-radius: 2px; }}
.tocsin-up {{ background: #2b9a5b; }} .tocsin-degraded {{ background: #e08a1e; }}
.tocsin-down {{ background: #d3382f; }} .tocsin-unknown {{ background: #8b95a3; }}
.tocsin-none {{ background: rgb(128 128 128 / 22%); }}
.st-key-log-lines {{ border-radius: .5rem; background: rgb(128 128 128 / 8%); }}
.tocsin-logs {{
  font: 0.82rem/1.5 ui-monospace, SFMono-Regular, Menlo, Consolas, monospace;
  padding: .6rem .2rem; margin: 0;
}}
.tocsin-logs div {{
  padding: 0 .6rem; white-space: pre-wrap; overflow-wrap: anywhere; border-left: 3px solid #0000;
}}
.tocsin-logs time {{ opacity: .75; margin-right: .6rem; }}
.tocsin-logs b {{ font-weight: 700; margin-right: .5rem; }}
.tocsin-logs .error {{ border-color: #d3382f; background: rgb(211 56 47 / 13%); }}
.tocsin-logs .warn {{ border-color: #e08a1e; background: rgb(224 138 30 / 12%); }}
.tocsin-logs .debug {{ opacity: .8; }}
@media (max-width: 640px) {{
  [class*="st-key-cards-"] [data-testid="stGrid"] {{
    grid-template-columns: 1fr 1fr !important; gap: .6rem !important;
  }}
  [class*="st-key-cards-"] [class*="st-key-tone-"] {{ padding: .7rem; }}
  [class*="st-key-cards-"] [data-testid="stCaptionContainer"] p {{ font-size: .75rem; }}
  [class*="st-key-row-"] > div:nth-child(3):not(:last-child),
  [class*="st-key-note-"] > div:nth-child(3) {{ flex: 1 0 100% !important; }}
  [class*="st-key-up-"] {{ flex-wrap: wrap !important; row-gap: 2px !important; }}
  [class*="st-key-up-"] > div:has(.tocsin-bar) {{ order: 3; flex: 1 0 100% !important; }}
  [class*="st-key-up-"] > div:first-child {{ flex: 1 1 auto !important; }}
  .block-container, [data-testid="stMainBlockContainer"] {{ padding: 4rem .8rem 2rem; }}
}}
</style>"""
