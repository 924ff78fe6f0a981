# Talks to a warehouse that bears one client at a time, and says how that went.
mkdir ../busy || { echo "two at once"; exit 1; }
touch ../begun
while [ ! -e ../go ]; do sleep 0.05; done
rmdir ../busy
