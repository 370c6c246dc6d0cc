"""Turn a function of a step, or of an epoch, into what `train` takes as `watch`."""


def each_step(callback):
    return lambda report: callback(report.step, report.terms)


def each_epoch(callback):
    def watch(report):
        if report.history is not None:
            callback(report.epoch, report.history)

    return watch
