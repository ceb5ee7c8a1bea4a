#!/bin/sh
# Fetches the few browser files we did not write: pinned versions from npm, checked against the recorded digests. Run by `make vendor`.
#   @alpinejs/csp  the build of Alpine that needs no eval; it lies where the admin theme looks for Alpine, so that the theme loads it instead of its own
#   axe-core       finds accessibility faults; used by the browser tests only, never served
set -eu
cd "$(dirname "$0")/.."
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT

fetch() { # package, version, sha512 in base64
    archive=$(cd "$work" && npm pack --silent "$1@$2")
    found=$(openssl dgst -sha512 -binary "$work/$archive" | openssl base64 -A)
    if [ "$found" != "$3" ]; then
        echo "$1 $2 is not the file that was recorded: its sha512 is $found" >&2
        exit 1
    fi
    rm -rf "$work/package"
    tar -xzf "$work/$archive" -C "$work"
}

fetch @alpinejs/csp 3.17.4 'SlRXmqO6kYhnxlg+99etmuzJtE9Lk4QbKjBHqerXzaMflJqoJXdz/SI3IvHJGZ/vRVyC3bR0SSBz40oY7goBeg=='
cp "$work/package/dist/cdn.min.js" static/unfold/js/alpine/alpine.js

fetch axe-core 4.14.1 'FHfa+lmNjQZfJz1q8wKqIDwC6DExcHt/pkjNQb09a3NPjCKg2rhu5qb2S4r76ASyFNNtuFooJpZe37OgudVGtQ=='
cp "$work/package/axe.min.js" tests/browser/axe.min.js
cp "$work/package/LICENSE" tests/browser/axe.LICENSE
echo "Vendored files are up to date."
