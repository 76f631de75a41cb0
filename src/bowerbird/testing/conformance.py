"""What every recommender must do, as one class; the test of a model subclasses it and adds two lines.

    class TestMyModel(ModelConformance):
        name = "my_model"
        expected_ndcg = 0.07

A model that Bowerbird does not know overrides ``build`` and ``load`` too.
"""

from __future__ import annotations

from bowerbird.testing.accuracy import AccuracyConformance
from bowerbird.testing.edges import EdgeConformance
from bowerbird.testing.lists import ListConformance
from bowerbird.testing.states import StateConformance
from bowerbird.testing.tables import TableConformance


class ModelConformance(ListConformance, StateConformance, EdgeConformance, TableConformance, AccuracyConformance):
    """All parts of the suite; see the attributes of each for what a subclass may set."""
