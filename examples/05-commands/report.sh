# Writes the most frequent words into a text file.
"$FLOWCTL_BIN" query "select word, times from '$FLOWCTL_INPUT_TOP/' order by times desc, word" --format csv |
    sed -e 1d -e 's/,/ x /' >"$FLOWCTL_OUTPUT_DIR/report.txt"
cat "$FLOWCTL_OUTPUT_DIR/report.txt"
