from hypothesis import given
from hypothesis import strategies as st

from vofs.core.fetchplan import ReadPattern, plan


@given(length=st.integers(4096, 1 << 20), size=st.integers(1 << 20, 256 << 20))
def test_a_stream_needs_few_requests(length: int, size: int) -> None:
    """targets.md: at most 4 for 256 MB."""
    pattern, position, requests = ReadPattern(), 0, 0
    while position < size:
        pattern = pattern.after(position, min(position + length, size))
        _, end = plan(pattern, position, position + length, size, ranges=True)
        pattern = pattern.planned(end)
        position, requests = max(end, position + 1), requests + 1
    assert requests <= 4
