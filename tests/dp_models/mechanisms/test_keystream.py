"""`Keystream` is AES-256 in counter mode, and what is made of it is uniform and normal. Keys are fixed: nothing here
fails by chance."""

import numpy as np
import pytest
from scipy.stats import chi2, kstest

from dp_models.base import FloatArray
from dp_models.mechanisms.keystream import Keystream

ZERO = bytes(32)


def test_it_is_the_standard_cipher() -> None:
    """Block 1 under the key of zeros is the tag of test case 13 of GCM (McGrew, Viega 2004); block 0 went to the key of
    what is inherited."""
    block = bytes.fromhex("530f8afbc74536b9a963b4f1c4cb738b")
    words = [int.from_bytes(part, "little") for part in (block[:8], block[8:])]
    assert Keystream(ZERO).random(2).tolist() == [(word >> 11) / 2**53 for word in words]


@pytest.mark.parametrize("shape", [None, 0, 1, 3, (2, 5), (0, 4), 70_001])
@pytest.mark.parametrize("draw", [Keystream.random, Keystream.standard_normal])
def test_shapes_are_those_of_numpy(shape: int | tuple[int, ...] | None, draw: object) -> None:
    assert np.shape(draw(Keystream(ZERO), shape)) == np.shape(np.random.default_rng(0).random(shape))  # type: ignore[operator]


@pytest.mark.parametrize("kind", [np.float32, np.float64])
def test_normals_are_normal(kind: type) -> None:
    drawn = Keystream(ZERO).standard_normal(200_000, kind)
    assert drawn.dtype == kind
    assert kstest(drawn, "norm").pvalue > 0.01
    assert _pairs_p_value(drawn) > 0.01
    assert np.unique(drawn).size > 0.98 * drawn.size


def _pairs_p_value(drawn: FloatArray) -> float:
    """Of the two numbers of each pair being independent: their squares add up to an exponential of mean 2."""
    blocks = [drawn[start : start + 2**15] for start in range(0, len(drawn), 2**15)]
    squares = [(block.reshape(2, -1).astype(float) ** 2).sum(axis=0) for block in blocks]
    return float(kstest(np.concatenate(squares), "expon", args=(0, 2)).pvalue)


def test_a_radius_without_its_root_is_convicted() -> None:
    """The negative control: as many numbers, as symmetric, of the same deviation."""
    rng = np.random.default_rng(0)
    wrong = -np.log(rng.random(200_000)) * np.cos(2 * np.pi * rng.random(200_000))
    assert wrong.std() == pytest.approx(1, abs=0.01)
    assert kstest(wrong, "norm").pvalue < 1e-6


def test_the_tail_is_there() -> None:
    """Of a million numbers 63 lie beyond four deviations: between 37 and 96 with a chance of 0.999."""
    drawn = Keystream(ZERO).standard_normal(1_000_000, np.float32)
    low, high = chi2.ppf(0.0005, 2 * 63) / 2, chi2.ppf(0.9995, 2 * 64) / 2
    assert low < (np.abs(drawn) > 4).sum() < high


def test_no_part_of_the_stream_is_used_twice() -> None:
    stream = Keystream(ZERO)
    parts = [stream.standard_normal(1_000), stream.standard_normal(1_000), stream.random(1_000)]
    parts.append(Keystream(bytes(31) + b"\x01").standard_normal(1_000))
    assert len(np.unique(np.round(np.concatenate(parts), 12))) == 4_000
    assert np.array_equal(Keystream(ZERO).standard_normal(1_000), parts[0])
