"""Exercises on the latent: what a dimension costs."""

from vaelib.course.exercises.exercise import Exercise

ONE_DIMENSION = Exercise(
    slug="bill-of-a-dimension",
    title="The bill of a dimension",
    kind="core",
    minutes=5,
    question="""Take one latent dimension. All images' codes together have mean 0 and variance 1
        there, as in the prior; each image's own Gaussian has σ = ½. Predict the dimension's KL,
        averaged over the images, in nats, to two decimals.""",
    solution="""
        spread_within = 0.5**2
        spread_of_means = 1 - spread_within
        half_bill = 0.5 * (spread_of_means + spread_within - 1 - 2 * math.log(0.5))  # nats""",
    reasoning=r"""The variance of all codes is the variance of the means plus the average of the
        variances: $1 = \mathrm{Var}_x(\mu) + \frac14$. As the means average to 0, the average of
        $\mu^2$ is $\mathrm{Var}_x(\mu) = \frac34$. So in $\frac12(\mu^2+\sigma^2-1-2\log\sigma)$
        the first three terms cancel on average, and $-\log\frac12 = \log 2 \approx 0.693$ nats are
        left: one bit.

        The threshold of 0.01 is generous in this light. A dimension with
        $\mathrm{Var}_x(\mu) = 0.01$ and $\sigma^2 = 0.99$ carries
        $-\frac12\log 0.99 \approx 0.005$ nats, and is counted.""",
    within=0.005,
    given="bill = lambda square, logarithm=2 * log(2): 0.5 * (square + 0.25 - 1 + logarithm)",
    mistakes="""
        bill(0)
            It takes every mean for 0. Then all codes together would vary by σ² only.
        bill(1)
            A little too much. Do the two variances, of the means and within an image, add up to
            that of all codes?
        bill(0.5)
            It is the variances that add up, not the standard deviations.
        bill(0.75**2)
            A variance is a mean square already: is anything left to be squared?
        0.75
            That is how much the means vary, which is what makes a dimension active. It is one term
            of the KL, not the whole.
        2 * right
            Twice too much: what stands before the bracket?
        -right
            A divergence is never negative: check the sign of log σ.
        right / 2
            Half is missing. Is ½ the σ or the σ²? And has the bracket log σ or log σ²?
        bill(1.75)
            Too much by a constant: which term of the bracket got lost?
        right / log(2)
            That is the right amount, in bits. The course counts in nats.
        log10(2)
            Use the natural logarithm, of base e; this looks like base 10.""",
    hints="""
        - The average over images of ½(μ² + σ² − 1 − 2 log σ) needs the average of μ².
        - Variance of all codes = variance of the means + average of the variances.
        - The means average to 0, so the average of μ² is their variance.""",
    fact="""Where the codes together have the prior's mean and variance the KL is −log σ on average:
        to halve the uncertainty costs one bit. A dimension at the threshold of 0.01 then carries
        only 0.005 nats.""",
)

EXERCISES = (ONE_DIMENSION,)
