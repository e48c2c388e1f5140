"""The likeliest parameters of a model for some curves: each device's own, and what all share.

Own parameters are settled for each device by itself (trust region with the expected information,
scipy.optimize); those that are shared, the noise among them, take Newton steps on what is left when
all devices have settled (Schur complements of the information). Shared ones are adjusted for the
own ones that were fitted on the way (Cox & Reid 1987, doi 10.1111/j.2517-6161.1987.tb01422.x), as
one divides by n - 1: many short curves would otherwise underestimate the noise. Not for spreads
over devices: that is population.py.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy import optimize

from rpucc.runtime.fitting.curves import Curves, DeviceCurve, Floats
from rpucc.runtime.fitting.likelihood import NOISES, Information, information
from rpucc.runtime.fitting.models import FitModel, Sketch
from rpucc.runtime.fitting.sketch import Noise

PRIOR = 10.0
"""Own parameters are held near their start by a normal of so many times their scale, so that what
a curve says nothing about (a bound that it does not reach) stays a number."""
LEAST_READ = 1e-4
"""The least error of a read, in steps: a filter needs some."""
EDGE_READ = 0.1
"""The least error of a read at a bound, in steps (see the filter)."""
SETTLED = 0.05
"""Standard errors that the last step of shared parameters may still move them."""
NEAR_ENOUGH = 0.5
"""The same where no step leads down."""
BLUR = 0.03
"""Error of a read that a descent begins with, in ranges of a device."""
ROUNDS = 30
TOLERATED = 0.5
"""By how much the first step may raise the loss, later ones less: own parameters settle no better
near hard bounds."""
HALVINGS = 8
LONGEST = 0.98
"""What part of an error that lasts a pulse may leave: what lasts longer is the state's."""


@dataclass(frozen=True)
class Estimate:
    """The likeliest parameters of a model for some curves."""

    own: Floats
    """[devices, own]"""
    shared: Floats
    """[shared + 4]: the model's, then NOISES."""
    loss: float
    """Minus the log likelihood."""
    own_covariance: Floats
    """[devices, own, own], of each device's own parameters with the shared ones given."""
    border: Floats
    """[devices, own, shared + 4]: how own parameters follow shared ones."""
    shared_covariance: Floats
    informed: np.ndarray
    """[devices, own]: whether the curve says more of the parameter than where it was begun."""
    edge_read: float
    """The least variance that a read at a bound was taken to have."""
    settled: bool

    @property
    def free(self) -> int:
        """How many numbers were fitted."""
        return int(np.any(self.own_covariance != 0, axis=2).sum()) + int(
            np.any(self.shared_covariance != 0, axis=0).sum()
        )

    def parameters(self, device: int) -> Floats:
        """Own and shared parameters of a device in one vector."""
        return np.concatenate([self.own[device], self.shared])


def estimate(
    model: type[FitModel], curves: Curves, sketches: list[Sketch], noise: Noise,
    rounds: int = ROUNDS,
) -> Estimate:  # fmt: skip
    """Return the likeliest parameters, from the likeliest of the model's starts.

    rounds: steps of shared parameters, at most.
    """
    step = float(np.median([each.step for each in sketches]))
    begun = []
    for own, shared in model.starts(sketches):
        whole = np.concatenate([shared, [noise.cycle, noise.read, noise.lasting, noise.rest]])
        begun.append(_Fit(model, curves, sketches, own, step, whole))
    return min(begun, key=lambda each: each.state.adjusted).run(rounds)


class _Fit:
    """One descent: the state of all devices, and what is known of it."""

    def __init__(
        self, model: type[FitModel], curves: Curves, sketches: list[Sketch], own: Floats,
        step: float, shared: Floats,
    ) -> None:  # fmt: skip
        self.model, self.curves, self.begun = model, curves, own.astype(float)
        self.own_scales = np.stack([model.scales(each)[0] for each in sketches])
        self.shared_scales = model.scales(sketches[0])[1]
        self.fixed, self.count, kinds = model.fixed, len(model.own), len(model.shared)
        least = (LEAST_READ * step) ** 2
        floor = [1e-8, least, least, 0.0]
        self.least = np.array([*([-np.inf] * kinds), *floor])
        self.most = np.array([*([np.inf] * (kinds + 3)), LONGEST])
        self.weak = np.array([*(PRIOR * self.shared_scales) ** -2.0, 0.0, 0.0, 0.0, 0.0])
        self.edge_read = (EDGE_READ * step) ** 2
        self.varied = np.arange(kinds + len(NOISES))
        if shared[-2] == 0:  # no errors that last
            self.varied, self.least[-2] = self.varied[:-2], 0.0
        self.shared = np.clip(shared, self.least, self.most)
        self.own = self._settle(self._settle(self.begun, self._blurred(shared)), self.shared)
        self.state = self._look(self.own, self.shared)

    def run(self, rounds: int) -> Estimate:
        """Alternate: all devices settle, what they share takes a step."""
        own, shared, state = self.own, self.shared, self.state
        best, settled = (own, shared, state), False
        for number in range(1, rounds + 1):
            move, errors = self._newton(state, own, shared)
            for halving in range(HALVINGS):
                tried = np.clip(shared + move / 2**halving, self.least, self.most)
                tried_own = self._settle(own, tried)
                new = self._look(tried_own, tried)
                if new.adjusted <= state.adjusted + TOLERATED / number:
                    break
            else:  # no way down
                settled = float(np.max(np.abs(move) / errors)) < NEAR_ENOUGH
                break
            moved = np.abs(tried - shared) / errors
            own, shared, state = tried_own, tried, new
            if state.adjusted < best[2].adjusted:
                best = own, shared, state
            if moved.max(initial=0.0) < SETTLED:
                settled = True
                break
        return self._result(*best, settled)

    def _blurred(self, shared: Floats) -> Floats:
        """The same with noise that smooths the way from a start that is off."""
        blurred = shared.copy()
        blurred[-4] = max(blurred[-4], 1.0)
        blurred[-3] = max(blurred[-3], (BLUR * float(np.median(self.own_scales[:, 0]))) ** 2)
        return blurred

    def _scales(self, device: int, shared: Floats) -> Floats:
        noise = np.maximum(shared[-4:-1], self.least[-4:-1])
        return np.concatenate([self.own_scales[device], self.shared_scales, noise, [1.0]])

    def _look(self, own: Floats, shared: Floats) -> _State:
        """Loss, gradient and information of everything, own parameters settled."""
        free = np.concatenate([np.arange(self.fixed, self.count), self.count + self.varied])
        found = [
            information(
                self.model, curve, np.concatenate([own[i], shared]), free,
                self._scales(i, shared), self.edge_read,
            )
            for i, curve in enumerate(self.curves.devices)
        ]  # fmt: skip
        return _State(found, self._prior(), self.count - self.fixed, self._penalties(own))

    def _prior(self) -> Floats:
        """Precisions of own parameters before any read [devices, free own]."""
        return (PRIOR * self.own_scales[:, self.fixed :]) ** -2.0

    def _penalties(self, own: Floats) -> Floats:
        away = (own - self.begun)[:, self.fixed :]
        return np.asarray((self._prior() * away**2).sum(axis=1) / 2)

    def _newton(self, state: _State, own: Floats, shared: Floats) -> tuple[Floats, Floats]:
        """A step of the shared parameters and their standard errors; 0 for one at its end."""
        at = self.varied
        gradient = state.shared_gradient + self._adjustment(state, own, shared)[at]
        ended = ((shared <= self.least)[at] & (gradient > 0)) | (
            (shared >= self.most)[at] & (gradient < 0)
        )
        ended |= (at == len(shared) - 1) & (shared[-2] <= self.least[-2])  # of what is not there
        matrix = state.schur + np.diag(self.weak[at])
        inside = np.flatnonzero(~ended)
        move, errors = np.zeros(len(shared)), np.ones(len(shared))
        inverse = _inverse(matrix[np.ix_(inside, inside)])
        move[at[inside]] = -inverse @ gradient[inside]
        errors[at[inside]] = np.sqrt(np.maximum(np.diag(inverse), 1e-300))
        noise = np.maximum(shared[-4:], self.least[-4:])
        most = np.concatenate([self.shared_scales, 3 * noise[:3], [0.3]])
        return np.clip(move, -most, most), errors

    def _adjustment(self, state: _State, own: Floats, shared: Floats) -> Floats:
        """Derivatives of half the log determinants of the devices' information, by variances."""
        slopes = np.zeros(len(shared))
        if self.fixed == self.count:
            return slopes
        for j in range(len(shared) - 4, len(shared) - 1):
            if j not in self.varied:
                continue
            moved = shared.copy()
            moved[j] *= 1.01
            determinants = self._look(own, moved).determinants
            slopes[j] = (determinants - state.determinants) / (moved[j] - shared[j])
        return slopes

    def _settle(self, own: Floats, shared: Floats) -> Floats:
        """Let each device find its own parameters."""
        return np.stack(
            [self._settle_one(i, c, own[i], shared) for i, c in enumerate(self.curves.devices)]
        )

    def _settle_one(self, i: int, curve: DeviceCurve, own: Floats, shared: Floats) -> Floats:
        free = np.arange(self.fixed, self.count)
        if not len(free):
            return own
        scales, prior = self._scales(i, shared), self._prior()[i]
        begun = self.begun[i, self.fixed :]

        def at(x: Floats) -> Information:
            p = np.concatenate([self.begun[i, : self.fixed], x, shared])
            found = information(self.model, curve, p, free, scales, self.edge_read)
            if not (np.isfinite(found.loss) and np.isfinite(found.fisher).all()):
                return Information(1e300, np.zeros(len(free)), np.diag(prior))
            away = x - begun
            return Information(
                found.loss + float(prior @ away**2) / 2,
                found.gradient + prior * away,
                found.fisher + np.diag(prior),
            )

        x = own[self.fixed :]
        unit = 1 / np.sqrt(np.diag(at(x).fisher))  # standard errors: steps are counted in them
        seen: dict[bytes, Information] = {}

        def look(u: Floats) -> Information:
            key = u.tobytes()
            if key not in seen:
                seen.clear()
                seen[key] = at(x + u * unit)
            return seen[key]

        done = optimize.minimize(
            lambda u: look(u).loss,
            np.zeros(len(free)),
            jac=lambda u: look(u).gradient * unit,
            hess=lambda u: look(u).fisher * np.outer(unit, unit),
            method="trust-exact",
            options={"gtol": 1e-2, "maxiter": 100, "initial_trust_radius": 10.0,
                     "max_trust_radius": 1e4},
        )  # fmt: skip
        return np.concatenate([own[: self.fixed], x + done.x * unit])

    def _result(self, own: Floats, shared: Floats, state: _State, settled: bool) -> Estimate:
        devices, count, fixed = len(own), self.count, self.fixed
        covariance = np.zeros((devices, count, count))
        border = np.zeros((devices, count, len(shared)))
        within = np.zeros((len(shared), len(shared)))
        covariance[:, fixed:, fixed:] = state.own_inverse
        border[:, fixed:, self.varied] = -state.own_inverse @ state.cross
        informed = np.ones((devices, count), bool)
        variances = np.diagonal(state.own_inverse, axis1=1, axis2=2)
        informed[:, fixed:] = variances * self._prior() < 0.01
        matrix = state.schur + np.diag(self.weak[self.varied])
        within[np.ix_(self.varied, self.varied)] = _inverse(matrix)
        return Estimate(
            own, shared, state.loss, covariance, border, within, informed,
            self.edge_read, settled,
        )  # fmt: skip


def _inverse(matrix: Floats) -> Floats:
    """The inverse of an information, whatever its entries are measured in."""
    size = np.sqrt(np.diag(matrix).clip(0))
    size[size == 0] = 1.0
    both = np.outer(size, size)
    return np.asarray(np.linalg.pinv(matrix / both, hermitian=True) / both)


class _State:
    """What all devices say at some parameters, own ones settled."""

    def __init__(self, each: list[Information], prior: Floats, own: int, penalties: Floats) -> None:
        fisher = np.stack([one.fisher for one in each])
        gradient = np.stack([one.gradient for one in each])
        inner = fisher[:, :own, :own] + prior[:, :, None] * np.eye(own)
        self.cross = fisher[:, :own, own:]
        self.own_inverse = np.linalg.inv(inner) if own else inner
        across = np.swapaxes(self.cross, 1, 2)
        self.schur = (fisher[:, own:, own:] - across @ self.own_inverse @ self.cross).sum(axis=0)
        self.shared_gradient = gradient[:, own:].sum(axis=0)
        self.loss = float(sum(one.loss for one in each))
        self.determinants = float(np.linalg.slogdet(inner)[1].sum() / 2) if own else 0.0
        self.adjusted = self.loss + float(penalties.sum()) + self.determinants
