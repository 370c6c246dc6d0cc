"""The exercises on the latent: right answers in different styles, wrong ones in other words."""

import torch
from answers import accepted, rejected

from vaelib.course.exercises import latent

RIGHT = {
    "bill-of-a-dimension": [0.693, torch.tensor(0.6931)],
}
WRONG = {
    "bill-of-a-dimension": [(0.599, "left to be squared"), (1.193, "got lost")],
}


def test_right_answers_of_every_style_are_accepted():
    accepted(latent, RIGHT)


def test_wrong_answers_in_other_words_get_the_hint_that_fits():
    rejected(WRONG)
