#!/usr/bin/env bash
# Packages every published crate, builds the command from nothing but the packages, and runs it where no checkout is:
# in a temporary folder, because a checkout above it would be found. Needs what `goldcrest doctor --fix` installs.
set -euo pipefail
cd "$(dirname "$0")/../.."
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
crates=(files engine link c web quantize onnx data board export prove models train)

# The board crate's package holds the firmware's sources, which its build script archives.
cargo build --release --quiet --package goldcrest-board
# shellcheck disable=SC2012 # the newest
cp "$(ls -t target/release/build/goldcrest-board-*/out/firmware.tar.gz | head -n 1)" host/board/firmware.tar.gz
packages=(--package goldcrest)
for crate in "${crates[@]}"; do packages+=(--package "goldcrest-$crate"); done
# The archive is not tracked, which cargo calls dirty.
cargo package --locked --allow-dirty --target-dir "$folder/target" "${packages[@]}"

# The packages as a reader of crates.io would have them, in a workspace of their own.
version=$(cargo metadata --no-deps --format-version 1 | sed 's/.*"name":"goldcrest","version":"\([^"]*\)".*/\1/')
mkdir "$folder/crates"
for package in "$folder"/target/package/*.crate; do tar xzf "$package" -C "$folder/crates"; done
patches=()
for crate in "${crates[@]}"; do
    patches+=(--config "patch.crates-io.goldcrest-$crate.path=\"$folder/crates/goldcrest-$crate-$version\"")
done
cd "$folder"
cargo install --quiet --path "crates/goldcrest-$version" --root "$folder/installed" --target-dir "$folder/target" \
    "${patches[@]}"

# The caller's cache has ONNX Runtime; the firmware's sources are unpacked there.
unset GOLDCREST_ROOT
export PATH="$folder/installed/bin:$PATH"
# What a distribution's package puts beside the command.
goldcrest man man1
grep -q '^\.TH goldcrest-train 1' man1/goldcrest-train.1
for shell in bash zsh fish; do goldcrest completions "$shell" > "completion.$shell"; done
bash -n completion.bash
goldcrest demo --data glyphs:500,100 --epochs 3 --out run --board-images 10
goldcrest emulate --board mps2-an385 --model run/model.int8.onnx --data glyphs:100,20 --count 5
goldcrest export run/model.int8.onnx --as c --core x86-64 --out project
make -C project run
goldcrest flash --board nrf52840-dk --model run/model.int8.onnx --dry-run
echo "the installed command works without a checkout"
