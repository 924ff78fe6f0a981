# Counts the words of a text: words.sh FILE LETTERS
echo "counting words of $2 letters or more in $1"
{
    echo word,times
    tr -cs '[:alpha:]' '\n' <"$1" | tr '[:upper:]' '[:lower:]' |
        awk -v least="$2" 'length($0) >= least { n[$0]++ } END { for (word in n) print word "," n[word] }'
} >"$FLOWCTL_OUTPUT_DIR/words.csv"
