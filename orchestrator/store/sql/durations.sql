select task, took_ms from durations where flow = $1
