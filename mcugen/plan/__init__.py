"""Where every tensor lies in the arena, and when.

overlap (how far a kernel's output may reach into its input) -> schedule (order of the steps) -> lifetimes -> allocate
(with solve, which knows nothing but sizes and distances).
"""

from .allocate import Plan, Slot
from .choose import plan_steps
from .lifetimes import Storage

__all__ = ["Plan", "Slot", "Storage", "plan_steps"]
