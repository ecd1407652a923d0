import pytest

from splitlaw.common.errors import UserError
from splitlaw.experiment.shape import Shape


def test_a_width_that_the_heads_do_not_divide_is_refused():
    with pytest.raises(UserError, match="3 heads"):
        Shape(vocabulary=64, width=16, layers=2, heads=3, intermediate=24, context=8)
