#!/bin/sh
# Makes what must not be in a repository, in the folder `secrets` beside this file or in the one that is named:
# an authority of one's own, a certificate for the server, passwords. What is there already stays.
#
#   secrets.sh [FOLDER] [NAME…]      further names by which the server is reached, such as etl.example.org
#
# Files can be read by all, the folder by you: a container sees single files, as another user.
set -eu
folder=${1:-$(dirname "$0")/secrets}
[ $# -eq 0 ] || shift
mkdir -p "$folder"
chmod 700 "$folder"
cd "$folder"
umask 022

names=DNS:server,DNS:localhost,IP:127.0.0.1
for name in "$@"; do names="$names,DNS:$name"; done

if [ ! -s ca.pem ]; then
  openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -noenc -days 3650 -subj '/CN=flowctl authority' \
    -addext basicConstraints=critical,CA:TRUE -addext keyUsage=critical,keyCertSign,cRLSign -keyout ca.key -out ca.pem 2>/dev/null
  chmod 600 ca.key
fi
if [ ! -s server.pem ]; then
  openssl req -newkey ec -pkeyopt ec_paramgen_curve:P-256 -noenc -subj '/CN=flowctl server' -keyout server.key -out server.csr 2>/dev/null
  printf 'subjectAltName=%s\nbasicConstraints=critical,CA:FALSE\nextendedKeyUsage=serverAuth\n' "$names" >server.ext
  openssl x509 -req -in server.csr -CA ca.pem -CAkey ca.key -CAcreateserial -days 397 -extfile server.ext -out server.pem 2>/dev/null
  chmod 644 server.key
  rm server.csr server.ext
fi
for password in postgres reader grafana; do
  [ -s "${password}_password" ] || openssl rand -hex 24 | tr -d '\n' >"${password}_password"
done

# What compose.yaml puts into the store's URL.
printf 'POSTGRES_PASSWORD=%s\n' "$(cat postgres_password)" >env
echo "secrets are in $(pwd)"
