#!/usr/bin/env bash
# Builds the Debian package from this tree: target/debian/casegate_VERSION_ARCH.deb. Its name goes to standard output.
#
#   packaging/deb.sh [VERSION]
#
# VERSION is the Debian version (the crate's version and -1 unless given). Needs cargo-deb 3 (`cargo install cargo-deb --locked`) and
# dpkg-dev; the package then needs at least the C library of the machine that it was built on.
set -euo pipefail
cd "$(dirname "$0")/.."

cargo build --release --locked >&2
casegate=target/release/casegate

share=target/packaging/share
rm -rf "$share"
install -d "$share/doc/casegate/images" "$share/doc/casegate/monitoring"
# With the licences of the scripts that the console brings.
install -m 644 README*.md CHANGELOG.md SECURITY.md docs/*.md src/console/assets/vendor/*.LICENSE "$share/doc/casegate/"
install -m 644 docs/images/*.png "$share/doc/casegate/images/"
install -m 644 docs/monitoring/* "$share/doc/casegate/monitoring/"

# The program writes its own completions and man pages.
completion() { # SHELL FILE
    install -d "$(dirname "$share/$2")"
    "$casegate" completions "$1" >"$share/$2"
}
if "$casegate" completions --help >/dev/null 2>&1; then
    completion bash bash-completion/completions/casegate
    completion zsh zsh/vendor-completions/_casegate
    completion fish fish/vendor_completions.d/casegate.fish
    "$casegate" man --out "$share/man/man1"
    gzip -9n "$share"/man/man1/*.1
fi

version=()
if [ $# -gt 0 ]; then version=(--deb-version "$1"); fi
cargo deb --no-build --strip --quiet --output target/debian/ "${version[@]}"
