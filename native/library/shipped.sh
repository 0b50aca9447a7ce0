#!/bin/sh
# shipped.sh FILE...: the lines of shipped.inc for model files, NAME.dnnw and both NAME_1.onnx and NAME_2.onnx.
# 16 kHz pairs are run with weights of 8 bits, as the Python package does.
label() { basename "$1" | tr -c 'A-Za-z0-9\n' _; }
for file; do
    name=$(basename "$file")
    case $name in
    *.dnnw)
        printf 'FILE(%s, "%s")\nONE("%s", %s)\n' "$(label "$file")" "$file" "${name%.dnnw}" "$(label "$file")" ;;
    *_1.onnx)
        pair=${file%_1.onnx}
        precision=DN_AS_STORED
        case $name in dtln-16k_*) precision=DN_INT8 ;; esac
        printf 'FILE(%s, "%s")\nFILE(%s, "%s")\n' "$(label "$file")" "$file" \
            "$(label "${pair}_2.onnx")" "${pair}_2.onnx"
        printf 'TWO("%s", %s, %s, %s)\n' "${name%_1.onnx}" "$(label "$file")" "$(label "${pair}_2.onnx")" $precision ;;
    *_2.onnx) ;;
    *) echo "shipped.sh: $file is no .dnnw and no .onnx" >&2; exit 1 ;;
    esac
done
