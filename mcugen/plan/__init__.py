"""Where every tensor lies in the arena, and when.

overlap (how far a kernel's output may reach into its input) -> schedule (order of the steps) -> choose (bands of rows,
with costs; fuse: layers that add to their output, drift: moves) -> lifetimes -> allocate (with solve, which knows
nothing but sizes and distances).
"""

from .allocate import ALIGN, Plan, Slot
from .choose import Lowered, plan_steps
from .costs import COSTS
from .lifetimes import Storage
from .regions import place

__all__ = ["ALIGN", "COSTS", "Lowered", "Plan", "Slot", "Storage", "place", "plan_steps"]
