"""Reports on a training run that do not come too often."""

import time
from collections.abc import Callable


def throttle(callback: Callable[..., None], *, seconds: float = 10.0) -> Callable[..., None]:
    """`callback`, run on the first call and then at most once in `seconds`; other calls do nothing.

    What the blog post does to its progress report (Flux's `throttle(f, 10)`).
    """
    last = -float("inf")

    def throttled(*args: object) -> None:
        nonlocal last
        now = time.monotonic()
        if now - last >= seconds:
            last = now
            callback(*args)

    return throttled
