# SPDX-License-Identifier: Apache-2.0
"""Optimizer settings."""

from __future__ import annotations

from typing import Optional

from hugectr import _core, idle
from hugectr.arguments import Record, converted
from hugectr.enums import Optimizer_t, Update_t

_DEFAULTS = {
    "beta1": 0.9,
    "beta2": 0.999,
    "epsilon": 1e-7,
    "initial_accu_value": 0.0,
    "momentum_factor": 0.0,
    "lambda1": 0.0,
    "lambda2": 0.0,
}
_BETA = {Optimizer_t.RMSProp: 0.9}  # where it is not 0 by default
_USED_BY = {
    Optimizer_t.Adam: ("beta1", "beta2", "epsilon"),
    Optimizer_t.AdaGrad: ("epsilon", "initial_accu_value"),
    Optimizer_t.MomentumSGD: ("momentum_factor",),
    Optimizer_t.Nesterov: ("momentum_factor",),
    Optimizer_t.SGD: (),
    Optimizer_t.Ftrl: ("beta", "lambda1", "lambda2"),
    Optimizer_t.RMSProp: ("beta", "epsilon"),
}


class OptParamsPy(Record):
    """What :func:`CreateOptimizer` returns. ``OptParamsPy()`` itself means: use the model's optimizer."""


@converted()
def CreateOptimizer(
    optimizer_type: Optimizer_t = Optimizer_t.Adam,
    update_type: Update_t = Update_t.Global,
    beta1: float = 0.9,
    beta2: float = 0.999,
    epsilon: float = 1e-7,
    initial_accu_value: float = 0.0,
    momentum_factor: float = 0.0,
    atomic_update: bool = True,
    *,
    beta: Optional[float] = None,
    lambda1: float = 0.0,
    lambda2: float = 0.0,
) -> OptParamsPy:
    """Describes an optimizer, for a whole model or for one embedding.

    Args:
        optimizer_type: Adam, AdaGrad, MomentumSGD, Nesterov, SGD, Ftrl or RMSProp. The learning rate
            belongs to the solver.
        update_type: Embedding rows that a step touches: those of the batch (``Local``), all (``Global``), or those
            of the batch made up for the steps they missed (``LazyGlobal``; Adam only, like ``Local`` otherwise).
            Dense weights are always updated completely.
        beta1: Decay of Adam's first moment.
        beta2: Decay of Adam's second moment.
        epsilon: Added to the denominator by Adam, AdaGrad and RMSProp.
        initial_accu_value: Initial squared-gradient sum of AdaGrad.
        momentum_factor: Momentum of MomentumSGD and Nesterov.
        atomic_update: Whether SGD may add the gradients of one row in any order on a GPU.
        beta: RMSProp: decay of the mean squared gradient; left out, 0.9. Ftrl: added to the root of the squared
            gradients' sum; left out, 0.
        lambda1: Ftrl: L1 penalty; weights that it outweighs are exactly 0.
        lambda2: Ftrl: L2 penalty.

    Returns:
        OptParamsPy: the optimizer, usable any number of times.

    Raises:
        TypeError: An argument is unknown or has the wrong type.
        InvalidArgumentError: A value is out of range.
    """
    if beta is None:
        beta = _BETA.get(optimizer_type, 0.0)
    optimizer = OptParamsPy.of(locals())
    moments = (beta1, beta2, epsilon, initial_accu_value, momentum_factor)
    _core.check_optimizer(optimizer_type.name, *moments, beta, lambda1, lambda2)
    defaults = {**_DEFAULTS, "beta": _BETA.get(optimizer_type, 0.0)}
    given = [name for name, default in defaults.items() if getattr(optimizer, name) != default]
    others = [name for name in given if name not in _USED_BY[optimizer_type]]
    if not atomic_update and optimizer_type is not Optimizer_t.SGD:
        others.append("atomic_update")
    idle.warn("CreateOptimizer()", others, f"on {optimizer_type.name}")
    return optimizer
