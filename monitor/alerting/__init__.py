"""What people are told of: every alert once (`rules`), the figures compared with (`thresholds`), how it is written."""
