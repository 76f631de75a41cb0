from bowerbird.testing import ModelConformance


class TestPersonalFrequency(ModelConformance):
    name = "personal_frequency"
    solves_checkerboard = False
    can_update = True
    can_explain = True
