"""The messages of the rules ``down`` and ``replicas``."""

from __future__ import annotations

from collections.abc import Mapping

DOWN: Mapping[str, str] = {
    "container_down": """\
{% extends "alert.txt" %}
{% block facts %}
📊 Status: {{ state }}{% if exit_code is not none %} (exit code {{ exit_code }}){% endif %}

❓ Why: {{ why }}
{% if last_start %}🔄 Last restart: {{ last_restart }}
{% endif %}
{% endblock %}
{% block actions %}
🔧 Suggested actions:
{% if not is_container %}
1. See its containers: docker ps --all | grep {{ target|sh }}
2. Check the logs of one that ended: docker logs --tail 100 NAME
{% else %}
1. Check logs: docker logs --tail 100 {{ target|sh }}
2. {% if details.get("reason") == "restarting" %}Stop the loop: docker stop{% else %}
Restart: docker restart{% endif %} {{ target|sh }}
{% endif %}
3. {% if affected %}Bring this back first: the affected depend on it{% else %}
Check what it depends on: tocsin status{% endif %}

{% endblock %}
""",
    "container_down.resolved": """\
✅ RECOVERED: {% if is_container and message[:7] == "running" %}Container is running again{% else %}
{{ kind_name }} is no longer down{% endif %}: {{ target }}
📦 {{ kind_name }}: {{ target }}
⏰ Time: {{ time }}
⏱ Downtime: {{ downtime }}
📊 Status: {{ message }}
{% if flaps %}
🔁 Went down again: {{ flaps }} times meanwhile
{% endif %}
""",
    "health_check_failed": """\
{% extends "alert.txt" %}
{% block facts %}
📊 Status: {{ message }}
{% endblock %}
{% block actions %}
🔧 Suggested actions:
1. Run its checks now: tocsin check {{ (target ~ '/*')|sh }}
{% if is_container %}
2. Check logs: docker logs --tail 100 {{ target|sh }}
3. Restart: docker restart {{ target|sh }}
{% else %}
2. Look at the service itself and at the network on the way
{% endif %}
{% endblock %}
""",
    "health_check_failed.resolved": """\
{% extends "resolved.txt" %}{% block lasted %}Downtime{% endblock %}
""",
}

REPLICAS: Mapping[str, str] = {
    "replicas_down": """\
{% extends "alert.txt" %}
{% block actions %}
🔧 Suggested actions:
1. See its containers: docker ps --all | grep {{ target|sh }}
2. Check the logs of one that does not serve: docker logs --tail 100 NAME
{% endblock %}
""",
}
