"""Templates that would take for ever, were they let."""

from __future__ import annotations

BIG = "9" * 300

LONG_TEXTS = (
    "{% set t = '" + "a" * 19_990 + "' %}{% set v = t[1:] ~ 'b' %}"
    "{% set a = [t, t, t, t, t, t, t, t] %}" + "{% set a = a + a %}" * 10
)
MANY = "{% set a = '" + "a " * 4_990 + "'.split() %}"

HOSTILE = (
    # Formats and texts of any width.
    '{{ "{:3000000000d}".format(1) }}', '{{ "%3000000000d" % 1 }}', '{{ "%s" % target }}',
    '{{ "{a:>3000000000}".format_map({"a": 1}) }}', '{{ target.center(3000000000) }}',
    "{{ target.ljust(3000000000) }}", "{{ target.zfill(3000000000) }}",
    '{{ "\t".expandtabs(3000000000) }}', "{{ target|center(3000000000) }}",
    "{{ target|indent(3000000000) }}", '{{ "%3000000000d"|format(1) }}',
    "{{ details|tojson(3000000000) }}", "{{ logs|batch(3000000000, 1)|list }}",
    "{{ target|wordwrap(1) }}", "{{ 1.5|round(3000000000) }}", "{{ 5|round(-3000000000) }}",
    '{{ 1.5|round(3000000000, "floor") }}', '{{ "a"|int(0, 3000000000) }}',
    # Texts and numbers that grow.
    '{{ "a" * 10000000000 }}', "{{ [1] * 10000000000 }}", "{{ 10000000000 * target }}",
    "{{ 9 ** 9 ** 9 ** 9 }}", "{{ 2 ** 100000000 }}",
    f"{{% set x = {BIG} %}}" + "{% set x = x * x %}" * 60 + "{{ x }}",
    '{% set x = "aaaaaaaa" %}' + "{% set x = x + x %}" * 40 + "{{ x }}",
    '{% set x = "aaaaaaaa" %}' + "{% set x = x ~ x %}" * 40 + "{{ x }}",
    '{% set x = "aaaaaaaa" %}' + "{% set x = [x, x]|join(x) %}" * 40 + "{{ x }}",
    '{% set x = "aaaaaaaa" %}' + '{% set x = x|replace("a", x) %}' * 40 + "{{ x }}",
    '{% set x = "&" %}' + "{% set x = x|e|string %}" * 2000 + "{{ x }}",
    "{% set x = [1, 2] %}" + "{% set x = x + x %}" * 40 + "{{ x }}",
    "{% set x = [1, 2] %}" + "{% set x = [x, x] %}" * 40 + "{{ x }}",
    "{% set x = (1, 2) %}" + "{% set x = (x, x) %}" * 40 + "{{ {x: 1} }}",
    "{% set x = 1 %}" + '{% set x = {"a": x, "b": x} %}' * 40 + "{{ x|string }}",
    "{% set x = [1] %}{% set y = [1] %}" + "{% set x = [x, x] %}{% set y = [y, y] %}" * 40
    + "{{ x == y }}",
    "{% set x = [1] %}" + "{% for x in [[x, x]] %}" * 15 + "{{ x }}" + "{% endfor %}" * 15,
    # Loops within loops.
    *("{% for a in '" + "x" * n + "' %}" * 1
      + "".join("{% for b in '" + "x" * n + "' %}" for _ in range(deep))
      + body + "{% endfor %}" * (deep + 1)
      for n, deep in ((500, 3), (60, 6), (10_000, 1))
      for body in ("", "y" * 1000, "{{ target }}", "{% set z = target.upper() %}", "{{ a ~ b }}")),
    "{% for a in logs %}{% for b in [1, 2, 3, 4, 5, 6, 7, 8, 9] recursive %}{{ loop([b]) }}"
    "{% endfor %}{% endfor %}",
    "{% set x %}" + "{% for a in 'xxxxxxxxxxxxxxxxxxxxxxxx' %}" * 5 + "y" * 9000
    + "{% endfor %}" * 5 + "{% endset %}{{ x }}",
    "{% for a in '" + "x" * 20_000 + "' %}" + "{% if a == 'y' %}{% endif %}" * 900 + "{% endfor %}",
    # What calls itself, and what is called often.
    "{% macro m() %}{{ m() }}{{ m() }}{% endmacro %}{{ m() }}",
    '{% include "container_down.txt" %}{% include "container_down.txt" %}',
    '{% extends "container_down.txt" %}',
    "{% block a %}{{ self.a() }}{{ self.a() }}{% endblock %}",
    '{% from "container_down.txt" import x %}{{ x }}', '{% import "alert.txt" as x %}',
    '{% for a in "' + "x" * 20_000 + '" %}{% include "alert.txt" %}{% endfor %}',
    '{% extends "alert.txt" %}{% block facts %}{% for a in "' + "x" * 20_000
    + '" %}{{ super() }}{% endfor %}{% endblock %}',
    "{% for a in '" + "x" * 5_000 + "' %}{% block b %}" + "{{ target|upper|lower }}" * 900
    + "{% endblock %}{% endfor %}",
    # Lists of one long text, made into a text or held against another.
    *(LONG_TEXTS + use for use in (
        "{{ a }}", "{{ a|upper|length }}", "{{ 'x' ~ a }}", "{{ {'a': a}.values() }}",
        "{% for x in a[:3500] %}{% if v in a %}{% endif %}{% endfor %}",
        "{{ a|select('in', a + [v])|list|length }}",
    )),
    *(MANY + use for use in (
        "{% for x in a[:3500] %}{% if 'b' in a %}{% endif %}{% endfor %}",
        "{% for x in a[:3500] %}{% if a.count('b') %}{% endif %}{% endfor %}",
        "{% set b = a|map('upper')|map('lower')|list %}"
        "{% for x in a[:900] %}{% if a == b %}{% endif %}{% endfor %}",
        "{% set b = a|map('upper')|list %}{{ b|select('in', a + a)|list|length }}",
        "{{ (a|map('list')|list|sum(start=[]))|length }}",
        # Paths of attributes, and other templates.
        "{{ a|map(attribute='0" + ".0" * 9_000 + "')|list|length }}",
        "{{ a|sort(attribute='0" + ".0" * 9_000 + "')|list|length }}",
        "{% for x in a %}{% include a ignore missing %}{% endfor %}",
        "{% for x in a %}{% include ['x' ~ loop.index ~ '.txt'] ignore missing %}{% endfor %}",
    )),
    # Texts that are all printing.
    "{{ message }}" * 4_500, "{{ logs }}" * 6_000, "{{ affected|sort|join(',') }}" * 2_000,
    "{% set x = '" + "y" * 19_000 + "' %}" + "{{ x|upper|lower|title|replace('y', 'z') }}" * 900,
    "y" * 63_990 + "\n",
    # What cannot be read or compiled.
    "{{ " + "9" * 60_000 + " }}", "{{ " + "(" * 20_000 + " }}", "{{ " + "[" * 20_000 + " }}",
    "{{ " + "not " * 15_000 + "1 }}", "{{ 1" + "+1" * 30_000 + " }}",
    "{{ a" + ".a" * 30_000 + " }}",
    "{% if 1 %}" * 5_000, "{% if 1 %}" * 2_000 + "{% endif %}" * 2_000, "{#" * 30_000,
    "{{ 'a" * 15_000, "{% raw %}" * 6_000, "{{ 'a'" + "|upper" * 10_000 + " }}",
    "{{ x|sort(" + "x|sort(" * 5_000, "\0" * 60_000, "{% for a in b %}" * 4_000,
)  # fmt: skip
"""Each in a file of at most 64,000 bytes."""
