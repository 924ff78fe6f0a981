#!/bin/sh
# Makes tokens that are not there yet: tokens.sh NAME:SCOPE:FILE…
#
# The store (FLOWCTL_STORE) remembers hashes only. So a file that was lost gets a new token, and the old one ends.
set -eu
umask 022

for wanted in "$@"; do
  name=${wanted%%:*}
  rest=${wanted#*:}
  scope=${rest%%:*}
  file=${rest#*:}
  if [ -s "$file" ]; then
    continue
  fi
  # Says that there is none, the first time.
  flowctl token revoke "$name" 2>/dev/null || true
  flowctl token create "$name" --scope "$scope" >"$file.coming"
  mv "$file.coming" "$file"
done
