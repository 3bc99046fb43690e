#!/usr/bin/env bash
# Foreign programs of Debian 12 that the tests hold the hub against; the hub itself needs none of them.
#   postgresql           a server of a foreign version, and the social security view behind TLS
#   openssh-sftp-server  the clinics' file server
#   openssl              certificates, and a second opinion on signatures
#   nodejs npm           a SOAP server that a foreign library builds from the published WSDL; only where npm is missing
set -euo pipefail

packages=(postgresql openssh-sftp-server openssl)
command -v npm >/dev/null || packages+=(nodejs npm)

missing=()
for package in "${packages[@]}"; do
  dpkg-query --show --showformat='${db:Status-Status}' "$package" 2>/dev/null | grep -qx installed || missing+=("$package")
done
if [ "${#missing[@]}" -gt 0 ]; then
  export DEBIAN_FRONTEND=noninteractive
  apt-get update -qq
  apt-get install -y -qq --no-install-recommends "${missing[@]}"
fi
