"""Where every tensor lies in the arena, and when.

overlap (how far a kernel's output may reach into its input) -> schedule (order of the steps) -> lifetimes -> allocate
(with solve, which knows nothing but sizes and distances).
"""

from .allocate import Plan, Slot
from .choose import plan_steps

__all__ = ["Plan", "Slot", "plan_steps"]
