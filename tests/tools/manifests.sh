#!/bin/sh
# SPDX-License-Identifier: GPL-2.0-or-later
# Checks manifests against the API of Kubernetes: manifests.sh DIRECTORY FILE... The npm packages
# kubernetes-models, whose types are made from the OpenAPI document of Kubernetes, and typescript are
# installed into DIRECTORY once. The compiler finds fields that the API does not have, and wrong values.
set -eu

mkdir -p "$1"
directory=$(cd "$1" && pwd)
shift
[ -d "$directory/node_modules/typescript" ] || npm install --silent --no-fund --no-audit \
	--prefix "$directory" kubernetes-models@5 typescript@5

# A program whose one constant is the manifest.
program() {
	python3 -c '
import json, sys, yaml
print("import { IDaemonSet } from \"kubernetes-models/apps/v1\";")
print(f"export const manifest: IDaemonSet = {json.dumps(yaml.safe_load(open(sys.argv[1])), indent=1)};")' "$1"
}

for file in "$@"; do
	program "$file" >"$directory/manifest.ts"
	(cd "$directory" && npx --no-install tsc --noEmit --strict --skipLibCheck manifest.ts) || {
		echo "$file is not as the API of Kubernetes wants it" >&2
		exit 1
	}
	echo "$file: ok"
done
