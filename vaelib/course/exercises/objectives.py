"""Exercises on objectives: bounds of several samples."""

import math

import torch

from vaelib.course.exercises.exercise import Exercise


def tighter_loss(losses):
    """Minus the bound of all codes, averaged over images; losses −log w (image, code) -> ()."""
    bounds = torch.logsumexp(-losses, dim=1) - math.log(losses.shape[1])
    return -bounds.mean()


_losses = torch.tensor(
    [[112.0, 110.5, 111.1, 114.0], [81.0, 80.2, 83.5, 80.4], [910.9, 910.9, 912.2, 911.0]]
)

TWO_BUGS = Exercise(
    slug="two-bugs-in-one-line",
    title="Two bugs in one line",
    kind="stretch",
    minutes=8,
    question="""Somebody has the loss −log w of each image and each of its codes, and wants to train
        on the tighter bound:

        ```python
        def tighter_loss(losses):  # −log w, shape (image, code)
            return torch.logsumexp(losses, dim=1).mean()
        ```

        The loss should be minus the bound of all an image's codes, averaged over the images, and
        gradients must flow back through it. There are two bugs in the line. Fix both.""",
    solution=tighter_loss,
    reasoning=r"""The losses are $-\log w$, so it is $-$`losses` that goes into the exponential: the
        snippet sums $1/w$, and so lets the *worst* code of each image decide. And the bound is the
        log of a *mean*, which is the log of the sum less $\log k$; without that, it grows with
        every code that is added, good or bad, and is no bound. The missing $\log k$ has no
        gradient, so training would not notice; anyone who reads the number would. The change of
        sign training does notice. The last mean, over images, stays outside the logarithm: the data
        set's log-likelihood is a sum of logarithms.""",
    probes=[
        (_losses,),
        (_losses[:2, :3].double() / 10,),
        (torch.tensor([[110.3, 112.0], [250.9, 249.5]]),),  # too far apart for float32 alone
        (_losses[2:].repeat(2, 1) + 0.5,),
    ],
    trains=True,
    given="""
        images, codes = losses.shape

        def naive(losses, eps=0):
            return -((-losses).exp().mean(1) + eps).log().mean()""",
    mistakes="""
        losses.logsumexp(1).mean()
            That is the snippet as it stands. Give it equal losses in a row: what should it return,
            and what does it return?
        (-losses).logsumexp(1).mean()
            The best code counts most now. Which sign has a loss, and what does a row of equal
            losses give?
        -losses.logsumexp(1).mean()
            A minus outside, but inside the logarithm the worst code still counts most. What is a
            log weight, in terms of its loss?
        -(-losses).logsumexp(1).mean()
            One bug is found. The other: for a row of equal losses it is still not that loss.
        losses.logsumexp(1).mean() - log(codes)
            One bug is found. The other: which code of a row counts most, the best one or the
            worst?
        losses.amin(1).mean()
            It keeps the best code alone. The others' weights are small, but they are averaged in.
        (-(-losses).logsumexp(1) / codes).mean()
            It divides the logarithm by the number of codes. The mean is under the logarithm.
        losses.mean()
            That is the loss of one code, averaged, so the ELBO's. The weights must be averaged
            before the logarithm.
        log(losses.numel()) - (-losses).flatten().logsumexp(0)
            It averages the weights of all images in one logarithm. Each image has its own log
            p(x); what is averaged over images?
        right * images
            The loss grows with the number of images: should it?
        -(-losses).logsumexp(1).mean() - log(codes)
            The count of codes is there, but it makes things worse: add it or subtract it?
        -(-losses).logsumexp(1).mean() + log(images)
            It divides by the number of images where the number of codes belongs.
        tighter_loss(losses.T)
            It averages over images inside the logarithm, and over codes outside. Here the codes
            come second.
        -(-losses / codes).logsumexp(1).mean()
            It divides each log weight by the number of codes. It is the weights, or their sum,
            that a mean divides: what does that do to the logarithm?
        ((-losses).softmax(1) * losses).sum(1).mean()
            It averages the losses, each by its code's share of the weights. What does the bound
            average, and what does it take the logarithm of?
        naive(losses, eps) for eps in (1e-6, 1e-8, 1e-10, 1e-12, 1e-30)
            An epsilon of {eps} keeps log 0 away, and limits an image's loss to {cap}, where its
            gradient is 0. Which function of torch needs none?
        naive(losses)
            Right on paper. In float32 e^−110 is 0, and its logarithm −∞.
        naive(losses.double())
            Right on paper, and float64 helps down to e^−745. How large may a loss be?
        losses.min() + naive(losses - losses.min())
            One minimum is subtracted from all images' losses, and the weights of those far above
            it are 0. Each image needs its own.
        losses.min() + naive(losses.double() - losses.min())
            In float64, too, one minimum for all images leaves those far above it with weights of
            0. Whose minimum does an image need?""",
    hints="""
        - Try the snippet on torch.full((1, 4), 100.0). Four equal codes should give 100.
        - What is log w in terms of the losses?
        - A log of a mean is a log of a sum, less something. Which something?""",
    fact="""Both bugs are in a sketch at github.com/YosefLab/scVI-dev/issues/8, and are fixed in its
        copy at github.com/scverse/scvi-tools/issues/13. The snippet's loss rewards a model for its
        worst code.""",
)

EXERCISES = (TWO_BUGS,)
