"""Where every tensor lies in the arena, and when: lifetimes, then offsets."""

from .allocate import Plan, Slot, plan_steps

__all__ = ["Plan", "Slot", "plan_steps"]
