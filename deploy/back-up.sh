#!/bin/sh
# Copies the store (FLOWCTL_STORE) and then the lake (FLOWCTL_LAKE) into a new folder: back-up.sh FOLDER
#
# In this order, because the store must know no version that the lake has not; and of the lake the logs of all tables first,
# because a log must name no file that is not there. The folder appears when it is complete.
set -eu
to=$1/$(date -u +%Y-%m-%dT%H-%M-%SZ)
umask 077
mkdir -p "$to.coming/lake"
coming=$(cd "$to.coming" && pwd)

case $FLOWCTL_STORE in
postgres://* | postgresql://*)
  # A command line can be read by everybody on the machine, so that the password goes into the environment.
  address=${FLOWCTL_STORE#*://}
  case $address in
  *:*@*)
    login=${address%%@*}
    export PGPASSWORD="${login#*:}"
    address=${login%%:*}@${address#*@}
    ;;
  esac
  pg_dump --format=custom --file="$coming/store.dump" "postgres://$address"
  ;;
*) flowctl backup "$coming/store.db" ;;
esac

cd "$FLOWCTL_LAKE"
find . -type f -path '*/_delta_log/*' -exec cp --parents --preserve=timestamps --target-directory="$coming/lake" {} +
find . -type f ! -path '*/_delta_log/*' -exec cp --parents --preserve=timestamps --reflink=auto --target-directory="$coming/lake" {} +
mv "$coming" "$to"
echo "$to"
