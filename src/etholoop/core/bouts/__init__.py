"""From scores to bouts, the same for every family of models: calibrate → smooth or threshold → clean by length → abstain.

Scores are (n, K): n neighbouring frames of one animal, K behaviours in the order of the ethogram; NaN = no score there. With head
``multiclass`` a row holds the probabilities of behaviours of which at most one can be, and what is missing to 1 is the probability of
none of them; with head ``multilabel`` every column is a probability of its own. Truth is (n, K) int8: 1, 0 and -1 = not known.
"""

MULTICLASS, MULTILABEL = "multiclass", "multilabel"
HEADS = (MULTICLASS, MULTILABEL)
