"""Speed and memory, each figure beside its limit, measured in the same run. `make bench` runs all and writes results.json."""
