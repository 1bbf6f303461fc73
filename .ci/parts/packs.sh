#!/usr/bin/env bash
# Build wheels of tocsin and of each pack, install them into an empty environment, and run there what
# a pack promises: its types, its tests, and that tocsin lists it. Only wheels are installed, so that
# a pack that uses more than the public API, or lacks a file, fails.
set -euo pipefail
cd "$(dirname "$0")/../.."
root=$PWD
uv=$root/.venv/bin/uv
place=$(mktemp -d /var/tmp/tocsin-packs-XXXXXX)
trap 'rm -rf "$place"' EXIT
unset PYTHONPATH

sources=$place/sources # a build leaves files in the folder that it builds
mkdir -p "$sources" "$place/wheels"
git ls-files -z --cached --others --exclude-standard |
  tar --null --files-from=- --create --file=- | tar --extract --file=- --directory="$sources"
for project in "$sources" "$sources"/packs/*/; do
  "$uv" build -q --wheel --out-dir "$place/wheels" "$project"
done

for pack in packs/*/; do
  name=$(basename "$pack")
  echo "== $name"
  "$uv" venv -q --python "$root/.venv/bin/python" "$place/$name"
  "$uv" pip install -q --python "$place/$name/bin/python" --find-links "$place/wheels" \
    "$name[test]" "pyright[nodejs]"
  export PATH="$place/$name/bin:$PATH" VIRTUAL_ENV="$place/$name"
  cp -r "$sources/packs/$name" "$place/$name/tests-of-it"
  (
    cd "$place/$name/tests-of-it"
    export TOCSIN_DATA_DIR="$place/$name/data"
    tocsin plugins --json >"$place/plugins.json" || true # why a plugin failed is said below
    python - "$name" "$place/plugins.json" <<'PYTHON'
import json, sys
name, path = sys.argv[1:]
with open(path) as file:
    records = json.load(file)
mine = [record for record in records if record["distribution"] == name]
wrong = [f"{r['name']}: {r['status']} ({r['reason']})" for r in mine if r["status"] != "ok"]
sys.exit("; ".join(wrong) or (None if mine else f"tocsin lists no plugin of {name}"))
PYTHON
    mypy
    pyright
    rm -rf src # what is tested is what is installed
    python -m pytest -q
  )
done
