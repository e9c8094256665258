#!/usr/bin/env bash
# Hours of mixed traffic between two units over a 3G link with outages, with each node's memory, file descriptors and disk every minute.
# Fails when one of them grows, or a message is lost, changed or comes twice.
#
#   tests/soak.sh MINUTES [FILE]     FILE: where the figures are written too, as CSV
set -euo pipefail
if [ $# -lt 1 ]; then
    echo "usage: tests/soak.sh MINUTES [FILE]" >&2
    exit 2
fi
export CASEGATE_SOAK_MINUTES=$1
if [ $# -gt 1 ]; then
    CASEGATE_SOAK_FILE=$(realpath -m "$2")
    export CASEGATE_SOAK_FILE
fi
cd "$(dirname "$0")/.."
exec cargo test --release --test it nothing_grows_in_hours -- --ignored --nocapture
