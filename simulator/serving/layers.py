"""Steps layer by layer: fidelity ``layer``.

Every layer of a step is an event. Its compute begins when the layer before it has ended and, with
layerwise loads, when its KV has come; it lasts as long as the copies of that moment let it.
Fidelity ``step`` has the closed form of the same (`tiering.Tiering`): both must agree.
"""

from __future__ import annotations

from collections.abc import Generator
from dataclasses import dataclass, field
from typing import Any

import simpy

from tierlab.simulator.serving.engine import state
from tierlab.simulator.serving.engine.state import Core
from tierlab.simulator.serving.tiering import Tiering

Process = Generator[simpy.Event, Any, None]


@dataclass(eq=False)
class Layers:
    """The layers of one replica's steps.

    Attributes
    ----------
    number
        Layers of the model.
    """

    env: simpy.Environment
    core: Core
    number: int
    tiering: Tiering
    _under_way: bool = field(default=False)

    def __post_init__(self) -> None:
        self.core.reg[state.LIMIT_STEPS] = 1

    def begin(self) -> bool:
        """Let the planned step begin, if it has not; say whether it goes on by itself."""
        reg = self.core.reg
        if reg[state.PHASE] == state.PLANNED and not self._under_way and not reg[state.SAVING]:
            self._under_way = True
            self.core.reg[state.HELD_UP] += 1
            self.env.process(self._step())
        return self._under_way

    def _step(self) -> Process:
        core, env = self.core, self.env
        alone_s = float(core.seconds[0]) / self.number
        for layer in range(self.number):
            yield from self.tiering.layer_has_come(layer)
            yield env.timeout(alone_s * self.tiering.copier.stretch())
        core.ends[0] = core.real[state.NOT_BEFORE] = env.now
        core.reg[state.HELD_UP] -= 1
        self._under_way = False
        self.tiering.forget_layers()
        self.tiering.wake()
