"""What Python's operators and the attributes of a tensor are called as functions and methods of torch."""

import operator
from collections.abc import Callable
from typing import Any

#: By the name of the method that an operator calls.
OPERATORS: dict[str, Callable[..., Any]] = {
    "__add__": operator.add,
    "__sub__": operator.sub,
    "__mul__": operator.mul,
    "__truediv__": operator.truediv,
    "__floordiv__": operator.floordiv,
    "__matmul__": operator.matmul,
    "__mod__": operator.mod,
    "__pow__": operator.pow,
    "__neg__": operator.neg,
    "__invert__": operator.invert,
    "__and__": operator.and_,
    "__or__": operator.or_,
    "__xor__": operator.xor,
    "__eq__": operator.eq,
    "__ne__": operator.ne,
    "__lt__": operator.lt,
    "__le__": operator.le,
    "__gt__": operator.gt,
    "__ge__": operator.ge,
    "__getitem__": operator.getitem,
    "__setitem__": operator.setitem,
    "__iadd__": operator.iadd,
    "__isub__": operator.isub,
    "__imul__": operator.imul,
    "__itruediv__": operator.itruediv,
    "__idiv__": operator.itruediv,
}
#: The same with the operands swapped.
REFLECTED = {
    "__radd__": operator.add,
    "__rsub__": operator.sub,
    "__rmul__": operator.mul,
    "__rtruediv__": operator.truediv,
    "__rdiv__": operator.truediv,
    "__rpow__": operator.pow,
    "__rmatmul__": operator.matmul,
    "__rfloordiv__": operator.floordiv,
}
#: Attributes that give another tensor, and the method that says the same.
PROPERTIES: dict[str, tuple[str, tuple[Any, ...]]] = {
    "T": ("t", ()),
    "mT": ("transpose", (-2, -1)),
    "H": ("adjoint", ()),
    "mH": ("adjoint", ()),
    "data": ("detach", ()),
}
