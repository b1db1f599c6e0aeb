"""Norse."""

import sys
from typing import Any


class Norse:
    name = "norse"

    def owns(self, module: Any) -> bool:
        return False

    def fresh(self, modules: Any) -> None:
        pass

    def step(self, module: Any) -> float | None:
        return None

    @staticmethod
    def over_time(module: Any) -> bool:
        return False
