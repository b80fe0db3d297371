"""The scheduler of rates against what it promises to layers, optimisers and checkpoints."""

from __future__ import annotations

import functools
import io
import math
from collections.abc import Callable
from typing import Any

import pytest
import torch
from scipy.stats import binomtest
from torch import Tensor, nn

import thinout.nn as tnn
from thinout.schedules import Constant, Cosine, DropoutScheduler, Early, Linear

FALSE_ALARM = 1e-7  # of each exact binomial test here
NUMBER = r"must be a number in \[0, 1\], got"


class Block(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.linear = nn.Linear(8, 8)
        self.drop = tnn.Dropout(0.1)

    def forward(self, x: Tensor) -> Tensor:
        return x + self.drop(self.linear(x))


class Net(nn.Module):
    """Four blocks, and one of each torch layer."""

    def __init__(self) -> None:
        super().__init__()
        self.blocks = nn.Sequential(*(Block() for _ in range(4)))
        self.plain = nn.Dropout(0.1)
        self.alpha = nn.AlphaDropout(0.1)
        self.head = nn.Linear(8, 2)

    def forward(self, x: Tensor) -> Tensor:
        return self.head(self.alpha(self.plain(self.blocks(x))))


BLOCKS = [f"blocks.{index}.drop" for index in range(4)]


def test_it_sets_every_layer_at_once_and_at_each_step() -> None:
    model = Net()
    scheduler = DropoutScheduler(model, Linear(0.2, 0.4, 10))
    layers = [block.drop for block in model.blocks] + [model.plain, model.alpha]
    assert [layer.p for layer in layers] == [0.2] * 6
    for _ in range(5):
        scheduler.step()
    assert [layer.p for layer in layers] == pytest.approx([0.3] * 6)
    assert list(scheduler.get_last_p()) == [*BLOCKS, "plain", "alpha"]
    assert set(scheduler.get_last_p().values()) == {model.plain.p}
    assert scheduler.last_step == 5


def test_torch_layers_of_every_kind_and_thinouts_are_reached() -> None:
    kinds = (nn.Dropout, nn.Dropout1d, nn.Dropout2d, nn.Dropout3d, nn.AlphaDropout, nn.FeatureAlphaDropout)
    ours = [spec.make() for spec in tnn.REGISTRY.values() if "p" in spec.rates and hasattr(spec.layer, "p")]
    model = nn.ModuleList([*(kind(0.5) for kind in kinds), *ours])
    assert len(ours) > 3
    assert set(DropoutScheduler(model, Constant(0.25)).get_last_p().values()) == {0.25}
    assert all(layer.p == 0.25 for layer in model)


def test_forward_does_not_count_and_evaluation_neither() -> None:
    model = Net()
    scheduler = DropoutScheduler(model, Linear(0.0, 0.5, 10))
    for _ in range(3):
        model(torch.ones(2, 8))
        model.eval()(torch.ones(2, 8))
        model.train()
    assert scheduler.last_step == 0
    assert model.plain.p == 0.0


def test_accumulated_batches_have_one_rate() -> None:
    model, seen = Net(), []
    optimizer = torch.optim.SGD(model.parameters(), lr=0.01)
    scheduler = DropoutScheduler(model, Linear(0.0, 0.4, 4))
    for batch in range(8):
        seen.append(model.plain.p)
        model(torch.ones(2, 8)).sum().backward()
        if batch % 2 == 1:
            optimizer.step()
            optimizer.zero_grad()
            scheduler.step()
    assert seen == pytest.approx([0.0, 0.0, 0.1, 0.1, 0.2, 0.2, 0.3, 0.3])


def test_masks_have_the_scheduled_rate() -> None:
    layer = tnn.Dropout(0.9)
    scheduler = DropoutScheduler(layer, Linear(0.1, 0.5, 4))
    for _ in range(3):
        num_dropped = int((layer(torch.ones(400_000)) == 0).sum())
        assert binomtest(num_dropped, 400_000, layer.p).pvalue > FALSE_ALARM
        scheduler.step()


def test_twelve_rates_compile_once() -> None:
    model = nn.Sequential(nn.Linear(8, 8), tnn.Dropout(0.5), Block(), tnn.Dropout1d(0.5))
    graphs: list[object] = []

    def count_graphs(graph: Any, arguments: Any) -> Any:
        graphs.append(graph)
        return graph.forward

    torch._dynamo.reset()
    compiled = torch.compile(model, backend=count_graphs, fullgraph=True)
    scheduler = DropoutScheduler(model, Linear(0.05, 0.6, 11), depth="original")
    x, rates_seen = torch.randn(4, 8, 8), set()
    for step in range(12):
        torch.manual_seed(step)
        got = compiled(x)
        torch.manual_seed(step)
        assert torch.equal(got, model(x))
        got.sum().backward()
        rates_seen.add(model[1].p)
        scheduler.step()
    assert len(rates_seen) == 12
    assert len(graphs) == 1


def test_torchs_own_layer_compiles_anew_for_each_rate() -> None:
    layer, graphs = nn.Dropout(0.5), []

    def count_graphs(graph: Any, arguments: Any) -> Any:
        graphs.append(graph)
        return graph.forward

    torch._dynamo.reset()
    compiled = torch.compile(layer, backend=count_graphs)
    scheduler = DropoutScheduler(layer, Linear(0.1, 0.3, 2))
    for _ in range(3):
        compiled(torch.ones(3))
        scheduler.step()
    assert len(graphs) == 3


@pytest.mark.parametrize(
    ("arguments", "expected"),
    [
        ({"match": "blocks.*"}, BLOCKS),
        ({"match": "*.drop"}, BLOCKS),
        ({"match": ["blocks.0.*", "alpha"]}, [BLOCKS[0], "alpha"]),
        ({"match": tnn.Dropout}, BLOCKS),
        ({"match": nn.Dropout}, [*BLOCKS, "plain"]),
        ({"match": (nn.AlphaDropout, "plain")}, ["plain", "alpha"]),
        ({"frozen": "blocks.*"}, ["plain", "alpha"]),
        ({"frozen": [nn.Dropout]}, ["alpha"]),
        ({"match": "blocks.*", "frozen": ["blocks.[12].drop"]}, [BLOCKS[0], BLOCKS[3]]),
    ],
)
def test_layers_are_chosen_by_pattern_and_type_and_frozen_ones_never_touched(
    arguments: dict[str, Any], expected: list[str]
) -> None:
    model = Net()
    scheduler = DropoutScheduler(model, Constant(0.7), **arguments)
    scheduler.step()
    assert list(scheduler.get_last_p()) == expected
    layers = {name: layer for name, layer in model.named_modules() if hasattr(layer, "p")}
    assert {name for name, layer in layers.items() if layer.p == 0.7} == set(expected)
    assert all(layer.p == 0.1 for name, layer in layers.items() if name not in expected)


def test_each_pattern_can_have_its_own_schedule() -> None:
    model = Net()
    plan = {"blocks.3.*": Constant(0.9), "blocks.*": Linear(0.0, 0.4, 4), nn.Dropout: Early(0.2, 1)}
    scheduler = DropoutScheduler(model, plan)
    scheduler.step()
    assert scheduler.get_last_p() == {
        **dict.fromkeys(BLOCKS[:3], 0.1),
        BLOCKS[3]: 0.9,  # the first pattern that means a layer has it
        "plain": 0.0,
    }
    assert model.alpha.p == 0.1


def test_a_layer_at_two_places_is_one_layer_with_two_names() -> None:
    model = nn.Sequential(nn.Linear(2, 2), tnn.Dropout(0.1))
    model.add_module("again", model[1])
    assert DropoutScheduler(model, Constant(0.4), match="again").get_last_p() == {"1": 0.4}
    with pytest.raises(ValueError, match="a network with layers to schedule, got none for '1'"):
        DropoutScheduler(model, {"again": Constant(0.2), "1": Constant(0.3)})


def test_a_layer_alone_is_a_model() -> None:
    assert DropoutScheduler(nn.Dropout(0.1), Constant(0.4)).get_last_p() == {"": 0.4}


@pytest.mark.parametrize("wrap", [torch.compile, nn.DataParallel])
def test_a_wrapped_model_holds_the_same_layers(wrap: Callable[[nn.Module], nn.Module]) -> None:
    model = Net()
    DropoutScheduler(wrap(model), Constant(0.4), match="*blocks.*")
    assert [block.drop.p for block in model.blocks] == [0.4] * 4
    assert model.plain.p == 0.1


class OtherDrop(nn.Module):
    """A layer as timm has it."""

    def __init__(self, drop_prob: float) -> None:
        super().__init__()
        self.drop_prob = drop_prob
        self.scale_by_keep = True


def test_other_libraries_layers_are_reached_by_attribute_or_type() -> None:
    model = nn.ModuleDict({"a": OtherDrop(0.1), "b": OtherDrop(0.1), "norm": nn.BatchNorm1d(2), "c": nn.Dropout(0.1)})
    scheduler = DropoutScheduler(model, Constant(0.3), attribute="drop_prob", depth="timm")
    assert scheduler.get_last_p() == {"a": 0.0, "b": 0.3}
    assert model["b"].drop_prob == 0.3
    assert model["c"].p == 0.1
    attention = nn.MultiheadAttention(4, 2, dropout=0.1)
    DropoutScheduler(attention, Constant(0.2), match=nn.MultiheadAttention, attribute="dropout")
    assert attention.dropout == 0.2


def test_a_p_that_is_no_rate_is_left_alone() -> None:
    model = nn.Sequential(nn.Dropout(0.1))
    model.add_module("norm", type("Norm", (nn.Module,), {"p": 2})())  # the order of a norm
    assert DropoutScheduler(model, Constant(0.3)).get_last_p() == {"0": 0.3}
    with pytest.raises(ValueError, match="each mean a layer, got 'norm'"):
        DropoutScheduler(model, Constant(0.3), match="norm")


@pytest.mark.parametrize(
    ("depth", "expected"),
    [
        ("original", [0.1, 0.2, 0.3, 0.4]),
        ("timm", [0.0, 0.4 / 3, 0.8 / 3, 0.4]),
        ([1.0, 0.5, 0.5, 0.0], [0.4, 0.2, 0.2, 0.0]),
        (None, [0.4] * 4),
    ],
)
def test_rates_grow_over_depth_and_time_together(depth: Any, expected: list[float]) -> None:
    model = Net()
    scheduler = DropoutScheduler(model, Linear(0.0, 0.8, 10), match=BLOCKS, depth=depth)
    assert [block.drop.p for block in model.blocks] == [0.0] * 4
    scheduler.set_step(5)
    assert [block.drop.p for block in model.blocks] == pytest.approx(expected)


def test_scheduled_drop_path_is_linear_in_time_and_cells() -> None:
    model, p_max, num_steps = Net(), 0.3, 50
    scheduler = DropoutScheduler(model, Linear(0.0, p_max, num_steps), match=BLOCKS, depth="original")
    for step in range(num_steps + 1):
        expected = [p_max * step / num_steps * (cell + 1) / 4 for cell in range(4)]
        assert [block.drop.p for block in model.blocks] == pytest.approx(expected)
        scheduler.step()


class Functional(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.lstm = nn.LSTM(2, 2, num_layers=2, dropout=0.5)


@pytest.mark.parametrize(
    ("call", "error", "match"),
    [
        (lambda: DropoutScheduler(nn.Linear(2, 2), Constant(0.1)), ValueError, "layers to schedule, got none"),
        (lambda: DropoutScheduler(Functional(), Constant(0.1)), ValueError, "layers to schedule, got none"),
        (
            lambda: DropoutScheduler(Net(), Constant(0.1), match="bloks.*"),
            ValueError,
            r"`match` must be patterns or types that each mean a layer, got 'bloks.\*'. It could be one of 'blocks.0",
        ),
        (lambda: DropoutScheduler(Net(), Constant(0.1), match=nn.Dropout3d), ValueError, "got Dropout3d"),
        (lambda: DropoutScheduler(Net(), Constant(0.1), frozen="haed"), ValueError, "`frozen` must be patterns"),
        (lambda: DropoutScheduler(Net(), Constant(0.1), frozen="*"), ValueError, "layers to schedule, got none"),
        (lambda: DropoutScheduler(Net(), {"x": Constant(0.1)}), ValueError, "`schedule` must be patterns or types"),
        (lambda: DropoutScheduler(Net(), {"*": Constant(0)}, match="*"), ValueError, "`match` must be left out where"),
        (lambda: DropoutScheduler(Net(), Constant(0.1), depth="square"), ValueError, "`depth` must be one of original"),
        (lambda: DropoutScheduler(Net(), Constant(0.1), depth=[1.0]), ValueError, "share for each of 6 layers, got 1"),
        (lambda: DropoutScheduler(Net(), Constant(0.1), depth=[2.0] * 6), ValueError, f"`depth` {NUMBER} 2.0"),
        (lambda: DropoutScheduler(Net(), 0.5), TypeError, "`schedule` must be a function of the step"),
        (
            lambda: DropoutScheduler(Net(), lambda step: 1.5),
            ValueError,
            "got 1.5 at step 0 of test_dropout_scheduler.<lambda>",
        ),
        (lambda: DropoutScheduler(Constant(0.1), Net()), TypeError, r"`model` must be a torch.nn.Module, got Constant"),
        (lambda: DropoutScheduler(Net(), Constant(0.1), match=[3]), TypeError, "patterns of names or types of layers"),
    ],
)
def test_wrong_schedulers_are_refused(call: Callable[[], object], error: type[Exception], match: str) -> None:
    with pytest.raises(error, match=match):
        call()


def test_a_schedule_that_leaves_0_to_1_leaves_the_rates_as_they_were() -> None:
    model = Net()
    scheduler = DropoutScheduler(model, {"plain": Constant(0.3), "blocks.*": lambda step: 0.4 * step})
    scheduler.step()
    scheduler.step()
    before = scheduler.get_last_p()
    with pytest.raises(ValueError, match=r"got 1\.2\d* at step 3 of"):
        scheduler.step()
    assert scheduler.last_step == 2
    assert scheduler.get_last_p() == before
    assert [block.drop.p for block in model.blocks] == [0.8] * 4


class HalfAtMost(nn.Module):
    """A layer with a rate that has its own bound."""

    def __init__(self) -> None:
        super().__init__()
        self._p = 0.1

    @property
    def p(self) -> float:
        return self._p

    @p.setter
    def p(self, value: float) -> None:
        if value > 0.5:
            raise ValueError(f"HalfAtMost: `p` must be at most 0.5, got {value}.")
        self._p = value


def test_a_layer_that_refuses_a_rate_leaves_all_as_they_were() -> None:
    model = nn.Sequential(nn.Dropout(0.1), HalfAtMost())
    scheduler = DropoutScheduler(model, Linear(0.5, 1.0, 2), match=(nn.Dropout, HalfAtMost))
    with pytest.raises(ValueError, match=r"at most 0\.5, got 0\.75") as caught:
        scheduler.step()
    assert "at step 1" in caught.value.__notes__[0]
    assert [layer.p for layer in model] == [0.5, 0.5]
    assert scheduler.last_step == 0


def test_a_resumed_training_has_the_same_rates() -> None:
    schedule, model, other = Cosine(0.1, 0.6, 20), Net(), Net()
    whole, first = (DropoutScheduler(net, schedule, depth="timm") for net in (model, other))
    for _ in range(7):
        whole.step()
        first.step()
    file = io.BytesIO()
    torch.save({"model": other.state_dict(), "dropout": first.state_dict()}, file)
    file.seek(0)
    saved = torch.load(file, weights_only=True)
    resumed_model = Net()
    resumed_model.load_state_dict(saved["model"])  # the model's own state has no rates
    resumed = DropoutScheduler(resumed_model, schedule, depth="timm")
    resumed.load_state_dict(saved["dropout"])
    for _ in range(15):
        assert resumed.get_last_p() == whole.get_last_p()
        assert [block.drop.p for block in resumed_model.blocks] == [block.drop.p for block in model.blocks]
        whole.step()
        resumed.step()


def test_the_state_dict_of_the_model_has_no_trace() -> None:
    model = Net()
    keys = list(model.state_dict())
    DropoutScheduler(model, Constant(0.3))
    assert list(model.state_dict()) == keys


def ramp(step: int, top: float = 0.5) -> float:
    return min(step / 100, top)


class Stateless:
    def __call__(self, step: int) -> float:
        return 0.1


STATES: dict[str, Callable[[], DropoutScheduler]] = {
    "linear": lambda: DropoutScheduler(Net(), Linear(0.0, 0.3, 10)),
    "other end": lambda: DropoutScheduler(Net(), Linear(0.0, 0.4, 10)),
    "other length": lambda: DropoutScheduler(Net(), Linear(0.0, 0.3, 11)),
    "cosine": lambda: DropoutScheduler(Net(), Cosine(0.0, 0.3, 10)),
    "over depth": lambda: DropoutScheduler(Net(), Linear(0.0, 0.3, 10), depth="original"),
    "by shares": lambda: DropoutScheduler(Net(), Linear(0.0, 0.3, 10), depth=(1, 1, 1, 1, 0.5, 0.5)),
    "fewer layers": lambda: DropoutScheduler(Net(), Linear(0.0, 0.3, 10), match="blocks.*"),
    "by pattern": lambda: DropoutScheduler(Net(), {"*": Linear(0.0, 0.3, 10)}),
    "by type": lambda: DropoutScheduler(Net(), {nn.Dropout: Linear(0.0, 0.3, 10)}),
    "function": lambda: DropoutScheduler(Net(), ramp),
    "partial": lambda: DropoutScheduler(Net(), functools.partial(ramp, top=0.3)),
    "object": lambda: DropoutScheduler(Net(), Stateless()),
}


@pytest.mark.parametrize("name", STATES)
def test_a_state_of_another_schedule_is_refused(name: str) -> None:
    scheduler = STATES[name]()
    scheduler.set_step(4)
    for other, make in STATES.items():
        target = make()
        if other == name:  # made anew, as in another process: nothing depends on an address
            target.load_state_dict(scheduler.state_dict())
            assert target.last_step == 4
            assert target.get_last_p() == scheduler.get_last_p()
        else:
            with pytest.raises(ValueError, match=r"`state_dict` must be of (schedule|depth|num_layers) .*, got one of"):
                target.load_state_dict(scheduler.state_dict())
            assert target.last_step == 0


@pytest.mark.parametrize(
    ("change", "match"),
    [
        (lambda state: {}, r"must be the state of a DropoutScheduler, got \[\]"),
        (lambda state: None, "must be the state of a DropoutScheduler, got NoneType"),
        (lambda state: {"last_epoch": 3}, r"the state of a DropoutScheduler, got \['last_epoch'\]"),
        (lambda state: {**state, "step": -1}, "`step` must be a whole number of at least 0, got -1"),
    ],
)
def test_what_is_no_state_is_refused(change: Callable[[dict[str, Any]], Any], match: str) -> None:
    scheduler = STATES["linear"]()
    with pytest.raises(ValueError, match=match):
        scheduler.load_state_dict(change(scheduler.state_dict()))
    with pytest.raises(TypeError, match="`step` must be a whole number"):
        scheduler.load_state_dict({**scheduler.state_dict(), "step": math.nan})


@pytest.mark.parametrize("step", [-1, 1.5, math.nan])
def test_a_step_to_go_to_is_a_whole_number(step: Any) -> None:
    with pytest.raises((ValueError, TypeError), match=r"set_step: `step` must be a whole number"):
        STATES["linear"]().set_step(step)


def test_an_optimiser_can_count_the_steps() -> None:
    model = Net()
    optimizer = torch.optim.AdamW(model.parameters())
    scheduler = DropoutScheduler(model, Linear(0.0, 0.5, 10))
    handle = scheduler.attach(optimizer)
    with pytest.raises(ValueError, match="attached to no optimiser, got one that counts the steps"):
        scheduler.step()  # would count twice
    with pytest.raises(ValueError, match="attached to one optimiser at most"):
        scheduler.attach(optimizer)
    seen = []
    for batch in range(6):
        seen.append(model.plain.p)
        model(torch.ones(2, 8)).sum().backward()
        if batch % 2 == 1:
            optimizer.step()
            optimizer.zero_grad()
    assert seen == pytest.approx([0.0, 0.0, 0.05, 0.05, 0.1, 0.1])
    handle.remove()
    optimizer.step()
    assert scheduler.last_step == 3
    scheduler.step()
    assert scheduler.last_step == 4
    scheduler.attach(optimizer)


def test_a_step_that_the_grad_scaler_skips_is_not_counted() -> None:
    model = Net()
    optimizer = torch.optim.SGD(model.parameters(), lr=0.01)
    scheduler = DropoutScheduler(model, Linear(0.0, 0.5, 10))
    scheduler.attach(optimizer)
    scaler = torch.amp.GradScaler("cpu")
    for factor in (1.0, math.inf, 1.0):
        optimizer.zero_grad()
        scaler.scale(model(torch.ones(2, 8)).sum() * factor).backward()
        scaler.step(optimizer)
        scaler.update()
    assert scheduler.last_step == 2


def test_a_rate_that_changes_before_backward_does_not_change_the_gradient() -> None:
    model = nn.Sequential(nn.Linear(8, 8), tnn.Dropout(0.5))
    scheduler = DropoutScheduler(model, Linear(0.5, 0.9, 1))
    x = torch.ones(3, 8, requires_grad=True)
    y = model[1](x)
    scheduler.step()
    y.sum().backward()
    assert torch.equal(x.grad, y.detach())  # the mask of the forward pass, with its scale


def test_it_prints_what_it_does() -> None:
    assert repr(STATES["linear"]()) == ("DropoutScheduler(6 layers, Linear(start=0.0, end=0.3, num_steps=10), step 0)")
