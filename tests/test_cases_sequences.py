"""Text and speech: their networks, and each case from its files to a row, in seconds."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from test_data_speech import in_folder, wav
from torch import Tensor, nn

from thinout._checks import UsageError
from thinout.cli import run
from thinout.lab.cases import resolve
from thinout.lab.data import DataFile
from thinout.lab.data._fsdd import content_sha256 as content_of_recordings
from thinout.lab.data._places import file_sha256
from thinout.lab.data._sets import DATA_SETS
from thinout.lab.models import CausalAttention, CharLSTM, CharTransformer, NgramNet, SpectrogramNet
from thinout.lab.summary import summarize
from thinout.nn import Dropout, Dropout2d

NETWORKS: dict[str, tuple[Callable[[float], nn.Module], Tensor]] = {
    "lstm": (CharLSTM, torch.arange(24).view(2, 12)),
    "lstm of dropped weights": (lambda p: CharLSTM(0.0, weight_p=p), torch.arange(24).view(2, 12)),
    "transformer": (CharTransformer, torch.arange(24).view(2, 12)),
    "ngrams": (NgramNet, torch.arange(1, 25).view(2, 12)),
    "spectrogram": (SpectrogramNet, torch.randn(2, 1, 40, 63, generator=torch.Generator().manual_seed(0))),
}


@pytest.mark.parametrize("name", NETWORKS)
def test_the_initial_weights_do_not_depend_on_p(name: str) -> None:
    starts = []
    for p in (0.0, 0.5, 1.0):
        torch.manual_seed(3)
        starts.append(NETWORKS[name][0](p).state_dict())
    for other in starts[1:]:
        assert all(torch.equal(value, other[key]) for key, value in starts[0].items())


@pytest.mark.parametrize("name", NETWORKS)
def test_dropout_acts_in_training_alone_and_every_weight_learns(name: str) -> None:
    factory, inputs = NETWORKS[name]
    model = factory(0.5)
    assert not torch.equal(model(inputs), model(inputs))
    model.eval()
    assert torch.equal(model(inputs), model(inputs))
    model(inputs).square().sum().backward()
    assert all(weight.grad is not None and weight.grad.any() for weight in model.parameters())


@pytest.mark.parametrize("name", NETWORKS)
def test_a_rate_that_is_no_probability_is_refused(name: str) -> None:
    with pytest.raises(ValueError, match="p` must be a number in"):
        NETWORKS[name][0](1.5)


@pytest.mark.parametrize("name", ["lstm", "transformer"])
def test_no_prediction_sees_the_future(name: str) -> None:
    factory, inputs = NETWORKS[name]
    model = factory(0.5).eval()
    changed = inputs.clone()
    changed[:, 7:] = 1
    assert torch.equal(model(inputs)[:, :7], model(changed)[:, :7])
    assert not torch.allclose(model(inputs)[:, 7:], model(changed)[:, 7:])


def test_the_lstm_has_one_mask_for_all_steps_of_a_sequence() -> None:
    model, kept = CharLSTM(0.5), []
    for dropout in model.dropouts:
        dropout.register_forward_hook(lambda _module, inputs, output: kept.append((output != 0, inputs[0] != 0)))
    model(torch.zeros(3, 9, dtype=torch.int64))
    for mask, alive in kept:
        assert alive.all()
        assert torch.equal(mask, mask[:, :1].expand_as(mask))
        assert not torch.equal(mask[0], mask[1])  # 128 units: equal by chance once in 2**128


def test_attention_is_that_of_torch_with_the_same_weights() -> None:
    ours, theirs = CausalAttention(8, 2, 0.0), nn.MultiheadAttention(8, 2, batch_first=True)
    with torch.no_grad():
        theirs.in_proj_weight.copy_(ours.inputs.weight)
        theirs.in_proj_bias.copy_(ours.inputs.bias)
        theirs.out_proj.load_state_dict(ours.outputs.state_dict())
    features = torch.randn(3, 5, 8, generator=torch.Generator().manual_seed(0))
    mask = nn.Transformer.generate_square_subsequent_mask(5)
    expected, _ = theirs(features, features, features, attn_mask=mask)
    torch.testing.assert_close(ours(features), expected, atol=1e-6, rtol=1e-5)


def test_a_sequence_too_long_and_heads_that_do_not_fit_are_refused() -> None:
    with pytest.raises(ValueError, match="`characters` must be at most 4 a sequence, got 5"):
        CharTransformer(max_length=4)(torch.zeros(1, 5, dtype=torch.int64))
    with pytest.raises(ValueError, match="`num_heads` must be a divisor of the width 96, got 5"):
        CharTransformer(num_heads=5)


def test_padding_does_not_count_and_the_order_of_n_grams_neither() -> None:
    model = NgramNet(0.5).eval()
    short, padded, turned = torch.tensor([[5, 9]]), torch.tensor([[5, 9, 0, 0]]), torch.tensor([[9, 5]])
    torch.testing.assert_close(model(short), model(padded))
    torch.testing.assert_close(model(short), model(turned))


def test_channels_are_dropped_with_half_the_rate() -> None:
    rates = {type(layer): layer.p for layer in SpectrogramNet(0.4).modules() if isinstance(layer, (Dropout, Dropout2d))}
    assert rates == {Dropout: 0.4, Dropout2d: 0.2}
    with pytest.raises(ValueError, match=r"of shape \(N, 1, 40, 63\), got \(2, 1, 40, 64\)"):
        SpectrogramNet()(torch.zeros(2, 1, 40, 64))


def test_a_summary_counts_what_a_recurrent_layer_does_at_every_step() -> None:
    table = summarize(CharLSTM(0.3), (128,), dtype=torch.int64)
    layers = {layer.name: layer for layer in table.layers}
    assert layers["layers.0.module"].output_shape == (128, 128) == layers["layers.0"].output_shape
    assert layers["layers.0.module"].multiply_adds == 128 * 4 * 128 * (32 + 128)
    assert layers["layers.1.module"].multiply_adds == 128 * 4 * 128 * (128 + 128)
    assert sum(layer.parameters for layer in table.layers) == table.parameters
    assert layers["output"].multiply_adds == 128 * 128 * 65
    assert (layers["dropouts.1"].p, layers["embedding"].multiply_adds) == (0.3, 0)
    # The time dimension is the first one, too, where a layer is told so.
    assert summarize(nn.GRU(3, 5), (7, 3)).multiply_adds == 1 * 3 * 5 * (3 + 5)


HAM = [f"ham\tsee you at {'x' * number}" for number in range(60)]
SPAM = [f"spam\twin {'y' * number}" for number in range(30)]


def write_messages(folder: Path) -> tuple[str, DataFile]:
    path = folder / "text" / "SMSSpamCollection"
    path.write_text("\n".join(HAM + SPAM) + "\n")
    return "sms-spam", replace(DATA_SETS["sms-spam"].files[0], raw_sha256=file_sha256(path))


def write_characters(folder: Path) -> tuple[str, DataFile]:
    path = folder / "text" / "tinyshakespeare.txt"
    alphabet = "".join(DATA_SETS["tinyshakespeare"].classes)
    path.write_text(alphabet + "".join(alphabet[number * number % 13] for number in range(4000)))
    return "tinyshakespeare-small", replace(DATA_SETS["tinyshakespeare"].files[0], sha256=file_sha256(path))


def write_recordings(folder: Path) -> tuple[str, DataFile]:
    steps = np.arange(2000)
    clips = {
        f"{digit}_theo_{take}.wav": wav((9000 * np.sin((digit + 1) * steps / 8 + take)).astype(np.int16))
        for digit in range(10)
        for take in range(11)
    }
    path = in_folder(folder / "fsdd" / "recordings", clips)
    return "fsdd", replace(DATA_SETS["fsdd"].files[0], raw_sha256=content_of_recordings(path))


WRITERS = {
    "charlm": write_characters,
    "charlm-transformer": write_characters,
    "charlm-weights": write_characters,
    "sms": write_messages,
    "digits-speech": write_recordings,
}


@pytest.fixture
def tiny(request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    """Lay a tiny data set of the official layout for a case, and return the case's name."""
    for folder in ("text", "fsdd"):
        (tmp_path / folder).mkdir()
    name, file = WRITERS[request.param](tmp_path)
    monkeypatch.setitem(DATA_SETS, name, replace(DATA_SETS[name], files=(file,)))
    monkeypatch.setenv("THINOUT_DATA", str(tmp_path))
    monkeypatch.chdir(tmp_path)
    return str(request.param)


@pytest.mark.parametrize("tiny", WRITERS, indirect=True)
def test_a_case_runs_from_its_files_to_a_row(tiny: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["train", tiny, "--p", "0.2", "--set", "epochs=1", "--folder", "out"]) == 0, capsys.readouterr().err
    table = capsys.readouterr().out
    row = json.loads(next((tmp_path / "out" / "rows").glob("*/*.json")).read_text())
    assert row["status"] == "done"
    assert 0 < row["metrics"]["test"]["nll"] < 5
    assert ("F1" in table) == ("f1" in row["metrics"]["test"]) == (tiny == "sms")
    assert ("ECE %" in table) == (not tiny.startswith("charlm"))


@pytest.mark.parametrize("tiny", WRITERS, indirect=True)
def test_a_case_has_a_summary_and_a_plan(tiny: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["summary", tiny, "--json"]) == 0
    layers = json.loads(capsys.readouterr().out)["layers"]
    assert any(layer["p"] for layer in layers)
    assert run(["study", tiny, "--seeds", "5", "--dry-run"]) == 0, capsys.readouterr().err


OWN_TEXT = """
from dataclasses import replace
from pathlib import Path
from thinout.lab.cases import resolve
from thinout.lab.data import character_splits, read_characters
from thinout.lab.models import CharLSTM

def make_case():
    text = read_characters(Path("text/tinyshakespeare.txt"))
    model = lambda p: CharLSTM(p, hidden=8)
    return replace(resolve("charlm"), model=model, data=lambda seed: character_splits(text, length=16))
"""


@pytest.mark.parametrize("tiny", ["charlm"], indirect=True)
def test_a_study_of_a_text_of_ones_own_ends_in_a_report(
    tiny: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / f"own_{tiny}.py").write_text(OWN_TEXT)
    command = ["study", f"own_{tiny}:make_case", "--p", "0.5", "--seeds", "2", "--jobs", "1", "--set", "epochs=1"]
    assert run([*command, "--folder", "out"]) == 0, capsys.readouterr().err
    assert (tmp_path / "out" / "report.html").stat().st_size > 10_000


@pytest.mark.parametrize("case", WRITERS)
def test_missing_data_are_said_in_one_sentence(
    case: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("THINOUT_DATA", str(tmp_path / "nowhere"))
    monkeypatch.setenv("THINOUT_CACHE", str(tmp_path / "cache"))
    assert run(["train", case, "--folder", str(tmp_path / "out")]) == 1
    text = " ".join(capsys.readouterr().err.split())
    for words in (str(tmp_path / "nowhere"), "Get it ", "`thinout study lenet5` needs no download"):
        assert words in text


@pytest.mark.parametrize("case", WRITERS)
def test_another_data_set_is_refused(case: str) -> None:
    with pytest.raises(UsageError, match=f"case {case}: `data` must be one of"):
        resolve(case, "mnist")
