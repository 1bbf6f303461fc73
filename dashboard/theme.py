"""The light and dark themes as Streamlit options; the reader's system selects one."""

from __future__ import annotations

from typing import Any

_BOTH = {
    "baseRadius": "0.6rem",
    "baseFontSize": 15,
    "showWidgetBorder": True,
    "font": "system-ui, -apple-system, 'Segoe UI', Roboto, 'Noto Sans', sans-serif",
    "headingFont": "system-ui, -apple-system, 'Segoe UI', Roboto, 'Noto Sans', sans-serif",
    "codeFont": "ui-monospace, SFMono-Regular, Menlo, Consolas, 'Liberation Mono', monospace",
    "headingFontSizes": ["1.7rem", "1.3rem", "1.1rem", "1rem", "0.95rem", "0.9rem"],
    "metricValueFontSize": "1.7rem",
    "metricValueFontWeight": 600,
    "linkUnderline": False,
}

_LIGHT = {
    "primaryColor": "#1f5fbf",
    "backgroundColor": "#f6f7f9",
    "secondaryBackgroundColor": "#ffffff",
    "textColor": "#1b2430",
    "borderColor": "#d9dee6",
    "linkColor": "#1f5fbf",
    "redTextColor": "#b3261e",
    "orangeTextColor": "#8a4a00",
    "greenTextColor": "#146c3a",
    "blueTextColor": "#1f5fbf",
    "grayTextColor": "#4d5866",
}

_DARK = {
    "primaryColor": "#6ea8fe",
    "backgroundColor": "#10151c",
    "secondaryBackgroundColor": "#1a212b",
    "textColor": "#e6eaf0",
    "borderColor": "#2f3947",
    "linkColor": "#8ab8ff",
    "redTextColor": "#ff9a93",
    "orangeTextColor": "#ffc27a",
    "greenTextColor": "#7ddba3",
    "blueTextColor": "#8ab8ff",
    "grayTextColor": "#a9b4c2",
}

THEME: dict[str, Any] = {
    **{f"theme.{name}": value for name, value in _BOTH.items()},
    **{f"theme.light.{name}": value for name, value in _LIGHT.items()},
    **{f"theme.dark.{name}": value for name, value in _DARK.items()},
}
"""Streamlit's options by name."""
