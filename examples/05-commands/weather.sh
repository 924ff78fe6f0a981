# Answers at the third attempt.
if [ "$FLOWCTL_ATTEMPT" -lt 3 ]; then
    echo "the neighbour does not answer" >&2
    exit 1
fi
echo "attempt $FLOWCTL_ATTEMPT: foggy"
