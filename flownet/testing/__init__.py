"""The op conformance harness: does an op keep its contract, on every device, for odd inputs too?

    from flownet.testing import assert_op, devices_here

    @pytest.mark.parametrize("device", devices_here())
    def test_maxout(device):
        assert_op(Maxout, device)

`flownet op test NAME` runs the same. An op's `samples` are what it is checked with: give small ones, with expectations
that were worked out without the op. `check_op` returns a `Report`, `render` makes a table of it.
"""

from flownet.testing.check_op import assert_op, check_op
from flownet.testing.example import Example
from flownet.testing.on_device import devices_here
from flownet.testing.report import Finding, Report, render

__all__ = ["Example", "Finding", "Report", "assert_op", "check_op", "devices_here", "render"]
