"""A record as bytes: what goes in comes out, and nothing else ever does."""

import contextlib
from pathlib import Path

import numpy as np
import pytest
from safetensors.numpy import save_file

from core.store import records
from core.store.forward import ForwardRecord, unpack_gram
from core.store.key import Key, Kind, Precision, clip_key

KEY = Key(Kind.FORWARD, "model", "clip", Precision(), {"window_start": 0})
ARRAYS = {
    "row": np.arange(6, dtype=np.float32),
    "half": np.array([[1.5, -2.0]], dtype=np.float16),
    "double": np.array([np.pi, 1e-300, -0.0]),
    "zero_d": np.asarray(7),
    "zero_d_float": np.asarray(0.1),
    "empty": np.zeros((0, 3), dtype=np.float32),
    "transposed": np.arange(6.0).reshape(2, 3).T,
    "strided": np.arange(20, dtype=np.float32)[::3],
    "reversed": np.arange(5)[::-1],
    "fortran": np.asfortranarray(np.arange(24, dtype=np.float16).reshape(2, 3, 4)),
    "broadcast": np.broadcast_to(np.float32(2), (2, 2)),
}


def same(found: dict[str, np.ndarray], expected: dict[str, np.ndarray]) -> None:
    assert found.keys() == expected.keys()
    for name, array in expected.items():
        assert found[name].dtype == array.dtype, name
        assert found[name].shape == array.shape, name
        assert found[name].tobytes() == np.ascontiguousarray(array).tobytes(), name


def test_arrays_come_back_bit_by_bit() -> None:
    same(records.decode(records.encode(KEY, ARRAYS), KEY.digest), ARRAYS)


def test_nan_and_infinity_come_back() -> None:
    odd = {"x": np.array([np.nan, np.inf, -np.inf], dtype=np.float32)}
    same(records.decode(records.encode(KEY, odd), KEY.digest), odd)


def test_a_record_without_arrays_is_a_record() -> None:
    assert records.decode(records.encode(KEY, {}), KEY.digest) == {}


def test_the_same_arrays_give_the_same_bytes_in_any_order() -> None:
    backwards = dict(reversed(ARRAYS.items()))
    assert records.decode(records.encode(KEY, backwards), KEY.digest).keys() == ARRAYS.keys()
    assert records.checksum(backwards) == records.checksum(ARRAYS)


@pytest.mark.parametrize(
    "changed",
    [
        {"y": np.arange(4, dtype=np.float32)},
        {"x": np.arange(4, dtype=np.float64)},
        {"x": np.arange(4, dtype=np.int32)},
        {"x": np.arange(4, dtype=np.float32).reshape(2, 2)},
        {"x": np.array([0, 1, 2, 4], dtype=np.float32)},
        {},
    ],
)
def test_the_checksum_is_of_names_types_shapes_and_values(changed: dict[str, np.ndarray]) -> None:
    assert records.checksum(changed) != records.checksum({"x": np.arange(4, dtype=np.float32)})


def test_every_flipped_bit_is_noticed() -> None:
    """Length, header with key and checksum, padding, data: each bit of the file."""
    whole = records.encode(KEY, {"a": np.arange(5, dtype=np.float32), "b": np.asarray(3)})
    assert len(whole) < 1000
    for position in range(len(whole) * 8):
        flipped = bytearray(whole)
        flipped[position // 8] ^= 1 << position % 8
        with pytest.raises(records.DamagedRecord):
            records.decode(bytes(flipped), KEY.digest)


def test_every_truncation_is_noticed() -> None:
    whole = records.encode(KEY, {"a": np.arange(5, dtype=np.float32)})
    for length in range(len(whole)):
        with pytest.raises(records.DamagedRecord):
            records.decode(whole[:length], KEY.digest)
    with pytest.raises(records.DamagedRecord):
        records.decode(whole + b"\0", KEY.digest)


def test_a_record_of_another_key_is_noticed() -> None:
    other = Key(Kind.FORWARD, "model", "another clip", Precision(), {"window_start": 0})
    with pytest.raises(records.DamagedRecord, match="another key"):
        records.decode(records.encode(other, {}), KEY.digest)


def test_a_plain_safetensors_file_is_no_record(tmp_path: Path) -> None:
    save_file({"x": np.zeros(2)}, tmp_path / "plain.safetensors")
    with pytest.raises(records.DamagedRecord):
        records.decode((tmp_path / "plain.safetensors").read_bytes(), KEY.digest)
    with pytest.raises(records.DamagedRecord):
        records.read_key(tmp_path / "plain.safetensors")


def test_reading_the_key_alone_survives_flipped_bits_in_the_header(tmp_path: Path) -> None:
    """A header that claims to be of an absurd length, too."""
    whole = records.encode(KEY, {"a": np.zeros(1)})
    path = tmp_path / "record"
    for position in (*range(64), *range(64, (len(whole) - 8) * 8, 11)):
        flipped = bytearray(whole)
        flipped[position // 8] ^= 1 << position % 8
        path.write_bytes(flipped)
        with contextlib.suppress(records.DamagedRecord):
            assert isinstance(records.read_key(path), dict)


def test_digests_are_the_same_on_every_machine_and_in_every_version() -> None:
    """Else every cache out there would be lost; raise SCHEMA instead where a record's meaning changes."""
    key = clip_key(Kind.FORWARD, "ab" * 32, "cd" * 32, Precision("float32", "cpu"), 16_000)
    assert key.canonical == (
        '{"device":"cpu","dtype":"float32","kind":"forward","model":"' + "ab" * 32 + '","of":"' + "cd" * 32 + '",'
        '"schema":1,"spec":{"window_start":16000}}'
    )
    assert key.digest == "b73a3c80e4d2eee1c289c96d95101f79c3116c83a06e7b801859679d6907fa21"


@pytest.mark.parametrize(
    "other",
    [
        Key(Kind.LORA, "model", "clip", Precision(), {"window_start": 0}),
        Key(Kind.FORWARD, "other", "clip", Precision(), {"window_start": 0}),
        Key(Kind.FORWARD, "model", "other", Precision(), {"window_start": 0}),
        Key(Kind.FORWARD, "model", "clip", Precision("float16"), {"window_start": 0}),
        Key(Kind.FORWARD, "model", "clip", Precision("float32", "cuda"), {"window_start": 0}),
        Key(Kind.FORWARD, "model", "clip", Precision(), {"window_start": 1}),
        Key(Kind.FORWARD, "model", "clip", Precision(), {"window_start": 0, "more": True}),
        Key(Kind.FORWARD, "model", "clip", Precision()),
    ],
)
def test_every_part_of_a_key_counts(other: Key) -> None:
    assert other.digest != KEY.digest
    assert other != KEY


def test_the_order_of_a_spec_does_not_count() -> None:
    one, two = ({"a": 1, "b": "é"}, {"b": "é", "a": 1})
    assert Key(Kind.LORA, "m", "c", Precision(), one) == Key(Kind.LORA, "m", "c", Precision(), two)
    assert len({Key(Kind.LORA, "m", "c", Precision(), one), Key(Kind.LORA, "m", "c", Precision(), two)}) == 1


def test_a_key_takes_no_nan() -> None:
    with pytest.raises(ValueError):
        _ = Key(Kind.LORA, "m", "c", Precision(), {"x": float("nan")}).digest


def forward_record() -> ForwardRecord:
    draw = np.random.default_rng(0)
    layers, points, frames, width, classes = 3, 4, 6, 5, 2
    return ForwardRecord(
        relative=draw.random((2, 3, layers)),
        cosine=draw.random((2, 3, layers)),
        residual_norm=draw.random((2, points)),
        mean_raw=draw.random((2, points, width), dtype=np.float32),
        mean_normed=draw.random((2, points, width), dtype=np.float32),
        lens_raw=draw.random((points, frames, classes), dtype=np.float32),
        lens_normed=draw.random((points, frames, classes), dtype=np.float32),
        logits=draw.random(classes),
        audio_frames=4,
        n_samples=1234,
        gram_a={"0.v_proj": draw.random((2, 3)), "2.fc1": draw.random((2, 6))},
    )


def test_a_forward_record_comes_back() -> None:
    record = forward_record()
    back = ForwardRecord.from_arrays(records.decode(records.encode(KEY, record.to_arrays()), KEY.digest))
    assert (back.audio_frames, back.n_samples) == (4, 1234)
    assert back.gram_a.keys() == record.gram_a.keys()
    same(back.to_arrays(), record.to_arrays())


def test_a_forward_record_without_one_of_its_arrays_is_refused() -> None:
    arrays = forward_record().to_arrays()
    for name in arrays:
        if not name.startswith("gram_a."):
            with pytest.raises(KeyError):
                ForwardRecord.from_arrays({n: a for n, a in arrays.items() if n != name})


def test_a_gram_is_unpacked_row_by_row() -> None:
    np.testing.assert_array_equal(
        unpack_gram(np.array([1.0, 2, 3, 4, 5, 6])), np.array([[1.0, 2, 3], [2, 4, 5], [3, 5, 6]])
    )
