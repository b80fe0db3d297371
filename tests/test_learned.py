"""Concrete dropout: the mask, its rate and its bias, the term of the loss, and that the rate is learned.

False-alarm rates are those of `_moments`; seeds are fixed.
"""

import copy
import math

import pytest
import torch
from _moments import assert_mean, assert_rate
from scipy.integrate import quad
from torch import nn

import thinout
import thinout.nn as tnn
from thinout import functional as F

RATES = (0.05, 0.1, 0.3, 0.5, 0.9)
SPATIAL = {
    tnn.ConcreteDropout1d: (nn.Conv1d, (4, 6, 50)),
    tnn.ConcreteDropout2d: (nn.Conv2d, (4, 6, 7, 8)),
    tnn.ConcreteDropout3d: (nn.Conv3d, (4, 6, 3, 4, 5)),
}


def logit(p):
    return math.log(p / (1 - p))


def parameter(p, dtype=torch.float32):
    return torch.tensor([logit(p)], dtype=dtype, requires_grad=True)


def noise_part(p, *, temperature=0.1, seed=0, num=1_000_000):
    """Return z of the paper for many elements, from the output for ones."""
    torch.manual_seed(seed)
    y = F.concrete_dropout(torch.ones(num).double(), parameter(p), temperature=temperature, training=True)
    return 1 - y.detach() * (1 - p)


# The mask


@pytest.mark.parametrize("temperature", [0.1, 2 / 3, 2.0])
@pytest.mark.parametrize("p", RATES)
def test_z_is_above_a_half_with_probability_p_at_any_temperature(p, temperature):
    assert_rate(noise_part(p, temperature=temperature) > 0.5, p)


@pytest.mark.parametrize(
    ("temperature", "p", "expected"),
    [(0.1, 0.1, 0.99869), (2 / 3, 0.1, 0.94968), (2 / 3, 0.3, 0.94551), (0.1, 0.5, 1.0), (2 / 3, 0.5, 1.0)],
)
def test_the_mean_of_the_mask_is_off_by_what_the_integral_says(temperature, p, expected):
    def kept(u):
        return 1 / (1 + math.exp((logit(p) + math.log(u / (1 - u))) / temperature)) / (1 - p)

    integral = quad(kept, 0, 1, points=[1 - p], limit=500)[0]
    assert abs(integral - expected) < 5e-6
    assert_mean((1 - noise_part(p, temperature=temperature)) / (1 - p), integral)


@pytest.mark.parametrize("temperature", [0.1, 2 / 3])
def test_noise_and_rate_are_symmetric(temperature):
    """With u for 1 - u, z of rate p is 1 - z of rate 1 - p."""
    torch.manual_seed(1)
    y = F.concrete_dropout(torch.ones(1000).double(), parameter(0.3), temperature=temperature, training=True)
    torch.manual_seed(1)
    u = 1 - torch.rand(1000, dtype=torch.float64)
    mirrored = torch.sigmoid((logit(0.7) + torch.logit(u)) / temperature)
    torch.testing.assert_close(1 - y.detach() * 0.7, 1 - mirrored, rtol=0, atol=1e-6)


def test_every_element_has_noise_of_its_own():
    """A widely copied notebook draws one number for the whole tensor: all units of all examples share their mask."""
    y = tnn.ConcreteDropout(0.3)(torch.ones(64, 100)).detach()
    assert y.unique().numel() > 1000
    scalar = torch.sigmoid((logit(0.3) + torch.logit(torch.rand(()))) / 0.1).expand(64, 100)
    assert scalar.unique().numel() == 1


@pytest.mark.parametrize("layer", SPATIAL)
def test_a_map_has_one_noise_and_maps_have_their_own(layer):
    y = layer(0.3)(torch.ones(SPATIAL[layer][1])).detach().flatten(2)
    assert torch.equal(y, y[..., :1].expand_as(y))
    assert y[..., 0].unique().numel() == 24
    unbatched = layer(0.3, batched=False)(torch.ones(SPATIAL[layer][1][1:])).detach().flatten(1)
    assert torch.equal(unbatched, unbatched[:, :1].expand_as(unbatched))


def test_a_noise_shape_shares_the_mask():
    y = F.concrete_dropout(torch.ones(3, 4, 5), parameter(0.3), training=True, noise_shape=(None, 1, None)).detach()
    assert torch.equal(y, y[:, :1].expand_as(y))
    with pytest.raises(ValueError, match="`noise_shape` must be of length 3"):
        F.concrete_dropout(torch.ones(3, 4, 5), parameter(0.3), training=True, noise_shape=(1, 1))


def test_a_lower_temperature_is_closer_to_a_bernoulli_mask():
    between = [((z > 0.01) & (z < 0.99)).double().mean() for z in (noise_part(0.3, temperature=t) for t in (0.02, 0.5))]
    assert between[0] < 0.05 < 0.5 < between[1]


# The gradient of the rate


def expected_loss(p_logit, x, *, temperature=0.1):
    torch.manual_seed(2)
    return F.concrete_dropout(x, p_logit, temperature=temperature, training=True).square().mean()


@pytest.mark.parametrize("p", [0.1, 0.3, 0.8])
def test_the_gradient_of_the_rate_is_that_of_finite_differences_and_noise_costs(p):
    x = torch.ones(20_000).double()
    rate = parameter(p, torch.float64)
    (gradient,) = torch.autograd.grad(expected_loss(rate, x), rate)
    with torch.no_grad():
        step = 1e-5
        difference = (expected_loss(rate + step, x) - expected_loss(rate - step, x)) / (2 * step)
    torch.testing.assert_close(gradient[0], difference, rtol=1e-5, atol=0)
    assert gradient > 0  # the second moment grows with p, so a loss on it pushes the rate down


@pytest.mark.parametrize("p", [0.1, 0.9])
def test_the_entropy_draws_the_rate_to_a_half_and_the_weight_to_zero(p):
    def term(weight_regularizer, dropout_regularizer):
        rate = parameter(p, torch.float64)
        options = {"weight_regularizer": weight_regularizer, "dropout_regularizer": dropout_regularizer}
        return torch.autograd.grad(F.concrete_regularization(rate, torch.ones(3, 4), 4, **options), rate)[0]

    assert (term(0.0, 1.0) > 0) == (p > 0.5)  # descent goes against the gradient
    assert term(1.0, 0.0) > 0
    slope = 4 * p * (1 - p) * logit(p)  # of -4 H(p) in the logit
    torch.testing.assert_close(term(0.0, 1.0)[0].item(), slope, rtol=1e-6, atol=0)
    torch.testing.assert_close(term(1.0, 0.0)[0].item(), 12 * p / (1 - p), rtol=1e-6, atol=0)


# The term of the loss


@pytest.mark.parametrize(("p", "entropy"), [(0.1, 0.3250829734), (0.3, 0.6108643021), (0.5, 0.6931471806)])
def test_the_term_is_that_of_the_paper(p, entropy):
    weight = torch.arange(12.0).view(3, 4).double()
    term = F.concrete_regularization(
        parameter(p, torch.float64), weight, 4, weight_regularizer=1e-2, dropout_regularizer=0.5
    )
    expected = 1e-2 * 506 / (1 - p) - 0.5 * 4 * entropy
    torch.testing.assert_close(term.item(), expected, rtol=1e-8, atol=0)


def test_scales_are_those_of_a_mean_log_likelihood():
    """wr = l^2 / (2 N) and dr = 1 / N: in nats for all examples the layer has l^2 / 2 and 1."""
    linear, length_scale, num_examples = nn.Linear(4, 3), 0.5, 1000
    layer = tnn.ConcreteDropout(0.2, following=linear, weight_regularizer=length_scale**2 / 2)
    ours = thinout.regularization(layer, num_examples)
    theirs = F.concrete_regularization(
        layer.p_logit,
        linear.weight,
        4,
        weight_regularizer=length_scale**2 / (2 * num_examples),
        dropout_regularizer=1 / num_examples,
    )
    torch.testing.assert_close(ours, theirs)
    precision = 10.0  # of a mean squared error: both are 2 / tau times that
    doubled = thinout.regularization(layer, num_examples, kl_weight=2 / precision)
    torch.testing.assert_close(doubled, theirs * 2 / precision)


def test_a_bias_is_no_part_of_the_term():
    """A widely copied notebook sums the bias into what is divided by 1 - p."""
    linear = nn.Linear(4, 3)
    layer = tnn.ConcreteDropout(0.2, following=linear, weight_regularizer=0.5)
    before = layer.regularization()
    with torch.no_grad():
        linear.bias.fill_(100.0)
    assert torch.equal(layer.regularization(), before)
    layer.regularization().backward()
    assert linear.bias.grad is None
    torch.testing.assert_close(linear.weight.grad, linear.weight.detach() / 0.8)


def test_units_are_input_features_or_channels():
    def units(layer, following):
        layer.before(following)
        layer.weight_regularizer = 0.0
        return round(-layer.regularization().item() / 0.6931471806, 4)

    assert units(tnn.ConcreteDropout(0.5), nn.Linear(7, 3)) == 7
    assert units(tnn.ConcreteDropout2d(0.5), nn.Conv2d(6, 4, 3)) == 6  # not 6 * 3 * 3
    assert units(tnn.ConcreteDropout2d(0.5), nn.Conv2d(6, 4, 3, groups=2)) == 6  # whose weight has 3
    assert units(tnn.ConcreteDropout2d(0.5), nn.ConvTranspose2d(6, 4, 3)) == 6
    assert units(tnn.ConcreteDropout2d(0.5, num_units=8), nn.Linear(8 * 49, 10)) == 8  # behind a flattened map


def test_several_layers_can_see_the_same_dropped_units():
    """As the projections of attention do: their weights add up, the units count once."""
    projections = [nn.Linear(8, 8) for _ in range(3)]
    layer = tnn.ConcreteDropout(0.3, following=projections, weight_regularizer=0.1)
    stacked = torch.cat([each.weight for each in projections])
    expected = F.concrete_regularization(layer.p_logit, stacked, 8, weight_regularizer=0.1, dropout_regularizer=1.0)
    torch.testing.assert_close(layer.regularization(), expected)


def test_what_follows_stays_where_it_is():
    linear = nn.Linear(4, 3)
    model = nn.Sequential(tnn.ConcreteDropout(0.2, following=linear, weight_regularizer=1.0), linear)
    assert list(model.state_dict()) == ["0.p_logit", "1.weight", "1.bias"]
    twin = copy.deepcopy(model)
    with torch.no_grad():
        twin[1].weight.zero_()
    assert twin[0].regularization() < model[0].regularization()
    assert [type(child) for child in twin.children()] == [tnn.ConcreteDropout, nn.Linear]
    assert torch.equal(model.double()[0].regularization(), model[0].double().regularization())


def test_a_layer_that_knows_of_no_weights_says_so():
    with pytest.raises(RuntimeError, match=r"`following` must be the layer behind the dropout, got None. Pass follow"):
        tnn.ConcreteDropout(0.2).regularization()


# The rate as a number


def test_the_rate_can_be_read_and_set():
    layer = tnn.ConcreteDropout(0.1)
    assert layer.p == pytest.approx(0.1, rel=1e-6)
    version = layer.p_logit
    layer.p = 0.7
    assert layer.p_logit is version
    assert layer.p == pytest.approx(0.7, rel=1e-6)
    assert version.requires_grad
    assert version.is_leaf
    for wrong in (0.0, 1.0, -1.0, float("nan")):
        with pytest.raises(ValueError, match="`p` must be a number in"):
            layer.p = wrong
    assert layer.p == pytest.approx(0.7, rel=1e-6)
    layer.reset_parameters()
    assert layer.p == pytest.approx(0.1, rel=1e-6)


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16, torch.float16])
@pytest.mark.parametrize("value", [-1e4, -200.0, -30.0, 30.0, 200.0, 1e4])
def test_a_rate_driven_to_0_or_1_stays_finite(value, dtype):
    """It is the identity or gives zeros, with finite gradients everywhere; 1 / (1 - p) alone would be infinite."""
    linear = nn.Linear(50, 3, dtype=dtype)
    layer = tnn.ConcreteDropout(0.5, following=linear, dtype=dtype)
    with torch.no_grad():
        layer.p_logit.fill_(value)
    x = torch.randn(20, 50).to(dtype).requires_grad_()
    y = layer(x)
    torch.testing.assert_close(y, x if value < 0 else torch.zeros_like(x))
    (y.float().square().sum() + layer.regularization()).backward()
    for tensor in (y, x.grad, layer.p_logit.grad, layer.regularization()):
        assert tensor.isfinite().all()
    if dtype == torch.float32 and value > 0:
        scale = 1 / (1 - torch.sigmoid(torch.tensor(value)))
        assert scale.isinf()


def test_the_weight_term_brings_a_rate_back_from_1():
    linear = nn.Linear(5, 3)
    layer = tnn.ConcreteDropout(0.9999, following=linear, weight_regularizer=0.5)
    optimizer = torch.optim.Adam([layer.p_logit], lr=0.1, betas=(0.9, 0.9))  # that forgets how steep it was
    for _ in range(200):
        optimizer.zero_grad()
        layer.regularization().backward()
        optimizer.step()
    assert layer.p < 0.9


@pytest.mark.parametrize("twin", [nn.Dropout, nn.Dropout1d, nn.Dropout2d, nn.Dropout3d])
def test_from_torch_begins_at_the_rate_of_the_layer(twin):
    layer = getattr(tnn, f"Concrete{twin.__name__}").from_torch(twin(0.25).eval(), temperature=0.5)
    assert layer.p == pytest.approx(0.25)
    assert layer.temperature == 0.5
    assert not layer.training
    with pytest.raises(TypeError, match=f"`module` must be a torch.nn.{twin.__name__}"):
        type(layer).from_torch(nn.ReLU())
    with pytest.raises(ValueError, match=r"`p` must be a number in \(0, 1\), got 0.0"):
        type(layer).from_torch(twin(0.0))


# It learns


def sweep(x, y, rates):
    """Return, for each fixed rate, the best value of the objective and the weights that give it: a linear system."""
    moments, target, results = x.T @ x / len(x), x.T @ y / len(x), []
    for p in rates:
        noise = p / (1 - p) * moments.diagonal()
        weight = torch.linalg.solve(moments + noise.diag(), target)
        fit = 0.5 * ((y - x @ weight).square().mean() + (weight.square() * noise).sum())
        entropy = -p * math.log(p) - (1 - p) * math.log(1 - p)
        results.append(((fit - x.shape[1] * entropy / len(x)).item(), weight))
    return results


@pytest.mark.parametrize("start", [0.05, 0.5])
def test_the_learned_rate_is_the_best_of_an_exact_sweep(start):
    """Regression with known noise, 50 features, 120 examples: the objective of each rate is known exactly.

    Dropout here is worth something: it saves a third of the excess loss on new data, of which the learned rate, too,
    keeps at least three quarters.
    """
    generator = torch.Generator().manual_seed(0)
    x = torch.randn(120, 50, generator=generator)
    true = torch.randn(50, generator=generator) / 50**0.5
    y = x @ true + torch.randn(120, generator=generator)
    rates = [0.02 * step for step in range(1, 40)]
    swept = sweep(x.double(), y.double(), [1e-6, *rates])
    objective = [value for value, _ in swept[1:]]
    excess = [(weight - true).square().sum().item() for _, weight in swept]

    torch.manual_seed(0)
    linear = nn.Linear(50, 1, bias=False)
    layer = tnn.ConcreteDropout(start, following=linear)
    model = nn.Sequential(layer, linear)
    groups = [{"params": linear.parameters(), "lr": 1e-2}, {"params": layer.parameters(), "lr": 5e-2}]
    optimizer = torch.optim.Adam(groups)
    many = x.expand(4, 120, 50)
    for _ in range(700):
        loss = 0.5 * (model(many).squeeze(-1) - y).square().mean() + thinout.regularization(model, len(x))
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()

    best = rates[min(range(len(rates)), key=objective.__getitem__)]
    assert abs(layer.p - best) < 0.04
    ours = (linear.weight.detach()[0] - true).square().sum().item()
    none, least = excess[0], min(excess)
    assert least < 0.7 * none
    assert none - ours > 0.75 * (none - least)
