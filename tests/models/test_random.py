from bowerbird.testing import ModelConformance


class TestRandom(ModelConformance):
    name = "random"
    solves_checkerboard = False
    can_update = True
