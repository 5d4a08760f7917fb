"""Synthetic speech: finite, of plausible length, and the emotions differ in the melody they are told to."""

import dataclasses

import numpy as np
import pytest

from core.demo import speech
from core.demo.espeak import espeak
from core.demo.prosody import EMOTIONS, TEST_VARIANTS, VARIANTS, Prosody, Speaker, draw_prosody, draw_speaker
from core.demo.sentences import SENTENCES, random_sentence


def render(emotion: str, seed: int) -> tuple[speech.Rendered, Prosody]:
    rng = np.random.default_rng(seed)
    speaker = draw_speaker("F01", "F", "f2", np.random.default_rng(1))
    prosody = draw_prosody(speaker, emotion, rng)
    return speech.render(speech.utter(SENTENCES[0], speaker.variant), speaker, prosody, rng), prosody


def test_four_emotions_are_finite_fit_the_window_and_differ_in_pitch() -> None:
    spread = {}
    for emotion in EMOTIONS:
        spreads = []
        for seed in range(4):
            rendered, _ = render(emotion, seed)
            assert rendered.samples.dtype == np.float32
            assert np.isfinite(rendered.samples).all()
            assert 0.01 < np.abs(rendered.samples).max() <= 1
            assert 1.0 < rendered.samples.size / speech.RATE <= speech.WINDOW_S
            melody = 12 * np.log2(rendered.f0_hz[rendered.f0_hz > 0])
            spreads.append(melody.std())
        spread[emotion] = np.mean(spreads)
    assert spread["happiness"] > spread["sadness"]
    assert spread["anger"] > spread["neutral"]
    assert len(set(spread.values())) == len(EMOTIONS)


def test_the_same_utterance_and_seed_render_the_same_clip() -> None:
    """The utterance is the same one: espeak-ng's flutter goes on from call to call."""
    speaker = draw_speaker("F01", "F", "f2", np.random.default_rng(1))
    utterance = speech.utter(SENTENCES[0], "f2")
    first, second = (
        speech.render(
            utterance, speaker, draw_prosody(speaker, "anger", np.random.default_rng(2)), np.random.default_rng(3)
        )
        for _ in range(2)
    )
    np.testing.assert_array_equal(first.samples, second.samples)


def test_phones_follow_the_samples() -> None:
    rendered, _ = render("neutral", 0)
    assert len(rendered.phones) == int(rendered.samples.size / speech.RATE / speech.FRAME_S)
    loudness = [np.square(rendered.samples[i * 320 : i * 320 + 320]).mean() for i in range(len(rendered.phones))]
    silent = np.array([phone == speech.SILENCE for phone in rendered.phones])
    assert silent.any()
    assert np.median(np.array(loudness)[~silent]) > 100 * np.median(np.array(loudness)[silent])


def test_louder_speakers_do_not_sound_louder() -> None:
    """Loudness is normalised, so that the level of a clip says nothing."""
    levels = []
    for emotion in EMOTIONS:
        samples = render(emotion, 0)[0].samples
        power = np.square(samples[: samples.size // 320 * 320].reshape(-1, 320)).mean(axis=1)
        levels.append(10 * np.log10(power[power > power.max() * 1e-3].mean()))
    assert max(levels) - min(levels) < 3.0


def test_a_slow_clip_is_squeezed_into_the_window() -> None:
    rng = np.random.default_rng(0)
    speaker: Speaker = draw_speaker("M01", "M", "m1", rng)
    slow = dataclasses.replace(draw_prosody(speaker, "sadness", rng), log_rate=-0.35, pause_rate=1.0, pause_ms=350.0)
    rendered = speech.render(speech.utter(SENTENCES[19], "m1"), speaker, slow, rng)
    assert rendered.samples.size <= speech.WINDOW_S * speech.RATE


def test_every_voice_is_there_and_differs_from_every_other() -> None:
    heard = {}
    for pool in (VARIANTS, TEST_VARIANTS):
        for variants in pool.values():
            for variant in variants:
                heard[variant] = espeak().say("Good morning.", variant).samples.tobytes()
    assert len(set(heard.values())) == len(heard)


def test_test_voices_are_not_training_voices() -> None:
    for sex in ("F", "M"):
        assert not set(VARIANTS[sex]) & set(TEST_VARIANTS[sex])


def test_a_voice_that_does_not_exist_is_an_error() -> None:
    with pytest.raises(RuntimeError, match="no voice variant 'zzz'"):
        espeak().say("Good morning.", "zzz")


def test_random_sentences_are_sentences() -> None:
    rng = np.random.default_rng(0)
    for _ in range(50):
        sentence = random_sentence(rng)
        assert sentence[0].isupper()
        assert sentence.endswith(".")
        assert "  " not in sentence
        assert 4 <= len(sentence.split()) <= 14
