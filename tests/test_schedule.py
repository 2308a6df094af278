"""Learning rates; the official ones are compared in tests/parity."""

import pytest

from decoders.schedule import official_learning_rate, warmup_cosine


def test_official_rate_warms_up_peaks_and_stays_at_its_least() -> None:
    rates = [official_learning_rate(epoch) for epoch in range(60)]
    assert rates[0] == 2e-5
    assert rates[5] == max(rates) == 0.01
    assert rates[:6] == sorted(rates[:6])
    assert rates[5:] == sorted(rates[5:], reverse=True)
    assert rates[40:] == [1e-5] * 20


def test_cosine_after_a_linear_warm_up_to_zero() -> None:
    rates = [warmup_cosine(step, 200, 0.05, 3e-3) for step in range(201)]
    assert rates[:10] == pytest.approx([3e-4 * n for n in range(1, 11)])
    assert rates[10] == max(rates) == pytest.approx(3e-3)
    assert rates[10:] == sorted(rates[10:], reverse=True)
    assert rates[105] == pytest.approx(1.5e-3)
    assert rates[200] == pytest.approx(0, abs=1e-18)
    assert min(rates[:200]) > 0


@pytest.mark.parametrize("total", [1, 2, 5])
def test_short_trainings_have_a_rate_at_each_step(total: int) -> None:
    assert all(0 < warmup_cosine(step, total, 0.05, 1.0) <= 1 for step in range(total))
    assert warmup_cosine(0, total, 0.99, 1.0) > 0


def test_impossible_schedules_are_refused() -> None:
    with pytest.raises(ValueError, match="shorter"):
        official_learning_rate(0, warmup_epochs=5, total_epochs=5)
    for step, total, fraction in ((-1, 5, 0.1), (6, 5, 0.1), (0, 0, 0.1), (0, 5, 1.0)):
        with pytest.raises(ValueError, match="no schedule"):
            warmup_cosine(step, total, fraction, 1.0)
