# SPDX-License-Identifier: Apache-2.0
"""Optimizer settings."""

from __future__ import annotations

from hugectr import _core, idle
from hugectr.arguments import Record, converted
from hugectr.enums import Optimizer_t, Update_t

_DEFAULTS = {"beta1": 0.9, "beta2": 0.999, "epsilon": 1e-7, "initial_accu_value": 0.0, "momentum_factor": 0.0}
_USED_BY = {
    Optimizer_t.Adam: ("beta1", "beta2", "epsilon"),
    Optimizer_t.AdaGrad: ("epsilon", "initial_accu_value"),
    Optimizer_t.MomentumSGD: ("momentum_factor",),
    Optimizer_t.Nesterov: ("momentum_factor",),
    Optimizer_t.SGD: (),
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
) -> OptParamsPy:
    """Describes an optimizer, for a whole model or for one embedding.

    Args:
        optimizer_type: Adam, AdaGrad, MomentumSGD, Nesterov or SGD. The learning rate belongs to the solver.
        update_type: Embedding rows that a step touches: those of the batch (``Local``), all (``Global``), or those
            of the batch made up for the steps they missed (``LazyGlobal``; Adam only, like ``Local`` otherwise).
            Dense weights are always updated completely.
        beta1: Decay of Adam's first moment.
        beta2: Decay of Adam's second moment.
        epsilon: Added to the denominator by Adam and AdaGrad.
        initial_accu_value: Initial squared-gradient sum of AdaGrad.
        momentum_factor: Momentum of MomentumSGD and Nesterov.
        atomic_update: Whether SGD may add the gradients of one row in any order on a GPU.

    Returns:
        OptParamsPy: the optimizer, usable any number of times.

    Raises:
        TypeError: An argument is unknown or has the wrong type.
        InvalidArgumentError: A value is out of range.
    """
    optimizer = OptParamsPy.of(locals())
    _core.check_optimizer(beta1, beta2, epsilon, initial_accu_value, momentum_factor)
    used = _USED_BY.get(optimizer_type, tuple(_DEFAULTS))  # others are refused later
    given = {name: default for name, default in _DEFAULTS.items() if getattr(optimizer, name) != default}
    others = [name for name in given if name not in used]
    if not atomic_update and optimizer_type is not Optimizer_t.SGD:
        others.append("atomic_update")
    idle.warn("CreateOptimizer()", others, f"on {optimizer_type.name}")
    return optimizer
