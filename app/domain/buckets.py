"""The bounds by which durations of steps are counted."""

# Seconds; each bucket holds what took as long as its bound or less, and more than the one before.
STEP_BUCKETS_S = tuple(
    round(digit * 10.0**exponent, 3) for exponent in range(-3, 4) for digit in (1, 2, 5)
)
