from vaelib.course.progress import throttle


def test_one_call_comes_through_each_period(monkeypatch):
    now, calls = [0.0], []
    monkeypatch.setattr("time.monotonic", lambda: now[0])
    report = throttle(lambda step: calls.append(step), seconds=10.0)
    for step, second in enumerate((0, 1, 9.9, 10, 11, 25, 26)):
        now[0] = second
        report(step)
    assert calls == [0, 3, 5]
