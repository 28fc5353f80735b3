"""The best chains of a pool, found exactly. These modules know numbers only:

    space           all chains as a graph of points and seams; a chain (`Route`) and its price
    exact           all of a front, the best within a budget, several that differ
    milp, rules     the best chain under rules that do not add up along it
    grid            one choice for each layer

Behind them stand `problem` (what is asked, as arrays), `labels`, `unfinished`, `states`, `dominance`
and `incumbents` (exact search), and `program` and `reduced` (the integer program, and the seams that it needs).
"""
