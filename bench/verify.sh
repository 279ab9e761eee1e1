#!/usr/bin/env bash
# Compares tract, ONNX Runtime, the engine and the firmware on every emulated core, for every way to pack.
# verify.sh GOLDCREST DATA IMAGES MODEL...
set -euo pipefail
goldcrest=$1 data=$2 images=$3
shift 3
boards=(mps2-an385-v6m mps2-an385 mps2-an386 mps2-an500 mps2-an505 mps3-an547 riscv-virt)
mkdir -p target/bench
failed=0 values=0
printf '%-9s %-15s %-32s %12s %s\n' model board options values mismatches
for model; do
    int8=target/bench/$(basename "$model" .onnx).int8.onnx
    "$goldcrest" quantize "$model" --data "$data" --out "$int8" 2>/dev/null
    for board in "${boards[@]}"; do
        while read -ra options; do
            # A difference ends with 1 and is counted; anything else stops the run.
            result=$("$goldcrest" verify "$int8" --data "$data" --count "$images" --board "$board" \
                --board-images "$images" --onnxruntime "$images" --json "${options[@]}" 2>target/bench/verify.log) ||
                [ $? = 1 ] || { cat target/bench/verify.log; exit 2; }
            read -r found compared < <(python3 -c 'import json, sys; r = json.loads(sys.argv[1]); print(r["mismatches"], r["values"])' "$result")
            printf '%-9s %-15s %-32s %12s %s\n' \
                "$(basename "$model" .onnx)" "$board" "${options[*]:-}" "$compared" "$found"
            values=$((values + compared)) failed=$((failed + found))
        done <<END
--optimize speed
--optimize speed --winograd off
--optimize ram
--optimize flash
END
    done
done
echo "$values values compared, $failed differ"
[ "$failed" = 0 ]
