"""Optimisers: the next value of a parameter, as an elementwise op.

The operands are the parameter, its gradient, `learning_rate` and, where it is needed, `step`, both float[] and fed at every
step: the rate by the schedule, the step counting from 1. Then come the op's states, which start at zero. The attribute
`learning_rate` is the base that schedules start from; the operand takes its place in the formulas.
"""
