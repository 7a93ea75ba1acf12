"""Parts of an object that are made when they are first asked for."""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    # To type checkers this is what it looks like.
    from builtins import property as lazy
else:

    class lazy:
        """A property that is computed once, also when several threads ask at the same time.

        The object has a reentrant lock `_making`: parts may be made of other parts. Without a
        `__set__`, the value in the object's own dictionary is what every later access finds.
        """

        def __init__(self, make):
            self.make = make
            self.name = make.__name__
            self.__doc__ = make.__doc__

        def __get__(self, instance, owner=None):
            if instance is None:
                return self
            with instance._making:  # noqa: SLF001  (for this alone)
                parts = instance.__dict__
                if self.name not in parts:
                    parts[self.name] = self.make(instance)
                return parts[self.name]


__all__ = ["lazy"]
