from bowerbird.testing import ModelConformance


class TestCooccurrence(ModelConformance):
    name = "cooccurrence"
    solves_checkerboard = True
    can_update = True
    can_explain = True
