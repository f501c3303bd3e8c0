"""A processor hint that numba lacks: fetch a user's row of state before the fold gets to it.

User numbers of a row group are known ahead, the rows of state they name are scattered over more memory than the caches
hold; without the hint a fold waits for memory most of the time.
"""

from __future__ import annotations

from llvmlite import ir
from numba.core import cgutils, types
from numba.extending import intrinsic

ROWS_AHEAD = 48


def _hint(context, builder, place) -> None:
    byte_pointer, number = ir.IntType(8).as_pointer(), ir.IntType(32)
    declared = ir.FunctionType(ir.VoidType(), [byte_pointer, number, number, number])
    hint = builder.module.declare_intrinsic("llvm.prefetch", [byte_pointer], declared)
    builder.call(hint, [builder.bitcast(place, byte_pointer), number(1), number(3), number(1)])


@intrinsic
def prefetch_row(typing_context, table, row):
    """Fetches the cache lines of the first and last element of `table[row]` (two dimensions, C order), to
    be written.
    """
    signature = types.void(table, row)

    def codegen(context, builder, signature, arguments):
        kind = signature.args[0]
        array = context.make_array(kind)(context, builder, arguments[0])
        index = context.cast(builder, arguments[1], signature.args[1], types.intp)
        width = cgutils.unpack_tuple(builder, array.shape, 2)[1]
        one = context.get_constant(types.intp, 1)
        for column in (context.get_constant(types.intp, 0), builder.sub(width, one)):
            _hint(
                context,
                builder,
                cgutils.get_item_pointer(context, builder, kind, array, [index, column], wraparound=False),
            )
        return context.get_dummy_value()

    return signature, codegen


@intrinsic
def prefetch_item(typing_context, table, item):
    """Fetches the cache line of `table[item]` (one dimension), to be written."""
    signature = types.void(table, item)

    def codegen(context, builder, signature, arguments):
        kind = signature.args[0]
        array = context.make_array(kind)(context, builder, arguments[0])
        index = context.cast(builder, arguments[1], signature.args[1], types.intp)
        _hint(context, builder, cgutils.get_item_pointer(context, builder, kind, array, [index], wraparound=False))
        return context.get_dummy_value()

    return signature, codegen
