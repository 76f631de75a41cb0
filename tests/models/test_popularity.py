from bowerbird.testing import ModelConformance


class TestPopularity(ModelConformance):
    name = "popularity"
    solves_checkerboard = False
    can_update = True
