"""The likeliest parameters of a model for some curves: each device's own, and what all share.

Own parameters are settled for each device by itself (trust region with the expected information,
scipy.optimize); those that are shared, the noise among them, take Newton steps on what is left when
all devices have settled (Schur complements of the information). Shared ones are adjusted for the
own ones that were fitted on the way (Cox & Reid 1987, doi 10.1111/j.2517-6161.1987.tb01422.x), as
one divides by n - 1: many short curves would otherwise underestimate the noise. Not for spreads
over devices: that is population.py.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace

import numpy as np
from scipy import optimize

from rpucc.runtime.fitting.curves import Curves, DeviceCurve, Floats
from rpucc.runtime.fitting.likelihood import NOISES, Edge, Information, information
from rpucc.runtime.fitting.models import PRIOR, FitModel, Sketch
from rpucc.runtime.fitting.sketch import Noise

LEAST_READ = 1e-4
"""The least error of a read, in steps: a filter needs some."""
EDGE_READ = 0.1
"""The least error of a read at a bound, in steps (see the filter)."""
EXACT, EXACT_EDGE = 0.03, 0.003
"""Where reads are better than the first (steps), those near a bound are told from those at it by
the second, once all has nearly settled: pulses that lead a little away from it say much of their
noise. In the loss that models are compared by a read at a bound stays as likely as before."""
SETTLED = 0.05
"""Standard errors that the last step of shared parameters may still move them."""
NEARLY = 1.0
"""The same of a first descent of two."""
NEAR_ENOUGH = 0.5
"""The same where no step leads down."""
BLUR = 0.03
"""Error of a read that a descent begins with, in ranges of a device."""
ROUNDS, TRIED = 30, 8
"""Steps of a descent, and of each start where these differ in what is shared."""
TOLERATED = 0.5
"""By how much the first step may raise the loss, later ones less: own parameters settle no better
near hard bounds."""
HALVINGS = 8
VARIED = 1.1
"""By what a variance is changed to see what that does to the information."""
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
    edge: Edge
    """How reads at a bound were told."""
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
    if len(begun) > 1 and model.shared:
        for each in begun:
            each.try_out()
    return min(begun, key=lambda each: each.state.adjusted).run(rounds)


class _Fit:
    """One descent: the state of all devices, and what is known of it."""

    def __init__(
        self, model: type[FitModel], curves: Curves, sketches: list[Sketch], own: Floats,
        step: float, shared: Floats,
    ) -> None:  # fmt: skip
        self.model, self.curves, self.begun = model, curves, own.astype(float)
        self.own_scales = np.stack([model.scales(each)[0] for each in sketches])
        wide = np.where(np.arange(len(model.own)) < 2, model.bounds_prior, PRIOR)
        self.prior = (wide * self.own_scales) ** -2.0  # precisions before any read
        self.shared_scales = model.scales(sketches[0])[1]
        self.count, kinds = len(model.own), len(model.shared)
        least = (LEAST_READ * step) ** 2
        floor = [1e-8, least, least, 0.0]
        low, high = model.limits(shared[:kinds])
        self.least = np.array([*low, *floor])
        self.most = np.array([*high, np.inf, np.inf, np.inf, LONGEST])
        self.weak = np.array([*(PRIOR * self.shared_scales) ** -2.0, 0.0, 0.0, 0.0, 0.0])
        self.step, self.edge = step, Edge((EDGE_READ * step) ** 2)
        self.varied = np.arange(kinds + len(NOISES))
        if shared[-2] == 0:  # no errors that last
            self.varied, self.least[-2] = self.varied[:-2], 0.0
        if not model.noise_in_steps:
            shared = np.concatenate([shared[:kinds], [1.0], shared[kinds + 1 :]])
            self.varied = np.delete(self.varied, kinds)
        self.shared = np.clip(shared, self.least, self.most)
        self.own = self._settle(self._settle(self.begun, self._blurred(shared)), self.shared)
        self.state = self._look(self.own, self.shared)

    def run(self, rounds: int) -> Estimate:
        """Descend; once more where reads turn out to be exact."""
        found = self._descend(rounds)
        if not self._exact(found.shared):
            return found
        close = Edge((EXACT_EDGE * self.step) ** 2)
        self.shared, self.edge = found.shared, close
        self.own = self._at_ends(found.own)
        self.state = self._look(self.own, self.shared)
        found = self._descend(rounds)
        self.edge = close._replace(weight=math.log(EXACT_EDGE / EDGE_READ))
        return replace(found, loss=self._look(found.own, found.shared).loss)

    def _at_ends(self, own: Floats) -> Floats:
        """Own parameters, with bounds at the ends of the reads where that is likelier."""
        moved = own.copy()
        for row, curve in zip(moved, self.curves.devices, strict=True):
            values = curve.values[curve.seen]
            row[:2] = values.max(), values.min()
        moved, own = self._settle(moved, self.shared), self._settle(own, self.shared)
        better = self._look(moved, self.shared).losses < self._look(own, self.shared).losses
        return np.where(better[:, None], moved, own)

    def try_out(self) -> None:
        """Take a few steps from the start."""
        found = self._descend(TRIED)
        self.own, self.shared = found.own, found.shared
        self.state = self._look(self.own, self.shared)

    def _exact(self, shared: Floats) -> bool:
        return bool(shared[-3] < (EXACT * self.step) ** 2)

    def _descend(self, rounds: int) -> Estimate:
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
            again = self.edge.variance > (EXACT_EDGE * self.step) ** 2 and self._exact(shared)
            if moved.max(initial=0.0) < (NEARLY if again else SETTLED):
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
        free = np.concatenate([np.arange(self.count), self.count + self.varied])
        found = [
            information(
                self.model, curve, np.concatenate([own[i], shared]), free,
                self._scales(i, shared), self.edge,
            )
            for i, curve in enumerate(self.curves.devices)
        ]  # fmt: skip
        penalties = (self.prior * (own - self.begun) ** 2).sum(axis=1) / 2
        return _State(found, self.prior, self.count, penalties)

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
        most = own.size / 2 * math.log(VARIED)  # information goes by variances to the -1 at most
        for j in range(len(shared) - 4, len(shared) - 1):
            if j not in self.varied:
                continue
            moved = shared.copy()
            moved[j] *= VARIED
            change = self._look(own, moved).determinants - state.determinants
            slopes[j] = np.clip(change, -most, most) / (moved[j] - shared[j])
        return slopes

    def _settle(self, own: Floats, shared: Floats) -> Floats:
        """Let each device find its own parameters."""
        return np.stack(
            [self._settle_one(i, c, own[i], shared) for i, c in enumerate(self.curves.devices)]
        )

    def _settle_one(self, i: int, curve: DeviceCurve, own: Floats, shared: Floats) -> Floats:
        free = np.arange(self.count)
        scales, prior, begun = self._scales(i, shared), self.prior[i], self.begun[i]

        def at(x: Floats) -> Information:
            p = np.concatenate([x, shared])
            found = information(self.model, curve, p, free, scales, self.edge)
            if not (np.isfinite(found.loss) and np.isfinite(found.fisher).all()):
                return Information(1e300, np.zeros(len(free)), np.diag(prior))
            away = x - begun
            return Information(
                found.loss + float(prior @ away**2) / 2,
                found.gradient + prior * away,
                found.fisher + np.diag(prior),
            )

        unit = 1 / np.sqrt(np.diag(at(own).fisher))  # standard errors: steps are counted in them
        seen: dict[bytes, Information] = {}

        def look(u: Floats) -> Information:
            key = u.tobytes()
            if key not in seen:
                seen.clear()
                seen[key] = at(own + u * unit)
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
        return np.asarray(own + done.x * unit)

    def _result(self, own: Floats, shared: Floats, state: _State, settled: bool) -> Estimate:
        border = np.zeros((len(own), self.count, len(shared)))
        within = np.zeros((len(shared), len(shared)))
        border[:, :, self.varied] = -state.own_inverse @ state.cross
        variances = np.diagonal(state.own_inverse, axis1=1, axis2=2)
        matrix = state.schur + np.diag(self.weak[self.varied])
        within[np.ix_(self.varied, self.varied)] = _inverse(matrix)
        return Estimate(
            own, shared, state.loss, state.own_inverse, border, within,
            variances * self.prior < 0.01, self.edge, settled,
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
        self.own_inverse: Floats = np.asarray(np.linalg.inv(inner) if own else inner, np.float64)
        across = np.swapaxes(self.cross, 1, 2)
        self.schur = (fisher[:, own:, own:] - across @ self.own_inverse @ self.cross).sum(axis=0)
        self.shared_gradient = gradient[:, own:].sum(axis=0)
        self.loss = float(sum(one.loss for one in each))
        self.losses = np.array([one.loss for one in each]) + penalties
        self.determinants = float(np.linalg.slogdet(inner)[1].sum() / 2) if own else 0.0
        self.adjusted = self.loss + float(penalties.sum()) + self.determinants
