"""The JSON documents: plan.json and what the verbs print. Their keys are a contract: add, but change and drop none.

words.py: what all say in the same way. plan.py: what plan.json holds; schema.py: of which types all of that must be,
with schema_network.py for what is said of a network and schema_beside.py for the rest; reread.py: a plan made of it
again. verbs.py: the documents of the verbs that only look.
"""

from .plan import chain_record, healing_record, plan_document, verified_record
from .verbs import (
    compare_document,
    cost_document,
    eval_document,
    inspect_document,
    pareto_record,
    ranked,
    verify_document,
)
from .words import SCHEMA, label, notes, number, without_formula

__all__ = [
    "SCHEMA", "chain_record", "compare_document", "cost_document", "eval_document",
    "healing_record", "inspect_document", "label", "notes", "number", "pareto_record", "plan_document", "ranked",
    "verified_record", "verify_document", "without_formula",
]  # fmt: skip
