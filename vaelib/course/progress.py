"""A limit on how often a training run reports."""

import time
from collections.abc import Callable


def throttle(callback: Callable[..., None], *, seconds: float = 10.0) -> Callable[..., None]:
    """`callback`, run on the first call and then at most once in `seconds`; other calls do nothing.

    The blog post limits its progress report in the same way (Flux's `throttle(f, 10)`).
    """
    last = -float("inf")

    def throttled(*args: object) -> None:
        nonlocal last
        now = time.monotonic()
        if now - last >= seconds:
            last = now
            callback(*args)

    return throttled
