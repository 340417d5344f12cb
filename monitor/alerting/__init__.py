"""What people are told of: every alert once (`rules`), the figures it compares with (`thresholds`), how it is written."""
