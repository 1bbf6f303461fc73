"""The messages of the rule ``thresholds``."""

from __future__ import annotations

from collections.abc import Mapping

TEXTS: Mapping[str, str] = {
    "out_of_memory": """\
{% extends "alert.txt" %}
{% block facts %}
📊 Killed for want of memory: {{ value }} processes within 5 minutes; the container goes on
{% endblock %}
{% block actions %}
🔧 Suggested actions:
1. See who takes the memory: docker top {{ target|sh }}
2. Check logs: docker logs --tail 200 {{ target|sh }}
3. Raise its limit, or lower what its processes may take
{% endblock %}
""",
    "high_memory": """\
{% extends "alert.txt" %}
{% block facts %}
📊 Memory: {{ value }} (alert above {{ level }})
{% endblock %}
{% block actions %}
🔧 Suggested actions:
1. See who takes it: docker stats --no-stream {{ target|sh }}
2. Raise its limit, or restart it before it is killed: docker restart {{ target|sh }}
{% endblock %}
""",
    "high_cpu": """\
{% extends "alert.txt" %}
{% block facts %}
📊 CPU: {{ value }} (alert above {{ level }})
{% endblock %}
{% block actions %}
🔧 Suggested actions:
1. See what it does: docker top {{ target|sh }}
2. Check logs: docker logs --tail 100 {{ target|sh }}
{% endblock %}
""",
    "disk_space_low": """\
{% extends "alert.txt" %}
{% block subject %}
💽 Disk: {{ target }}
{% endblock %}
{% block facts %}
📊 Free: {{ value }} (alert below {{ level }})
❓ Found: {{ message }}
{% endblock %}
{% block actions %}
🔧 Suggested actions:
1. See what is large: du -xh --max-depth=2 / | sort -h | tail
2. Clear what Docker keeps for nobody: docker system df, then docker system prune
3. Check that logs are rotated
{% endblock %}
""",
    "above_expected": """\
{% extends "alert.txt" %}
{% block facts %}
📊 Found: {{ message }}
{% endblock %}
{% block actions %}
🔧 Suggested actions:
1. Compare with its usual use: docker stats --no-stream {{ target|sh }}
2. Where this is normal now, raise expected in tocsin.toml
{% endblock %}
""",
}
