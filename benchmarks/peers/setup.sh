#!/usr/bin/env bash
# Makes an environment for each library that benchmarks compare with; they clash with each other and with ours.
#   bash benchmarks/peers/setup.sh FOLDER [implicit irspack]
set -euo pipefail
folder=${1:?name a folder for the environments}
shift
pins="numpy==2.4.6 scipy==1.17.1 pandas==3.1.1 pyarrow==26.0.1"
declare -A libraries=([implicit]="implicit==0.7.3" [irspack]="irspack==0.5.2")
for name in "${@:-${!libraries[@]}}"; do
    for library in $name; do
        "${PYTHON:-python3.11}" -m venv "$folder/$library"
        # shellcheck disable=SC2086
        "$folder/$library/bin/pip" install --quiet "${libraries[$library]}" $pins
        echo "$library: $folder/$library"
    done
done
