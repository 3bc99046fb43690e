#!/usr/bin/env bash
# Foreign programs of Debian 12 that the tests hold the hub against; the hub itself needs none of them.
#   postgresql           a server of a foreign version, and one with TLS
#   pgbouncer            TLS in front of the social security view
#   openssh-sftp-server  the clinics' file server
#   openssl              certificates, and a second opinion on signatures
#   chromium             the pages in a real browser
set -euo pipefail

packages=(postgresql pgbouncer openssh-sftp-server openssl chromium)

missing=()
for package in "${packages[@]}"; do
  dpkg-query --show --showformat='${db:Status-Status}' "$package" 2>/dev/null | grep -qx installed || missing+=("$package")
done
if [ "${#missing[@]}" -gt 0 ]; then
  export DEBIAN_FRONTEND=noninteractive
  apt-get update -qq
  apt-get install -y -qq --no-install-recommends "${missing[@]}"
fi
